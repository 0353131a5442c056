"""Storage: files on a disk and in a bucket, whole or not at all, and what is said when that cannot be."""

import contextlib
import csv
import errno
import http.server
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.local_server import free_port
from support.permissions import run_bound
from support.writers import append_at_one_time

from bodyposenet.common import bounds
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.files import (
    LARGE,
    find_bytes,
    listing,
    map_file,
    read_bytes,
    rewrite,
    whole_file,
    write_table,
    write_unsynced,
)
from bodyposenet.common.storage.json_files import read_json, take_mapping
from bodyposenet.common.storage.location import join, locate
from bodyposenet.common.storage.together import Together

ODD = "a b/ü [1] *?#%25+&=.txt"  # a name with what means something in URLs and patterns


@pytest.fixture(params=["disk", "bucket"])
def folder(request, tmp_path):
    """A place to write to, as text."""
    return str(tmp_path) if request.param == "disk" else request.getfixturevalue("bucket")


def put(path, content):
    with whole_file(path) as file:
        file.write(content)


def test_text_becomes_a_path_of_its_kind(bucket):
    assert locate("a/b") == Path("a/b")
    assert locate("C:/photos") == Path("C:/photos")
    remote = locate(f"{bucket}/a/b.tar.gz")
    assert str(remote) == f"{bucket}/a/b.tar.gz"
    assert (remote.name, remote.suffixes, str(remote.parent)) == ("b.tar.gz", [".tar", ".gz"], f"{bucket}/a")
    assert str(remote.with_name("c") / "d") == f"{bucket}/a/c/d"
    assert locate(remote) is remote
    assert pickle.loads(pickle.dumps(remote)) == remote
    assert remote.remote
    assert not locate("gs").remote


@pytest.mark.parametrize("text", ["gs:/bucket/a", "gs:///a", "gs://", "s3:/bucket/a", "file:///a", "ftp://a/b"])
def test_other_urls_are_refused(text):
    with pytest.raises(
        UserError, match="give a local path, gs://bucket/path, s3://bucket/path, abfs://container/path or"
    ):
        locate(text)


def test_a_path_below_a_folder_may_be_whole_already(bucket):
    assert join("/data", "images") == Path("/data/images")
    assert join("/data", "/other") == Path("/other")
    assert str(join(bucket, "images")) == f"{bucket}/images"
    assert str(join("/data", f"{bucket}/images")) == f"{bucket}/images"


@pytest.mark.parametrize("name", ["plain", ODD])
def test_what_is_written_is_read_and_listed(folder, name):
    path = locate(folder) / "new" / name
    assert find_bytes(path) is None
    for content in (b"one", b"", b"another"):
        put(path, content)
        assert read_bytes(path) == content
    found = listing(f"{folder}/new")
    assert {name: stat.size for name, stat in found.items()} == {name: 7}
    path.unlink()
    assert not path.exists()
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        path.unlink()


def test_a_large_file_is_written_in_parts(folder):
    content = os.urandom(1 << 20) * 20  # several requests
    put(f"{folder}/large", content)
    assert read_bytes(f"{folder}/large") == content


def test_a_listing_goes_down_and_tells_when_a_file_is_another(folder):
    for name in ("a", "below/b", "below/further/c"):
        put(f"{folder}/set/{name}", name.encode())
    put(f"{folder}/settings", b"of another name")
    before = listing(f"{folder}/set")
    assert sorted(before) == ["a", "below/b", "below/further/c"]
    assert listing(f"{folder}/set") == before
    put(f"{folder}/set/a", b"A")
    after = listing(f"{folder}/set")
    assert after["a"].version != before["a"].version
    assert after["below/b"] == before["below/b"]
    assert len(listing(folder)) == 4


def test_a_listing_takes_several_answers(bucket, monkeypatch):
    from bodyposenet.common.storage.stores import gcs

    monkeypatch.setattr(gcs, "PAGE", 2)
    for number in range(5):
        put(f"{bucket}/{number}", b"")
    assert sorted(listing(bucket)) == [*"01234"]


