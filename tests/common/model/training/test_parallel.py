"""Training side by side: several devices and several processes learn what one does with all their batches."""

import os
import signal
import time

import numpy as np
import pytest
from support.worker_processes import EPOCHS, EVERY, Machines, free_addresses, losses_in, spec_of

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.training.checkpoints import LATEST, checkpoints_in, read_state
from bodyposenet.common.model.training.cluster import TrainingCluster
from bodyposenet.common.model.training.preemption import ENDED
from bodyposenet.common.model.training.strategy import LostWorkerError, form_group

BATCH = 16
PATIENCE = 120  # seconds


@pytest.fixture(scope="module")
def machines():
    return Machines()


@pytest.fixture(scope="module")
def alone(machines, tmp_path_factory):
    """A training of one process."""
    folder = tmp_path_factory.mktemp("alone") / "results"
    process = machines.start(folder, spec_of(BATCH), TrainingCluster())
    assert ended(process) == 0, log_of(folder)
    return folder


def ended(process):
    process.join(PATIENCE)
    assert process.exitcode is not None, "it goes on and on"
    return process.exitcode


def log_of(folder):
    return folder.with_suffix(".log").read_text()


def started(machines, root, wishes=(None, None), **options):
    """Two workers that share nothing but the network; the chief's folder is the first, and so is its wish."""
    addresses = free_addresses(2)
    folders = [root / "chief", root / "other"]
    return [
        machines.start(folder, spec_of(BATCH // 2, mixed_precision=wish), TrainingCluster(addresses, index), **options)
        for index, (folder, wish) in enumerate(zip(folders, wishes, strict=True))
    ]


def reaches(folder, epoch, process):
    """Wait for a checkpoint of an epoch."""
    end = time.monotonic() + PATIENCE
    while all(number < epoch for number, _ in checkpoints_in(folder)):
        assert process.exitcode is None, log_of(folder)
        assert time.monotonic() < end
        time.sleep(0.01)


def assert_learned_the_same(folder, wanted):
    losses = losses_in(wanted)
    assert len(losses) == EPOCHS
    assert losses[-1] < 0.9 * losses[0]
    np.testing.assert_allclose(losses_in(folder), losses, rtol=1e-3)
    ours, theirs = (load_model(path / "bpnet_model.keras")[0].get_weights() for path in (folder, wanted))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3 * max(np.abs(other).max(), 0.1))


@pytest.mark.slow
def test_two_devices_learn_what_one_does_with_the_doubled_batch(machines, alone, tmp_path):
    folder = tmp_path / "results"
    assert ended(machines.start(folder, spec_of(BATCH // 2), TrainingCluster(gpus=2), devices=2)) == 0, log_of(folder)
    assert_learned_the_same(folder, alone)


@pytest.mark.slow
def test_two_devices_learn_from_one_teacher_what_one_does_with_the_doubled_batch(machines, alone, tmp_path):
    told = {"teacher": str(alone / "bpnet_model.keras"), "weight": 0.9, "final_weight": 0.3}
    runs = {"one": (BATCH, TrainingCluster(), 1), "two": (BATCH // 2, TrainingCluster(gpus=2), 2)}
    for name, (batch, cluster, devices) in runs.items():
        spec = spec_of(batch, distillation=told, num_epoch=20)
        assert ended(machines.start(tmp_path / name, spec, cluster, devices=devices)) == 0, log_of(tmp_path / name)
    for loss in ("loss", "task_loss", "distillation_loss"):
        one, two = (losses_in(tmp_path / name, loss) for name in runs)
        np.testing.assert_allclose(two, one, rtol=1e-3)
    assert one[-1] < 0.9 * one[0]


@pytest.mark.slow
def test_two_processes_stopped_and_bereft_learn_what_one_does_with_the_doubled_batch(machines, alone, tmp_path):
    chief = tmp_path / "chief"

    pair = started(machines, tmp_path, seconds=0.005)
    reaches(chief, EVERY, pair[0])
    os.kill(pair[1].pid, signal.SIGTERM)
    assert [ended(process) for process in pair] == [ENDED, ENDED], log_of(chief)
    state = read_state(chief / LATEST)
    assert state.epoch >= EVERY
    assert f"stopped after epoch {state.epoch}" in log_of(chief)

    pair = started(machines, tmp_path, seconds=0.005)
    reaches(chief, state.epoch // EVERY * EVERY + EVERY, pair[0])
    pair[1].kill()
    begun = time.monotonic()
    assert ended(pair[0]) == LostWorkerError.exit_code, log_of(chief)
    assert time.monotonic() - begun < 60
    assert "worker 0 of 2: worker 1 (localhost:" in log_of(chief)
    assert "is gone, so training stopped; its log says why; start all workers again to go on" in log_of(chief)

    pair = started(machines, tmp_path, wishes=(None, "force"))
    assert [ended(process) for process in pair] == [0, 0], log_of(chief)
    said = [log_of(tmp_path / name).splitlines()[-1] for name in ("chief", "other")]
    assert said == 2 * ["computed in float32: 16 bits are not asked for"]  # the chief decides for all
    assert_learned_the_same(chief, alone)
    assert not (tmp_path / "other").exists()


def test_more_gpus_than_there_are_are_refused():
    with pytest.raises(UserError, match=r"--gpus: 2 GPUs are asked for, and TensorFlow says there are none"):
        form_group(TrainingCluster(gpus=2))
