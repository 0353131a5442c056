"""Synthetic people: what the embedded default set promises, counted on the set itself."""

import colorsys
import json
from itertools import combinations

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from bodyposenet.common.data.synthetic.dataset import EndlessScenes, draw_ignore_mask, make_scene, synthesize
from bodyposenet.common.data.synthetic.scenes import random_scene
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17

SIZE = (360, 480)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, NumPy 2


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """The held-out default: seed 0, 200 pictures."""
    folder = tmp_path_factory.mktemp("drawn")
    files = synthesize(folder, train=3)
    return folder, json.loads(files["val"].read_text()), files["val"]


@pytest.fixture(scope="module")
def document(held_out):
    return held_out[1]


def labelled(document):
    return [person for person in document["annotations"] if person["num_keypoints"]]


def of_image(people):
    groups = {}
    for person in people:
        groups.setdefault(person["image_id"], []).append(person)
    return groups.values()


def iou(one, other):
    """Intersection over union of two COCO boxes."""
    return coco_mask.iou([one["bbox"]], [other["bbox"]], [0])[0, 0]


def mask_of(person):
    return coco_mask.decode(person["segmentation"]).astype(bool)


def test_there_are_two_hundred_pictures_with_three_people_each_on_average(document):
    assert len(document["images"]) == 200
    assert 2.7 <= len(labelled(document)) / 200 <= 3.3
    counts = {len(people) for people in of_image(labelled(document))}
    assert {1, 2, 3, 4, 5} <= counts


def test_people_are_from_small_to_nearly_as_tall_as_the_picture(document):
    heights = np.array([person["bbox"][3] / SIZE[0] for person in labelled(document)])
    assert heights.min() >= 0.15
    assert heights.max() <= 0.9
    assert np.percentile(heights, 5) < 0.25
    assert np.percentile(heights, 95) > 0.75


def test_at_least_a_quarter_of_the_people_overlap_another(document):
    overlapping = set()
    for people in of_image(labelled(document)):
        for one, other in combinations(people, 2):
            if iou(one, other) > 0.1:
                overlapping |= {one["id"], other["id"]}
    assert len(overlapping) / len(labelled(document)) >= 0.25


def test_at_least_a_fifth_of_the_joints_are_hidden(document):
    flags = np.array([person["keypoints"][2::3] for person in labelled(document)])
    assert np.count_nonzero(flags == 1) / np.count_nonzero(flags) >= 0.2
    assert np.count_nonzero(flags == 2) / np.count_nonzero(flags) >= 0.5


def test_there_are_crowds_and_people_whom_nobody_labelled(document):
    crowds = [person for person in document["annotations"] if person["iscrowd"]]
    strangers = [p for p in document["annotations"] if not p["iscrowd"] and not p["num_keypoints"]]
    assert len(crowds) >= 3
    assert len(strangers) >= 3
    assert not any(person["num_keypoints"] for person in crowds)


