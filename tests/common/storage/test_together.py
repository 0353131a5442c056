"""Together: outputs appear all or none, whenever the process that writes them is killed."""

import contextlib
import errno
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.killed_verbs import small_disk
from support.killing import OPERATIONS, contents

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage import together
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.locking import OWNER
from bodyposenet.common.storage.temporary_names import remove_together, sweep_removed
from bodyposenet.common.storage.together import Together, appear_together, fill_folder, is_unfinished

WANTED = {"out/net.onnx": b"float", "out/net.int8.onnx": b"bytes", "other/ranges.cache": b"ranges"}
KILLED = -signal.SIGKILL


def write_all(root, *, words=(b"float", b"bytes", b"ranges"), told=lambda: None):
    """A verb with three outputs, one of which goes elsewhere, that counts before it writes and tells at its end."""
    output, elsewhere = root / "out/net.onnx", root / "other/ranges.cache"
    if output.exists() and not is_unfinished(output):
        raise UserError("the file exists")
    with Together(output, elsewhere=[elsewhere], keep=["*.part"]) as files:
        if elsewhere.exists() and not files.is_leftover(elsewhere):
            raise UserError("the other file exists")
        with whole_file(files.folder / "counts.part") as file:
            file.write(b"counted")
        for path, word in zip((output, output.with_name("net.int8.onnx"), elsewhere), words, strict=True):
            with whole_file(files.stage(path)) as file:
                file.write(word)
        (files.folder / "counts.part").unlink()
        files.publish()
        told()


def run_and_kill(root, count):
    """The exit code of the verb in a process that dies before an operation on a file; alive, how many it did."""
    child = os.fork()
    if not child:
        done = 0

        def hook(event, arguments):
            nonlocal done
            if event in OPERATIONS and str(arguments[0]).startswith(str(root)):
                if done == count:
                    os.kill(os.getpid(), signal.SIGKILL)
                done += 1

        sys.addaudithook(hook)
        write_all(root)
        os._exit(done)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outputs(root):
    return {name: content for name, content in contents(root).items() if "/." not in name}


def look_and_run_again(root):
    """After a kill, whoever opens the outputs finds all or none; then the verb runs."""
    with Together(root / "out/net.onnx", elsewhere=[root / "other/ranges.cache"], keep=["*.part"]):
        assert outputs(root) in ({}, WANTED)
    write_all(root)


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    """How many operations on files an undisturbed run has."""
    return run_and_kill(tmp_path_factory.mktemp("whole"), None)


def test_after_a_kill_before_any_operation_the_same_command_ends_as_an_undisturbed_one(tmp_path, operations):
    assert operations > 20
    for count in range(operations):
        root = tmp_path / f"one-{count}"
        assert run_and_kill(root, count) == KILLED
        write_all(root)
        assert contents(root) == WANTED, count
        assert not [path for path in root.rglob(".*")]


@pytest.mark.heavy
def test_after_any_two_kills_too_and_never_some_outputs_without_the_others(tmp_path, operations):
    for count in range(1, operations, 2):
        for second in range(count % 29, operations, 29):
            root = tmp_path / f"two-{count}-{second}"
            run_and_kill(root, count)
            if run_and_kill(root, second) == KILLED:
                look_and_run_again(root)
            assert contents(root) == WANTED, (count, second)


def test_an_error_leaves_nothing_but_what_is_to_be_kept(tmp_path):
    output = tmp_path / "out/net.onnx"

    def fail():
        with Together(output, keep=["*.part"]) as files:
            files.stage(output).write_bytes(b"half")
            (files.folder / "counts.part").write_bytes(b"counted")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (tmp_path / "out/.net.onnx.staging" / OWNER).unlink()  # says whose it is
    assert contents(tmp_path) == {"out/.net.onnx.staging/counts.part": b"counted"}
    write_all(tmp_path)
    assert contents(tmp_path) == WANTED


