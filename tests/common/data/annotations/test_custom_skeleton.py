"""Custom skeletons in data: what annotations become in samples, truths and scores, whatever numbers the flags have."""

import json

import cv2
import numpy as np
import pytest
from support.creatures import EXAMPLE, HALVES, JOINTS, SIGMAS, UNION, dataset_of, drawn, labels, train_spec_of
from support.perfect import PerfectRunner

from bodyposenet.common.data.annotations.body_prior import fit_dataset_prior
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.ceiling import ceiling_ap
from bodyposenet.common.evaluation.coco_metrics import coco_metrics
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.ground_truth import read_test_set, sigmas_for
from bodyposenet.common.inference.detections import to_coco
from bodyposenet.common.inference.inference import infer
from bodyposenet.common.pose.draw import limb_colour
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.pose_config import load_skeleton

pytestmark = pytest.mark.usefixtures("one_photo_at_a_time")  # which perfect networks count on

SKELETON = load_skeleton(EXAMPLE / "pose_config.json")
INFERENCE = load_spec(EXAMPLE / "infer.yaml", InferenceSpec)
WORDS = {"seen": 1, "hidden": 2, "absent": 0}
NUMBERINGS = ((2, 1, 0), (1, 0, -1), (7, -3, 4))  # of seen, hidden and absent
SWAPPED = [JOINTS.index(name) for name in ("back", "nose", "tail", "RFore", "LFore", "RHind", "LHind")]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A folder with the example and its records, and the dataset's spec."""
    folder = drawn(tmp_path_factory.mktemp("drawn"))
    spec = dataset_of(folder)
    convert_dataset(spec, folder / "data" / "train")
    return folder, spec


def source_of(folder, spec, **augmentation):
    return RecordSource.from_spec(train_spec_of(folder, spec, **augmentation), SKELETON)


def renumbered(folder, target, numbers):
    """Foxes alone, with other numbers for the flags; their dataset's spec."""
    words = dict(zip(WORDS, numbers, strict=True))
    new = {WORDS[word]: number for word, number in words.items()}
    halves = {}
    for half, key in HALVES.items():
        content = labels(folder, half)
        for each in content["annotations"]:
            each["keypoints"][2::3] = [new[flag] for flag in each["keypoints"][2::3]]
        path = target / f"{half}.json"
        path.write_text(json.dumps(content))
        halves[key] = {**getattr(dataset_of(folder), key).model_dump(), "annotation_root_dir_path": str(path)}
    flags = {"value": words, "mapping": dataset_of(folder).visibility_flags.mapping}
    return dataset_of(folder, person_categories=["fox"], visibility_flags=flags, **halves)


@pytest.mark.parametrize("numbers", NUMBERINGS)
def test_the_numbers_of_the_flags_change_nothing(converted, tmp_path, numbers):
    folder, _ = converted
    given = {"as drawn": dataset_of(folder, person_categories=["fox"]), "new": renumbered(folder, tmp_path, numbers)}
    done, sources = {}, {}
    for name, spec in given.items():
        done[name] = convert_dataset(spec, tmp_path / name / "data" / "train")
        sources[name] = source_of(tmp_path / name, spec, rotate_deg_max=9.0)
    assert [done["new"].images, done["new"].people] == [done["as drawn"].images, done["as drawn"].people]
    assert len(sources["new"]) == len(sources["as drawn"]) > 10
    for index in range(len(sources["new"])):
        one, other = (source.sample(index, 1) for source in sources.values())
        np.testing.assert_array_equal(one.visible, other.visible)
        np.testing.assert_array_equal(one.joints[one.visible], other.joints[other.visible])
    one, other = (read_test_set(spec).annotations for spec in given.values())
    np.testing.assert_array_equal(one.keypoints, other.keypoints)
    np.testing.assert_array_equal(one.num_keypoints, other.num_keypoints)
    assert fit_dataset_prior(given["new"], SKELETON) == fit_dataset_prior(given["as drawn"], SKELETON)


