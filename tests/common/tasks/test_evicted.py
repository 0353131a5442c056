"""Evicted trainings: pods are killed at any moment, and the next one, on an empty disk, ends as if none had been."""

import json
import random
import shutil
import signal
from pathlib import Path

import pytest
from support.drawn_records import convert_drawn
from support.evicted import Processes, differ, kept_in, kill_at_a_checkpoint, make_inputs, prune_in_pod, results_of
from support.killed_training import differences, weights_in

from bodyposenet.common import tasks
from bodyposenet.common.tasks.attempts import identify
from bodyposenet.common.tracking.mlflow_store import connect, quiet_mlflow

EPOCHS = 12
KILLS = (signal.SIGKILL, signal.SIGTERM)
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143}
STATES = ["KILLED", "FAILED", "FINISHED"]  # of the attempts, in MLflow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder, epochs=EPOCHS)
    return folder


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """What an undisturbed training leaves."""
    pod = tmp_path_factory.mktemp("whole") / "pod"
    assert Processes(inputs).run(pod, "") == 0, Path(f"{pod}.log").read_text()
    return pod


@pytest.mark.slow
@pytest.mark.heavy
def test_a_training_whose_pods_are_killed_ends_with_the_same_bits_and_curves(
    inputs, whole, bucket, tmp_path, monkeypatch, tracked_at
):
    """With a bucket; a folder does in the rounds of pruning below, and both in tests/containers."""
    work, generator, store = f"{bucket}/work", random.Random(1), f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", "run-1")
    monkeypatch.delenv("KFP_RUN_ID", raising=False)
    processes = Processes(inputs, store)
    for number, kill in enumerate(KILLS):
        code = kill_at_a_checkpoint(processes, tmp_path / f"pod-{number}", work, generator, kill)
        assert code == CODES[kill]
    last = tmp_path / "last"
    assert processes.run(last, work) == 0, Path(f"{last}.log").read_text()
    assert "going on from" in Path(f"{last}.log").read_text()
    assert differ(last, whole) == []
    assert not kept_in(work), "nothing is left behind"
    tracked_at(store)
    with quiet_mlflow():
        check_runs(last)


@pytest.mark.slow
@pytest.mark.heavy
def test_rounds_of_pruning_whose_pod_is_killed_in_the_second_round_go_on_there(inputs, tmp_path):
    processes, work = Processes(inputs, task=prune_in_pod), str(tmp_path / "work")
    killed, last, whole = (tmp_path / name for name in ("killed", "last", "whole"))
    second = "model/rounds/round_2/history.json"
    assert kill_at_a_checkpoint(processes, killed, work, random.Random(0), after=second) == -signal.SIGKILL
    assert processes.run(last, work) == 0, Path(f"{last}.log").read_text()
    assert "round_2/model." in Path(f"{last}.log").read_text(), "a checkpoint of it was gone on from"
    assert not kept_in(work)
    assert processes.run(whole, "") == 0, Path(f"{whole}.log").read_text()
    for name in ("", "rounds/round_1", "rounds/round_2"):
        made, wanted = (weights_in(pod / "model" / name / "model.keras") for pod in (last, whole))
        assert differences(made, wanted) == []
        assert len(wanted) > 20


def check_runs(last):
    """The last attempt's run has the whole curves, and those before it do not count as running."""
    client = connect()
    (experiment,) = (each for each in client.search_experiments() if each.name == "bodyposenet")
    found = client.search_runs([experiment.experiment_id], "tags.`bodyposenet.task` = 'retrain'")
    ended = sorted(found, key=lambda run: run.info.start_time)
    assert [run.info.status for run in ended] == STATES
    went_on = [run.data.tags.get("bodyposenet.went_on_in") for run in ended]
    assert went_on == [ended[1].info.run_id, None, None]
    for name in ("loss", "learning_rate", "val_ap"):
        points = client.get_metric_history(ended[-1].info.run_id, name)
        wanted = {row["epoch"]: row[name] for row in results_of(last)[1] if name in row}
        assert [(point.step, point.value) for point in points] == list(wanted.items())


def test_another_training_is_known_as_another(inputs, tmp_path):
    spec = json.loads((inputs / "spec.json").read_text())
    weights = tmp_path / "weights.keras"
    weights.write_bytes(b"one")
    given = {"pretrained_weights": str(weights)}
    data, base = str(inputs / "dataset"), str(inputs / "base")
    own = identify(data, base, spec, "", 1, files=given)
    moved = shutil.copytree(inputs, tmp_path / "moved")
    assert identify(str(moved / "dataset"), str(moved / "base"), spec, "", 1, files=given) == own
    others = [identify(data, None, spec, "", 1, files=given), identify(data, base, spec, "", 2, files=given)]
    others.append(identify(data, base, spec | {"num_epoch": 2}, "", 1, files=given))
    others.append(identify(data, base, spec, "another", 1, files=given))
    weights.write_bytes(b"two")
    others.append(identify(data, base, spec, "", 1, files=given))
    convert_drawn(tmp_path / "more", train=7)
    shutil.copytree(tmp_path / "more" / "records", moved / "dataset", dirs_exist_ok=True)
    others.append(identify(str(moved / "dataset"), base, spec, "", 1, files=given))
    assert len({own, *others}) == 1 + len(others)


def test_a_work_folder_that_cannot_be_written_is_told_before_the_training(inputs, tmp_path, capfd):
    outputs = [str(tmp_path / name) for name in ("model", "metrics", "page")]
    spec = json.loads((inputs / "spec.json").read_text())
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SystemExit, match=r"^2$"):
        tasks.train(str(inputs / "dataset"), spec, str(inputs / "base"), *outputs, work=str(tmp_path / "file"))
    said = capfd.readouterr().err
    assert "train failed: " in said
    assert str(tmp_path / "file") in said
    assert "Traceback" not in said
    assert not list((tmp_path / "model").glob("*.keras"))
