"""Clean: what may go is told and goes; what somebody needs or works on, or is not ours, stays."""

import contextlib
import os
import signal
import socket
import time

import pytest
from click.testing import CliRunner
from support.leftovers import (
    DAY,
    KEY,
    leave_conversion,
    leave_folder,
    leave_kept_run,
    leave_local_runs,
    leave_lock,
    leave_parts,
    leave_snapshots,
    leave_staging,
    leave_temporary,
    make_older,
    run_name,
    write_checkpoint,
)

from bodyposenet.common.cli.main import main
from bodyposenet.common.model.training.checkpoints import checkpoints_in
from bodyposenet.common.retention import leftovers
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.locking import OWNER, hold_alone, hold_folder, scratch_folder, share_folder
from bodyposenet.common.storage.temporary_names import open_slot
from bodyposenet.common.storage.together import Together
from bodyposenet.pipelines.here.past import sole_user

ALL = (leave_staging, leave_conversion, leave_parts, leave_snapshots, leave_temporary, leave_lock)
OLD = 20 * DAY


def clean(*words):
    """The verb's exit code and what it printed."""
    done = CliRunner().invoke(main, ["clean", *map(str, words)], catch_exceptions=False)
    return done.exit_code, done.output


def delete(*words):
    """The same, which must end well."""
    code, said = clean(*words, "--delete")
    assert code == 0, said
    return said


@contextlib.contextmanager
def alone(folder):
    with hold_folder(folder, "taken", where="here"):
        yield


@pytest.mark.parametrize("leave", ALL)
def test_it_tells_what_has_been_left_and_removes_it_only_if_it_is_told_to(tmp_path, leave):
    left = make_older(leave(tmp_path), OLD)
    code, said = clean(tmp_path)
    assert code == 0
    assert str(left) in said
    assert "20 days" in said
    assert "1 leftover, " in said
    assert "nothing was removed; --delete does that" in said
    assert left.exists()
    assert "removed 1 leftover" in delete(tmp_path)
    assert not left.exists()
    assert "0 leftovers, 0 B, may go" in clean(tmp_path)[1]


@pytest.mark.parametrize("leave", ALL)
def test_what_is_younger_than_asked_is_let_be(tmp_path, leave):
    left = make_older(leave(tmp_path), OLD)
    assert str(left) not in delete(tmp_path, "--older_than", "3w")
    assert left.exists()
    assert str(left) in delete(tmp_path, "--older-than", "470h")
    assert not left.exists()


def test_one_young_file_keeps_a_whole_folder(tmp_path):
    left = make_older(leave_snapshots(tmp_path), OLD)
    (left / "attempt.json").write_text("{}")
    delete(tmp_path)
    assert left.exists()


