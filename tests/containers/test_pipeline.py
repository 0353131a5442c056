"""The committed pipeline, task by task in containers of the built images, with a tracking server in its own process."""

import json
import os

import docker
import pytest
from kfp import local
from support.container_runner import READ_ONLY, trusted_exit_codes
from support.image_checks import assert_sound
from support.local_run import run_pipeline, short_training, surroundings
from support.mlflow_server import tracking_server

pytestmark = pytest.mark.docker

TASKS = {
    "fingerprint", "photos", "dataset-convert", "dataset-join", "train", "prune-rounds", "prune", "retrain", "export",
    "sample-calibration", "calibrate", "evaluate-base", "evaluate-pruned", "evaluate-retrained",
    "evaluate-int8", "gate", "challenge", "register", "report", "finish", "summary",
}  # fmt: skip
WITHOUT_NUMBERS = {"fingerprint", "photos", "dataset-convert", "gate", "challenge", "register", "finish", "summary"}
CLOCKED = ("second", "latency")  # parts of the names of numbers that a clock made


def small(name):
    """A shipped train spec for one epoch on few pictures, the same on every run."""
    return {**short_training(name), "deterministic": True}


ARGUMENTS = {
    "data": "synthetic:8,4",
    "deploy_spec": {"calibration_images": 2, "max_int8_drop": 1.0},
    "model_name": "tiny",
    **{f"{name}_spec": small(name) for name in ("train", "retrain")},
}


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where everybody may write: the user of the images is not this one."""
    before = os.umask(0)
    folder = tmp_path_factory.mktemp("containers")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o777)
    yield folder
    os.umask(before)


@pytest.fixture(scope="module")
def in_containers(client, deploy_image, train_image, folder, patch):
    """Runs the pipeline in containers, with its earlier runs remembered."""
    mount = docker.types.Mount(target=str(folder), source=str(folder), type="bind")
    (folder / "server").mkdir()
    with tracking_server(folder / "server") as store, trusted_exit_codes():

        def run(name, **changes):
            surrounded = {"environment": surroundings(name, store), "network_mode": "host", "mounts": [mount]}
            runner = local.DockerRunner(**surrounded, **READ_ONLY)
            given = {**ARGUMENTS, **changes}
            return run_pipeline(folder, name, "prune_retrain", patch, runner=runner, store=store, **given)

        yield run


@pytest.fixture(scope="module")
def ran(in_containers):
    return in_containers("first")


def test_the_larger_image_is_what_its_file_promises(client, train_image):
    recorded, image = train_image
    assert_sound(client, image, recorded, most_bytes=2.6e9)


def test_every_task_succeeds(ran):
    assert ran.failure == ""
    assert ran.tasks == TASKS
    summary = ran.said("summary", "page")
    assert summary.startswith("# prune-retrain: SUCCEEDED\n")
    assert "| failed |" not in summary
    assert "first champion" in ran.said("register", "decision")


def test_the_numbers_are_those_of_the_same_tasks_without_containers(ran, tmp_path_factory, patch):
    other = run_pipeline(tmp_path_factory.mktemp("processes"), "same", "prune_retrain", patch, **ARGUMENTS)
    assert other.failure == ""
    for task in sorted(TASKS - WITHOUT_NUMBERS):
        (name,) = {path.name for path in (other.folder / task).iterdir()} & {"metrics", "figures"}
        found, wanted = (numbers(run.folder / task / name) for run in (ran, other))
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-3), task


def numbers(file):
    """What was measured, but for what a clock made."""
    told = json.loads(file.read_text())
    return {name: value for name, value in told.items() if not any(part in name for part in CLOCKED)}


FAILURES = {
    "fingerprint": ({"prune_spec": "pruning_treshold: 0.1"}, "did you mean 'pruning_threshold'?"),
    "train": ({"start_weights": "{folder}/wrong.keras"}, "neither HDF5 nor a Keras zip"),
    "calibrate": (
        {"deploy_spec": {"calibration_images": 2, "max_int8_drop": 1.0, "keep_float": ["no_such_layer"]}},
        "no_such_layer",
    ),
}


@pytest.mark.parametrize("task", FAILURES)
def test_a_task_that_fails_fails_the_run_and_its_reason_is_told(in_containers, ran, folder, task):
    (folder / "wrong.keras").write_bytes(b"no network")
    changes, reason = FAILURES[task]
    located = {name: each.format(folder=folder) if name == "start_weights" else each for name, each in changes.items()}
    found = in_containers(f"failed-{task}", **located)
    assert found.failure
    summary = found.said("summary", "page")
    assert summary.startswith("# prune-retrain: FAILED\n")
    assert f"**{task} failed**" in summary
    assert reason in summary


def test_with_nothing_changed_all_but_the_fingerprint_come_from_the_cache(in_containers, ran):
    assert in_containers("again").tasks == {"fingerprint", "finish", "summary"}
