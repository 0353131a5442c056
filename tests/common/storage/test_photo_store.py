"""Photo stores: a folder and a zip archive, on a disk and in a bucket, are the same to who reads them."""

import errno
import os
import pickle
import random
import struct
import threading
import zipfile

import pytest
from support.archives import packed, packed_plainly
from support.faulty_disk import fail_reading

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.storage import photo_store
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.inside import stays_inside
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.photo_store import open_photos

FILES = {"a.jpg": b"\xff\xd8 a photo", "below/b.png": bytes(range(256)) * 40, "below/ü [1]#?.jpg": b"odd", "empty": b""}
LEAVING = [
    "../a.jpg",
    "below/../../a.jpg",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a\0b",
    "C:/a",
    "C:a",
    "\\\\host\\a",
    "b\\..\\..\\a",
]


def put(path, content):
    with whole_file(path) as file:
        file.write(content)


def a_store(kind, root, files):
    """A store of files, of a kind, below a root."""
    if kind == "folder":
        for name, content in files.items():
            put(f"{root}/photos/{name}", content)
        return open_photos(f"{root}/photos")
    method = zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED
    put(f"{root}/photos.zip", packed(files, method))
    return open_photos(f"{root}/photos.zip")


@pytest.fixture(params=["disk", "bucket"])
def root(request, tmp_path):
    return str(tmp_path) if request.param == "disk" else request.getfixturevalue("bucket")


@pytest.mark.parametrize("kind", ["folder", "stored", "zip"])
def test_every_kind_of_store_holds_the_same(root, kind):
    store = pickle.loads(pickle.dumps(a_store(kind, root, FILES)))
    assert {name: stat.size for name, stat in store.listing().items()} == {name: len(FILES[name]) for name in FILES}
    assert {name: store.read(name) for name in FILES} == FILES


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_threads_may_read_at_once(root, kind):
    files = {f"{number}.jpg": random.Random(number).randbytes(20_000) for number in range(12)}
    store, read = a_store(kind, root, files), {}
    threads = [threading.Thread(target=lambda n=name: read.update({n: store.read(n)})) for name in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == files


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("name", LEAVING)
def test_names_that_leave_the_store_are_refused(tmp_path, kind, name):
    (tmp_path / "a.jpg").write_bytes(b"outside")
    store = a_store(kind, tmp_path, {"below/b.jpg": b"inside"})
    assert not stays_inside(name)
    with pytest.raises(UserError, match="is no name of a file in here"):
        store.read(name)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["..\\win.png", "in.jpg", "C:/d.png", "/abs.jpg"], repr("..\\win.png") + " and 2 more are passed over: "),
        (["in.jpg", "C:/d.png"], "zip: 'C:/d.png' is passed over: such a name leads out of the archive"),
        (["in.jpg", "by\\windows.jpg"], ""),
    ],
)
def test_names_that_lead_out_of_an_archive_are_told_when_it_is_opened(tmp_path, caplog, names, told):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        for name in names:
            packed.writestr(name, b"x")
    caplog.set_level("WARNING")
    listed = open_photos(tmp_path / "photos.zip").listing()
    assert "in.jpg" in listed
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == bool(told), "once for the archive"
    assert all(told in each for each in said)


def test_an_archive_s_own_bad_names_are_passed_by(tmp_path):
    store = a_store("zip", tmp_path, {"../out.jpg": b"x", "/abs.jpg": b"x", "in.jpg": b"y", "by\\windows.jpg": b"z"})
    assert sorted(store.listing()) == ["by/windows.jpg", "in.jpg"]
    assert store.read("by/windows.jpg") == b"z"


NAMES = {  # as programs write them, and as they are read
    "UTF-8 without its flag, as a Mac writes it": ("fotos/Zoë 東京.jpg".encode(), "fotos/Zoë 東京.jpg"),
    "in two characters": ("e\u0301.jpg".encode(), "e\u0301.jpg"),
    "code page 437, as Windows writes it": ("fotos\\Zoë ü.jpg".encode("cp437"), "fotos/Zoë ü.jpg"),
    "one letter of it": ("é.jpg".encode("cp437"), "é.jpg"),
}


@pytest.mark.parametrize(("written", "read"), NAMES.values(), ids=NAMES)
def test_names_in_archives_of_other_systems_are_read_as_they_were_meant(root, written, read):
    put(f"{root}/photos.zip", packed_plainly({written: b"a", b"plain.jpg": b"b"}))
    store = open_photos(f"{root}/photos.zip")
    assert sorted(store.listing()) == sorted([read, "plain.jpg"])
    assert (store.read(read), store.read("plain.jpg")) == (b"a", b"b")


