"""The build of bodies: fitting it, keeping it in files, and joining the pieces of people by it."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from support.coco_files import annotation, dataset_spec, document, image, write_annotations
from support.perfect import STANDING, standing

from benchmarks.walkers import WALKING
from bodyposenet.common.cli.main import main
from bodyposenet.common.errors import UserError
from bodyposenet.common.pose import decode
from bodyposenet.common.pose.body_prior import fit_prior, write_prior
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.pose.group import LIKELY, adopt
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.prior import find_prior, load_prior
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, Skeleton, make_skeleton
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.pose_config import PoseConfig

GRID = (46, 56)
NAMES = BODYPOSENET_18.joints


def person(*hidden, scale=1.9, corner=(40, 20)):
    """Joints ``(18, 2)`` of a walking person, and which of them are visible."""
    visible = np.array([name not in hidden for name in NAMES])
    return WALKING * scale + corner, visible


def read(*people, skeleton=BODYPOSENET_18, **options):
    joints, visible = (np.array(each) for each in zip(*people, strict=True))
    return decode(*encode(joints, visible, skeleton, size=GRID), skeleton, **options)


def bodies(count, rng, spread=0.2):
    """People ``(N, 4, 3)`` whose six distances are those of a body of four joints, their sizes and turns aside."""
    shape = np.array([(0, 0), (10, 0), (0, 40), (30, 30)], float)
    turn = rng.uniform(0, 2 * np.pi, count)
    turns = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    size = np.exp(rng.normal(2, 1, (count, 1, 1)))
    points = np.einsum("ijn,kj->nki", turns, shape) * size * np.exp(rng.normal(0, spread, (count, 4, 2)))
    return np.concatenate([points, np.full((count, 4, 1), 2.0)], axis=-1), shape


FOUR = make_skeleton("four", ("nose", "chin", "left_foot", "right_foot"), ((0, 1),))


def test_fitting_finds_the_ratios_of_the_distances():
    people, shape = bodies(4000, np.random.default_rng(0), spread=0.0)
    order = np.array(FOUR.flip_order)
    logs = np.log(np.linalg.norm(shape[:, None] - shape, axis=-1) + np.eye(4))
    both = (logs + logs[order][:, order]) / 2  # both sides of the body get the same
    means = np.array(fit_prior(people, FOUR).means)
    pairs = np.tril_indices(4, -1)
    np.testing.assert_allclose(means[pairs] - means[pairs].mean(), both[pairs] - both[pairs].mean(), atol=2e-3)


def test_fitting_does_not_depend_on_sizes_or_turns_and_is_the_same_on_both_sides():
    people, _ = bodies(4000, np.random.default_rng(1))
    prior = fit_prior(people, FOUR)
    other = people * [-3.0, 3.0, 1.0]
    np.testing.assert_allclose(fit_prior(other, FOUR).means, prior.means, atol=0.01)
    order = FOUR.flip_order
    means, weights = prior.arrays
    np.testing.assert_array_equal(means[order][:, order], means)
    np.testing.assert_array_equal(weights, weights.T)


def test_people_who_show_too_little_do_not_count():
    people, _ = bodies(500, np.random.default_rng(2))
    people[100:, 1:, 2] = 0
    assert fit_prior(people, FOUR) == fit_prior(people[:100], FOUR)
    with pytest.raises(UserError, match="no two joints are labelled in 30 people"):
        fit_prior(people[100:], FOUR)


def test_the_skeleton_carries_its_prior_through_cards_and_custom_skeletons_have_none():
    assert FOUR.prior is None
    assert COCO_17.prior is None
    for skeleton in (BODYPOSENET_18, replace(BODYPOSENET_18, prior=None), FOUR):
        again = Card.from_dict(json.loads(json.dumps(Card(skeleton).to_dict()))).skeleton
        assert again == skeleton
        assert again.prior == skeleton.prior
    assert BODYPOSENET_18.prior is not None


def test_a_card_from_before_there_were_priors_gets_that_of_its_joints():
    old = BODYPOSENET_18.to_dict()
    del old["prior"]
    assert Skeleton.from_dict(old).prior == BODYPOSENET_18.prior
    assert Skeleton.from_dict(old | {"joints": ["part_" + name for name in NAMES]}).prior is None


def test_a_pose_config_names_a_prior_and_wrong_files_are_told(tmp_path):
    people, _ = bodies(200, np.random.default_rng(3))
    prior = fit_prior(people, FOUR)
    write_prior(tmp_path / "new/prior.json", prior, FOUR)
    content = (tmp_path / "new/prior.json").read_bytes()
    assert load_prior(content, FOUR.joints, where="prior.json") == prior
    category = {"name": "person", "keypoints": list(FOUR.joints), "num_joints": 4, "skeleton": [[1, 2]]}
    config = {"categories": [category], "prior": str(tmp_path / "new/prior.json")}
    assert parse_spec(config, PoseConfig).skeleton().prior == prior
    assert parse_spec({"categories": [category]}, PoseConfig).skeleton().prior is None
    with pytest.raises(UserError, match="other joints"):
        load_prior(content, NAMES, where="prior.json")
    with pytest.raises(UserError, match=r"absent\.json: there is no such file"):
        parse_spec(config | {"prior": str(tmp_path / "absent.json")}, PoseConfig).skeleton()
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(UserError, match=r"pipe\.json: this is a pipe"):
        parse_spec(config | {"prior": str(tmp_path / "pipe.json")}, PoseConfig).skeleton()


BELOW = {"means": [[], [0.5]], "spreads": [[], [1.5]], "joints": ["head", "foot"]}


@pytest.mark.parametrize(
    "changed",
    [
        {"means": 1},
        {"means": [[]]},
        {"spreads": [[], [1.5], [1, 1]]},
        {"spreads": [[], [0]]},
        {"spreads": [[], [-1]]},
        {"spreads": [[], [1e-200]]},
        {"means": [[], [math.nan]]},
        {"spreads": [[], [math.inf]]},
        {"means": [[], ["1e999"]]},
        {"means": [[], [10**400]]},
    ],
)
def test_a_prior_by_which_nothing_can_be_weighed_is_told(changed):
    assert load_prior(json.dumps(BELOW).encode(), ("head", "foot"), where="prior.json")
    with pytest.raises(UserError, match=r"prior\.json: is no prior; write it with"):
        load_prior(json.dumps(BELOW | changed).encode(), ("head", "foot"), where="prior.json")


def test_a_prior_that_is_nested_without_end_is_told():
    with pytest.raises(UserError, match="is no prior"):
        load_prior(b"[" * 200_000, ("head",), where="prior.json")


def test_the_verb_fits_the_training_half_of_a_dataset(tmp_path):
    rng = np.random.default_rng(4)
    people = []
    for number in range(1, 61):
        entry = standing(number, 1, (20, 30, 200, 400))
        keypoints = np.reshape(entry["keypoints"], (17, 3)).astype(float)
        keypoints[:, :2] += rng.normal(0, 4, (17, 2))
        people.append(entry | {"keypoints": keypoints.ravel().tolist()})
    write_annotations(tmp_path / "train.json", document([image(1, size=(480, 640))], people))
    write_annotations(tmp_path / "test.json", document([image(1)], [annotation(1, 1, (0, 0, 9, 9))]))
    spec = dataset_spec(tmp_path, train="train.json", test="test.json")
    (tmp_path / "spec.json").write_text(spec.model_dump_json(by_alias=True))
    output = tmp_path / "out/prior.json"
    given = ["skeleton", "fit", "-d", tmp_path / "spec.json", "-o", output]
    done = CliRunner().invoke(main, [str(part) for part in given], catch_exceptions=False)
    assert done.exit_code == 0
    assert "18 joints, fitted to 60 people" in done.output
    means, _ = load_prior(output.read_bytes(), NAMES, where="prior.json").arrays
    want = np.log(STANDING[15, 1] * 400 - STANDING[0, 1] * 400) - np.log(STANDING[13, 1] * 400 - STANDING[11, 1] * 400)
    ankle, nose, knee, hip = (NAMES.index(name) for name in ("left_ankle", "nose", "left_knee", "left_hip"))
    assert means[ankle, nose] - means[knee, hip] == pytest.approx(want, abs=0.05)


BROKEN = ("neck", "left_shoulder", "right_shoulder")  # head, arms and legs hang together no more


def test_the_pieces_of_a_person_are_joined_by_the_build_of_bodies():
    joints, visible = person(*BROKEN)
    whole = read((joints, visible))
    assert len(whole) == 1
    assert ((whole.keypoints[0, :, 2] > 0) == visible).all()
    assert np.abs(whole.keypoints[0, visible, :2] - joints[visible]).max() < 0.5


def test_without_a_prior_pieces_stay_pieces():
    apart = read(person(*BROKEN), skeleton=replace(BODYPOSENET_18, prior=None), min_parts=1)
    assert len(apart) > 1


def test_each_of_two_people_gets_their_own_pieces():
    near, far = person(*BROKEN, corner=(20, 20)), person(*BROKEN, corner=(260, 40))
    people = read(near, far)
    assert len(people) == 2
    ours = people.keypoints[np.argsort(people.keypoints[:, NAMES.index("nose"), 0])]
    for found, (joints, visible) in zip(ours, (near, far), strict=True):
        assert np.abs(found[visible, :2] - joints[visible]).max() < 0.5


def test_what_is_too_far_away_for_a_body_is_left_out_of_it():
    shin = ("left_ankle", "left_knee")
    others = [name for name in NAMES if name not in shin]
    people = read(person(*shin, scale=0.9, corner=(20, 20)), person(*others, corner=(300, 60)))
    assert len(people) == 1  # the shin alone has too few parts
    assert not people.keypoints[0, [NAMES.index("left_ankle"), NAMES.index("left_knee")]].any()


def test_the_built_in_prior_is_of_the_built_in_joints_alone():
    assert find_prior(NAMES) == BODYPOSENET_18.prior
    assert find_prior(NAMES[::-1]) is None


def deviation(piece, host, points):
    """Mean deviation of the body that two groups make, of all pairs and with no way out."""
    means, weights = BODYPOSENET_18.prior.arrays
    away = np.linalg.norm(points[:, None].astype(float) - points, axis=-1)

    def pairs(one, other):
        joints = [(a, b) for a in np.flatnonzero(one >= 0) for b in np.flatnonzero(other >= 0) if a != b]
        offs = [np.log(max(away[one[a], other[b]], 0.1)) - means[a, b] for a, b in joints]
        return np.array(offs), np.array([weights[a, b] for a, b in joints])

    inner, own = (np.concatenate(each) for each in zip(pairs(host, host), pairs(piece, piece), strict=True))
    across, ties = pairs(piece, host)
    off = across - (inner * own).sum() / own.sum()
    return np.sqrt((ties**2 * np.where(off > 0, off, off / 2) ** 2).sum() / ties.sum())


def test_a_single_joint_is_taken_up_by_the_likeliest_body_or_by_none():
    rng = np.random.default_rng(0)
    taken = 0
    for _ in range(150):
        points = rng.uniform(0, 40, (19, 2)).astype(np.float32)
        points[:10] = (WALKING[:10] * rng.uniform(0.5, 2) + rng.uniform(0, 200, 2)) / 8
        groups = np.full((3, 18), -1)
        groups[0, :10], groups[1, 10:12], groups[2, 17] = np.arange(10), (10, 11), 12
        points[12] = points[rng.integers(10)] + rng.normal(0, 4, 2)
        both = [deviation(groups[2], host, points) for host in groups[:2]]
        apart = deviation(groups[1], groups[0], points) >= LIKELY
        found, _ = adopt(groups, np.array([9.0, 2.0, 0.5]), points, *BODYPOSENET_18.prior.arrays)
        if apart:
            owners = [body[:17].max() for body in found if body[17] == 12]
            assert owners == [(9, 11)[int(np.argmin(both))] if min(both) < LIKELY else -1]
            taken += min(both) < LIKELY
    assert taken > 20
