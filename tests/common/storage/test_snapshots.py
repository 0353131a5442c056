"""Snapshots: what is kept of a folder comes back whole, whoever is killed, damaged or at work beside."""

import threading
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import listing, read_bytes, whole_file
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.snapshots import Snapshots, SnapshotThread


@pytest.fixture(params=["disk", "bucket"])
def place(request, tmp_path):
    return locate(f"{request.getfixturevalue('bucket')}/work" if request.param == "bucket" else tmp_path / "work")


def fill(folder, number):
    """A folder as it is after so many epochs."""
    (folder / "events").mkdir(parents=True, exist_ok=True)
    files = {f"model.epoch-{number}.keras": b"weights" * number, "events/one": bytes(range(number))}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return files


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def keep(snapshots, folder, number):
    files = fill(folder / str(number), number)
    snapshots.keep(folder / str(number))
    return files


def damage(path, change):
    content = read_bytes(path)
    with whole_file(path) as file:
        file.write(change(content))


def test_the_newest_comes_back_and_one_before_it_is_kept(place, tmp_path):
    snapshots = Snapshots(place)
    for number in (1, 2, 3):
        wanted = keep(snapshots, tmp_path, number)
    assert [name[:8] for name in sorted(listing(place))] == ["00000002", "00000003"]
    name = Snapshots(place).restore(tmp_path / "new")
    assert name == max(listing(place))
    assert read(tmp_path / "new") == wanted
    snapshots.remove()
    assert Snapshots(place).restore(tmp_path / "newer") == ""
    assert read(tmp_path / "newer") == {}


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b"", lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:]])
def test_a_damaged_one_is_told_and_passed_over_for_the_one_before(place, tmp_path, caplog, change):
    first = Snapshots(place)
    wanted = keep(first, tmp_path, 1)
    keep(first, tmp_path, 2)
    newest = max(listing(place))
    damage(place / newest, change)
    second = Snapshots(place)
    assert second.restore(tmp_path / "new").startswith("00000001-")
    assert read(tmp_path / "new") == wanted
    assert f"{newest}: damaged, so the one before is looked for" in caplog.text
    again = keep(second, tmp_path, 5)
    assert newest not in listing(place)
    assert [name[:8] for name in sorted(listing(place))] == ["00000001", "00000003"]
    assert Snapshots(place).restore(tmp_path / "third").startswith("00000003-")
    assert read(tmp_path / "third") == again


def test_nothing_whole_is_as_nothing(place, tmp_path):
    keep(Snapshots(place), tmp_path, 1)
    damage(place / max(listing(place)), lambda content: content[1:])
    assert Snapshots(place).restore(tmp_path / "new") == ""
    assert read(tmp_path / "new") == {}


def test_what_a_killed_writer_has_left_on_a_disk_is_removed(tmp_path):
    place = locate(tmp_path / "work")
    keep(Snapshots(place), tmp_path, 1)
    torn = place / f".{max(listing(place))}.0a1b2c3d.tmp"
    torn.write_bytes(b"half")
    assert Snapshots(place).restore(tmp_path / "new")
    assert not torn.exists()


@given(turns=st.lists(st.sampled_from(["first", "second", "lost"]), max_size=12))
def test_of_two_that_write_at_once_the_newest_is_always_whole(tmp_path_factory, turns):
    """The second begins from what the first has kept; a writer may be lost and another begin."""
    folder = tmp_path_factory.mktemp("two")
    place, made = locate(folder / "work"), {}
    writers = {"first": Snapshots(place), "second": Snapshots(place)}
    for number, turn in enumerate(turns, 1):
        if turn == "lost":
            writers["second"] = Snapshots(place)
            found = writers["second"].restore(folder / f"after-{number}")
            assert bool(found) == bool(made)
            assert not made or read(folder / f"after-{number}") in made.values()
        else:
            made[number] = keep(writers[turn], folder, number)
            assert Snapshots(place).restore(folder / f"seen-{number}").startswith(f"{len(made):08d}-")
            assert read(folder / f"seen-{number}") == made[number]
    assert len(listing(place)) == min(2, len(made)) if made else not place.exists()


class Held(Snapshots):
    """Snapshots that are let go on one by one."""

    def __init__(self, place):
        super().__init__(place)
        self.begun, self.may = threading.Semaphore(0), threading.Semaphore(0)

    def keep(self, folder):
        self.begun.release()
        self.may.acquire()
        return super().keep(folder)


def choose(folder):
    return [path for path in folder.rglob("*") if path.is_file() and ".saving-" not in str(path)]


@contextmanager
def at_work(place, folder):
    held = Held(place)
    with SnapshotThread(held, folder, choose) as thread:
        yield held, thread


def test_the_files_are_as_they_were_when_it_was_taken_and_only_the_last_that_waits_is_written(tmp_path):
    place, folder = locate(tmp_path / "work"), tmp_path / "folder"
    wanted = fill(folder, 1)
    with at_work(place, folder) as (held, thread):
        thread.take()
        held.begun.acquire()  # it is on its way, and nobody waits for it
        (folder / "model.epoch-1.keras").unlink()
        fill(folder, 2)
        thread.take()
        fill(folder, 3)
        thread.take()
        held.may.release()
        held.begun.acquire()
        assert Snapshots(place).restore(tmp_path / "first")
        assert read(tmp_path / "first") == wanted
        held.may.release()
    assert [name[:8] for name in sorted(listing(place))] == ["00000001", "00000002"]
    assert Snapshots(place).restore(tmp_path / "last")
    assert sorted(read(tmp_path / "last")) == ["events/one", "model.epoch-2.keras", "model.epoch-3.keras"]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_what_cannot_be_kept_costs_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    fill(tmp_path / "folder", 1)
    with SnapshotThread(Snapshots(locate(tmp_path / "file")), tmp_path / "folder", lambda folder: []) as thread:
        thread.take()
    assert f"{tmp_path / 'file'}: this checkpoint is not kept there: " in caplog.text


def test_a_bucket_that_is_not_there_is_told(bucket, tmp_path):
    fill(tmp_path / "one", 1)
    with pytest.raises(UserError, match=r"there is no such bucket"):
        Snapshots(locate("gs://no-such-bucket-here/work")).keep(tmp_path / "one")