@pytest.mark.parametrize("inside", ["images", "images/default", "images/default/"])
def test_a_folder_of_an_archive_is_a_store(root, inside):
    put(f"{root}/export.zip", packed({"images/default/a.jpg": b"a", "annotations/x.json": b"{}"}))
    store = open_photos(f"{root}/export.zip/{inside}")
    assert list(store.listing()) == ["a.jpg" if "default" in inside else "default/a.jpg"]
    with pytest.raises(UserError, match=r"export\.zip/none/: nothing is packed in here"):
        open_photos(f"{root}/export.zip/none")


def test_a_folder_may_end_as_an_archive_does(tmp_path):
    put(tmp_path / "photos.zip/a.jpg", b"a")
    assert open_photos(tmp_path / "photos.zip").read("a.jpg") == b"a"


@pytest.mark.parametrize("name", ["none", "none.zip", "none.zip/images"])
def test_a_store_that_is_not_there_is_named(root, name):
    with pytest.raises(UserError, match="there is no such"):
        open_photos(f"{root}/{name}").listing()


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_photo_that_is_not_there_is_named(root, kind):
    store = a_store(kind, root, {"a.jpg": b"a"})
    with pytest.raises(UserError, match=r"none\.jpg: there is no such file") as caught:
        store.read("none.jpg")
    assert not isinstance(caught.value, AwayError)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_versions_change_with_the_content(root, kind):
    before = a_store(kind, root, {"a.jpg": b"one", "b.jpg": b"same"}).listing()
    if kind == "folder":
        put(f"{root}/photos/a.jpg", b"two")
        after = open_photos(f"{root}/photos").listing()
    else:
        after = a_store(kind, root, {"a.jpg": b"two", "b.jpg": b"same"}).listing()
    assert before["a.jpg"] != after["a.jpg"]
    assert before["b.jpg"] == after["b.jpg"]


@pytest.mark.parametrize("kind", ["folder", "stored"])
def test_a_file_too_large_for_a_photo_is_refused(root, kind, monkeypatch):
    monkeypatch.setattr(photo_store, "PHOTO_BYTES", 1000)
    store = a_store(kind, root, {"fits": bytes(1000), "large": bytes(1001)})
    assert store.read("fits") == bytes(1000)
    with pytest.raises(UserError, match="a photo has at most"):
        store.read("large")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    store = a_store("zip", tmp_path, {"bomb.jpg": bytes(64 << 20), "mask.png": bytes(8 << 20)})
    with pytest.raises(UserError, match="would unpack to"):
        store.read("bomb.jpg")
    assert len(store.read("mask.png")) == 8 << 20


def test_a_bomb_that_lies_about_its_size_is_not_unpacked(tmp_path):
    content = bytearray(packed({"bomb.jpg": bytes(64 << 20)}))
    entry = content.index(b"PK\1\2")
    content[entry + 24 : entry + 28] = struct.pack("<I", 100)  # its size, in the directory
    (tmp_path / "photos.zip").write_bytes(content)
    with pytest.raises(UserError, match="packed wrongly, or damaged"):
        open_photos(tmp_path / "photos.zip").read("bomb.jpg")


def test_an_encrypted_photo_is_refused(tmp_path):
    content = bytearray(packed({"a.jpg": b"secret"}))
    for start, flags in ((content.index(b"PK\3\4"), 6), (content.index(b"PK\1\2"), 8)):
        content[start + flags] |= 1
    (tmp_path / "photos.zip").write_bytes(content)
    with pytest.raises(UserError, match="is encrypted; pack the photos without a password"):
        open_photos(tmp_path / "photos.zip").read("a.jpg")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_uncommon_packing_is_refused(tmp_path, method):
    (tmp_path / "photos.zip").write_bytes(packed({"a.jpg": b"a" * 99}, method))
    with pytest.raises(UserError, match="packed by a method that is not read here"):
        open_photos(tmp_path / "photos.zip").read("a.jpg")


