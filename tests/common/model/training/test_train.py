"""Training runs: they learn, stop and go on, and keep what the spec says."""

import itertools
import json
import os
import shutil

import numpy as np
import pytest
import yaml
from support.tiny_training import ADAM, MOMENTUM, Dots, tiny_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model, read_card
from bodyposenet.common.model.training.checkpoints import (
    LATEST,
    DamagedError,
    checkpoints_in,
    is_whole,
    load_checkpoint,
    newest_checkpoint,
    read_state,
)
from bodyposenet.common.model.training.precision import choose_precision, measure_precision
from bodyposenet.common.model.training.train import train
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.storage.encryption import is_encrypted
from bodyposenet.common.storage.model_key import using_key

LONG = {"num_epoch": 8, "checkpoint_n_epoch": 2, "max_ckpt_to_keep": 2, "optimizer": ADAM}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Eight epochs of eight steps, undisturbed: folder, spec and outcome."""
    folder = tmp_path_factory.mktemp("trained")
    spec = tiny_spec(**LONG)
    return folder, spec, train(spec, folder, source=Dots(32))


@pytest.fixture(scope="module")
def went_on(tmp_path_factory):
    """The same, but the disk failed in the fifth epoch and the command was given again."""
    folder = tmp_path_factory.mktemp("went_on")
    with pytest.raises(OSError, match="the disk is gone"):
        train(tiny_spec(**LONG), folder, source=Dots(32, fails_at=5))
    left = [epoch for epoch, _ in checkpoints_in(folder)]
    return folder, left, train(tiny_spec(**LONG), folder, source=Dots(32))


def weights_of(path):
    model, _ = load_model(path)
    return {variable.path: value for variable, value in zip(model.variables, model.get_weights(), strict=True)}


def same(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]


def test_the_loss_falls(trained):
    _, _, done = trained
    losses = [epoch["loss"] for epoch in done.history]
    assert len(losses) == 8
    assert losses[-1] < 0.4 * losses[0]
    assert all(np.isfinite(list(epoch.values())).all() for epoch in done.history)


def test_an_epochs_entry_holds_every_stages_losses_and_they_add_up(trained):
    _, _, done = trained
    for epoch in done.history:
        parts = [epoch[f"{kind}_loss_stage{stage}"] for kind in ("heatmap", "paf") for stage in (1, 2)]
        assert epoch["loss"] == pytest.approx(sum(parts) + epoch["regularization"], rel=1e-4)
        assert epoch["images_per_second"] == pytest.approx(32 / epoch["seconds"], rel=1e-6)
    assert [epoch["epoch"] for epoch in done.history] == list(range(1, 9))


def test_the_history_is_written_beside_the_network(trained):
    folder, _, done = trained
    assert json.loads((folder / "history.json").read_text()) == done.history
    assert done.model == folder / "bpnet_model.keras"
    assert done.params == load_model(done.model)[0].count_params()


def test_checkpoints_come_and_go_as_the_spec_says(trained):
    folder, _, done = trained
    assert [epoch for epoch, _ in checkpoints_in(folder)] == [6, 8]
    assert same(weights_of(checkpoints_in(folder)[-1][1]), weights_of(done.model))
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_resolved_spec_is_written_and_loads_back_equal(trained):
    folder, spec, _ = trained
    assert load_spec(folder / "experiment_spec.yaml", TrainSpec) == spec
    assert yaml.safe_load((folder / "experiment_spec.yaml").read_text())["num_epoch"] == 8


def test_the_status_file_tells_start_every_epoch_and_end(trained):
    folder, _, done = trained
    lines = lines_of(folder)
    assert [line["status"] for line in lines] == ["STARTED", *["RUNNING"] * 8, "SUCCESS"]
    for number, (line, epoch) in enumerate(zip(lines[1:-1], done.history, strict=True), 1):
        assert (line["epoch"], line["max_epoch"]) == (number, 8)
        assert line["graphical"] == {"loss": epoch["loss"], "learning_rate": epoch["learning_rate"]}
        assert {"time_per_epoch", "eta", "date", "time", "verbosity"} <= line.keys()


def test_an_interrupted_training_goes_on_to_the_same_weights(trained, went_on):
    _, _, undisturbed = trained
    _, left, resumed = went_on
    assert left == [2, 4]
    assert same(weights_of(resumed.model), weights_of(undisturbed.model))


def test_an_interrupted_training_goes_on_with_the_same_curves_and_optimizer(trained, went_on):
    folder, _, undisturbed = trained
    other, _, resumed = went_on
    clocked = {"seconds", "images_per_second"}
    for one, two in zip(undisturbed.history, resumed.history, strict=True):
        assert {k: v for k, v in one.items() if k not in clocked} == {k: v for k, v in two.items() if k not in clocked}
    _, wanted, _ = load_checkpoint(folder / "model.epoch-8.keras")
    _, found, _ = load_checkpoint(other / "model.epoch-8.keras")
    assert all((one == two).all() for one, two in zip(wanted, found, strict=True))


@pytest.mark.usefixtures("cheap_keys")
def test_an_encrypted_one_goes_on_to_the_same_weights_and_leaves_nothing_open(trained, tmp_path):
    wanted = weights_of(trained[2].model)  # an open one, which nobody reads who has a key
    with using_key("open sesame"):
        with pytest.raises(OSError, match="the disk is gone"):
            train(tiny_spec(**LONG), tmp_path, source=Dots(32, fails_at=5), ending=".tlt")
        resumed = train(tiny_spec(**LONG), tmp_path, source=Dots(32), ending=".tlt")
        assert same(weights_of(resumed.model), wanted)
        assert [path.name for _, path in checkpoints_in(tmp_path)] == ["model.epoch-6.tlt", "model.epoch-8.tlt"]
    models = {path for path in tmp_path.iterdir() if path.suffix in (".tlt", ".keras")}
    assert len(models) == 3
    assert all(is_encrypted(path) for path in models)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"open sesame" in path.read_bytes()]


def test_a_finished_training_is_not_trained_again(trained, tmp_path):
    folder, spec, done = trained
    shutil.copytree(folder, tmp_path / "again")
    again = train(spec, tmp_path / "again", source=Dots(32, fails_at=0))
    assert again.history == done.history
    assert same(weights_of(again.model), weights_of(done.model))


def test_begun_again_with_fewer_epochs_a_training_keeps_its_own_and_goes_on_from_them(tmp_path, caplog):
    often = {"model": {"stages": 1}, "checkpoint_n_epoch": 1, "max_ckpt_to_keep": 1}
    train(tiny_spec(num_epoch=4, **often), tmp_path, source=Dots(4))
    (first,) = [path.read_bytes() for _, path in checkpoints_in(tmp_path)]
    with pytest.raises(OSError, match="the disk is gone"):
        train(tiny_spec(num_epoch=3, **often), tmp_path, source=Dots(4, fails_at=2))
    assert [epoch for epoch, _ in checkpoints_in(tmp_path)] == [2, 4]
    said = f"{tmp_path}: not of this training: model.epoch-4.keras; they stay"
    assert [message for message in caplog.messages if message.startswith(said)]
    done = train(tiny_spec(num_epoch=3, **often), tmp_path, source=Dots(4))
    assert [entry["epoch"] for entry in done.history] == [1, 2, 3]
    assert [epoch for epoch, _ in checkpoints_in(tmp_path)] == [3, 4]
    assert (tmp_path / "model.epoch-4.keras").read_bytes() == first
    assert not (tmp_path / LATEST).exists()
    path, _ = newest_checkpoint(tmp_path, 9)
    assert path.name == "model.epoch-4.keras"


def cut(path, copy, size):
    copy.write_bytes(path.read_bytes()[: path.stat().st_size - size])
    return copy


def test_a_damaged_checkpoint_without_one_before_is_an_error_that_says_what_to_do(trained, tmp_path):
    folder, spec, _ = trained
    damaged = cut(folder / "model.epoch-8.keras", tmp_path / "model.epoch-8.keras", 100)
    with pytest.raises(UserError) as caught:
        train(spec, tmp_path, source=Dots(32))
    assert str(caught.value) == (
        f"{damaged}: this checkpoint is damaged: it is cut: its end, with its table of contents, is missing after "
        f"{damaged.stat().st_size:,} bytes; there is no whole one before it: copy it again, or delete it, and the "
        "training begins anew"
    )


@pytest.mark.parametrize("size", [1, 22, 100, 300, 1_000, 70_000, 0.5, 0.999])
def test_one_that_is_cut_is_passed_over_for_the_one_before_with_a_line_that_says_so(trained, tmp_path, size, caplog):
    folder, _, _ = trained
    whole = folder / "model.epoch-8.keras"
    size = size if isinstance(size, int) else int(size * whole.stat().st_size)
    shutil.copy(folder / "model.epoch-6.keras", tmp_path)
    damaged = cut(whole, tmp_path / whole.name, size)
    path, found = newest_checkpoint(tmp_path, 8)
    assert (path.name, found.state.epoch) == ("model.epoch-6.keras", 6)
    (said,) = caplog.messages
    assert said.startswith(f"{damaged}: this checkpoint is damaged: it is cut: its end, with its table of contents, is")
    assert said.endswith(f"{damaged.stat().st_size:,} bytes; the training goes on from model.epoch-6.keras")
    with pytest.raises(UserError, match=f"{damaged}: this checkpoint is damaged: it is cut"):
        load_checkpoint(damaged)
    with pytest.raises(UserError, match=r"damaged.* it is cut: its end, with its table of contents, is missing after"):
        load_model(damaged)


def test_no_cut_makes_a_checkpoint_another_one_or_a_network(trained, tmp_path):
    whole = trained[0] / "model.epoch-8.keras"
    assert is_whole(whole)
    damaged, all_of_it = cut(whole, tmp_path / whole.name, 0), whole.stat().st_size
    for size in itertools.chain(range(1, 900), range(900, all_of_it - 4, all_of_it // 40)):
        os.truncate(damaged, all_of_it - size)
        with pytest.raises(DamagedError, match="it is cut"):
            read_state(damaged)
        assert not is_whole(damaged)
        with pytest.raises(UserError, match="it is cut"):
            read_card(damaged)


@pytest.mark.parametrize("change", [{"model": {"stages": 1}}, {"optimizer": MOMENTUM}])
def test_the_checkpoints_of_another_network_or_optimizer_are_refused(trained, tmp_path, change):
    folder, _, _ = trained
    shutil.copy(folder / "model.epoch-8.keras", tmp_path)
    with pytest.raises(UserError, match=r"model\.epoch-8\.keras: this checkpoint is of another network or optimizer"):
        train(tiny_spec(num_epoch=8, **change), tmp_path, source=Dots(32))


def test_the_card_says_how_the_network_was_trained_and_what_is_measured_joins_the_history(tmp_path):
    loader = tiny_spec().model_dump(mode="json", by_alias=True)["dataloader"]
    loader["normalization_params"] |= {"image_scale": [255.0, 254.0, 253.0], "image_offset": [0.1, 0.2, 0.3]}
    loader["label_processor_config"]["heatmap_gaussian_sigma"] = 5.0
    cards = []

    def measured(model, card):
        assert model.dtype_policy.name == "float32"
        cards.append(card)
        return {"ap": len(cards) / 10}

    spec = tiny_spec(model={"stages": 1}, optimizer=MOMENTUM, dataloader=loader, validation_every_n_epoch=1)
    done = train(spec, tmp_path, source=Dots(8), validate=measured)
    assert [epoch["ap"] for epoch in done.history] == [0.1, 0.2]
    _, card = load_model(done.model)
    assert cards == [card, card]
    assert (card.image_scale, card.image_offset) == ((255.0, 254.0, 253.0), (0.1, 0.2, 0.3))
    assert (card.stride, card.input_size, card.sigma) == (8, (64, 64), 5.0)
    assert card.skeleton == BODYPOSENET_18


def test_sixteen_bit_training_where_it_pays_learns_and_saves_a_32_bit_network(trained, tmp_path):
    done = train(tiny_spec(num_epoch=4, mixed_precision=True), tmp_path, source=Dots(32))
    assert done.precision == choose_precision(True, measure_precision())
    model, card = load_model(done.model)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert {np.dtype(weight.dtype).name for weight in model.get_weights()} == {"float32"}
    assert card == load_model(trained[2].model)[1]
    losses = [epoch["loss"] for epoch in done.history]
    assert losses[-1] < 0.7 * losses[0]
    assert losses[0] == pytest.approx(trained[2].history[0]["loss"], rel=0.1)


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_step(tmp_path):
    with pytest.raises(UserError, match=r"the loss is nan at step [12] of 2") as caught:
        train(tiny_spec(model={"stages": 1}), tmp_path, source=Dots(8, poison=5))
    assert caught.value.where == "epoch 1"
    photos = caught.value.problem.split("on photos ")[1].split(";")[0].split(", ")
    assert "1005" in photos
    assert len(photos) == 4
    assert "its mask hold values that are no numbers" in caught.value.problem
    assert "mend the annotations of these photos" in caught.value.fix
    assert checkpoints_in(tmp_path) == []
    assert lines_of(tmp_path)[-1]["status"] != "SUCCESS"


def test_channels_that_do_not_fit_the_skeleton_are_an_error(tmp_path):
    with pytest.raises(UserError, match="needs 19 and 38") as caught:
        train(tiny_spec(model={"heat_channels": 18}), tmp_path, source=Dots())
    assert "heat_channels" in str(caught.value.where)


def test_too_few_samples_are_an_error(tmp_path):
    with pytest.raises(UserError):
        train(tiny_spec(), tmp_path, source=Dots(3))