def test_a_listing_follows_links_and_passes_by_broken_and_circular_ones(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/photo").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/link").symlink_to(tmp_path / "real")
    (tmp_path / "root/round").symlink_to(tmp_path / "root")
    (tmp_path / "root/broken").symlink_to(tmp_path / "nothing")
    assert sorted(listing(tmp_path / "root")) == ["link/photo"]


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="only Linux shows processes as files")
def test_a_listing_does_not_look_through_what_the_kernel_shows_as_files(tmp_path):
    (tmp_path / "photo").touch()
    (tmp_path / "processes").symlink_to("/proc")
    assert sorted(listing(tmp_path)) == ["photo"]
    assert listing("/proc/self") == {}


def test_a_listing_passes_by_a_folder_below_that_may_not_be_looked_at(tmp_path):
    (tmp_path / "photo").touch()
    (tmp_path / "lost+found").mkdir(mode=0)
    script = "import sys; from bodyposenet.common.storage.files import listing; print(*listing(sys.argv[1]))"
    done = run_bound([sys.executable, "-c", script, tmp_path])
    assert (done.stdout, done.returncode) == ("photo\n", 0)
    assert f"{tmp_path}/lost+found is passed over: it may not be looked at" in done.stderr
    assert "PermissionError" in run_bound([sys.executable, "-c", script, tmp_path / "lost+found"]).stderr


def test_a_folder_of_more_files_than_one_may_have_is_refused(folder, monkeypatch):
    monkeypatch.setattr(bounds, "FOLDER_FILES", 2)
    for name in ("a", "below/b"):
        put(f"{folder}/set/{name}", b"")
    assert sorted(listing(f"{folder}/set")) == ["a", "below/b"]
    put(f"{folder}/set/c", b"")
    with pytest.raises(AwayError, match="set: more than 2 files are below this folder; name one further down"):
        listing(f"{folder}/set")


@pytest.mark.parametrize("size", [3, 20 << 20])
def test_a_write_that_fails_leaves_what_was_there(folder, size):
    path = locate(folder) / "file"

    def fail():
        with whole_file(path) as file:
            file.write(bytes(size))
            raise RuntimeError("in the middle")

    for before in (None, b"before"):
        if before:
            put(path, before)
        with pytest.raises(RuntimeError, match="in the middle"):
            fail()
        assert find_bytes(path) == before
        assert sorted(listing(folder) if before else os.listdir(folder) if not in_bucket(folder) else []) == (
            ["file"] if before else []
        )


def test_changes_at_one_time_all_count(folder):
    lines = append_at_one_time(f"{folder}/lines", 8)
    assert sorted(lines) == [b"%d" % n for n in range(8)]


def test_a_change_that_is_overtaken_is_made_anew(bucket):
    path = f"{bucket}/lines"
    seen = []

    def change(old):
        seen.append(old)
        if len(seen) == 1:
            put(path, b"theirs ")
        return (old or b"") + b"ours"

    rewrite(path, change)
    assert seen == [None, b"theirs "]
    assert read_bytes(path) == b"theirs ours"


def test_what_is_missing_is_named(folder):
    with pytest.raises(UserError, match="no such file; make it") as caught:
        read_bytes(f"{folder}/none", fix="make it")
    assert caught.value.where == f"{folder}/none"
    with pytest.raises(UserError, match="no such file or folder"):
        listing(f"{folder}/none")


def test_a_file_and_a_folder_are_told_apart(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="this is a folder"):
        read_bytes(tmp_path)
    with pytest.raises(UserError, match="a part of this path is a file"):
        read_bytes(tmp_path / "file/below")
    with pytest.raises(UserError, match=r"this is a file, not a folder|a part of this path is a file"):
        put(tmp_path / "file/below", b"")


def test_errors_of_other_files_pass(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "out"):
        (tmp_path / "elsewhere/photo").read_bytes()
    with pytest.raises(UserError, match="out: the disk is full"), translate_errors(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["{bucket}/a", "{bucket}/b/"])
def test_a_server_that_refuses_connections_is_given_up_soon(monkeypatch, path):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("bodyposenet.common.storage.stores.patience.PATIENCE", 1.0)
    path = path.format(bucket="gs://any")
    for act in (lambda: read_bytes(path), lambda: listing(path), lambda: put(path, b""), locate(path).exists):
        with pytest.raises(AwayError, match="does not answer"):
            act()