@pytest.mark.parametrize("leave", ALL[:4])
@pytest.mark.parametrize("hold", [alone, share_folder])
def test_where_somebody_is_at_work_nothing_goes(tmp_path, leave, hold):
    left = leave(tmp_path)
    with hold(left):
        make_older(left, OLD)
        assert "stays: somebody is at work there" in delete(tmp_path)
        assert left.exists()
    make_older(left, OLD)
    delete(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("hold", [hold_alone, share_folder])
def test_the_lock_of_who_is_at_work_stays(tmp_path, hold):
    leave_lock(tmp_path)
    with hold(tmp_path):
        make_older(tmp_path / OWNER, OLD)
        assert "stays: somebody is at work there" in delete(tmp_path)
        assert (tmp_path / OWNER).exists()


def test_a_lock_in_a_folder_of_others_stays(tmp_path):
    leave_lock(tmp_path)
    (tmp_path / "status.json").write_text("{}\n")
    make_older(tmp_path, OLD)
    assert "0 leftovers" in delete(tmp_path)
    assert (tmp_path / OWNER).exists()


def test_a_file_that_somebody_writes_stays(tmp_path):
    leave_temporary(tmp_path).unlink()
    with open_slot(tmp_path / "detections.json") as (_, aside):
        make_older(aside, OLD)
        assert "stays: somebody" in delete(tmp_path)
        assert aside.exists()


@pytest.mark.parametrize("leave", ALL[:4])
def test_what_another_machine_s_process_left_stays_unless_all_machines_are_meant(tmp_path, leave):
    left = leave(tmp_path)
    (left / OWNER).write_text("process 7 of another-machine, since 2026-01-01 00:00:00+00:00")
    make_older(left, OLD)
    assert "stays: is of the machine another-machine" in delete(tmp_path)
    assert left.exists()
    delete(tmp_path, "--any_machine")
    assert not left.exists()


def test_folders_and_files_of_others_stay_whatever_they_are_called(tmp_path):
    theirs = [
        tmp_path / name for name in (".net.staging", f".train.{KEY}", f"parts-{KEY}", ".bodyposenet-scratch-00000000")
    ]
    for folder in theirs:
        folder.mkdir()
        (folder / "precious").touch()
    for folder in (theirs[0], theirs[1]):
        (folder / OWNER).write_text("who knows")
    (tmp_path / ".precious.0.tmp").touch()
    (tmp_path / "model.epoch-1.keras").write_bytes(b"not a checkpoint")
    (tmp_path / ".train-0a1b2c3d.removed").mkdir()
    write_checkpoint(tmp_path, 2)
    make_older(tmp_path, OLD)
    before = sorted(tmp_path.rglob("*"))
    assert "0 leftovers" in delete(tmp_path, "--keep", 1)
    assert sorted(tmp_path.rglob("*")) == before


def test_signed_folders_with_anything_else_in_them_are_no_snapshots(tmp_path):
    left = leave_snapshots(tmp_path)
    (left / "thesis.docx").touch()
    make_older(left, OLD)
    delete(tmp_path)
    assert (left / "thesis.docx").exists()


def test_no_link_is_followed_and_none_is_removed_with_what_it_means(tmp_path):
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir(), here.mkdir()
    (elsewhere / "precious").touch()
    left = leave_staging(elsewhere)
    (here / "linked").symlink_to(elsewhere)
    (here / ".net.onnx.staging").symlink_to(left)
    inner = leave_conversion(here)
    (inner / "out").symlink_to(elsewhere)
    for path in (elsewhere, inner):
        make_older(path, OLD)
    delete(here)
    assert not inner.exists()
    assert left.exists()
    assert (elsewhere / "precious").exists()


def test_a_folder_may_be_named_through_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    left = make_older(leave_staging(tmp_path / "real"), OLD)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    delete(tmp_path / "link")
    assert not left.exists()


def test_outputs_that_a_killed_run_was_publishing_stay_for_the_next_run(tmp_path):
    output = tmp_path / "net.onnx"
    child = os.fork()
    if not child:
        with Together(output) as files:
            with whole_file(files.stage(output)) as file:
                file.write(b"whole")
            files._rename = lambda names: os.kill(os.getpid(), signal.SIGKILL)
            files.publish()
    os.waitpid(child, 0)
    make_older(tmp_path, OLD)
    assert "stays: is half published" in delete(tmp_path)
    with Together(output):
        assert output.read_bytes() == b"whole"


def test_so_does_a_conversion_that_is_about_to_publish(tmp_path):
    left = leave_conversion(tmp_path)
    (left / "ready").write_text("{}")
    make_older(left, OLD)
    assert "stays: is half published" in delete(tmp_path)
    assert left.exists()


def test_what_a_killed_run_of_together_leaves_is_known_again(tmp_path):
    child = os.fork()
    if not child:
        with Together(tmp_path / "net.onnx") as files:
            (files.folder / "net.onnx").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    make_older(tmp_path, OLD)
    assert "removed 1 leftover" in delete(tmp_path)
    assert not [*tmp_path.iterdir()]


def test_runs_that_are_not_sent_stay_and_the_table_says_how_they_go(tmp_path):
    left = make_older(leave_kept_run(tmp_path / "results"), OLD)
    rest = tmp_path / "results/tracking_buffer/.train-0a1b2c3e.removed"
    rest.mkdir()
    make_older(rest, OLD)
    assert "stays: is not sent yet: bpnet tracking send" in delete(tmp_path, "--older_than", "0s")
    assert left.exists()
    assert not rest.exists()


def test_a_kept_run_is_told_whatever_its_age(tmp_path):
    leave_kept_run(tmp_path)
    assert "is not sent yet" in clean(tmp_path)[1]


def epochs(folder):
    return [epoch for epoch, _ in checkpoints_in(folder)]


def test_the_newest_checkpoints_stay(tmp_path):
    for epoch in (1, 2, 9, 10, 11):
        write_checkpoint(tmp_path, epoch)
    make_older(tmp_path, OLD)
    assert "3 others are newer and whole" in delete(tmp_path)
    assert epochs(tmp_path) == [9, 10, 11]
    make_older(tmp_path, OLD)
    delete(tmp_path, "--keep", 1)
    assert epochs(tmp_path) == [11]
    delete(tmp_path, "--keep", 1, "--older_than", "0s")
    assert epochs(tmp_path) == [11]


def test_of_each_training_in_a_folder_the_newest_stay(tmp_path):
    for epoch in range(1, 4):
        write_checkpoint(tmp_path, epoch, training="a" * 16)
        write_checkpoint(tmp_path, epoch + 9, training="b" * 16)
    make_older(tmp_path, OLD)
    delete(tmp_path, "--keep", 2)
    assert epochs(tmp_path) == [2, 3, 11, 12]


def test_the_only_whole_checkpoint_stays_though_torn_ones_are_newer(tmp_path):
    for epoch in range(1, 5):
        write_checkpoint(tmp_path, epoch, torn=epoch > 2)
    make_older(tmp_path, OLD)
    delete(tmp_path, "--keep", 1)
    assert epochs(tmp_path) == [2, 3, 4]


def test_where_a_training_is_at_work_its_checkpoints_stay(tmp_path):
    for epoch in range(1, 4):
        write_checkpoint(tmp_path, epoch)
    make_older(tmp_path, OLD)
    with hold_alone(tmp_path):
        assert "stays: somebody is at work" in delete(tmp_path, "--keep", 1)
    assert epochs(tmp_path) == [1, 2, 3]


def test_outputs_that_no_good_run_of_a_local_pipeline_needs_go(tmp_path):
    runs = leave_local_runs(tmp_path, (1,), (1, 2), (1, 4), (1, 5))
    (runs / "mine").mkdir()
    make_older(tmp_path, OLD)
    said = delete(tmp_path, "--keep", 2)
    assert "the last 2 good runs need nothing of it" in said
    assert "of another version of the code" in said
    assert sorted(path.name for path in runs.iterdir()) == ["mine", *map(run_name, (1, 4, 5))]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [KEY]
    delete(tmp_path, "--keep", 1, "--older_than", "0s")
    assert sorted(path.name for path in runs.iterdir()) == ["mine", *map(run_name, (1, 5))]


def test_while_the_last_run_did_not_end_well_all_outputs_stay(tmp_path):
    runs = leave_local_runs(tmp_path, (1,), (2,), (3,), done=False)
    make_older(tmp_path, OLD)
    assert "stays: the last run here did not end well" in delete(tmp_path, "--keep", 1)
    assert len([*runs.iterdir()]) == 3


def test_while_a_local_pipeline_runs_all_its_outputs_stay(tmp_path):
    runs = leave_local_runs(tmp_path, (1,), (2,))
    make_older(tmp_path, OLD)
    with sole_user(tmp_path):
        assert "stays: somebody is at work" in delete(tmp_path, "--keep", 1)
    assert len([*runs.iterdir()]) == 2


def test_checkpoints_among_the_outputs_of_a_good_run_are_its_own(tmp_path):
    runs = leave_local_runs(tmp_path, (1,))
    for epoch in range(1, 4):
        write_checkpoint(runs / run_name(1) / "train", epoch)
    make_older(tmp_path, OLD)
    delete(tmp_path, "--keep", 1)
    assert epochs(runs / run_name(1) / "train") == [1, 2, 3]


def test_pipes_and_nonsense_under_our_names_are_passed_over(tmp_path):
    for name in ("run.json", "status.json", "model.epoch-1.keras", "model.epoch-2.keras", ".x.0.tmp", ".lock"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "below").mkdir()
    (tmp_path / "below/run.json").write_text("[" * 100_000)
    (tmp_path / "below/status.json").write_text("[" * 100_000)
    (tmp_path / "below/.x.0.tmp").touch()
    make_older(tmp_path, OLD)
    assert "0 leftovers" in delete(tmp_path, "--keep", 1)
    assert (tmp_path / "below/.x.0.tmp").exists()


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"runs": 7}', '{"done": true, "runs": [["../.."]]}', '{"mine": 1}'])
def test_a_note_that_is_not_ours_or_says_nothing_costs_no_output(tmp_path, note):
    runs = leave_local_runs(tmp_path, (1,), (2,))
    (tmp_path / "run.json").write_text(note)
    make_older(tmp_path, OLD)
    code, _ = clean(tmp_path, "--keep", 1, "--delete")
    assert code == 0
    assert len([*runs.iterdir()]) == (0 if ".." in note else 2)  # that note is ours, and needs none of them


