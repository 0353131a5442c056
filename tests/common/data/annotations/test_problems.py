"""Wrong entries of annotation files: left out and listed, while the rest reads as if they were not there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.coco_files import JOINTS, annotation, category, document, image, write_annotations

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.annotations.person_filter import REASONS, choose, main_people
from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.dataset import DataFilteringParams

BOX = (10, 10, 60, 80)
JUNK = (None, True, "x", 1.5, 10**400, float("nan"), float("inf"), -1e300, [], {}, [[]], ["x"] * 51, [10**30] * 51)
KEYS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd", "keypoints", "num_keypoints", "segmentation")


@pytest.fixture
def read(tmp_path):
    """Read a document, as a file, whatever is wrong with its entries."""

    def read_document(content, joints=None, **options):
        return read_annotations(write_annotations(tmp_path / "a.json", content), joints, strict=False, **options)

    return read_document


def plain(coco):
    """A set as lists, to compare."""
    return [
        (p.image_id, p.file_name, [(q.annotation_id, q.keypoints.tolist(), q.box.tolist()) for q in p.people])
        for p in coco.photos
    ]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_wrong_with_entries_the_others_read_as_without_them(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("junk")
    images = [image(number) for number in range(1, 4)]
    people = [annotation(number, 1 + number % 3, (number, 10, 60, 80)) for number in range(1, 7)]
    good = plain(read_annotations(write_annotations(folder / "good.json", document(images, people))))
    mixed, changed = [], set()
    for person in people:
        if data.draw(st.booleans()):
            mixed.append(person | {data.draw(st.sampled_from(KEYS)): data.draw(st.sampled_from(JUNK))})
            changed.add(person["id"])
        else:
            mixed.append(person)
    coco = read_annotations(write_annotations(folder / "mixed.json", document(images, mixed)), strict=False)
    for was, now in zip(good, plain(coco), strict=True):
        assert was[:2] == now[:2]
        sound = [q for q in now[2] if q[0] in range(1, 7) and q[0] not in changed]  # others have a new number
        assert [q for q in was[2] if q[0] not in changed] == sound
    assert np.isfinite(coco.annotations.keypoints).all()
    assert np.isfinite(coco.annotations.boxes).all()


def test_every_problem_is_told_with_file_image_and_annotation(read, tmp_path):
    coco = read(
        document(
            [image(1), image(2) | {"width": 0}, image(3, name="../out.png"), image(4), image(4, name="again.png")],
            [annotation(1, 1, BOX), annotation(2, 9, BOX), annotation(3, 1, BOX, keypoints=[1, 1, 2])],
        )
    )
    file = str(tmp_path / "a.json")
    assert [(p.image_id, p.annotation_id, p.kind) for p in coco.problems] == [
        (4, None, "image twice"),
        (2, None, "width"),
        (3, None, "file_name"),
        (9, 2, "image_id"),
        (1, 3, "keypoints"),
    ]
    assert str(coco.problems[-1]) == (
        f"{file}: image 1: annotation 3: 'keypoints' has 3 numbers; give it 51, as the dataset spec's joints ask"
    )


def test_a_photo_that_is_refused_is_told_once_and_not_again_for_each_of_its_people(read):
    nameless = {key: value for key, value in image(3).items() if key != "id"}
    people = [annotation(1, 1, BOX), annotation(2, 1, BOX), annotation(3, 2, BOX), annotation(4, None, BOX)]
    coco = read(document([image(1, name="../out.png"), image(2), nameless], people))
    assert [(p.image_id, p.annotation_id, p.kind) for p in coco.problems] == [
        (1, None, "file_name"),
        (None, None, "id"),
        (None, 4, "image_id"),
    ]
    assert [[person.annotation_id for person in photo.people] for photo in coco.photos] == [[3]]


def test_a_box_of_three_numbers_has_nothing_to_do_with_joints(read):
    (problem,) = read(document([image(1)], [annotation(1, 1, BOX, bbox=[1, 2, 3])])).problems
    assert str(problem).endswith("'bbox' has 3 numbers; give it 4")


@pytest.mark.parametrize(
    "name", ["../a.png", "a/../../b.png", "/etc/passwd", "..\\a.png", "C:\\a.png", "c:a", "..", "", "\ud800.png"]
)
def test_photos_outside_the_folder_are_left_out(read, name):
    coco = read(document([image(1) | {"file_name": name}, image(2, name="sub/ä b.png")], []))
    assert [photo.file_name for photo in coco.photos] == ["sub/ä b.png"]
    assert [problem.kind for problem in coco.problems] == ["file_name"]


def test_a_person_with_wrong_keypoints_stays_for_the_mask(read):
    coco = read(document([image(1)], [annotation(7, 1, BOX, keypoints=[5] * 50)]))
    (person,) = coco.photos[0].people
    assert (person.labelled, person.box.tolist()) == (False, list(BOX))


def test_a_flag_that_the_dataset_lacks_is_a_problem_and_its_own_flags_are_counted(read):
    flags = {-1: 0, 1: 2, 5: 0}
    joints = [[3, 4, 1], [3, 4, 5], [3, 4, -1]] + [[0, 0, -1]] * 14
    fine = annotation(1, 1, BOX, keypoints=np.ravel(joints).tolist())
    coco = read(document([image(1)], [fine, annotation(2, 1, BOX)]), flags=flags)
    assert [person.num_keypoints for person in coco.photos[0].people] == [1, 0]
    assert "the visibility flag 2, the dataset has -1, 1, 5" in str(coco.problems[0])
    assert coco.recode_flags(flags).photos[0].people[0].keypoints[:3, 2].tolist() == [2, 0, 0]


def test_a_box_beside_its_photo_is_left_out_and_one_that_leaves_it_stays(read):
    boxes = [(-0.9, 0, 160.9, 121), (100, 10, 70, 30), (200, 10, 30, 30), (10, -50, 20, 40)]
    coco = read(document([image(1)], [annotation(number, 1, box) for number, box in enumerate(boxes)]))
    assert [person.annotation_id for person in coco.photos[0].people] == [0, 1]
    assert [(p.annotation_id, p.kept) for p in coco.problems] == [(1, True), (2, False), (3, False)]


def two_kinds():
    content = document([image(1)], [annotation(1, 1, BOX), annotation(2, 1, (10, 10, 40, 40), category_id=4)])
    content["annotations"][1]["keypoints"] = [20, 30, 2, 40, 50, 1]
    content["annotations"].append({"id": 3, "image_id": 1, "category_id": 9, "bbox": "not looked at"})
    content["categories"] += [{"id": 4, "name": "child", "keypoints": ["hat", "nose"]}, {"id": 9, "name": "dog"}]
    return content


@pytest.mark.parametrize("named", [True, False])
def test_joints_of_several_kinds_of_people_are_put_together_by_name(read, named):
    """Those that are asked for, or all where none is called a person."""
    content = two_kinds()
    content["categories"][0]["name"] = "person" if named else "adult"
    coco = read(content, {"person": JOINTS, "child": ("hat", "nose")} if named else None)
    adult, child = coco.photos[0].people
    assert coco.joints == (*JOINTS, "hat")
    assert adult.keypoints[-1].tolist() == [0, 0, 0]
    assert child.keypoints[0].tolist() == [40, 50, 1]
    assert child.keypoints[-1].tolist() == [20, 30, 2]
    assert child.num_keypoints == 2


@pytest.mark.parametrize("name", ["person", "Person"])
def test_without_a_spec_a_person_is_who_is_one_by_a_spec_that_names_nobody_else(read, name):
    content = two_kinds()
    content["categories"][0]["name"] = name
    coco = read(content)
    assert [person.annotation_id for person in coco.photos[0].people] == [1]
    assert coco.joints == tuple(JOINTS)
    assert coco.annotations.keypoints[:].tolist() == read(content, JOINTS).annotations.keypoints[:].tolist()


@pytest.mark.parametrize(("step", "way"), [(-1, "one below"), (1, "one above")])
def test_people_whose_photos_are_counted_from_elsewhere_are_refused(read, step, way):
    people = [annotation(number, number + step, BOX) for number in (1, 2, 3, 4)]
    with pytest.raises(UserError, match=f"image ids of its annotations seem to be {way} those of its images"):
        read(document([image(number) for number in (1, 2, 3, 4)], people))


def test_somebody_of_a_photo_that_is_gone_is_told_alone(read):
    """Where the first photo has people, no step makes all known."""
    people = [annotation(number, number, BOX) for number in (1, 2, 3, 4)]
    coco = read(document([image(number) for number in (1, 2, 3)], people))
    assert [len(photo.people) for photo in coco.photos] == [1, 1, 1]
    assert ["its image_id 4 is no image of the file" in problem.text for problem in coco.problems] == [True]


@pytest.mark.parametrize("crowd", [1, True, "1", 1.0, "true"])
def test_a_crowd_needs_no_keypoints(read, crowd):
    """As of COCO's instances, put together with its keypoints."""
    entry = annotation(2, 1, BOX, iscrowd=crowd)
    del entry["keypoints"]
    coco = read(document([image(1)], [annotation(1, 1, BOX), entry]))
    assert [person.crowd for person in coco.photos[0].people] == [False, True]
    assert [problem.kept for problem in coco.problems if "without keypoints" in problem.kind] == [True]


