"""Training, disturbed: whatever stops it, it ends as if nothing had."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from support.killed_training import MODEL, STEPS, STOPPED, Nursery, differences, spec_of, state_of
from support.leftovers import write_checkpoint

from bodyposenet.common.exits import tell
from bodyposenet.common.model.training.checkpoints import (
    LATEST,
    DamagedError,
    checkpoints_in,
    list_lasting,
    load_checkpoint,
    read_state,
    sweep,
)
from bodyposenet.common.model.training.preemption import StoppedError

EPOCHS = 5


@pytest.fixture(scope="module")
def nursery():
    return Nursery(spec_of(EPOCHS), seconds=0.01)


def until(wanted, process, seconds=60):
    """Wait for something to be true of a training that runs."""
    end = time.monotonic() + seconds
    while not wanted():
        assert process.exitcode is None, "the training ended first"
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.slow
def test_a_training_stopped_and_killed_ends_with_the_same_bits(nursery, tmp_path):
    folder = tmp_path / "stopped"
    first = nursery.start(folder)
    until((folder / "history.json").exists, first)
    os.kill(first.pid, signal.SIGTERM)
    first.join()
    assert first.exitcode == STOPPED
    state = read_state(folder / LATEST)
    assert 1 <= state.epoch < EPOCHS
    assert 1 <= state.step <= STEPS
    output = (tmp_path / "output").read_text()
    assert f"{folder}: stopped after epoch {state.epoch}, step {state.step}; run it again to go on" in output

    second = nursery.start(folder)
    until(lambda: any(epoch > state.epoch for epoch, _ in checkpoints_in(folder)), second)
    second.kill()
    second.join()
    (folder / ".saving-torn").mkdir()
    (folder / ".model.epoch-9.keras.0a1b2c3d.tmp").write_bytes(b"torn")
    assert nursery.run(folder) == 0
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".") or path.name == LATEST]

    assert nursery.run(tmp_path / "whole") == 0
    wanted = state_of(tmp_path / "whole")
    assert len(wanted) > 50
    assert differences(state_of(folder), wanted) == []
    assert (tmp_path / "whole" / MODEL).exists()


@pytest.mark.parametrize("ap", ["high", None, [0.1]])
def test_a_checkpoint_whose_epochs_have_other_values_than_numbers_is_damaged(tmp_path, ap):
    path = write_checkpoint(tmp_path, 1, history=[{"epoch": 1, "loss": 0.1, "val_ap": ap}])
    with pytest.raises(DamagedError, match="a value of an epoch is no number"):
        read_state(path)


def pack_header(shape):
    """An array's file that says how many values it has, and holds none."""
    head = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head


@pytest.mark.parametrize(
    ("content", "kind"),
    [(pack_header((10**12,)), zipfile.ZIP_STORED), (pack_header((1 << 20,)) + bytes(1 << 22), zipfile.ZIP_DEFLATED)],
    ids=["a header that lies", "zeros, packed"],
)
def test_an_optimizer_that_asks_for_more_memory_than_its_file_has_is_damage(tmp_path, content, kind):
    npz = io.BytesIO()
    with zipfile.ZipFile(npz, "w", kind) as archive:
        archive.writestr("arr_0.npy", content)
    path = write_checkpoint(tmp_path, 1, optimizer=npz.getvalue())
    with pytest.raises(DamagedError, match=r"arr_0\.npy in optimizer\.npz is no array as a training writes it"):
        load_checkpoint(path)


def test_of_what_a_killed_training_left_a_link_goes_and_not_what_it_means(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/notes.txt").write_text("precious")
    (tmp_path / "r").mkdir()
    (tmp_path / "r/.saving-linked").symlink_to(tmp_path / "theirs")
    sweep(tmp_path / "r")
    assert list((tmp_path / "r").iterdir()) == []
    assert (tmp_path / "theirs/notes.txt").read_text() == "precious"


def test_of_each_training_the_newest_checkpoint_goes_to_another_folder_with_what_is_beside_it(tmp_path):
    lasts = {"model.epoch-12.keras", "model.best.keras", "events/one", "status.json", "round_2/model.epoch-3.tlt"}
    stays = {"model.epoch-9.keras", "round_2/model.epoch-2.tlt", "rounds.json", "tracking_buffer/train-0/run.jsonl"}
    for name in lasts | stays | {".saving-a/model.epoch-13.keras", "events/.one.tmp"}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert {path.relative_to(tmp_path).as_posix() for path in list_lasting(tmp_path)} == lasts


BETWEEN_STEPS = """
with Interruption() as interruption:
    os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.asked
    try:
        interruption.check()
    except StopAsked:
        print("stopped")
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
AT_ONCE = """
try:
    with Interruption() as interruption, interruption.at_once():
        os.kill(os.getpid(), signal.SIGTERM)
        print("the end")
except StopAsked:
    print("stopped")
"""


@pytest.mark.parametrize("work", [BETWEEN_STEPS, AT_ONCE])
def test_a_stop_is_taken_between_two_steps_and_at_once_in_work_that_may_be_left(work):
    """In a process of its own: how the one that runs tests takes signals is not for them to change."""
    names = "import os, signal\nfrom bodyposenet.common.model.training.preemption import Interruption, StopAsked\n"
    done = subprocess.run([sys.executable, "-c", names + work], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["stopped"]


def test_a_stopped_training_ends_as_a_process_does_that_sigterm_ended():
    code, said = tell(StoppedError("stopped after epoch 3, step 2", where="results", fix="run it again"))
    assert code == 143
    assert said == "error: results: stopped after epoch 3, step 2; run it again"
