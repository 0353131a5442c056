"""Categories: several kinds of people in one file, each with joints of its own, and visibility flags of any numbers."""

import json

import numpy as np
import pytest

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.annotations.person_filter import choose
from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.dataset import DataFilteringParams

PEOPLE = {"fox": ("nose", "tail", "paw"), "crane": ("tail", "nose", "beak")}
JOINTS = ("nose", "tail", "paw", "beak")
IDS = {"fox": 3, "crane": 7}


def annotation(number, kind, keypoints, **changes):
    fields = {"id": number, "image_id": 1, "category_id": IDS[kind], "keypoints": keypoints, "bbox": [0, 0, 50, 50]}
    return fields | {"area": 2500, "iscrowd": 0, "num_keypoints": 3, "segmentation": []} | changes


def read(path, annotations, kinds=tuple(PEOPLE), **options):
    categories = [{"id": IDS[kind], "name": kind, "keypoints": PEOPLE[kind]} for kind in kinds]
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 60}
    file = path / "people.json"
    file.write_text(json.dumps({"images": [image], "annotations": annotations, "categories": categories}))
    return read_annotations(file, PEOPLE, **options)


@pytest.mark.parametrize("kinds", [("fox", "crane"), ("crane", "fox"), ("fox",), ("crane",)])
def test_joints_stand_as_the_spec_has_them_whichever_categories_a_file_has(tmp_path, kinds):
    fox, crane = annotation(1, "fox", [1, 2, 2, 3, 4, 2, 5, 6, 1]), annotation(2, "crane", [7, 8, 2, 9, 10, 1, 0, 0, 0])
    given = {"fox": fox, "crane": crane}
    coco = read(tmp_path, [given[kind] for kind in kinds], kinds)
    assert coco.joints == JOINTS
    places = {"fox": [[1, 2, 2], [3, 4, 2], [5, 6, 1], [0, 0, 0]], "crane": [[9, 10, 1], [7, 8, 2], [0] * 3, [0] * 3]}
    assert coco.annotations.keypoints[:].tolist() == [places[kind] for kind in kinds]


def read_fox(path, joints, keypoints, asked):
    """A file of one person of these joints."""
    entry = annotation(1, "fox", keypoints)
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 60}
    content = {"images": [image], "annotations": [entry], "categories": [{"id": 3, "name": "fox", "keypoints": joints}]}
    file = path / "people.json"
    file.write_text(json.dumps(content))
    return read_annotations(file, {"fox": asked}, strict=False)


@pytest.mark.parametrize("joints", [None, [], ["Tail", "Nose"]])
def test_a_file_that_does_not_name_its_joints_is_told(tmp_path, caplog, joints):
    """As FiftyOne writes it: whether the order is that of the spec cannot be known."""
    coco = read_fox(tmp_path, joints, [1, 2, 2, 3, 4, 1], ("tail", "nose"))
    assert coco.annotations.keypoints[:].tolist() == [[[1, 2, 2], [3, 4, 1]]]
    told = "it does not name its joints: they are taken for those of the dataset spec, in its order (tail, nose, …)"
    assert (told in caplog.text) == (not joints)


def test_single_points_beside_encords_skeletons_are_no_people(tmp_path):
    """https://docs.encord.com/platform-documentation/Annotate/annotate-export/annotate-export-coco"""
    skeleton = {"id": 1, "name": "fox", "supercategory": "skeleton"}
    point = {"id": 2, "name": "ball", "supercategory": "point", "keypoints": "keypoint", "skeleton": []}
    people = [
        annotation(1, "fox", [1, 2, 2, 3, 4, 1, 0, 0, 0], category_id=1, bbox=[1, 2, 9, 9], area=0),
        annotation(2, "fox", [5, 6, 2], category_id=2, bbox=[5, 6, 0, 0], area=0, segmentation=[[5, 6]]),
    ]
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 60}
    file = tmp_path / "people.json"
    file.write_text(json.dumps({"images": [image], "annotations": people, "categories": [skeleton, point]}))
    coco = read_annotations(file, {"fox": PEOPLE["fox"]}, strict=True)
    assert coco.annotations.keypoints[:].tolist() == [[[1, 2, 2], [3, 4, 1], [0, 0, 0]]]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