FULL = """
import resource, sys
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import rewrite, whole_file
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with whole_file(sys.argv[1]) as file:
        for _ in range(20):
            file.write(bytes(10_000))
except UserError as error:
    print(error)
try:
    rewrite(sys.argv[1], lambda old: bytes(200_000))
except UserError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_bytes(b"before")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "file")], capture_output=True, text=True, check=True
    )
    told = "the file is larger than its disk or the limit allows; write elsewhere, or raise the limit: ulimit -f\n"
    assert done.stdout == f"{tmp_path}/file: {told}" * 2
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"before"


@contextlib.contextmanager
def answering(*answers):
    """The URL of a server that gives answers in turn, the last one again and again; and how often it gave each."""
    given = [0] * len(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            place = given.index(0) if 0 in given else -1
            status, body = answers[place]
            given[place] += "/o" in self.path  # of objects; Google's client looks at the bucket, too, for its telemetry
            self.send_response(status)
            self.send_header("X-Goog-Generation", "7")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", given
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (403, b'{"error": {"message": "no access"}}', UserError, "permission denied .*no access.*let this account"),
        (401, b'{"error": {"message": "sign in", "code": 401}}', UserError, "permission denied .*sign in"),
        (400, b'{"error": {"message": "an invalid name", "code": 400}}', AwayError, "^gs://b.*does not take this path"),
        (409, b'{"error": {"message": "a hold", "code": 409}}', AwayError, "^gs://b.*: the .* refuses: a hold; run"),
    ],
)
def test_what_a_server_says_is_told(monkeypatch, status, body, kind, message):
    with answering((status, body)) as (url, _):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        for act in (lambda: listing("gs://b/a"), lambda: put("gs://b/a", b"few"), lambda: read_bytes("gs://b/a")):
            with pytest.raises(kind, match=message):
                act()


def test_another_kind_of_server_is_told(monkeypatch):
    with answering((200, b"<html>another service</html>")) as (url, _):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        with pytest.raises(AwayError, match="this is no storage server"):
            listing("gs://b/a")


@pytest.mark.parametrize("act", [read_bytes, lambda path: locate(path).fs.get_version("b/a")[0]])
def test_a_server_that_is_busy_is_asked_again(monkeypatch, act):
    """The first two answers are 503 and 429, the third is the object."""
    with answering((503, b"busy"), (429, b"slower"), (200, b"content")) as (url, given):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        assert act("gs://b/a") == b"content"
    assert given == [1, 1, 1]


def test_a_listing_that_is_interrupted_goes_on_and_leaves_nothing_out(monkeypatch):
    pages = [
        {"items": [{"name": f"f/{name}", "size": "1", "generation": "2"}], **more}
        for name, more in (("a", {"nextPageToken": "more"}), ("b", {}))
    ]
    first, second = (json.dumps(page).encode() for page in pages)
    with answering((200, first), (503, b"busy"), (200, second)) as (url, given):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        assert sorted(listing("gs://b/f")) == ["a", "b"]
    assert given == [1, 1, 1]


def test_without_gcsfs_a_bucket_is_refused_with_the_remedy():
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['gcsfs', 'gcsfs.core', 'upath']))\n"
        "from bodyposenet.common.errors import UserError\n"
        "from bodyposenet.common.storage.location import locate\n"
        "locate('local/path')\n"
        "try:\n"
        "    locate('gs://bucket/a')\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "gs://bucket/a: gs:// needs gcsfs; pip install 'bodyposenet[gcs]'\n"


def test_local_paths_import_no_client():
    script = (
        "import sys\n"
        "from bodyposenet.common.storage.files import listing\n"
        "from bodyposenet.common.storage.location import locate\n"
        "listing(locate('.'))\n"
        "print({'fsspec', 'gcsfs', 'upath', 'aiohttp'} & {*sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_pipe_is_read_to_its_end_though_it_has_no_size():
    reads, writes = os.pipe()
    with os.fdopen(writes, "wb") as file:
        file.write(b"num_epoch: 3\n")
    try:
        assert read_bytes(f"/dev/fd/{reads}") == b"num_epoch: 3\n"
    finally:
        os.close(reads)


def make_special(place, kind):
    """Make a pipe, a socket or a link to a device, and return its path."""
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
            listening.bind(str(place))
    else:
        place.symlink_to(kind.removeprefix("link to "))
    return place


@pytest.mark.parametrize("kind", ["pipe", "socket", "link to /dev/zero"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    place = make_special(tmp_path / "thing", kind)
    told = f"{place}: this is a pipe, a socket or a device; save what it gives in a file, and name that"
    with pytest.raises(UserError, match=told):
        read_bytes(place)


@pytest.mark.parametrize("kind", ["pipe", "socket", "link to /dev/null"])
def test_no_file_is_put_in_the_place_of_a_pipe_or_a_device(tmp_path, kind):
    """As root one would put a file where everybody's ``/dev/null`` is."""
    place = make_special(tmp_path / "thing", kind)
    before = os.lstat(place)
    writers = [whole_file(place), write_unsynced(locate(place)), write_unsynced(locate(place), "token")]
    for writer in writers:
        with pytest.raises(UserError, match="thing: this is a pipe, a socket or a device; name a file"), writer:
            pass
    with Together(tmp_path / "first") as files:
        files.stage(tmp_path / "thing").write_bytes(b"new")
        with pytest.raises(UserError, match="thing: this is a pipe"):
            files.publish()
    assert os.lstat(place) == before
    assert os.listdir(tmp_path) == ["thing"]