def test_hidden_joints_are_left_out_everywhere_where_the_mapping_says_so(converted, tmp_path):
    folder, _ = converted
    flags = {"value": WORDS, "mapping": {"seen": "visible", "hidden": "not_labeled", "absent": "not_labeled"}}
    spec = dataset_of(folder, visibility_flags=flags)
    convert_dataset(spec, tmp_path / "data" / "train")
    source = source_of(tmp_path, spec)
    records = [source.shards[shard][int(number)] for shard, number, _ in source.people]
    for index, record in enumerate(records):
        np.testing.assert_array_equal(source.sample(index, 0).visible[:, 1:], record.joints[..., 2] == WORDS["seen"])
    creatures = labels(folder, "val")["annotations"]
    seen = sorted(sum(flag == WORDS["seen"] for *_, flag in each["joints"].values()) for each in creatures)
    assert sorted(read_test_set(spec).annotations.num_keypoints) == seen


def test_samples_hold_every_labelled_joint_at_its_place_and_the_back_half_way(converted):
    folder, spec = converted
    source, content = source_of(folder, spec), labels(folder, "train")
    for index, (shard, number, _) in enumerate(source.people):
        record, sample = source.shards[shard][int(number)], source.sample(index, 0)
        creatures = [each["joints"] for each in content["annotations"] if each["image_id"] == record.image_id]
        for joints, places, visible in zip(creatures, sample.joints, sample.visible, strict=True):
            wanted = {name: place for name, (*place, flag) in joints.items() if flag != WORDS["absent"]}
            if {"nose", "tail"} <= wanted.keys():
                wanted["back"] = np.mean([wanted["nose"], wanted["tail"]], axis=0)
            found = {name: places[k] for k, name in enumerate(JOINTS) if visible[k]}
            assert found.keys() == wanted.keys()
            np.testing.assert_allclose([found[name] for name in wanted], [*wanted.values()], atol=1e-9)


def test_a_mirror_swaps_left_and_right_legs(converted):
    folder, spec = converted
    plain, mirrored = (source_of(folder, spec, flip_lr_prob=prob) for prob in (0.0, 1.0))
    for index in range(len(plain)):
        one, other = plain.sample(index, 0), mirrored.sample(index, 0)
        np.testing.assert_array_equal(other.visible, one.visible[:, SWAPPED])
        there = one.joints[:, SWAPPED] * [-1, 1] + [plain.size[1] - 1, 0]
        np.testing.assert_allclose(other.joints[other.visible], there[other.visible], atol=1e-9)
        np.testing.assert_array_equal(other.image, one.image[:, ::-1])


def test_joints_that_the_network_and_the_dataset_do_not_share_are_told_before_training(converted, tmp_path, caplog):
    folder, spec = converted
    strange = {"name": "toy", "num_joints": 2, "keypoints": ["beak", "toe"], "skeleton": [[1, 2]]}
    (tmp_path / "toy.json").write_text(json.dumps({"categories": [strange]}))
    train = train_spec_of(folder, spec)
    with pytest.raises(UserError, match=r"used\.json: its joints \(nose, tail, LFore, …\) are none of the network's"):
        RecordSource.from_spec(train, load_skeleton(tmp_path / "toy.json"))
    RecordSource.from_spec(train, SKELETON)
    assert caplog.messages == []
    RecordSource.from_spec(train, BODYPOSENET_18)  # a nose in common
    (said,) = caplog.messages
    assert "no such joints as the pose config's neck, right_shoulder" in said


def test_records_of_another_spec_are_told(converted):
    folder, _ = converted
    source = source_of(folder, dataset_of(folder, person_categories=["crane"]))
    with pytest.raises(UserError, match="records have 6 joints, the spec of dataset 'creatures' 4"):
        source.sample(0, 0)


