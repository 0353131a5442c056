"""Plain entries: many annotations read at once are what they are one by one, whatever stands among them."""

import gc
import gzip
import json
import pickle
import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.coco_files import JOINTS, annotation, category, document, image

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.annotations.compact_columns import Joints, Outlines
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import LARGE

RUNS = {"size": [120, 160], "counts": [5, 10, 19185]}
VALUES = {
    "id": (7, 7.0, "7", None, -(2**53) - 1, True),
    "image_id": (2, 9, 2.0, "2", None, 10**30),
    "category_id": (None, 1.0, "1", 2, 3, True, [], 10**30),
    "iscrowd": (1, True, False, None, 1.0, 2, 2**53 + 1, "1"),
    "area": (None, 5, 0, -1, 0.5, True, "12", 1e100, 10**400, float("inf")),
    "bbox": (None, [1, 2, 30, 40.5], [1, 2, 3], [1, 2, -3, 4], [1, 2, "3", 4], [0, 0, 0, 0], [0, 0, 1e6 + 1, 9], {}),
    "keypoints": (
        [], None, [0] * 51, [1, 2.5, 2] * 17, [3, 4, 7] * 17, [0.5, 0.25, 2] * 17, [1] * 50, [None] * 51, [1e7] * 51,
    ),
    "segmentation": (
        [], None, [[]], [[1, 2, 3.0, 4, 5, 6]], [[1, 2, 3]], [1, 2, 3, 4], [[1, "2"]], RUNS, {"size": [1]}, 0, "x",
        [[1e7, 1]], RUNS | {"counts": "abc"}, RUNS | {"counts": [5.0, True, None, [[]], 1e400]}, RUNS | {"size": {}},
    ),
    "extra": (None, {"a": [float("nan")]}, "\ud800", 10**400),
}  # fmt: skip
CHANGES = st.dictionaries(st.sampled_from(list(VALUES)), st.integers(0, 20), max_size=2)
KINDS = [category(), category() | {"id": 3, "name": "half", "keypoints": JOINTS[:5]}, {"id": 2, "name": "ball"}]


PHOTO_VALUES = {
    "id": (1, 2.0, "2", "a", None, True, -(2**53) - 1, 10**30, {}),
    "file_name": (
        "b/c.png", "../b.png", "", "...", "/b.png", "b\n.png", "C:/b.png", "\ud800", "ä.png", None, 5, "b\\c.png",
    ),
    "height": (0, -1, 1, 90.0, "90", None, True, 10**9, 10**30, 40_000),
    "width": (0, 120.5, 120, "120", None, 40_000),
    "extra": (None, {"a": [float("nan")]}, "\ud800", 10**400),
}  # fmt: skip
PHOTO_CHANGES = st.dictionaries(st.sampled_from(list(PHOTO_VALUES)), st.integers(0, 13), max_size=2)


def change(entry, changes, values):
    """An entry with some values changed, or left out."""
    for key, choice in changes.items():
        if choice < len(values[key]):
            entry[key] = values[key][choice]
        else:
            entry.pop(key, None)
    return entry


def people(changes):
    """Annotations with some values changed, or left out."""
    for number, drawn in enumerate(changes, 1):
        yield change(annotation(number, 1 + number % 2, (number % 7, 10, 60.5, 80)), drawn, VALUES)


def describe(coco):
    """All of a set, to the type of each number of an outline."""
    table = coco.annotations
    arrays = [np.asarray(column) for name, column in vars(table).items() if name != "segmentations"]
    columns = [(array.dtype, array.tolist()) for array in arrays]
    told = [str(problem) for problem in coco.problems], sorted(coco.annotated), coco.refused, coco.joints
    photos = [list(map(repr, column)) for column in vars(coco.images).values()]
    return repr((photos, columns, list(table.segmentations), told))