def test_an_archive_that_is_cut_short_is_named(root):
    whole = packed(FILES)
    for kept in (0, 1, 40, len(whole) // 2, len(whole) - 1):
        put(f"{root}/cut{kept}.zip", whole[:kept])
        with pytest.raises(UserError, match=rf"cut{kept}\.zip: this is no whole zip archive"):
            open_photos(f"{root}/cut{kept}.zip")


def test_damage_anywhere_gives_the_content_or_a_clear_error(tmp_path):
    whole, rng = packed(FILES), random.Random(7)
    outcomes = set()
    for number in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 3, 20])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path = tmp_path / f"{number}.zip"
        path.write_bytes(damaged)
        try:
            store = open_photos(path)
            for name in store.listing():
                content = store.read(name)
                outcomes.add("read")
                assert name not in FILES or content == FILES[name]
        except UserError:
            outcomes.add("told")
    assert outcomes == {"read", "told"}


def test_an_archive_with_an_uncommonly_long_head_is_read(tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("a.jpg")
        info.extra = struct.pack("<HH", 0xFFFE, 5000) + bytes(5000)
        archive.writestr(info, b"content")
    assert open_photos(path).read("a.jpg") == b"content"


def test_a_photo_in_an_archive_in_a_bucket_takes_one_request(bucket):
    store = a_store("zip", bucket, {f"{number}.jpg": os.urandom(5000) for number in range(40)})
    store.listing()
    fs, asked = locate(bucket).fs, []
    request = fs._request

    async def counted(*args, **kwargs):
        asked.append(args)
        return await request(*args, **kwargs)

    fs._request = counted
    try:
        store.read("7.jpg")
    finally:
        del fs._request
    assert len(asked) == 1


def test_an_archive_within_an_archive_is_told(tmp_path):
    (tmp_path / "outer.zip").write_bytes(packed({"inner.zip": packed({"images/a.jpg": b"a"})}))
    with pytest.raises(UserError, match=r"inner\.zip/images/: an archive within an archive is not looked into"):
        open_photos(tmp_path / "outer.zip/inner.zip/images")


def read_each(store, names):
    """The contents, or the kinds of errors."""
    found = []
    for name in names:
        try:
            found.append(store.read(name))
        except UserError as error:
            found.append(type(error))
    return found


MANY = [f"{number:02}.jpg" for number in range(14)]


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EUCLEAN])
def test_a_disk_that_gives_no_photo_any_more_is_told_after_some(tmp_path, monkeypatch, code):
    store = a_store("folder", tmp_path, dict.fromkeys(MANY, b"photo"))
    assert store.read(MANY[0]) == b"photo"
    fail_reading(monkeypatch, store.folder, code)
    found = []
    for name in MANY:
        job = pickle.loads(pickle.dumps(store))  # as each job of a worker has a store of its own
        found += read_each(job, [name])
    assert found == [UserError] * 9 + [AwayError] * 5
    with pytest.raises(AwayError, match=rf"{MANY[0]}: .*, and it gave none of the 9 files before; .*run it again"):
        store.read(MANY[0])
    monkeypatch.undo()
    assert read_each(store, MANY) == [b"photo"] * 14  # and the next row begins anew
    fail_reading(monkeypatch, store.folder, code)
    assert read_each(store, MANY) == [UserError] * 9 + [AwayError] * 5


def test_a_disk_that_gives_some_photos_is_at_fault_for_none(tmp_path, monkeypatch):
    store = a_store("folder", tmp_path, dict.fromkeys(MANY, b"photo"))
    assert store.read(MANY[8]) == b"photo"
    for name in MANY[:8] + MANY[9:]:
        fail_reading(monkeypatch, store.folder / name, errno.EIO)
    assert read_each(store, MANY) == [UserError] * 8 + [b"photo"] + [UserError] * 5


def test_a_photo_that_is_asked_for_again_and_again_is_one(tmp_path, monkeypatch):
    store = a_store("folder", tmp_path, dict.fromkeys(MANY, b"photo"))
    assert store.read(MANY[0]) == b"photo"
    fail_reading(monkeypatch, store.folder, errno.EIO)
    assert read_each(store, MANY[:3] * 8) == [UserError] * 24


def test_photos_that_are_not_there_say_nothing_of_the_disk(tmp_path, monkeypatch):
    store = a_store("folder", tmp_path, dict.fromkeys(MANY, b"photo"))
    assert read_each(store, [MANY[0], *(f"none-{number}.jpg" for number in range(30))]) == [b"photo"] + [UserError] * 30
    fail_reading(monkeypatch, store.folder, errno.EIO)
    assert read_each(store, ["none.jpg", *MANY[:9], "none.jpg", MANY[9]]) == [UserError] * 11 + [AwayError]
