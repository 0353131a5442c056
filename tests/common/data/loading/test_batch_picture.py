"""The picture of a batch: every target is where the network is told that it is."""

import cv2
import numpy as np
import pytest
from support.tiny_training import Dots, tiny_spec

from bodyposenet.common.data.loading.batch_picture import GAP, LONGEST, MASKED, PAPER, STRIP, batch_picture
from bodyposenet.common.data.loading.batches import Sample, TargetDrawing, make_batch
from bodyposenet.common.model.training.first_batch import write_first_batch
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.pose.draw import WHITE, limb_colour
from bodyposenet.common.skeleton.skeleton import make_skeleton

STICK = make_skeleton("stick", ("left_hip", "left_knee"), ((0, 1),))
GREY = 90


class Still:
    """Grey pictures of one limb, with a mask on the left."""

    def __init__(self, size, joints, *, number=4, mask=1.0):
        self.size, self.joints, self.number, self.mask = size, np.array(joints, float), number, mask

    def __len__(self):
        return self.number

    def sample(self, index, epoch):
        mask = np.ones((self.size[0] // 8, self.size[1] // 8), np.float32)
        mask[:, :2] = self.mask
        image = np.full((*self.size, 3), GREY, np.uint8)
        return Sample(image, mask, self.joints, np.ones(self.joints.shape[:2], bool), image_id=500 + index)


def drawn(source, **normalisation):
    options = {"scale": (256.0,) * 3, "offset": (0.5,) * 3} | normalisation
    batch = make_batch(source, TargetDrawing(STICK, source.size, 7.0, 1.0, **options), np.arange(len(source)), 0)
    return batch_picture(batch, STICK, **options)


def tile(picture, zoom, x, y):
    """The picture's pixel that shows x, y of the first sample."""
    return picture[GAP + round((y + 0.5) * zoom - 0.5), GAP + round((x + 0.5) * zoom - 0.5)].astype(int)


@pytest.mark.parametrize("size", [(64, 64), (128, 192), (512, 256)])
def test_joints_limbs_and_masks_are_where_the_targets_say(size):
    zoom = LONGEST / max(size)
    start, end = (37.0, 20.0), (50.0, 49.0)
    picture = drawn(Still(size, [[start, end]], mask=0.0))
    assert tile(picture, zoom, *start).tolist() == list(WHITE)
    assert tile(picture, zoom, *end).tolist() == list(WHITE)
    colour = np.array(limb_colour("left_hip", "left_knee"))
    middle = tile(picture, zoom, *(np.array(start) + end) / 2)
    assert np.abs(middle - colour).sum() < np.abs(np.full(3, GREY) - colour).sum() / 2
    assert tile(picture, zoom, 60, 8).tolist() == [GREY] * 3
    striped = {tuple(tile(picture, zoom, x, y)) for x in range(2, 14) for y in range(2, 14)}
    assert len(striped) > 1
    assert all(np.abs(np.array(shade) - MASKED).sum() < np.abs(GREY - np.array(MASKED)).sum() for shade in striped)


def test_a_batch_without_people_or_masks_is_its_photos():
    picture = drawn(Still((64, 64), np.zeros((0, 2, 2))))
    assert (picture[GAP : GAP + LONGEST, GAP : GAP + LONGEST] == GREY).all()


def test_normalisation_is_undone():
    source = Still((64, 64), np.zeros((0, 2, 2)))
    for options in ({}, {"scale": (58.4, 57.1, 57.4), "offset": (2.1, 2.0, 1.8)}):
        assert (drawn(source, **options)[GAP : GAP + LONGEST, GAP : GAP + LONGEST] == GREY).all()


@pytest.mark.parametrize(("number", "rows", "columns"), [(1, 1, 1), (4, 1, 4), (10, 2, 5), (9, 3, 3), (40, 3, 4)])
def test_the_sheet_has_room_for_the_samples_and_no_more_than_twelve(number, rows, columns):
    picture = drawn(Still((64, 64), [[(20, 20), (40, 40)]], number=number))
    assert picture.shape == (rows * (LONGEST + STRIP + GAP) + GAP, columns * (LONGEST + GAP) + GAP, 3)
    assert (picture[:GAP] == PAPER).all()


def test_photos_are_named_below():
    picture = drawn(Still((64, 64), np.zeros((0, 2, 2)), number=2))
    strips = [picture[GAP + LONGEST : GAP + LONGEST + STRIP, left : left + LONGEST]
              for left in (GAP, 2 * GAP + LONGEST)]  # fmt: skip
    assert all((strip != PAPER).any() for strip in strips)
    assert (strips[0] != strips[1]).any()


def test_a_mask_that_is_no_number_can_be_looked_at():
    assert drawn(Still((64, 64), [[(20, 20), (40, 40)]], mask=np.nan)).any()


def test_a_training_s_first_batch_is_drawn_once(tmp_path):
    plan = make_plan(tiny_spec(), Dots())
    write_first_batch(plan, tmp_path)
    picture = cv2.imread(str(tmp_path / "first_batch.png"), cv2.IMREAD_COLOR_RGB)
    first = next(iter(plan.batches(0, first=0)))
    wanted = batch_picture(first, plan.skeleton, scale=plan.drawing.scale, offset=plan.drawing.offset)
    assert (picture == wanted).all()
    (tmp_path / "first_batch.png").write_bytes(b"mine")
    write_first_batch(plan, tmp_path)
    assert (tmp_path / "first_batch.png").read_bytes() == b"mine"