def test_scratch_folders_of_killed_runs_are_told_where_no_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir(), (tmp_path / "work").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "work")
    child = os.fork()
    if not child:
        held = scratch_folder()
        held.__enter__()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = (tmp_path / "tmp").iterdir()
    make_older(left, OLD)
    assert str(left) not in clean(tmp_path / "work")[1]
    assert str(left) in delete()
    assert not left.exists()


def test_what_could_not_be_removed_is_told_with_exit_code_2_and_the_rest_goes(tmp_path, monkeypatch):
    first, second = leave_staging(tmp_path, "a"), leave_staging(tmp_path, "b")
    for left in (first, second):
        make_older(left, OLD)
    remove = leftovers._remove

    def refuse(path):
        if path.parent.name == f".{first.name}.removed":
            raise PermissionError(13, "Permission denied")
        remove(path)

    monkeypatch.setattr(leftovers, "_remove", refuse)
    code, said = clean(tmp_path, "--delete")
    assert code == 2
    assert f"{first}: stays: Permission denied; what is left is called .{first.name}.removed; see to it" in said
    assert "removed 1 leftover" in said
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == [f".{first.name}.removed"]


@pytest.mark.parametrize("words", [("nowhere",), (".", "--keep", "0"), (".", "--older_than", "soon"), ("gs://a/b",)])
def test_what_cannot_be_meant_is_refused_in_a_line(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    code, said = clean(*words)
    assert code == 2
    assert "Traceback" not in said


def test_files_from_the_future_stay_and_are_told(tmp_path):
    left = make_older(leave_staging(tmp_path), -400 * DAY)
    assert "stays: its time lies in the future" in delete(tmp_path, "--older_than", "0s")
    assert left.exists()


@pytest.mark.parametrize("days", [-3650, 3650])
def test_a_clock_that_jumps_costs_nothing_that_somebody_holds_and_no_newest(tmp_path, monkeypatch, days):
    moment = time.time() + days * DAY
    monkeypatch.setattr(time, "time", lambda: moment)
    staging, runs = leave_staging(tmp_path), leave_local_runs(tmp_path / "demo", (1,))
    for epoch in (1, 2):
        write_checkpoint(tmp_path / "training", epoch)
    with hold_folder(staging, "taken", where="here"):
        delete(tmp_path, "--older_than", "1d", "--keep", 1)
    assert staging.exists()
    assert 2 in epochs(tmp_path / "training")
    assert (runs / run_name(1)).exists()


def test_a_removal_that_was_killed_is_gone_on_with(tmp_path, monkeypatch):
    left = leave_folder(tmp_path / ".net.onnx.staging", a="1", b="2", c="3")
    make_older(left, OLD)
    child = os.fork()
    if not child:
        removed = []
        leftovers._remove = lambda path: (
            removed.append(path.unlink()) or (len(removed) == 2 and os.kill(os.getpid(), signal.SIGKILL))
        )
        delete(tmp_path, "--older_than", "0s")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (rest,) = tmp_path.iterdir()
    assert rest.name == "..net.onnx.staging.removed"
    assert sorted(path.name for path in rest.iterdir()) == [OWNER, "c"]
    make_older(rest, OLD)
    delete(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [".net.onnx.staging", f".train.{KEY}", f"parts-{KEY}"])
def test_a_removal_that_was_killed_at_its_last_step_is_gone_on_with(tmp_path, name):
    """What says whose the folder is has gone, and the folder not yet."""
    (tmp_path / f".{name}.removed").mkdir()
    make_older(tmp_path / f".{name}.removed", OLD)
    delete(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_host_is_this_one(tmp_path):
    assert leftovers.read_host(leave_staging(tmp_path)) == socket.gethostname()