def test_a_pipe_of_the_shell_is_as_good_as_a_file():
    reading, writing = os.pipe()
    os.write(writing, b"content")
    os.close(writing)
    try:
        assert read_bytes(f"/dev/fd/{reading}") == b"content"
    finally:
        os.close(reading)


def test_a_table_holds_nothing_that_a_spreadsheet_computes(tmp_path):
    names = ["a,b.jpg", "=1+1.jpg", "@SUM(A1)", "+cmd|' /C calc'!A0.jpg", "-2+3.jpg", "\tx", "-0.5", "+1", "-1e3"]
    write_table(tmp_path / "t.csv", ["name", "number"], [[name, -1] for name in names])
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    told = ["a,b.jpg", "'=1+1.jpg", "'@SUM(A1)", "'+cmd|' /C calc'!A0.jpg", "'-2+3.jpg", "'\tx", "-0.5", "+1", "'-1e3"]
    assert rows == [["name", "number"], *([name, "-1"] for name in told)]


def test_a_file_that_tells_of_a_terabyte_is_refused_before_memory_is_taken_for_it(tmp_path):
    """The disk has none of it: it is all hole."""
    place = tmp_path / "hole.json"
    place.touch()
    os.truncate(place, 1 << 40)
    told = f"{place}: this file has more than 1,073,741,824 bytes, so it is not what is wanted here; name another"
    with pytest.raises(UserError, match=re.escape(told)):
        read_bytes(place)
    with pytest.raises(UserError, match="has more than 67,108,864 bytes"):
        read_json(place, take_mapping, what="history", fix="none")


def test_a_pipe_of_the_shell_s_is_read_only_as_far_as_it_may_have(tmp_path):
    for most in (6, 7):
        reading, writing = os.pipe()
        os.write(writing, b"content")
        os.close(writing)
        if most == 7:
            assert read_bytes(f"/dev/fd/{reading}", most=most) == b"content"
        else:
            with pytest.raises(UserError, match="has more than 6 bytes"):
                read_bytes(f"/dev/fd/{reading}", most=most)
        os.close(reading)


def test_a_large_file_is_mapped_from_a_copy_that_nobody_else_has(tmp_path, monkeypatch):
    place, aside = locate(tmp_path / "large"), tmp_path / "aside"
    aside.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(aside))
    content = os.urandom(1 << 10) * (LARGE >> 10)
    place.write_bytes(content)
    mapped = map_file(place)
    os.truncate(place, 0)  # who reads what is cut where it is mapped is killed
    assert mapped[:] == content
    assert not [*aside.iterdir()]


def test_what_is_small_or_elsewhere_or_finds_no_room_is_not_mapped(tmp_path, bucket, monkeypatch):
    small, large = locate(tmp_path / "small"), locate(tmp_path / "large")
    small.write_bytes(bytes(LARGE - 1))
    large.write_bytes(bytes(LARGE))
    put(f"{bucket}/large", bytes(LARGE))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    others = [small, locate(f"{bucket}/large"), locate(tmp_path / "none"), locate(tmp_path), locate(pipe)]
    assert [map_file(place) for place in others] == [None] * len(others)
    assert map_file(large) is not None
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert map_file(large) is None
