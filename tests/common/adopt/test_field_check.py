"""What photos show of an adopted network."""

import numpy as np
import pytest

from bodyposenet.common.adopt.conventions import TAO
from bodyposenet.common.adopt.field_check import SIZE, gather_evidence, require_evidence
from bodyposenet.common.data.synthetic.scenes import random_scene
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17

CARD = Card(BODYPOSENET_18)
GRID = (SIZE[0] // CARD.stride, SIZE[1] // CARD.stride)
SCENES = [random_scene(np.random.default_rng(number), SIZE) for number in range(3)]


def look_through(change):
    """Evidence of a network that draws perfect maps of each scene, changed somehow."""
    scenes = iter(SCENES)

    def draw(_):
        people = BODYPOSENET_18.take(COCO_17.joints, np.stack([each.keypoints for each in next(scenes).people]))
        heatmaps, pafs = encode(people[..., :2], people[..., 2] > 0, BODYPOSENET_18, size=GRID)
        return [each[None] for each in change(heatmaps, pafs)]

    return gather_evidence(draw, CARD, [scene.image for scene in SCENES])


def brighten(heatmaps, pafs):
    return 2 * heatmaps, pafs


def lengthen(heatmaps, pafs):
    return heatmaps, 2 * pafs


def fade(heatmaps, pafs):
    return heatmaps, pafs / 2


def add_noise(heatmaps, pafs):
    random = np.random.default_rng(1)
    return heatmaps + random.uniform(0, 1, heatmaps.shape), 50 * random.normal(size=pafs.shape)


@pytest.mark.parametrize("change", [brighten, lengthen, fade, add_noise])
def test_nothing_is_clearer_than_perfect_maps(change):
    perfect = look_through(lambda heatmaps, pafs: (heatmaps, pafs))
    assert perfect.clash < 1e-6
    assert perfect.right >= 16  # of 19; those of a face are shorter than cells here
    assert look_through(change).clarity < 0.8 * perfect.clarity


def test_maps_that_point_back_are_as_clear_as_those_that_point_on():
    on, back = (look_through(lambda heatmaps, pafs, way=way: (heatmaps, way * pafs)) for way in (1, -1))
    assert back.clarity == pytest.approx(on.clarity)
    assert (back.seen, back.right) == (on.seen, 0)


def test_a_network_that_sees_more_of_raw_pixels_is_not_told_to_be_fed_them():
    """Activations grow with the input here: raw pixels give hundreds of fields that point anywhere."""
    model, card = load_model(weights_path("pretrained:drawn_people"))
    photos = [scene.image for scene in SCENES[:2]]
    evidence = require_evidence(model, card, TAO, photos, where="net.onnx")
    assert evidence.right >= 12