@pytest.mark.parametrize("batch", [2, 1024])
@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.just({}) | CHANGES, max_size=8), some=st.booleans())
def test_annotations_read_many_at_a_time_are_those_read_one_by_one(tmp_path_factory, batch, changes, some):
    path = tmp_path_factory.mktemp("batches") / "people.json"
    content = document([image(1), image(2), image(3)], [*people(changes), annotation(99, 1, (5, 5, 50, 50))])
    content |= {"categories": KINDS if some else KINDS[:1]}
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bodyposenet.common.data.annotations.drafts.BATCH", batch)
        for more in ({}, {"note": float("nan")}):  # which Python's parser alone takes, and makes objects of all
            path.write_text(json.dumps(content | more))
            found.append(describe(read_annotations(path, None if some else JOINTS, strict=False)))
    assert found[0] == found[1]


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.just({}) | PHOTO_CHANGES, max_size=5))
def test_photos_read_at_once_are_those_read_one_by_one(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("photos") / "people.json"
    images = [change(image(number), drawn, PHOTO_VALUES) for number, drawn in enumerate(changes, 2)]
    content = document([image(1), *images], [annotation(1, 1, (5, 5, 50, 50)), annotation(2, 2, (5, 5, 50, 50))])
    found = []
    for more in ({}, {"note": float("nan")}):
        path.write_text(json.dumps(content | more))
        found.append(describe_or_tell(path))
    assert found[0] == found[1]


def describe_or_tell(path):
    try:
        return describe(read_annotations(path, JOINTS, strict=False))
    except UserError as error:
        return str(error)


@pytest.mark.parametrize(
    "outline",
    [
        "[[1,2,3]]", "[[1,2],3]", "[[]]", "[[1]]", "[5]", "[1,2]", "[[1,[2]]]", "[[[1,2]]]", "[[1,2],[3]]", "[ [1,2] ]",
        "[[-1.5,2],\n[3,4,5,6]]", "[[0.12345678901,2]]", "[[1000000,2]]", "[[1000001,2]]", "[[1e2,2]]", '[["1",2]]',
        "[ ]", "null", "[null]", "[[1,2],null]", '{"size": [1, 1], "counts": [1]}', "{}", "[{}]", '[["p"]]',
    ],
)  # fmt: skip
def test_an_outline_is_taken_or_refused_as_when_it_is_read_alone(tmp_path, outline):
    path, found = tmp_path / "people.json", []
    entries = [annotation(number, 1, (5, 5, 50, 50)) | {"segmentation": [[1, 2, 3, 4, 5, 6]]} for number in range(3)]
    for more in ({}, {"note": float("nan")}):
        text = json.dumps(
            document([image(1)], [*entries, annotation(9, 1, (5, 5, 50, 50)) | {"segmentation": "HERE"}]) | more
        )
        path.write_text(text.replace('"HERE"', outline))
        found.append(describe(read_annotations(path, JOINTS, strict=False)))
    assert found[0] == found[1]


def test_outlines_are_packed_alike_whatever_blanks_stand_between_their_values():
    shapes = [[[1, 2.0, 3, 4.5, 5, 6]], RUNS, RUNS | {"counts": "a b"}, []]
    packed = Outlines(shapes).pack(slice(0, 4))
    for form in ({}, {"indent": 1}, {"separators": (",", ":")}):
        texts = Outlines(json.dumps(each, **form).encode() for each in shapes)
        assert texts.pack(slice(0, 4)) == packed
    others = [[[1, 2.0, 3, 4.5, 5, 7]], *shapes[1:]], [*shapes[:2], RUNS | {"counts": "ab"}, []]
    assert len({packed, *(Outlines(other).pack(slice(0, 4)) for other in others)}) == 3


def test_outlines_come_back_as_they_were_written():
    given_ = [[[1, 2.0, 3, 4.5, 5, 6]], RUNS, [], [[]]]
    texts = Outlines(json.dumps(each).encode() for each in given_)
    places = Outlines(msgspec.json.decode(json.dumps(given_), type=list[msgspec.Raw]))
    assert pickle.dumps(places) == pickle.dumps(texts)
    text = json.dumps(given_).encode()
    begins, ends = [1, text.index(b"{"), 0, text.index(b"[[]]")], [text.index(b", {"), text.index(b"}") + 1, 0, -1]
    spans = np.array([begins, ends]).T % len(text)
    spans[:, 1] -= spans[:, 0]
    cut = Outlines.cut(text, spans)
    assert pickle.loads(pickle.dumps(cut))[:] == given_
    mixed = Outlines.join(
        [cut.select(np.array([0])), Outlines(given_[1:2]), Outlines.cut(b" [] [[]]", np.array([[1, 2], [4, 4]]))]
    )
    for outlines in (texts, places, cut, mixed, Outlines(given_), pickle.loads(pickle.dumps(texts))):
        assert repr([*outlines]) == repr(outlines[:]) == repr(given_)
        assert outlines.find_runs() == [1]
        assert [*outlines.select(np.array([2, 0]))] == [[], given_[0]]
        assert [*outlines.select(np.array([1, 0]), np.array([True, False]))] == [RUNS, []]
        assert [*Outlines.join([outlines, outlines])] == given_ * 2
    texts[0] = RUNS
    assert texts[0] is RUNS


NUMBERS = st.sampled_from((0.0, -0.0, 1.0, 2.5, -32768.0, 32767.0, 32768.0, 16777217.0, 0.1, 1e6, 5e-324, float("nan")))
PEOPLE = st.lists(st.lists(NUMBERS | st.integers(0, 640).map(float), min_size=6, max_size=6), max_size=3)


@settings(max_examples=150, deadline=None)
@given(batches=st.lists(PEOPLE, max_size=4), data=st.data())
def test_joints_are_read_to_the_bit_as_they_were_put(batches, data):
    arrays = [np.array(batch, float).reshape(-1, 2, 3) for batch in batches]
    wanted = np.concatenate([np.zeros((0, 2, 3)), *arrays])
    joints = Joints(np.empty((len(wanted) + 2, 2, 3), np.int16), 0)
    for array in arrays:
        joints.append(array)
    if len(wanted):
        place, number = data.draw(st.integers(0, len(wanted) - 1)), data.draw(NUMBERS)
        joints[place] = wanted[place] = np.full((2, 3), number)
    order = np.array(data.draw(st.permutations(range(len(wanted)))), int)
    for found, those in ((joints[:], wanted), (joints.select(order)[:], wanted[order]), (np.array(joints), wanted)):
        assert (found.dtype, found.shape, found.tobytes()) == (those.dtype, those.shape, those.tobytes())
    assert joints.find_flags([0, 2.5]).tolist() == np.isin(wanted[..., 2], [0, 2.5]).tolist()


@pytest.mark.parametrize(("name", "most"), [("people.json", 0.5), ("people.json.gz", np.inf)])  # unpacked, for a while
def test_a_large_file_is_read_without_its_text_in_memory_and_may_be_cut_meanwhile(tmp_path, monkeypatch, name, most):
    monkeypatch.setattr("bodyposenet.common.data.annotations.drafts.BATCH", 16)
    outline = [[float(number) for number in range(600)]]
    entries = [annotation(number, 1, (5, 5, 50, 50)) | {"segmentation": outline} for number in range(1, 1601)]
    path, text = tmp_path / name, json.dumps(document([image(1)], entries)).encode()
    path.write_bytes(gzip.compress(text, 1) if path.suffix == ".gz" else text)
    assert len(text) > LARGE
    tracemalloc.start()
    try:
        coco = read_annotations(path, JOINTS)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    path.write_text("")
    assert kept < 0.4 * len(text)
    assert peak < most * len(text)
    assert [*coco.annotations.segmentations] == [outline] * 1600


def test_a_person_takes_little_memory_once_it_is_read(tmp_path):
    """An outline takes two whole numbers: where it stands in the text, and how long it is."""
    kept = []
    for count in (3500, 7000):  # both of more bytes than are held in memory
        outline = [[float(number) for number in range(150)]]
        entries = [annotation(number, 1, (5, 5, 50, 50)) | {"segmentation": outline} for number in range(1, count + 1)]
        path = tmp_path / f"{count}.json"
        path.write_text(json.dumps(document([image(1)], entries)))
        del entries
        tracemalloc.start()
        try:
            coco = read_annotations(path, JOINTS)
            gc.collect()
            kept.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        assert coco.annotations.segmentations[count - 1] == outline
    assert (kept[1] - kept[0]) / 3500 < 320