def test_pycocotools_reads_the_annotations_and_agrees_with_them(held_out):
    folder, document, path = held_out
    coco = COCO(str(path))
    assert len({person["id"] for person in document["annotations"]}) == len(document["annotations"])
    assert coco.loadCats([1])[0]["keypoints"] == list(COCO_17.joints)
    for person in document["annotations"]:
        assert coco.annToMask(person).sum() == person["area"] > 0
        assert np.count_nonzero(person["keypoints"][2::3]) == person["num_keypoints"]
        assert set(person["keypoints"][2::3]) <= {0, 1, 2}
    for image in document["images"][:20]:
        picture = cv2.imread(str(folder / "images" / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3) == (*SIZE, 3)


def test_boxes_lie_in_the_picture_and_around_the_people(document):
    for person in document["annotations"]:
        left, top, width, height = person["bbox"]
        assert left >= 0
        assert top >= 0
        assert left + width <= SIZE[1] + 1e-6
        assert top + height <= SIZE[0] + 1e-6
        rows, columns = np.nonzero(mask_of(person))
        assert columns.min() >= left - 2
        assert columns.max() <= left + width + 2
        assert rows.min() >= top - 2
        assert rows.max() <= top + height + 2


def test_labelled_joints_lie_in_the_picture_and_visible_ones_on_their_person(document):
    for person in labelled(document):
        keypoints = np.reshape(person["keypoints"], (17, 3))
        assert not keypoints[keypoints[:, 2] == 0].any()
        marked = keypoints[keypoints[:, 2] > 0, :2]
        assert (marked >= -0.5).all()
        assert (marked <= np.array(SIZE[::-1]) - 0.5).all()
        column, row = np.round(keypoints[keypoints[:, 2] == 2, :2]).astype(int).T
        shows = cv2.dilate(mask_of(person).astype(np.uint8), np.ones((3, 3)))  # coordinates are rounded to hundredths
        assert shows[row, column].all()


def test_people_of_one_picture_share_no_pixel(document):
    for people in of_image(document["annotations"]):
        assert sum(mask_of(person).astype(int) for person in people).max() == 1


def test_left_limbs_are_warm_and_right_limbs_cool(held_out):
    folder, document, _ = held_out
    names = {image["id"]: image["file_name"] for image in document["images"]}
    warmth = {"left": [], "right": []}
    for person in labelled(document)[:200]:
        picture = cv2.imread(str(folder / "images" / names[person["image_id"]]), cv2.IMREAD_COLOR_RGB).astype(int)
        mask = mask_of(person)
        for joint, (x, y, flag) in zip(COCO_17.joints, np.reshape(person["keypoints"], (17, 3)), strict=True):
            side, _, part = joint.partition("_")
            if flag == 2 and part in ("elbow", "knee"):
                near = np.zeros(SIZE, np.uint8)
                cv2.circle(near, (round(x), round(y)), max(2, round(0.02 * person["bbox"][3])), 1, -1)
                red, _, blue = picture[(near > 0) & mask].mean(axis=0)
                warmth[side].append(red - blue)
    assert np.mean(np.array(warmth["left"]) > 0) > 0.97
    assert np.mean(np.array(warmth["right"]) < 0) > 0.97
    assert min(map(len, warmth.values())) > 100


def test_sides_are_told_by_hue_in_the_middle_of_the_limb(held_out):
    """Thighs seen from the side keep their colours too: reds to yellow on the left, blues to violet on the right."""
    folder, document, _ = held_out
    names = {image["id"]: image["file_name"] for image in document["images"]}
    hues = {"left": [], "right": []}
    for person in labelled(document)[:150]:
        picture = cv2.imread(str(folder / "images" / names[person["image_id"]]), cv2.IMREAD_COLOR_RGB)
        keypoints = dict(zip(COCO_17.joints, np.reshape(person["keypoints"], (17, 3)), strict=True))
        for side, found in hues.items():
            knee, ankle = keypoints[f"{side}_knee"], keypoints[f"{side}_ankle"]
            column, row = np.round((knee + ankle)[:2] / 2).astype(int)
            if knee[2] == ankle[2] == 2 and mask_of(person)[row, column]:
                found.append(colorsys.rgb_to_hsv(*(picture[row, column] / 255))[0] * 360)
    assert np.percentile(hues["left"], [10, 90]) == pytest.approx([18, 18], abs=45)
    assert np.percentile(hues["right"], [10, 90]) == pytest.approx([228, 228], abs=45)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_pictures(tmp_path):
    def written(folder, seed):
        synthesize(tmp_path / folder, train=2, val=2, seed=seed, size=(120, 160))
        return {
            path.relative_to(tmp_path / folder): path.read_bytes() for path in sorted((tmp_path / folder).rglob("*.*"))
        }

    first = written("one", 0)
    assert len(first) == 6
    assert written("again", 0) == first
    other = written("other", 1)
    assert all(other[path] != content for path, content in first.items())


def test_pictures_of_the_two_sets_differ_and_more_of_them_change_none(tmp_path):
    few, many = (synthesize(tmp_path / str(count), train=count, val=count, size=(120, 160)) for count in (2, 4))
    short, long = (json.loads(files["train"].read_text()) for files in (few, many))
    assert long["images"][:2] == short["images"]
    assert long["annotations"][: len(short["annotations"])] == short["annotations"]
    pictures = [path.read_bytes() for path in (tmp_path / "2" / "images").iterdir()]
    assert len(set(pictures)) == 4


def test_crowds_and_strangers_are_ignored_and_labelled_people_count():
    seen = 0
    for index in range(60):
        scene = make_scene((9,), index, (120, 160))
        mask = draw_ignore_mask(scene)
        unlabelled = [person.mask for person in scene.people if not person.keypoints[:, 2].any()]
        if mask is None:
            assert not unlabelled
            continue
        seen += 1
        assert ((mask == 0) == np.any(unlabelled, axis=0)).all()
        assert set(np.unique(mask)) <= {0, 255}
        assert all((mask[person.mask] == 255).all() for person in scene.people if person.keypoints[:, 2].any())
    assert seen >= 2


def test_scenes_of_any_size_are_drawn():
    for size in ((64, 64), (97, 41), (40, 200)):
        scene = random_scene(np.random.default_rng(3), size)
        assert scene.image.shape == (*size, 3)
        assert scene.image.dtype == np.uint8
        assert all(person.mask.shape == size for person in scene.people)


def test_an_endless_source_repeats_a_sample_only_for_the_same_epoch_and_index():
    source = EndlessScenes(BODYPOSENET_18, size=(64, 96), samples=4, seed=5)
    one, again = source.sample(2, 1), source.sample(2, 1)
    assert (one.image == again.image).all()
    assert (one.joints == again.joints).all()
    for other in (source.sample(2, 2), source.sample(3, 1), EndlessScenes(BODYPOSENET_18, (64, 96), 4, 6).sample(2, 1)):
        assert (one.image != other.image).mean() > 0.5
    assert len(source) == 4


def test_an_endless_sample_shows_its_joints_where_it_says():
    """Pads on the hips are warm on the left and cool on the right, in the turned and moved picture too."""
    source = EndlessScenes(BODYPOSENET_18, size=(360, 480), samples=40, seed=1)
    warmth = {"left": [], "right": []}
    for index in range(40):
        sample = source.sample(index, 0)
        assert sample.image.shape == (360, 480, 3)
        assert sample.mask.shape == (45, 60)
        tall = np.ptp(sample.joints[..., 1], axis=1) > 150
        for joints, visible in zip(sample.joints[tall], sample.visible[tall], strict=True):
            for side, found in warmth.items():
                hip = BODYPOSENET_18.joints.index(f"{side}_hip")
                column, row = np.round(joints[hip]).astype(int)
                if visible[hip] and 0 <= column < 480 and 0 <= row < 360:
                    red, _, blue = sample.image[row, column].astype(int)
                    found.append(red > blue)
    assert min(map(len, warmth.values())) > 50
    assert np.mean(warmth["left"]) > 0.85  # the others are covered by something
    assert np.mean(warmth["right"]) < 0.15


def test_a_picture_that_cannot_be_written_is_told_and_no_annotations_say_that_it_is_there(tmp_path):
    (tmp_path / "images/train_000001.jpg").mkdir(parents=True)
    with pytest.raises(UserError, match=r"train_000001\.jpg: this is a folder"):
        synthesize(tmp_path, train=3, val=1)
    assert not [*tmp_path.rglob("*.json")]
