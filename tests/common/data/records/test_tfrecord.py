"""Record files: what is written is what TensorFlow, and we, read."""

import struct
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.record import a_record

from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.data.records.record import Record, decode_example, encode_example
from bodyposenet.common.data.records.tfrecord import RecordFile, read_records, whole_file, write_records
from bodyposenet.common.errors import UserError


def same(left, right):
    names = [name for name in vars(left) if name not in ("joints", "boxes")]
    return (
        all(getattr(left, name) == getattr(right, name) for name in names)
        and np.array_equal(left.joints, right.joints)
        and np.array_equal(left.boxes, right.boxes)
    )


@pytest.fixture
def shard(tmp_path):
    write_records(tmp_path / "shard", [b"first", b"", b"third" * 1000])
    return tmp_path / "shard"


def damage(path, offset, byte=0xFF):
    content = bytearray(path.read_bytes())
    content[offset] ^= byte
    path.write_bytes(content)


def test_a_record_file_holds_its_payloads_in_order_and_at_its_offsets(tmp_path):
    payloads = [b"first", b"", b"third" * 1000]
    offsets = write_records(tmp_path / "shard", payloads)
    assert offsets == [0, 21, 37]
    assert list(read_records(tmp_path / "shard")) == payloads
    with RecordFile(tmp_path / "shard", offsets) as records:
        assert len(records) == 3
        assert records[2] == payloads[2]
        assert records[-1] == records[2]
    assert RecordFile(tmp_path / "shard").offsets.tolist() == offsets


def test_the_frame_is_the_published_one(tmp_path):
    """Golden bytes: CRC-32C of b"\\0" * 8 is 0x8c28b28a, that of b"" is 0; masked: rotated by 15, plus 0xa282ead8."""
    write_records(tmp_path / "shard", [b""])
    rotated = (0x8C28B28A >> 15 | 0x8C28B28A << 17) & 0xFFFFFFFF
    expected = struct.pack("<QII", 0, (rotated + 0xA282EAD8) & 0xFFFFFFFF, 0xA282EAD8)
    assert (tmp_path / "shard").read_bytes() == expected


