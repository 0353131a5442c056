"""Joint errors: each kind where it was made, and as many joints as are labelled of those who were found."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.coco_files import JOINTS, document, image, write_annotations
from support.perfect import STANDING, standing

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.suspects.sides import find_exchange
from bodyposenet.common.evaluation.joint_errors import GOOD, KINDS, NEAR, diagnose_joints, write_joint_errors
from bodyposenet.common.skeleton.skeleton import find_sigma
from bodyposenet.common.storage.location import locate

SIGMAS = [find_sigma(joint) for joint in JOINTS]
ORDER = find_exchange(JOINTS)
FIRST, SECOND = (20, 30, 200, 400), (300, 30, 200, 400)
AREA = 40_000.0


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotations")

    def make(people):
        return read_annotations(write_annotations(folder / "a.json", document([image(1, size=(480, 640))], people)))

    return make


@pytest.fixture(scope="module")
def pair(read):
    """Two people beside each other."""
    return read([standing(1, 1, FIRST, area=AREA), standing(2, 1, SECOND, area=AREA)])


def place(box):
    x, y, width, height = box
    return STANDING * [width, height] + [x, y]


def detection(places, score=0.9):
    joints = np.c_[places, np.ones(17)]
    return {"image_id": 1, "category_id": 1, "keypoints": joints.ravel().tolist(), "score": score}


def diagnose(truth, *people):
    return diagnose_joints(truth, people, sigmas=SIGMAS, order=ORDER)


def kinds_of(truth, places, joint):
    """The kind that a joint of the first person is of."""
    counts = diagnose(truth, detection(places)).counts[JOINTS.index(joint)]
    return KINDS[int(counts.argmax())]


def test_joints_in_their_places_are_good(pair):
    errors = diagnose(pair, detection(place(FIRST)), detection(place(SECOND), 0.5))
    assert errors.people == 2
    assert errors.likeness == {1: pytest.approx(1)}
    assert errors.shares() == {"good": 1, "jitter": 0, "inversion": 0, "swap": 0, "miss": 0}


@pytest.mark.parametrize(
    ("similarity", "kind"), [(GOOD + 0.01, "good"), (GOOD - 0.01, "jitter"), (NEAR + 0.01, "jitter"), (0.49, "miss")]
)
def test_a_joint_is_judged_by_its_part_of_the_oks(read, similarity, kind):
    alone = read([standing(1, 1, FIRST, area=AREA)])
    places, ankle = place(FIRST), JOINTS.index("left_ankle")
    reach = 2 * AREA * (2 * SIGMAS[ankle]) ** 2
    places[ankle, 1] += np.sqrt(-reach * np.log(similarity))
    assert kinds_of(alone, places, "left_ankle") == kind


def test_people_of_one_photo_are_judged_as_each_of_them_alone(pair):
    rng = np.random.default_rng(3)
    found = [detection(place(box) + rng.normal(0, 18, (17, 2)), score) for box, score in ((SECOND, 0.9), (FIRST, 0.4))]
    alone, together = [diagnose(pair, person) for person in found], diagnose(pair, *found)
    assert (together.people, together.likeness[1]) == (2, pytest.approx(sum(each.likeness[1] for each in alone)))
    np.testing.assert_array_equal(together.counts, alone[0].counts + alone[1].counts)
    assert (together.counts.sum(axis=0)[:2] > 3).all(), "of several kinds"


def test_exchanged_sides_are_inversions_and_the_nose_stays_good(pair):
    places = place(FIRST)
    ankles = [JOINTS.index("left_ankle"), JOINTS.index("right_ankle")]
    places[ankles] = places[ankles[::-1]]
    assert kinds_of(pair, places, "left_ankle") == "inversion"
    assert kinds_of(pair, places, "nose") == "good"


@pytest.mark.parametrize("theirs", ["left_wrist", "right_wrist"])
def test_somebody_elses_joint_is_a_swap_whichever_side(pair, theirs):
    places = place(FIRST)
    places[JOINTS.index("left_wrist")] = place(SECOND)[JOINTS.index(theirs)]
    assert kinds_of(pair, places, "left_wrist") == "swap"


def test_whoever_was_not_found_counts_in_the_photo_and_not_among_the_joints(pair):
    errors = diagnose(pair, detection(place(SECOND)))
    assert (errors.people, errors.likeness) == (1, {1: pytest.approx(0.5)})
    assert errors.counts.sum() == 17


def test_crowds_and_photos_without_labels_are_left_out(read):
    crowd = standing(1, 1, FIRST, area=AREA, iscrowd=1)
    errors = diagnose(read([crowd]), detection(place(FIRST)))
    assert (errors.people, errors.likeness, errors.shares()) == (0, {}, {})
    beside = diagnose(read([crowd, standing(2, 1, SECOND, area=AREA)]), detection(place(SECOND)))
    assert beside.counts.sum() == 17


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_each_labelled_joint_of_those_who_were_found_is_of_one_kind_alone(read, seed):
    generator = np.random.default_rng(seed)
    hidden = generator.choice(17, 5, replace=False)
    truth = read([standing(1, 1, FIRST, area=AREA, hidden=hidden), standing(2, 1, SECOND, area=AREA)])
    found = [
        detection(place(box) + generator.normal(0, 25, (17, 2)), score) for box, score in ((FIRST, 1), (SECOND, 2))
    ]
    errors, turned = diagnose(truth, *found), diagnose(truth, *found[::-1])
    assert errors.counts.sum() in {0: {0}, 1: {12, 17}, 2: {29}}[errors.people]
    assert (errors.counts[hidden].sum(1) <= 1).all()  # of the second person alone
    np.testing.assert_array_equal(errors.counts, turned.counts)


def test_the_table_has_a_row_for_each_joint_and_one_for_all(pair, tmp_path):
    write_joint_errors(locate(tmp_path), diagnose(pair, detection(place(FIRST))))
    rows = list(csv.reader((tmp_path / "joint_errors.csv").read_text().splitlines()))
    assert rows[0] == ["joint", "good", "jitter", "inversion", "swap", "miss"]
    assert [row[0] for row in rows[1:]] == [*JOINTS, "all"]
    assert rows[-1][1:] == ["17", "0", "0", "0", "0"]
