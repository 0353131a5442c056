"""Training, watched: validation, the best network, early ends, curves, fine-tuning and damaged checkpoints."""

import io
import json
import logging
import shutil
import time

import numpy as np
import pytest
import tensorflow as tf
from support.killed_training import spec_of
from support.tiny_training import Dots

from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.bar import LINES, NOTES
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.training.checkpoints import LATEST, checkpoints_in, read_state
from bodyposenet.common.model.training.lr_schedule import make_schedule
from bodyposenet.common.model.training.plan import make_plan, stops_early
from bodyposenet.common.model.training.progress import TrainingProgress, spell
from bodyposenet.common.model.training.tensorboard import name_file
from bodyposenet.common.model.training.train import train
from bodyposenet.common.spec.train import EarlyStopping

EPOCHS, STEPS = 6, 4
APS = (0.2, 0.5, 0.4)
WATCHED = {"validation_every_n_epoch": 2, "max_ckpt_to_keep": 3, "checkpoint_n_epoch": 1, "summary_every_n_steps": 3}
CLOCKED = {"seconds", "images_per_second"}


class Judge:
    """Gives scripted APs, and keeps the weights that it was shown."""

    def __init__(self, aps=APS):
        self.aps, self.shown = list(aps), []

    def __call__(self, model, card):
        self.shown.append(model.get_weights())
        return {"val_loss": 1.5, "val_ap": self.aps[len(self.shown) - 1]}


