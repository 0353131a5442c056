"""From a photo to its people, at one scale and at several."""

from dataclasses import replace

import numpy as np
import pytest
from support.coco_files import document, image, write_annotations
from support.perfect import PerfectRunner, standing

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.errors import SpecError
from bodyposenet.common.imaging.fit import normalise
from bodyposenet.common.inference.detector import find_people, open_model, resample
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.pose.flip import mirror_maps
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, make_skeleton
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec

MODES = ("adjust_network_input", "pad_image_input")


def spec(**keys):
    return parse_spec({"input_shape": [368, 368], **keys}, InferenceSpec)


@pytest.fixture
def truth(tmp_path):
    """One photo, 333 x 500, with two people."""
    people = [standing(1, 1, (40, 30, 130, 290)), standing(2, 1, (300, 50, 120, 260), hidden=(9, 16))]
    path = write_annotations(tmp_path / "a.json", document([image(1, size=(333, 500))], people))
    return read_annotations(path)


def photo_of(truth):
    return np.random.default_rng(0).integers(0, 255, (truth.photos[0].height, truth.photos[0].width, 3), np.uint8)


def errors(people, truth):
    """Distance in photo pixels of each labelled joint from where it is; the people are told apart by their place."""
    order = np.argsort(people.keypoints[..., 0].max(axis=1))
    want = BODYPOSENET_18.take(truth.joints, np.array([person.keypoints for person in truth.photos[0].people]))
    labelled = want[..., 2] > 0
    assert (labelled == (people.keypoints[order, :, 2] > 0)).all()
    return np.linalg.norm(people.keypoints[order, :, :2] - want[..., :2], axis=-1)[labelled]


@pytest.mark.parametrize("mode", MODES)
def test_people_are_found_where_they_are_in_the_photo(truth, mode):
    runner = PerfectRunner(truth, mode)
    people = find_people(runner, photo_of(truth), spec(keep_aspect_ratio_mode=mode))
    assert errors(people, truth).max() < 0.7
    missing = people.keypoints[people.keypoints[..., 2] == 0]
    assert len(missing) == 2
    assert (missing == 0).all()


@pytest.mark.parametrize("scales", [[1.0, 0.5], [0.5, 1.0, 1.5]])
def test_several_scales_agree_on_where_people_are(truth, scales):
    runner = PerfectRunner(truth, calls_a_photo=len(scales))
    people = find_people(runner, photo_of(truth), spec(multi_scale_inference=True, scales=scales))
    shapes = [given.shape[1:3] for given in runner.inputs]
    assert shapes == [(184, 280), (368, 560), (552, 832)][: len(scales)]
    assert errors(people, truth).max() < 1.5


class TwoFacedRunner(PerfectRunner):
    """Draws the people mirrored on every second call, as a perfect network sees the mirrored photo."""

    def __call__(self, images):
        heatmaps, pafs = super().__call__(images)
        if len(self.inputs) % 2 == 1:
            return heatmaps, pafs
        photo = self.truth.photos[0]
        people = self.card.skeleton.take(self.truth.joints, np.array([each.keypoints for each in photo.people]))
        scale, shift = self.placed(photo, images.shape[1:3])
        points = (people[..., :2] + 0.5 + shift) * scale - 0.5
        points[..., 0] = images.shape[2] - 1 - points[..., 0]
        order = self.card.skeleton.flip_order
        size = (images.shape[1] // 8, images.shape[2] // 8)
        maps = encode(points[:, order], people[:, order, 2] > 0, self.card.skeleton, size=size)
        return maps[0][None], maps[1][None]


SEVERAL = {"multi_scale_inference": True, "scales": [0.5, 1.0]}


@pytest.mark.parametrize(("mode", "keys"), [(MODES[0], {}), (MODES[1], {}), (MODES[0], SEVERAL)])
def test_the_mirrored_photo_agrees_on_where_people_are(truth, mode, keys):
    calls = 2 * len(keys.get("scales", [1]))
    runner = TwoFacedRunner(truth, mode, calls_a_photo=calls)
    people = find_people(runner, photo_of(truth), spec(keep_aspect_ratio_mode=mode, flip=True, **keys))
    assert len(runner.inputs) == calls
    np.testing.assert_array_equal(runner.inputs[1], runner.inputs[0][:, :, ::-1])
    assert errors(people, truth).max() < (1.5 if keys else 0.7)


@pytest.mark.parametrize("flip", [False, True])
def test_a_network_that_takes_pixels_is_given_them_as_they_are(truth, flip):
    given = []
    for pixels in (False, True):
        runner = TwoFacedRunner(truth, calls_a_photo=2)
        runner.takes_pixels = pixels
        find_people(runner, photo_of(truth), spec(flip=flip))
        given.append(runner.inputs)
    for plain, same in zip(*given, strict=True):
        assert (plain.dtype, same.dtype) == (np.float32, np.uint8)
        np.testing.assert_allclose(plain, same / np.float32(256) - np.float32(0.5), atol=1e-7)


def test_averaging_with_the_mirrored_photo_changes_nothing_of_perfect_maps(truth):
    plain = find_people(TwoFacedRunner(truth), photo_of(truth), spec())
    both = find_people(TwoFacedRunner(truth, calls_a_photo=2), photo_of(truth), spec(flip=True))
    np.testing.assert_allclose(both.keypoints, plain.keypoints, atol=2e-3)


def test_mirroring_maps_twice_gives_them_back_and_limbs_without_a_mirror_image_are_told():
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(5, 7, channels)).astype(np.float32) for channels in (19, 38)]
    for one, other in zip(mirror_maps(*mirror_maps(*maps, BODYPOSENET_18), BODYPOSENET_18), maps, strict=True):
        np.testing.assert_array_equal(one, other)
    lame = make_skeleton("lame", ("left_hip", "right_hip", "nose"), ((0, 1), (0, 2)))
    _, pafs = mirror_maps(maps[0][..., :4], maps[1][..., :4], lame)
    np.testing.assert_array_equal(pafs[..., 0], maps[1][:, ::-1, 0])  # from hip to hip, and back again
    np.testing.assert_array_equal(pafs[..., 1], -maps[1][:, ::-1, 1])
    assert np.isnan(pafs[..., 2:]).all()