def test_joints_that_the_spec_does_not_ask_for_are_left_out(tmp_path, caplog, order):
    """As files with a neck, feet or hands, for a network of fewer joints: those asked for are told by their names."""
    given = [("Nose", [1, 2, 2]), ("tail", [3, 4, 1]), ("neck", [5, 6, 2]), ("Left-Toe", [50, 50, 2])]
    names, triplets = zip(*(given[place] for place in order), strict=True)
    with caplog.at_level("WARNING"):
        coco = read_fox(tmp_path, names, [value for triplet in triplets for value in triplet], ("tail", "nose"))
    assert coco.problems == ()
    assert coco.joints == ("tail", "nose")
    assert coco.annotations.keypoints[:].tolist() == [[[3, 4, 1], [1, 2, 2]]]
    assert coco.annotations.num_keypoints.tolist() == [2]
    left = ", ".join(name for name in names if name in ("neck", "Left-Toe"))
    assert f"joints that the dataset spec does not ask for are left out: {left}" in caplog.text


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (("nose", "tail", "neck"), ("nose", "paw")),
        (("nose", "tail", "Nose"), ("nose", "tail")),  # which of the two is meant?
        (("nose", "tail"), ("nose", "tail", "paw")),
    ],
)
def test_other_numbers_of_joints_are_refused(tmp_path, names, asked):
    with pytest.raises(
        UserError, match=rf"its people have {len(names)} joints .* those of the dataset spec {len(asked)}"
    ):
        read_fox(tmp_path, names, [1, 2, 2] * len(names), asked)


@pytest.mark.parametrize("flags", [{1: 2, 0: 1, -1: 0}, {3: 2, 2: 1, 1: 0}, {1: 2, 0: 1}])
def test_a_joint_that_a_category_lacks_is_not_labelled_whatever_zero_means(tmp_path, flags):
    seen = max(flags)
    coco = read(tmp_path, [annotation(1, "fox", [1, 2, seen, 3, 4, seen, 5, 6, seen])], flags=flags, strict=True)
    assert coco.annotations.num_keypoints.tolist() == [3]
    assert coco.recode_flags(flags).annotations.keypoints[0, :, 2].tolist() == [2, 2, 2, 0]


@pytest.mark.parametrize("wrong", [[1, 2], [1, 2, 9, 3, 4, 1, 5, 6, 1], ["a"] * 9])
def test_a_person_whose_keypoints_are_wrong_stays_unlabelled_whatever_zero_means(tmp_path, wrong):
    flags = {1: 2, 0: 1, -1: 0}
    coco = read(tmp_path, [annotation(1, "fox", wrong)], flags=flags, strict=False)
    assert len(coco.problems) == 1
    assert coco.annotations.num_keypoints.tolist() == [0]
    assert coco.labelled.tolist() == [False]


@pytest.mark.parametrize("wrong", [[1, 2], ["a"] * 6])
def test_a_person_of_a_category_of_fewer_joints_stays_with_the_category(tmp_path, wrong):
    people = {"fox": PEOPLE["fox"], "snake": ("nose", "tail")}
    categories = [
        {"id": number, "name": name, "keypoints": people[name]} for number, name in ((3, "fox"), (5, "snake"))
    ]
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 60}
    snake = annotation(1, "fox", wrong, category_id=5)
    content = {"images": [image], "annotations": [snake], "categories": categories}
    (tmp_path / "people.json").write_text(json.dumps(content))
    coco = read_annotations(tmp_path / "people.json", people, strict=False)
    (person,) = coco.photos[0].people
    assert (person.num_keypoints, person.category, person.box.tolist()) == (0, 1, [0, 0, 50, 50])
    assert [*coco.kinds.names.values()] == ["fox", "snake"]


def test_the_filter_counts_joints_by_the_mapping(tmp_path):
    flags = {1: 2, 0: 1, -1: 0}
    rows = [[1, 0, -1], [-1, -1, 1], [-1, -1, -1]]
    given = [annotation(n, "fox", np.c_[np.ones((3, 2)), row].ravel().tolist()) for n, row in enumerate(rows, 1)]
    coco = read(tmp_path, given, flags=flags)
    assert coco.annotations.num_keypoints.tolist() == [2, 1, 0]
    params = DataFilteringParams(min_acceptable_kpts=2, min_acceptable_interperson_dist_ratio=0)
    assert choose(coco, params).mains.tolist() == [True, False, False]