def source():
    return Dots(16)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Folder, spec, judge, outcome and what was told of a training that nobody disturbed."""
    folder, judge, told = tmp_path_factory.mktemp("watched"), Judge(), []
    spec = spec_of(EPOCHS, **WATCHED)
    return folder, spec, judge, train(spec, folder, source=source(), validate=judge, on_epoch=told.append), told


def same(one, other):
    return all((a == b).all() for a, b in zip(one, other, strict=True))


def weights_of(path):
    return load_model(path)[0].get_weights()


def without_clock(history):
    return [{name: value for name, value in entry.items() if name not in CLOCKED} for entry in history]


def test_validation_joins_the_history_where_the_spec_wants_it(watched):
    _, _, judge, done, _ = watched
    assert [entry.get("val_ap") for entry in done.history] == [None, 0.2, None, 0.5, None, 0.4]
    assert len(judge.shown) == 3
    assert same(judge.shown[-1], weights_of(done.model))


def test_the_best_network_is_kept_though_its_checkpoint_is_gone(watched):
    folder, _, judge, _, _ = watched
    assert [epoch for epoch, _ in checkpoints_in(folder)] == [4, 5, 6]
    assert same(weights_of(folder / "model.best.keras"), judge.shown[1])


def test_each_entry_is_told_once(watched):
    _, _, _, done, told = watched
    assert told == [[entry] for entry in done.history]


def test_the_status_file_keeps_what_validation_found(watched):
    folder = watched[0]
    lines = [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]
    running = [line for line in lines if line["status"] == "RUNNING"]
    assert [line.get("kpi", {}).get("val_ap") for line in running] == [None, 0.2, 0.2, 0.5, 0.5, 0.4]


def events_in(folder):
    """Points of every curve, by its name: step and value."""
    curves = {}
    for path in sorted((folder / "events").iterdir()):
        for payload in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(payload)
            for value in event.summary.value:
                curves.setdefault(value.tag, []).append((event.step, value.simple_value))
    return curves


def test_tensorboard_finds_every_third_step_and_every_validation_under_taos_names(watched):
    folder, spec, _, done, _ = watched
    curves = events_in(folder)
    names = {"Loss/total_loss", "Loss/cmap_loss_stage1", "Loss/paf_loss_stage1", "learning_rate", "regularization"}
    assert curves.keys() == names | {"Validation/loss", "Validation/AP"}
    steps = list(range(3, EPOCHS * STEPS + 1, 3))
    assert [step for step, _ in curves["Loss/total_loss"]] == steps
    schedule = make_schedule(spec.optimizer.learning_rate_schedule, steps_per_epoch=STEPS, last_step=EPOCHS * STEPS)
    assert [rate for _, rate in curves["learning_rate"]] == pytest.approx([schedule(step - 1) for step in steps])
    assert curves["Validation/AP"] == [(step, pytest.approx(ap)) for step, ap in zip((8, 16, 24), APS, strict=True)]
    losses = [entry["loss"] for entry in done.history]
    assert min(losses) / 2 < curves["Loss/total_loss"][-1][1] < max(losses)


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: bytes(len(data)), lambda _: b""])
def test_a_damaged_newest_checkpoint_costs_a_warning_and_an_epoch(watched, tmp_path, caplog, spoil):
    folder, spec, _, done, _ = watched
    for epoch in (5, 6):
        shutil.copy(folder / f"model.epoch-{epoch}.keras", tmp_path)
    newest = tmp_path / "model.epoch-6.keras"
    newest.write_bytes(spoil(newest.read_bytes()))
    told = []
    with caplog.at_level(logging.WARNING):
        again = train(spec, tmp_path, source=source(), validate=Judge([0.4]), on_epoch=told.append)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{newest}: this checkpoint is damaged: ")
    assert said.endswith("; the training goes on from model.epoch-5.keras")
    assert told == [done.history[:5], [again.history[5]]]
    assert same(weights_of(again.model), weights_of(done.model))
    assert without_clock(again.history) == without_clock(done.history)


def test_fine_tuning_goes_on_where_the_checkpoint_ended(watched, tmp_path):
    folder, _, _, done, _ = watched
    tuning = {"is_finetune_exp": True, "checkpoint_path": str(folder / "model.epoch-4.keras"), "ckpt_epoch_num": 4}
    again = train(spec_of(EPOCHS, **WATCHED, finetuning_config=tuning), tmp_path, source=source())
    assert [entry["epoch"] for entry in again.history] == [5, 6]
    assert same(weights_of(again.model), weights_of(done.model))
    plan = make_plan(spec_of(EPOCHS, finetuning_config=tuning | {"ckpt_epoch_num": 0}), source())
    assert (plan.first, plan.epochs) == (4, 4 + EPOCHS)


def test_checkpoints_within_an_epoch_come_by_the_clock(tmp_path):
    def fails(model, card):
        raise OSError("the disk is gone")

    spec = spec_of(1, checkpoint_n_minutes=1e-6, checkpoint_n_epoch=1)
    with pytest.raises(OSError, match="the disk is gone"):
        train(spec, tmp_path, source=source(), validate=fails)
    assert read_state(tmp_path / LATEST).place == (0, STEPS)
    judge = Judge()
    done = train(spec, tmp_path, source=Dots(16, fails_at=0), validate=judge)
    assert done.history[0]["val_ap"] == 0.2
    assert not (tmp_path / LATEST).exists()


@pytest.mark.parametrize(
    ("aps", "stops"),
    [
        ([], False),
        ([0.1, 0.2, 0.3], False),
        ([0.3, 0.2, 0.1], True),
        ([0.3, 0.1, 0.34, 0.31], True),  # .34 is no more than .05 better
        ([0.3, 0.1, 0.36, 0.31], False),
        ([0.3, 0.1, 0.36, 0.31, 0.4], True),
    ],
)
def test_two_validations_in_vain_end_a_training(aps, stops):
    history = [{"epoch": 1.0}, *({"val_ap": ap} for ap in aps)]
    assert stops_early(history, EarlyStopping(patience=2, min_delta=0.05)) is stops
    assert stops_early(history, None) is False


def test_a_training_that_ended_early_has_ended(tmp_path):
    changes = {"early_stopping": {"patience": 2}, "validation_every_n_epoch": 1, "checkpoint_n_epoch": 8}
    loader = spec_of(8).model_dump(mode="json", by_alias=True)["dataloader"]
    loader["dataset_config"] |= {"val_records_path": ["val"]}
    spec = spec_of(8, dataloader=loader, **changes)
    done = train(spec, tmp_path, source=source(), validate=Judge([0.3, 0.2, 0.1]))
    assert len(done.history) == 3
    assert [epoch for epoch, _ in checkpoints_in(tmp_path)] == [3]
    again = train(spec, tmp_path, source=Dots(16, fails_at=0), validate=Judge([]))
    assert again.history == done.history


def test_early_stopping_without_validation_is_refused():
    with pytest.raises(UserError, match=r"early_stopping: needs AP to go by: name val_records_path"):
        spec_of(4, early_stopping={"patience": 2})


# Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def two_steps(folder, monkeypatch, every=0):
    """Two of ten steps, at a clock that ticks five seconds a step."""
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr("bodyposenet.common.model.training.progress.time.monotonic", lambda: next(clock))
    with TrainingProgress(folder, epochs=2, steps=5, every=every) as progress:
        progress.bar.mininterval = 0
        progress.step(0, 0, 3.0, 1e-3)
        progress.step(0, 1, 2.0, 1e-3)


def test_a_pod_prints_lines_of_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    two_steps(tmp_path, monkeypatch)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["seconds_left"] is None
    assert second == {
        "task": "train", "epoch": 0.4, "epochs": 2, "step": 2, "steps": 5, "loss": 2.0, "learning_rate": 1e-3,
        "seconds_left": 40,
    }  # fmt: skip


def test_programs_that_ask_for_lines_get_them_on_standard_error(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv(NOTES, LINES)
    two_steps(tmp_path, monkeypatch)
    out, lines = capsys.readouterr()
    assert out == ""
    assert [json.loads(line)["epoch"] for line in lines.splitlines()] == [0.2, 0.4]


def test_a_log_says_how_far_it_is_every_so_many_seconds(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with caplog.at_level(logging.INFO):
        two_steps(tmp_path, monkeypatch, every=10)
    assert [record.getMessage() for record in caplog.records] == [
        "epoch 0.40 of 2, loss 2, learning rate 0.001, 0:00:40 left"
    ]


def test_a_terminal_shows_a_bar_with_the_time_that_is_left(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    two_steps(tmp_path, monkeypatch)
    assert "epoch 1/2:  40%" in terminal.getvalue()
    assert "loss=2, 0:00:40 left" in terminal.getvalue()


def test_time_is_spelt_as_people_do():
    assert [spell(None), spell(59.6), spell(90_061)] == ["?", "0:01:00", "1 day, 1:01:01"]


def test_the_best_of_equal_networks_is_the_later(tmp_path):
    judge = Judge([0.5, 0.5])
    train(spec_of(2, validation_every_n_epoch=1), tmp_path, source=source(), validate=judge)
    assert same(weights_of(tmp_path / "model.best.keras"), judge.shown[1])
    assert not np.array_equal(judge.shown[0][0], judge.shown[1][0])


@pytest.mark.parametrize("seconds", [-86400, 86400])
def test_what_a_resumed_training_tells_tensorboard_is_read_last_whatever_the_clock_says(tmp_path, monkeypatch, seconds):
    made = []
    for moment in (time.time(), *[time.time() + seconds] * 3):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        made.append(tmp_path / name_file(tmp_path))
        made[-1].touch()
    assert made == sorted({*tmp_path.iterdir()})