@pytest.mark.mounts
def test_what_is_complete_appears_though_the_disk_is_full_by_then(tmp_path):
    with small_disk(tmp_path / "disk", 1 << 20):
        with appear_together(locate(tmp_path / "disk"), "report") as staged:
            for name in ("report.json", "report.html"):
                Path(str(staged / name)).write_bytes(b"told")
            with contextlib.suppress(OSError), (tmp_path / "disk/shard").open("wb", buffering=0) as file:
                while file.write(bytes(1 << 12)):
                    pass
            with pytest.raises(OSError, match="No space"):
                (tmp_path / "disk/more").write_bytes(b"more")
        (tmp_path / "disk/more").unlink()
        assert {path.name for path in (tmp_path / "disk").iterdir()} == {"report.json", "report.html", "shard"}


def test_an_error_after_the_outputs_have_appeared_lets_the_next_run_replace_them(tmp_path):
    def fail():
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        write_all(tmp_path, words=(b"1", b"2", b"3"), told=fail)
    assert outputs(tmp_path) == dict(zip(WANTED, (b"1", b"2", b"3"), strict=True))
    write_all(tmp_path)
    assert contents(tmp_path) == WANTED
    with pytest.raises(UserError, match="the file exists"):
        write_all(tmp_path)


def test_two_runs_at_once_are_told_apart_by_one_being_refused(tmp_path):
    with Together(tmp_path / "net.onnx") as files:
        files.stage(files.output).write_bytes(b"first")
        with (
            pytest.raises(
                UserError, match=rf"another run is writing this: process {os.getpid()} of .+, since 20.+; wait for it"
            ),
            Together(tmp_path / "net.onnx"),
        ):
            pass
        files.publish()
    assert contents(tmp_path) == {"net.onnx": b"first"}


def test_an_output_on_another_disk_is_copied_whole(tmp_path, monkeypatch):
    """A rename that the system refuses stands for the other disk."""
    replace = os.replace

    def refuse(source, target):
        if str(source).endswith("elsewhere-0"):
            raise OSError(errno.EXDEV, "another disk")
        replace(source, target)

    monkeypatch.setattr(together.os, "replace", refuse)
    write_all(tmp_path)
    assert contents(tmp_path) == WANTED


names = (
    st.sampled_from(["../victim", "/victim", "elsewhere-0", "elsewhere-1", "net.onnx", "a/b", "", "..", "x\\y"])
    | st.text()
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(names, max_size=3), st.lists(names, max_size=3))
def test_a_journal_from_a_stranger_moves_nothing_out_of_the_folder(tmp_path, publish, wrote):
    """Nor does one that is none stop a run."""
    root = tmp_path / "root"
    (root / "out/.net.onnx.staging").mkdir(parents=True, exist_ok=True)
    (root / "out/.net.onnx.staging/elsewhere-0").write_bytes(b"hostile")
    (root / "out/.net.onnx.journal").write_text(json.dumps({"publish": publish, "wrote": wrote}))
    with Together(root / "out/net.onnx") as files:
        files.stage(files.output).write_bytes(b"mine")
        files.publish()
    assert {name for name in contents(tmp_path) if not name.startswith("root/out/")} == set()
    assert (root / "out/net.onnx").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "plant",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: os.symlink("/dev/zero", path),
        lambda path: path.write_text("[" * 200_000),
        lambda path: path.write_text('{"publish": 1}'),
        lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    ],
    ids=["pipe", "folder", "device", "deep", "other", "hole"],
)
def test_what_is_no_journal_neither_stops_nor_fills_who_looks_for_one(tmp_path, plant):
    plant(tmp_path / ".net.onnx.journal")
    assert not is_unfinished(tmp_path / "net.onnx")