def test_only_the_kinds_asked_for_are_people(read):
    assert [person.annotation_id for person in read(two_kinds(), {"child": ("hat", "nose")}).photos[0].people] == [2]
    assert [person.annotation_id for person in read(two_kinds(), JOINTS).photos[0].people] == [1]


def test_a_file_without_the_kinds_asked_for_or_with_other_joints_is_refused(read):
    with pytest.raises(UserError, match="no category 'cat' or 'owl', but 'person', 'child'"):
        read(two_kinds(), {"cat": JOINTS, "owl": JOINTS})
    with pytest.raises(UserError, match=r"its people have 17 joints .* those of the dataset spec 2"):
        read(document([image(1)], [annotation(1, 1, BOX)]), ["a", "b"])
    for names in ({"0": "nose"}, "nose, neck", [{"name": "nose"}]):
        with pytest.raises(UserError, match="'person': 'keypoints' is no list of names: "):
            read(document([image(1)], []) | {"categories": [category() | {"keypoints": names}]})
    with pytest.raises(UserError, match="names a joint twice: 'a'"):
        read(document([image(1)], []) | {"categories": [category() | {"keypoints": ["a", "a"]}]})


crowds = st.lists(
    st.tuples(st.integers(0, 3), *[st.integers(0, 150)] * 2, *[st.integers(1, 120)] * 2, st.integers(0, 17)),
    max_size=90,
)


@settings(max_examples=60, deadline=None)
@given(crowds, st.floats(0, 1.5))
def test_choosing_from_a_set_is_choosing_from_each_photo(tmp_path_factory, people, ratio):
    params = DataFilteringParams(min_acceptable_interperson_dist_ratio=ratio)
    images = [image(number, size=(999, 999)) for number in range(4)]
    content = document(images, [annotation(n, p[0], p[1:5], labelled=p[5]) for n, p in enumerate(people)])
    coco = read_annotations(write_annotations(tmp_path_factory.mktemp("crowd") / "a.json", content))
    choice, first = choose(coco, params), coco.annotations.first
    for number, photo in enumerate(coco.photos):
        rows = slice(first[number], first[number + 1])
        assert np.flatnonzero(choice.mains[rows]).tolist() == main_people(photo, params)
        small = [q.labelled and min(q.box[2:]) < 32 and q.num_keypoints >= 5 for q in photo.people]
        told = [REASONS[reason] in ("low", "narrow") for reason in choice.reasons[rows]]
        assert small == told