def alone(folder, target):
    """The first held-out creature that is alone in its picture, and the spec of a dataset that has only it."""
    content = labels(folder, "val")
    photos = [each["image_id"] for each in content["annotations"]]
    (creature,) = [each for each in content["annotations"] if photos.count(each["image_id"]) == 1][:1]
    content["annotations"] = [creature]
    content["images"] = [each for each in content["images"] if each["id"] == creature["image_id"]]
    (target / "alone.json").write_text(json.dumps(content))
    half = dataset_of(folder).test_data.model_dump() | {"annotation_root_dir_path": str(target / "alone.json")}
    return creature, dataset_of(folder, test_data=half)


@pytest.mark.parametrize("pixels", [1.0, 2.5, 4.0, 7.0])
def test_a_score_is_the_similarity_with_the_spreads_of_the_pose_config(converted, tmp_path, pixels):
    """One creature, its joints displaced: COCO's average precision is the share of thresholds that it passes."""
    creature, spec = alone(converted[0], tmp_path)
    away = np.random.default_rng(0).uniform(0.5, 1, (len(UNION), 2)) * pixels
    people = np.zeros((1, len(JOINTS), 3), np.float32)
    errors = []
    for number, (name, offset) in enumerate(zip(UNION, away, strict=True), 1):
        *place, flag = creature["joints"].get(name, (0, 0, WORDS["absent"]))
        people[0, number] = [*(place + offset), 0.5]
        if flag != WORDS["absent"]:
            errors.append((offset @ offset) / (2 * creature["area"] * (2 * SIGMAS[name]) ** 2))
    truth = read_test_set(spec)
    found = to_coco(People(people, np.float32([0.5])), SKELETON, truth.joints, creature["image_id"])
    ap = coco_metrics(truth, found, sigmas=sigmas_for(truth.joints, SKELETON))["AP_0.50:0.95_all"]
    passed = np.mean(np.exp(-np.array(errors))) >= np.arange(0.5, 0.96, 0.05)
    assert ap == pytest.approx(passed.mean())


def test_perfect_maps_score_what_the_ceiling_says(converted, tmp_path):
    _, spec = converted
    truth = read_test_set(spec)
    done = evaluate(PerfectRunner(truth, skeleton=SKELETON), INFERENCE, spec, tmp_path, progress=False)
    ceiling = ceiling_ap(spec, INFERENCE, SKELETON)
    assert done.ap == pytest.approx(ceiling, abs=0.01)
    assert ceiling > 0.8


def test_pictures_show_the_limbs_of_the_skeleton(converted, tmp_path):
    folder, spec = converted
    truth = read_test_set(spec)
    names = [photo.file_name for photo in truth.photos]
    (tmp_path / "list.json").write_text(json.dumps(names))
    runner = PerfectRunner(truth, skeleton=SKELETON)
    asked = {"input_type": "json", "input": tmp_path / "list.json", "image_root_path": folder / "creatures" / "images"}
    done = infer(runner, INFERENCE, **asked, results_dir=tmp_path, dump_visualizations=True, progress=False)
    assert done.people > 0
    for file, photo in zip(done.pictures, truth.photos, strict=True):
        before = cv2.imread(str(folder / "creatures" / "images" / photo.file_name))[..., ::-1].astype(int)
        after = cv2.imread(str(file))[..., ::-1].astype(int)
        for person in photo.people:
            joints = SKELETON.take(truth.joints, person.keypoints[None])[0]
            for start, end in SKELETON.limbs:
                if joints[[start, end], 2].all():
                    x, y = np.round(joints[[start, end], :2].mean(axis=0)).astype(int)
                    near = np.s_[y - 2 : y + 3, x - 2 : x + 3]
                    wanted = limb_colour(JOINTS[start], JOINTS[end])
                    distance = [np.abs(picture[near] - wanted).sum(axis=-1).min() for picture in (before, after)]
                    assert distance[1] < min(60, distance[0] + 1)


def test_the_sides_of_the_body_have_a_colour_each():
    left, right, middle = (limb_colour("back", name) for name in ("LFore", "RFore", "tail"))
    assert len({left, right, middle}) == 3
