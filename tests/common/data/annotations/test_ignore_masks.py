"""Masks: the loss counts everywhere but where somebody stands whom nobody labelled."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as run_lengths
from pycocotools.coco import COCO
from support.coco_files import annotation, document, image, write_annotations

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.annotations.ignore_masks import encode_mask, ignore_mask
from bodyposenet.common.errors import UserError

SIZE = (40, 50)


def mask_of(folder, *annotations):
    path = write_annotations(folder / "people.json", document([image(1, size=SIZE)], list(annotations)))
    return ignore_mask(read_annotations(path).photos[0])


def covered(x, y, width, height):
    """(H, W) True inside a box with whole-number corners."""
    area = np.zeros(SIZE, bool)
    area[y : y + height, x : x + width] = True
    return area


def test_a_photo_of_labelled_people_has_no_mask(tmp_path):
    assert mask_of(tmp_path, annotation(1, 1, (5, 5, 20, 20)), annotation(2, 1, (8, 8, 20, 20), labelled=1)) is None


@pytest.mark.parametrize("stranger", [{"labelled": 0}, {"iscrowd": 1, "labelled": 0}, {"iscrowd": 1}])
def test_strangers_are_masked_except_where_a_labelled_person_is(tmp_path, stranger):
    """TAO masks a labelled person behind an unlabelled one (quirk Q15)."""
    mask = mask_of(tmp_path, annotation(1, 1, (10, 5, 20, 30), **stranger), annotation(2, 1, (20, 0, 20, 20)))
    ignored = covered(10, 5, 20, 30) & ~covered(20, 0, 20, 20)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, np.where(ignored, 0, 255))


def test_a_stranger_who_is_wholly_covered_by_a_labelled_person_leaves_no_mask(tmp_path):
    assert mask_of(tmp_path, annotation(1, 1, (10, 10, 5, 5), labelled=0), annotation(2, 1, (5, 5, 20, 20))) is None


@pytest.mark.parametrize("segmentation", [[], [[1, 2, 3, 4]]])
def test_without_an_outline_the_box_counts(tmp_path, segmentation):
    mask = mask_of(tmp_path, annotation(1, 1, (10, 5, 20, 30), labelled=0, segmentation=segmentation))
    assert np.array_equal(mask == 0, covered(10, 5, 20, 30))


def test_run_lengths_count_down_the_columns(tmp_path):
    rows = SIZE[0]
    counts = [rows * 2 + 3, 4, SIZE[0] * SIZE[1] - rows * 2 - 7]
    crowd = annotation(1, 1, (2, 3, 1, 4), labelled=0, iscrowd=1, segmentation={"size": list(SIZE), "counts": counts})
    assert np.array_equal(mask_of(tmp_path, crowd) == 0, covered(2, 3, 1, 4))


@pytest.mark.parametrize(
    ("segmentation", "problem"),
    [
        ({"size": [50, 40], "counts": [2000]}, r"of size \[50, 40\], the image \[40, 50\]"),
        ({"size": list(SIZE), "counts": [1999]}, "broken"),
        ({"size": list(SIZE), "counts": [10, -5, 1995]}, "broken"),
        ({"size": list(SIZE), "counts": ["a"]}, "broken"),
        ({"size": list(SIZE), "counts": 7}, "broken"),
        ({"size": list(SIZE), "counts": "zzzzzzzz"}, "broken"),
        ({"size": list(SIZE), "counts": "P"}, "broken"),
    ],
)
def test_broken_run_lengths_are_named(tmp_path, segmentation, problem):
    crowd = annotation(9, 1, (0, 0, 5, 5), labelled=0, iscrowd=1, segmentation=segmentation)
    with pytest.raises(UserError, match=f"annotation 9 of image 1: .*{problem}"):
        mask_of(tmp_path, crowd)


@given(st.integers(0, 2**32), st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_a_mask_survives_its_file_exactly(seed, size):
    mask = np.random.default_rng(seed).choice(np.array([0, 255], np.uint8), size)
    decoded = cv2.imdecode(np.frombuffer(encode_mask(mask), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(decoded, mask)


@given(st.integers(0, 2**32))
def test_packed_run_lengths_are_those_of_pycocotools(tmp_path_factory, seed):
    drawn = np.random.default_rng(seed).random(SIZE) < 0.3
    packed = run_lengths.encode(np.asfortranarray(drawn, np.uint8))["counts"].decode()
    outline = {"size": list(SIZE), "counts": packed}
    crowd = annotation(1, 1, (0, 0, 5, 5), labelled=0, iscrowd=1, segmentation=outline)
    assert np.array_equal(mask_of(tmp_path_factory.mktemp("crowd"), crowd) == 0, drawn)


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11 on NumPy 2
@pytest.mark.parametrize("half", ["train", "val"])
def test_masks_of_real_photos_are_those_that_pycocotools_draws(data_folder, half):
    path = data_folder / f"coco_sample/annotations/person_keypoints_{half}.json"
    oracle, masked = COCO(str(path)), 0
    for photo in read_annotations(path).photos:
        expected = drawn_by_pycocotools(oracle, photo.image_id)
        mask = ignore_mask(photo)
        masked += mask is not None
        assert np.array_equal(expected, np.full_like(expected, 255) if mask is None else mask), photo.file_name
    assert masked == {"train": 9, "val": 14}[half]


def drawn_by_pycocotools(oracle, image_id):
    size = (oracle.imgs[image_id]["height"], oracle.imgs[image_id]["width"])
    ignored, protected = np.zeros(size, bool), np.zeros(size, bool)
    for entry in oracle.imgToAnns[image_id]:
        area = protected if entry["num_keypoints"] and not entry["iscrowd"] else ignored
        area |= oracle.annToMask(entry).astype(bool)
    return np.where(ignored & ~protected, 0, 255)
