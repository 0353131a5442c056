"""Locking: temporary names and folders of killed processes are known by their locks, and living ones stay."""

import os
import signal
import sys

import pytest
from support.killing import Killer

from bodyposenet.common.cli.launcher import task
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage import locking, temporary_names
from bodyposenet.common.storage.files import rewrite, whole_file
from bodyposenet.common.storage.locking import OWNER, hold_alone, scratch_folder
from bodyposenet.common.storage.temporary_names import SLOTS, open_slot


def kill_within(block):
    """Run a block in a process that is killed within it."""
    child = os.fork()
    if not child:
        with block():
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def write(path, content=b"new"):
    with whole_file(path) as file:
        file.write(content)


def test_what_a_killed_writer_left_goes_with_the_next_writing_of_that_file(tmp_path):
    kill_within(lambda: whole_file(tmp_path / "net.onnx"))
    assert [path.name for path in tmp_path.iterdir()] == [".net.onnx.0.tmp"]
    write(tmp_path / "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_bytes() == b"new"


def test_a_temporary_file_that_a_living_process_writes_stays(tmp_path):
    with whole_file(tmp_path / "a") as first:
        first.write(b"first")
        write(tmp_path / "a", b"second")
        assert (tmp_path / "a").read_bytes() == b"second"
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_longer_file_of_a_killed_writer_leaves_no_end(tmp_path):
    (tmp_path / ".a.0.tmp").write_bytes(b"much longer")
    write(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, lambda path: os.symlink("other", path)])
def test_what_is_no_temporary_file_is_left_alone(tmp_path, plant):
    plant(tmp_path / ".a.0.tmp")
    write(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.0.tmp", "a"]


def test_a_link_to_a_file_of_somebody_else_is_not_written_through(tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    os.link(tmp_path / "theirs", tmp_path / ".a.0.tmp")
    write(tmp_path / "a")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_more_writers_than_there_are_names_do_not_meet(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporary_names, "SLOTS", 1)
        with open_slot(tmp_path / "a") as (_, one), open_slot(tmp_path / "a") as (_, two):
            assert one != two
    assert SLOTS > 1


def test_a_scratch_folder_of_a_killed_process_goes_with_the_next_and_that_of_a_living_one_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kill_within(scratch_folder)
    (left,) = tmp_path.iterdir()
    with scratch_folder() as one, scratch_folder() as two:
        assert {*tmp_path.iterdir()} == {one.parent, two.parent}
        assert left not in (one.parent, two.parent)
        rewrite(one / "file", lambda _: b"content")  # it locks the folder
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("said", [None, ""])
def test_a_scratch_folder_goes_whose_process_was_killed_before_it_said_whose_it_is(tmp_path, monkeypatch, said):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / ".bodyposenet-scratch-abcd1234").mkdir()
    if said is not None:
        (tmp_path / ".bodyposenet-scratch-abcd1234" / OWNER).write_text(said)
    with scratch_folder() as one:
        assert [*tmp_path.iterdir()] == [one.parent]


def use_scratch(root, kill_at):
    """Fill a scratch folder in a process that is killed before an operation on files; tells whether it was."""
    child = os.fork()
    if not child:
        sys.addaudithook(Killer(root, kill_at))
        with scratch_folder() as folder:
            for name in "abc":
                (folder / name).write_text(name)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_scratch_folder_goes_whenever_its_process_was_killed(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    kills = 0
    while use_scratch(tmp_path, kills):
        with scratch_folder() as one:
            assert [*(tmp_path / "tmp").iterdir()] == [one.parent], kills
        kills += 1
    assert kills > 10


def test_a_verb_that_makes_no_scratch_folder_removes_that_of_a_killed_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    kill_within(scratch_folder)
    with task("train", tmp_path / "results"):
        assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_folders_of_users_and_of_other_machines_stay_whatever_they_are_called(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("bodyposenet-results", ".bodyposenet-scratch-mine", ".bodyposenet-scratch-abcd1234"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.keras").touch()
    (tmp_path / ".bodyposenet-scratch-abcd1234" / OWNER).write_text("process 1 of another-machine, since then")
    with scratch_folder():
        pass
    assert len([*tmp_path.rglob("model.keras")]) == 3


def test_of_two_runs_in_a_folder_the_second_is_told_who_the_first_is(tmp_path, monkeypatch):
    monkeypatch.setattr(locking, "PATIENCE", 0.3)
    with hold_alone(tmp_path):
        known = (
            rf"{tmp_path}: another run is at work here: process {os.getpid()} of .+, since 20.+; wait for it, or name"
        )
        with pytest.raises(UserError, match=known), hold_alone(tmp_path):
            pytest.fail("both are in")
    with hold_alone(tmp_path):
        assert (tmp_path / OWNER).exists()
    assert not [*tmp_path.iterdir()]


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path):
    kill_within(lambda: hold_alone(tmp_path))
    assert (tmp_path / OWNER).exists()
    with hold_alone(tmp_path):
        assert str(os.getpid()) in (tmp_path / OWNER).read_text()
    assert not (tmp_path / OWNER).exists()


def test_a_file_of_somebody_else_is_not_followed_for_a_lock(tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / OWNER).symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic"), hold_alone(tmp_path):
        pytest.fail("it is in")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