def test_scales_count_only_when_asked_for(truth):
    runner = PerfectRunner(truth)
    find_people(runner, photo_of(truth), spec(scales=[0.5, 2.0]))
    assert [given.shape for given in runner.inputs] == [(1, 368, 560, 3)]


def test_the_network_sees_the_photo_as_its_card_says():
    card = Card(BODYPOSENET_18, image_scale=(256.0, 128.0, 64.0), image_offset=(0.5, 0.25, 0.0))
    seen = normalise(np.full((8, 8, 3), 64, np.uint8), card)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen[3, 4], [-0.25, 0.25, 1.0])


def test_thresholds_of_the_spec_are_honoured(truth):
    def count(**keys):
        return len(find_people(PerfectRunner(truth), photo_of(truth), spec(**keys)))

    assert count() == 2
    assert count(heatmap_threshold=1.0) == 0
    assert count(paf_threshold=1.0) < 2  # no field is stronger, up to rounding
    assert count(min_parts=17) == 1
    assert count(max_people=1) == 1
    scores = find_people(PerfectRunner(truth), photo_of(truth), spec()).scores
    assert count(min_score=float(scores[1])) == 2
    assert count(min_score=float(scores.mean())) == 1


def test_guessed_joints_are_moved_to_the_photo_too(truth):
    people = find_people(PerfectRunner(truth), photo_of(truth), spec(fill_missing=True))
    guessed = people.keypoints[people.keypoints[..., 2] == 0]
    assert len(guessed) == 2
    assert (guessed[:, 0] > 290).all()  # beside the second person, not at the photo's corner


def test_resampling_is_exact_for_parabolas_and_leaves_a_grid_on_itself():
    random = np.random.default_rng(3)
    maps = random.normal(size=(12, 9, 4)).astype(np.float32)
    np.testing.assert_allclose(resample(maps, np.eye(3), (12, 9)), maps, atol=1e-6)
    rows, columns = np.mgrid[:12, :9].astype(float)
    parabola = (0.3 * rows**2 - rows + 0.2 * columns**2 + columns)[..., None]
    matrix = np.array([[0.5, 0, 1.2], [0, 0.7, 2.1], [0, 0, 1.0]])
    read = resample(parabola, matrix, (10, 12))[..., 0]
    v, u = np.mgrid[:10, :12]
    y, x = 0.7 * v + 2.1, 0.5 * u + 1.2
    inside = (y >= 1) & (y <= 10) & (x >= 1) & (x <= 7)
    np.testing.assert_allclose(read[inside], (0.3 * y**2 - y + 0.2 * x**2 + x)[inside], rtol=1e-5)


def test_maps_go_on_as_they_end():
    ramp = np.arange(5.0)[:, None, None] * np.ones((5, 5, 1))
    far = resample(ramp, np.array([[1, 0, 0], [0, 1, 20.0], [0, 0, 1]]), (3, 5))
    np.testing.assert_allclose(far, 4)


def tuned(truth, **decoding):
    """A network whose card has settings of its own."""
    runner = PerfectRunner(truth)
    runner.card = replace(runner.card, input_size=(96, 128), decoding=decoding)
    return runner


def test_what_was_tuned_for_a_network_holds_where_a_spec_says_nothing(truth):
    network = tuned(truth, input_shape=[200, 304], min_parts=17, heatmap_threshold=0.3)
    _, used = open_model(network, spec(heatmap_threshold=0.02))
    assert (used.input_shape, used.min_parts, used.heatmap_threshold) == ((368, 368), 17, 0.02)
    _, used = open_model(network, parse_spec({}, InferenceSpec))
    assert (used.input_shape, used.min_parts, used.heatmap_threshold) == ((200, 304), 17, 0.3)
    assert used.paf_threshold == InferenceSpec().paf_threshold
    assert len(find_people(network, photo_of(truth), used)) == 1  # the other lacks two joints


def test_without_a_spec_photos_have_the_size_that_the_network_was_trained_at_unless_another_was_tuned(truth):
    assert open_model(tuned(truth), None)[1].input_shape == (96, 128)
    assert open_model(tuned(truth, input_shape=[200, 304]), None)[1].input_shape == (200, 304)
    assert open_model(tuned(truth), InferenceSpec())[1].input_shape == (256, 256)  # a spec without it, as ever


def test_a_card_with_settings_that_no_spec_has_is_refused(truth):
    with pytest.raises(SpecError, match=r"the model's card: decoding: heatmap_treshold: .*did you mean"):
        open_model(tuned(truth, heatmap_treshold=0.3), None)