@pytest.mark.parametrize("plant", [os.mkfifo, Path.touch, None], ids=["pipe", "file", "link"])
def test_what_is_no_staging_folder_is_told_and_a_link_in_its_place_empties_no_folder(tmp_path, plant):
    (tmp_path / "theirs/sub").mkdir(parents=True)
    (tmp_path / "theirs/notes.txt").write_text("precious")
    (tmp_path / "theirs/sub/net.onnx").write_text("precious")
    place = tmp_path / ".net.onnx.staging"
    plant(place) if plant else place.symlink_to(tmp_path / "theirs")
    (tmp_path / ".net.onnx.journal").write_text(json.dumps({"publish": ["notes.txt"], "wrote": []}))
    with pytest.raises(UserError, match=r"\.net\.onnx\.staging"), Together(tmp_path / "net.onnx"):
        pass
    assert contents(tmp_path / "theirs") == {"notes.txt": b"precious", "sub/net.onnx": b"precious"}
    assert not (tmp_path / "notes.txt").exists()


def test_what_a_killed_run_kept_is_taken_over_unless_it_is_a_link(tmp_path):
    (tmp_path / "theirs").write_bytes(b"precious")
    (tmp_path / "out/.net.onnx.staging").mkdir(parents=True)
    (tmp_path / "out/.net.onnx.staging/a.part").write_bytes(b"counted")
    (tmp_path / "out/.net.onnx.staging/b.part").symlink_to(tmp_path / "theirs")
    with Together(tmp_path / "out/net.onnx", keep=["*.part"]) as files:
        assert sorted(path.name for path in files.folder.glob("*.part")) == ["a.part"]
    assert (tmp_path / "theirs").read_bytes() == b"precious"


def write_both(folder):
    with appear_together(locate(folder), "verb") as staged:
        for name in ("first", "second"):
            (staged / name).write_bytes(b"word")


def test_no_name_appears_where_one_of_them_cannot(tmp_path):
    (tmp_path / "second").mkdir()
    with pytest.raises(UserError, match="second: this is a folder"):
        write_both(tmp_path)
    assert not [*tmp_path.rglob("first")]
    assert [path.name for path in tmp_path.iterdir()] == ["second"]


def test_folders_below_the_output_appear_too_and_what_is_in_them_already_stays(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/old.png").write_bytes(b"old")
    with appear_together(locate(tmp_path), "verb") as staged, whole_file(staged / "images/deep/new.png") as file:
        file.write(b"new")
    assert contents(tmp_path) == {"images/old.png": b"old", "images/deep/new.png": b"new"}


@pytest.mark.parametrize("name", ["../outside", "/outside", "linked/outside", 7])
def test_a_journal_leads_no_file_out_of_the_folder(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/.verb.staging/linked").mkdir(parents=True)
    (tmp_path / "out/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out/.verb.staging/linked/outside").write_bytes(b"foreign")
    (tmp_path / "out/.verb.journal").write_text(json.dumps({"publish": [name], "wrote": []}))
    with contextlib.suppress(UserError), appear_together(locate(tmp_path / "out"), "verb"):
        pass
    assert not [*(tmp_path / "elsewhere").iterdir()]
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("mounted", [False, True])
def test_what_a_killed_run_let_appear_does_not_mix_with_another_run_s(tmp_path, mounted, monkeypatch):
    folder = tmp_path / "photos"
    if mounted:  # who may not write beside it stages within
        folder.mkdir()
        monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    child = os.fork()
    if not child:
        fill(folder, "a1", "a2")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
    assert is_unfinished(folder)
    (tmp_path / "theirs").write_bytes(b"theirs")
    fill(folder, "b1", kill=False)
    names = {path.name for path in folder.iterdir()}
    assert names == ({"a1", "a2", "b1"} if mounted else {"b1"})
    assert (tmp_path / "theirs").exists()
    assert not is_unfinished(folder)


def fill(folder, *names, kill=True):
    with fill_folder(locate(folder)) as (aside, publish):
        aside.mkdir(exist_ok=True)
        for name in names:
            (aside / name).write_bytes(name.encode())
        publish()
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)


def test_the_folder_that_one_is_in_can_be_filled(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    fill(".", "one", kill=False)
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["one"]
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_folder_that_is_being_removed_is_gone_by_its_name_and_what_a_kill_left_of_it_goes(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / ".other.removed").mkdir()
    remove_together(tmp_path / "run")
    sweep_removed(tmp_path)
    assert not [*tmp_path.iterdir()]