def test_an_empty_file_has_no_records(tmp_path):
    write_records(tmp_path / "none", [])
    assert list(read_records(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("at", "offset", "problem"),
    [
        (0, 0, "length does not match"),
        (9, 0, "length does not match"),
        (12, 0, "payload does not match"),
        (38, 37, "length does not match"),
        (-1, 37, "payload does not match"),
    ],
)
def test_a_flipped_bit_is_found_and_placed(shard, at, offset, problem):
    damage(shard, at)
    with pytest.raises(UserError, match=rf"shard: offset {offset}: .*{problem}"):
        list(read_records(shard))


@pytest.mark.parametrize("left", [1, 11, 20, 30, 5000])
def test_a_file_cut_short_is_found_when_it_is_opened(shard, left):
    shard.write_bytes(shard.read_bytes()[:left])
    with pytest.raises(UserError, match="cut short"):
        RecordFile(shard)


@pytest.mark.parametrize("offset", [5, 21 + 1, 10**9, -4])
def test_an_offset_between_records_is_refused(shard, offset):
    records = RecordFile(shard, [offset])
    with pytest.raises(UserError, match=f"offset {offset}: no record here"):
        records[0]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: cannot read this record file: No such file"):
        RecordFile(tmp_path / "nowhere")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(shard):
    def broken():
        yield b"new"
        raise RuntimeError("power cut")

    before = shard.read_bytes()
    with pytest.raises(RuntimeError):
        write_records(shard, broken())
    assert shard.read_bytes() == before
    assert [path.name for path in shard.parent.iterdir()] == ["shard"]


def test_a_file_is_not_there_until_it_is_whole(tmp_path):
    with whole_file(tmp_path / "new/file") as file:
        file.write(b"half")
        assert not (tmp_path / "new/file").exists()
    assert (tmp_path / "new/file").read_bytes() == b"half"


def test_threads_read_the_same_file_at_once(tmp_path):
    payloads = [bytes([number]) * (number * 37 + 1) for number in range(200)]
    write_records(tmp_path / "shard", payloads)
    records, wrong = RecordFile(tmp_path / "shard"), []

    def read(seed):
        for number in np.random.default_rng(seed).integers(0, 200, 500):
            if records[int(number)] != payloads[number]:
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


values = st.one_of(
    st.lists(st.binary(max_size=20), min_size=1, max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5),
)
features = st.dictionaries(st.text(max_size=8), values, max_size=5)


@given(features)
def test_decoding_an_example_gives_what_was_encoded(given_features):
    assert decode_example(encode_example(given_features)) == given_features


@given(features, st.randoms())
def test_the_order_of_features_does_not_change_the_bytes(given_features, shuffler):
    shuffled = list(given_features.items())
    shuffler.shuffle(shuffled)
    assert encode_example(dict(shuffled)) == encode_example(given_features)


@pytest.mark.parametrize("changes", [{}, {"mask": None}, {"people": 1}, {"main": ()}])
def test_a_record_comes_back_as_it_was(changes):
    record = a_record(**changes)
    assert same(Record.from_bytes(record.to_bytes()), record)


def test_taos_features_are_derived_from_the_boxes():
    features = decode_example(a_record(boxes=np.array([[10.0, 20, 30, 40], [0, 0, 1, 3]])).to_bytes())
    assert np.frombuffer(features["person/scales"][0]).tolist() == [40, 3]
    assert np.frombuffer(features["person/centers"][0]).tolist() == [25, 40, 0.5, 1.5]
    assert features["person/num_other_people"] == [1]


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xff",
        encode_example({"frame/image_id": 7}),
        encode_example(decode_example(a_record().to_bytes()) | {"person/joints": b"123"}),
        encode_example(decode_example(a_record().to_bytes()) | {"person/main": [2]}),
        encode_example(decode_example(a_record().to_bytes()) | {"frame/image": 3, "person/boxes": 4}),
    ],
)
def test_bytes_that_are_no_record_are_refused(payload):
    with pytest.raises(UserError, match="record"):
        Record.from_bytes(payload)


def test_shards_without_a_manifest_are_scanned(tmp_path):
    write_records(tmp_path / "loose", [a_record(3, main=(0, 2)).to_bytes(), a_record(1).to_bytes()])
    (shard,) = open_shards(tmp_path, ["loose"])
    assert shard.samples == ((0, 0), (0, 2), (1, 0))
    assert same(shard[1], a_record(1))


def test_tensorflow_reads_our_shard_and_we_read_tensorflows(tmp_path):
    """The only test here that loads TensorFlow: the format is theirs."""
    import tensorflow as tf

    records = [a_record(people) for people in (1, 2, 5)]
    write_records(tmp_path / "ours", [record.to_bytes() for record in records])
    wanted = {
        "frame/image_id": tf.io.FixedLenFeature([], tf.int64),
        "frame/image_path": tf.io.FixedLenFeature([], tf.string),
        "frame/image": tf.io.FixedLenFeature([], tf.string),
        "person/joints": tf.io.FixedLenFeature([], tf.string),
        "person/main": tf.io.VarLenFeature(tf.int64),
    }
    for payload, record in zip(tf.data.TFRecordDataset(str(tmp_path / "ours")), records, strict=True):
        parsed = tf.io.parse_single_example(payload, wanted)
        joints = tf.reshape(tf.io.decode_raw(parsed["person/joints"], tf.float64), (-1, 17, 3))
        assert parsed["frame/image_id"] == record.image_id
        assert parsed["frame/image_path"].numpy().decode() == record.image_path
        assert parsed["frame/image"].numpy() == record.image
        assert np.array_equal(joints, record.joints)
        assert tuple(parsed["person/main"].values.numpy()) == record.main
        assert tensorflows_features(tf, payload.numpy()) == decode_example(record.to_bytes())
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record.to_bytes())
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()


def tensorflows_features(tf, payload):
    lists = tf.train.Example.FromString(payload).features.feature
    return {name: list(getattr(value, value.WhichOneof("kind")).value) for name, value in lists.items()}
