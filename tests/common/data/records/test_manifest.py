"""Record files and manifests in a bucket: as on a disk."""

import subprocess
import sys

import pytest
from support.record import a_record

from bodyposenet.common.data.records import tfrecord
from bodyposenet.common.data.records.manifest import add_set, open_shards, read_manifest
from bodyposenet.common.data.records.tfrecord import RecordFile, read_records, write_records
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import read_bytes, whole_file
from bodyposenet.common.storage.location import locate

PAYLOADS = [b"", b"one", bytes(range(256)) * 300, b"last"]


def asked_of(fs, act):
    """The requests that ``act`` makes, and what it returns."""
    asked, request = [], fs._request

    async def counted(*args, **kwargs):
        asked.append(args[:2])
        return await request(*args, **kwargs)

    fs._request = counted
    try:
        return asked, act()
    finally:
        del fs._request


@pytest.mark.parametrize("block", [1 << 20, 100])
def test_records_are_the_same_as_on_a_disk(bucket, tmp_path, monkeypatch, block):
    monkeypatch.setattr(tfrecord, "BLOCK", block)
    remote = locate(f"{bucket}/shards/train")
    offsets = write_records(remote, PAYLOADS)
    assert write_records(tmp_path / "train", PAYLOADS) == offsets
    assert read_bytes(remote) == (tmp_path / "train").read_bytes()
    assert list(read_records(remote)) == PAYLOADS
    for records in (RecordFile(remote), RecordFile(str(remote), offsets)):
        assert [records[index] for index in (-1, 1, 0, 2, 3)] == [b"last", b"one", b"", PAYLOADS[2], b"last"]
        assert list(records) == PAYLOADS
        assert records.size == len(read_bytes(remote))


def test_a_record_takes_one_request_and_all_of_them_few(bucket):
    remote = locate(f"{bucket}/train")
    offsets = write_records(remote, PAYLOADS * 50)
    records = RecordFile(remote, offsets)
    asked, payload = asked_of(remote.fs, lambda: records[2])
    assert (len(asked), payload) == (1, PAYLOADS[2])
    asked, payloads = asked_of(remote.fs, lambda: list(records))
    assert (len(asked), len(payloads)) == (1, 200)
    asked, walked = asked_of(remote.fs, lambda: RecordFile(remote))
    assert len(asked) <= 4  # three of them look whether it is a file or a folder, and how large
    assert walked.offsets.tolist() == offsets


def test_an_empty_file_has_no_records(bucket):
    write_records(locate(f"{bucket}/train"), [])
    assert list(RecordFile(f"{bucket}/train")) == list(RecordFile(f"{bucket}/train", [])) == []


def test_damage_is_told_as_on_a_disk(bucket, tmp_path):
    offsets = write_records(tmp_path / "train", PAYLOADS)
    whole = (tmp_path / "train").read_bytes()
    flipped = bytearray(whole)
    flipped[offsets[2] + 100] ^= 1
    cases = [
        (whole[:-1], None),
        (whole[:-1], offsets),
        (bytes(flipped), offsets),
        (whole, [5]),
        (whole, [len(whole)]),
        (whole, [-1]),
    ]
    for number, (content, given) in enumerate(cases):
        told = []
        for root in (str(tmp_path), bucket):
            with whole_file(f"{root}/{number}") as file:
                file.write(content)
            with pytest.raises(UserError) as caught:
                list(RecordFile(f"{root}/{number}", given))
            told.append(str(caught.value).replace(root, ""))
        assert told[0] == told[1]


def test_a_missing_file_is_named(bucket):
    with pytest.raises(
        UserError, match="none: there is no such file or folder; name a file that dataset_convert wrote"
    ):
        RecordFile(f"{bucket}/none")


def test_shards_open_with_their_manifest_and_without(bucket):
    folder = locate(f"{bucket}/data")
    record = a_record()
    offsets = write_records(folder / "train", [record.to_bytes()])
    (scanned,) = open_shards(str(folder), ["train"])
    entry = {
        "file": "train",
        "bytes": (folder / "train").stat().st_size,
        "offsets": offsets,
        "mains": [list(record.main)],
    }
    add_set(folder, "set", {"shards": [entry], "joints": ["nose"]})
    (listed,) = open_shards(folder, ["set"])
    assert scanned.samples == listed.samples
    assert scanned[0].to_bytes() == listed[0].to_bytes() == record.to_bytes()
    write_records(folder / "train", [record.to_bytes()] * 2)
    with pytest.raises(UserError, match="its manifest says"):
        open_shards(folder, ["set"])


def test_a_folder_without_a_manifest_has_no_sets(bucket):
    assert read_manifest(locate(f"{bucket}/new"))["sets"] == {}
    with pytest.raises(UserError, match="there is no such bucket"):
        read_manifest(locate(f"{bucket}-none/new"))


@pytest.mark.parametrize("where", ["disk", "bucket"])
def test_conversions_that_end_at_once_keep_each_other_s_sets(where, bucket, tmp_path):
    folder = bucket if where == "bucket" else str(tmp_path)
    script = (
        "import sys\n"
        "from bodyposenet.common.data.records.manifest import add_set\n"
        "from bodyposenet.common.storage.location import locate\n"
        "for number in range(10):\n"
        "    add_set(locate(sys.argv[1]), f'{sys.argv[2]}{number}', {'shards': []})\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, folder, name]) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(read_manifest(locate(folder))["sets"]) == 30
