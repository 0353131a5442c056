"""Label Studio's JSON export: tasks, boxes and keypoints put together as the annotator meant them."""

import json
import logging
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coco_files import JOINTS
from support.exports import (
    coco,
    percent,
    shots,
    studio_annotation,
    studio_box,
    studio_point,
    studio_result,
    studio_task,
    studio_tasks,
)

from bodyposenet.common.data.importers.document import Fault
from bodyposenet.common.data.importers.label_studio import from_tasks
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError

SIZE = (100, 200)


def made(tasks, joints=JOINTS):
    return from_tasks(tasks, "tasks.json", joints)


def people(*results, joints=("nose", "neck"), task=None):
    """The annotations of one photo of 200 by 100 pixels."""
    base = studio_task(0, shots()[0]) | {"annotations": [studio_annotation(list(results))]}
    return made([base | (task or {})], joints)["annotations"]


def told(*results, **how):
    with pytest.raises(UserError) as caught:
        people(*results, **how)
    return str(caught.value)


def nose(number, place, **fields):
    return studio_point(number, place, "nose", SIZE, **fields)


def neck(number, place, **fields):
    return studio_point(number, place, "neck", SIZE, **fields)


def box(number, left, top, width, height, **fields):
    return studio_box(number, (left, top, width, height), SIZE, **fields)


def test_tasks_give_what_the_same_people_are_in_coco(tmp_path):
    (tmp_path / "tasks.json").write_text(json.dumps(studio_tasks(shots())))
    found = load_document(tmp_path / "tasks.json", {"person": JOINTS})
    expected = coco(shots())
    assert [image["id"] for image in found["images"]] == [101, 102, 103]
    for image, other in zip(found["images"], expected["images"], strict=True):
        assert image["file_name"].endswith(f"-{other['file_name']}")
        assert (image["height"], image["width"]) == (other["height"], other["width"])
    for person, other in zip(found["annotations"], expected["annotations"], strict=True):
        assert person["image_id"] == 100 + other["image_id"]
        assert person["keypoints"] == pytest.approx(other["keypoints"])
        assert person["bbox"] == pytest.approx(other["bbox"])
        assert person["area"] == pytest.approx(other["area"])
        assert person["num_keypoints"] == other["num_keypoints"]
    assert found["categories"] == [{"id": 1, "name": "person", "keypoints": JOINTS, "skeleton": []}]


def test_a_single_task_is_a_file_too(tmp_path):
    (tmp_path / "task.json").write_text(json.dumps(studio_task(1, shots()[1])))
    assert (
        load_document(tmp_path / "task.json", JOINTS)["annotations"] == made(studio_tasks(shots())[1:2])["annotations"]
    )


def test_joints_are_sorted_by_name_where_no_order_is_given():
    found = made(studio_tasks(shots()), None)
    assert found["categories"][0]["keypoints"] == sorted(JOINTS)
    given = made(studio_tasks(shots()))["annotations"][0]["keypoints"]
    by_name = {joint: given[3 * place : 3 * place + 3] for place, joint in enumerate(JOINTS)}
    assert found["annotations"][0]["keypoints"] == [number for joint in sorted(JOINTS) for number in by_name[joint]]


def test_labels_may_be_spelt_with_spaces_hyphens_and_capitals():
    point = studio_point("k", (20, 20), "Left-Eye  Inner", SIZE)
    (person,) = people(box("p", 10, 10, 50, 50), point, joints=["left_eye_inner"])
    assert person["keypoints"] == pytest.approx([20, 20, 2])


@pytest.mark.parametrize("word", ["occluded", "Hidden", "not_visible", "invisible", "1"])
def test_a_choice_a_note_or_a_second_label_hides_a_joint(word):
    value = percent(20, 20, SIZE) | {"width": 1}
    choice = [nose("k", (20, 20)), studio_result("k", "choices", value | {"choices": [word]}, SIZE)]
    text = [nose("k", (20, 20)), studio_result("k", "textarea", value | {"text": [word]}, SIZE)]
    note = [nose("k", (20, 20), meta={"text": [word]})]
    label = [studio_result("k", "keypointlabels", value | {"keypointlabels": ["nose", word]}, SIZE)]
    for way in (choice, text, note, label):
        (person,) = people(box("p", 10, 10, 50, 50), *way)
        assert person["keypoints"] == pytest.approx([20, 20, 1, 0, 0, 0])


def test_a_choice_can_say_that_a_joint_is_not_there():
    absent = nose("k", (20, 20), meta={"text": ["outside"]})
    (person,) = people(box("p", 10, 10, 50, 50), absent, neck("n", (30, 30)))
    assert person["keypoints"] == pytest.approx([0, 0, 0, 30, 30, 2])
    assert person["num_keypoints"] == 1


def test_keypoints_go_to_the_box_they_were_put_into_wherever_they_lie():
    """Over other keypoints, too: the tool nests anything in anything."""
    one, other = box("one", 10, 10, 40, 40), box("other", 20, 20, 40, 40)
    results = [nose("k", (25, 25), parentID="other"), neck("n", (90, 90), parentID="k"), one, other]
    first, second = people(*results)
    assert first["keypoints"] == [0] * 6
    assert second["keypoints"] == pytest.approx([25, 25, 2, 90, 90, 2])


def test_the_box_it_was_put_into_may_be_a_number():
    """As of tasks that a program wrote; else it would be the other's, in whose box it lies."""
    boxes = [box(1, 0, 0, 30, 30), box(2, 40, 0, 30, 30)]
    one, other = people(*boxes, nose("k", (50, 5), parentID=1))
    assert (one["num_keypoints"], other["num_keypoints"]) == (1, 0)


def test_a_relation_does_as_well():
    link = {"type": "relation", "from_id": "k", "to_id": "one", "direction": "right"}
    first, second = people(box("one", 10, 10, 40, 40), box("other", 20, 20, 40, 40), nose("k", (25, 25)), link)
    assert first["keypoints"][:3] == pytest.approx([25, 25, 2])
    assert second["num_keypoints"] == 0


def test_keypoints_that_were_put_nowhere_go_to_the_box_around_them():
    """The child stands before the adult: their nose lies in both boxes, but the adult has one already."""
    adult, child = box("adult", 0, 0, 100, 100), box("child", 50, 50, 40, 40)
    points = [nose("c", (60, 60)), nose("a", (20, 10)), neck("n", (20, 20))]
    first, second = people(adult, child, *points)
    assert first["keypoints"] == pytest.approx([20, 10, 2, 20, 20, 2])
    assert second["keypoints"] == pytest.approx([60, 60, 2, 0, 0, 0])


def test_a_keypoint_just_outside_the_only_box_near_it_belongs_to_it():
    (person,) = people(box("p", 10, 10, 40, 40), nose("k", (51, 30)))
    assert person["num_keypoints"] == 1


def test_a_keypoint_that_could_be_two_peoples_makes_them_unusable_not_wrong():
    results = [box("one", 0, 0, 60, 60), box("other", 40, 40, 60, 60), nose("k", (50, 50)), neck("n", (10, 10))]
    for person in people(*results):
        assert person["keypoints"] == "joint 'nose' at 50, 50 lies in the boxes of 2 people"
        assert person["keypoints"].fix.startswith("put each keypoint into the box of its person in Label Studio, once")


def test_a_joint_that_one_person_has_twice_makes_them_unusable():
    (person,) = people(box("p", 0, 0, 60, 60), nose("k", (50, 50)), nose("l", (20, 50)))
    assert person["keypoints"] == "joint 'nose' is labelled twice in one person"


def test_keypoints_outside_all_boxes_are_not_lost_without_a_word():
    sound, stray = people(box("p", 0, 0, 60, 60), nose("k", (50, 50)), neck("n", (150, 20)), nose("o", (170, 90)))
    assert sound["num_keypoints"] == 1
    assert stray["keypoints"] == "2 keypoints lie in no person's box: neck, nose"
    assert stray["bbox"] == pytest.approx([150, 20, 20, 70])


@given(
    corner=st.tuples(st.floats(60, 100), st.floats(40, 60)),
    extent=st.tuples(st.floats(1, 30), st.floats(1, 30)),
    degrees=st.floats(-360, 360),
)
def test_a_turned_box_encloses_its_corners(corner, extent, degrees):
    """Label Studio turns clockwise, around the first corner, which it stores where it is afterwards."""
    turned = box("p", *corner, *extent)
    turned["value"]["rotation"] = degrees
    (person,) = people(turned, nose("k", (0, 0), parentID="p"))
    complex_turn = np.exp(1j * math.radians(degrees))  # y points down: a positive angle is clockwise
    sides = np.array([0, extent[0], extent[0] + 1j * extent[1], 1j * extent[1]]) * complex_turn
    corners = complex(*corner) + sides
    left, top, width, height = person["bbox"]
    assert [left, left + width] == pytest.approx([max(corners.real.min(), 0), corners.real.max()], abs=1e-6)
    assert [top, top + height] == pytest.approx([max(corners.imag.min(), 0), min(corners.imag.max(), 100)], abs=1e-6)


def test_the_rotation_of_the_view_changes_nothing():
    """Places are told in the photo as it is stored."""
    turned = [box("p", 10, 10, 40, 40, image_rotation=90), nose("k", (20, 30), image_rotation=90)]
    assert people(*turned) == people(box("p", 10, 10, 40, 40), nose("k", (20, 30)))


def test_a_polygon_does_for_a_box_and_is_kept():
    corners = [[10, 10], [20, 10], [20, 60]]
    outline = studio_result(
        "p", "polygonlabels", {"points": corners, "polygonlabels": ["person"], "closed": True}, SIZE
    )
    (person,) = people(outline, nose("k", (38, 15)))
    assert person["segmentation"] == [pytest.approx([20, 10, 40, 10, 40, 60])]
    assert person["bbox"] == pytest.approx([20, 10, 20, 50])
    assert (person["area"], person["num_keypoints"]) == (pytest.approx(500), 1)


def test_labels_tags_of_their_own_name_regions_too():
    """With ``<Labels>``, ``<Rectangle>`` and ``<KeyPoint>`` a region's label stands in a second result."""
    drawn = studio_result("k", "keypoint", percent(20, 30, SIZE) | {"width": 1}, SIZE)
    named = studio_result("k", "labels", percent(20, 30, SIZE) | {"width": 1, "labels": ["nose"]}, SIZE)
    (person,) = people(box("p", 10, 10, 40, 40), drawn, named)
    assert person["keypoints"] == pytest.approx([20, 30, 2, 0, 0, 0])


def test_people_without_keypoints_stay_and_other_things_do_not():
    results = [
        box("p", 0, 0, 60, 60),
        nose("k", (5, 5)),
        box("q", 100, 0, 50, 60),
        box("c", 0, 0, 200, 100, label="Car"),
    ]
    named = [person["num_keypoints"] for person in people(*results)]
    assert named == [1, 0]


def test_a_crowd_is_marked_by_a_choice():
    crowd = box("q", 100, 0, 50, 60, meta={"text": ["Crowd"]})
    assert [person["iscrowd"] for person in people(box("p", 0, 0, 60, 60), nose("k", (5, 5)), crowd)] == [0, 1]


def test_several_categories_have_joints_of_their_own():
    results = [box("p", 0, 0, 60, 60), nose("k", (5, 5)), box("q", 100, 0, 50, 60, label="dog"), neck("n", (110, 5))]
    base = studio_task(0, shots()[0]) | {"annotations": [studio_annotation(results)]}
    found = made([base], {"person": ["neck", "nose"], "dog": ["neck"]})
    assert [entry["keypoints"] for entry in found["categories"]] == [["neck", "nose"], ["neck"]]
    assert [entry["name"] for entry in found["categories"]] == ["person", "dog"]
    assert found["annotations"][0]["keypoints"] == pytest.approx([0, 0, 0, 5, 5, 2])
    assert found["annotations"][1]["keypoints"] == pytest.approx([110, 5, 2])


def test_the_ground_truth_counts_or_the_first_that_is_not_cancelled(caplog):
    def version(x, **changes):
        return studio_annotation([box("p", 0, 0, 60, 60), nose("k", (x, 5))], **changes)

    cancelled, first, second = version(1, was_cancelled=True), version(2), version(3)
    truth = version(4, ground_truth=True)
    base = studio_task(0, shots()[0])
    for annotations, expected in (
        ([cancelled, first, second], 2),
        ([first, second, truth], 4),
        ([cancelled, truth], 4),
    ):
        (person,) = made([base | {"annotations": annotations}], ["nose"])["annotations"]
        assert person["keypoints"][0] == pytest.approx(expected)
    assert "1 photos are annotated several times" in caplog.text


def test_photos_that_nobody_annotated_are_left_out_and_counted(caplog):
    tasks = studio_tasks(shots())
    tasks[0]["annotations"] = []
    tasks[1]["annotations"][0]["was_cancelled"] = True
    tasks[1]["predictions"] = tasks[2]["annotations"]
    found = made(tasks)
    assert [image["id"] for image in found["images"]] == [103]
    assert "2 of 3 tasks are left out: nobody annotated them" in caplog.text


def test_completions_of_old_versions_are_annotations():
    task = studio_task(0, shots()[0])
    task["completions"] = task.pop("annotations")
    assert made([task])["annotations"]


def test_tasks_without_any_annotation_are_refused():
    tasks = studio_tasks(shots())
    for task in tasks:
        task["predictions"], task["annotations"] = task["annotations"], []
    with pytest.raises(UserError, match="none of its 3 tasks is annotated, there are only predictions; submit"):
        made(tasks)


def test_keypoints_without_boxes_and_boxes_without_keypoints_are_refused():
    advice = "draw a rectangle (RectangleLabels) around each person, put the person's keypoints inside it"
    message = told(nose("k", (5, 5)), neck("n", (6, 6)))
    assert message.startswith("tasks.json: its keypoints stand in no boxes: whose they are is lost; " + advice)
    assert told(box("p", 0, 0, 60, 60)).startswith("tasks.json: nobody labelled a keypoint in it; " + advice)


def test_a_label_that_seems_to_mean_a_joint_is_refused():
    misspelt = studio_point("k", (5, 5), "nosse", SIZE)
    message = told(box("p", 0, 0, 60, 60), misspelt, neck("n", (6, 6)))
    assert "keypoint label 'nosse' is no joint of the dataset spec; did you mean 'nose'?" in message
    assert "no label is called nose" in message


def test_labels_beside_all_joints_are_left_out_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        (person,) = people(box("p", 0, 0, 60, 60), nose("k", (5, 5)), neck("n", (6, 6)), joints=["nose"])
    assert person["keypoints"] == pytest.approx([5, 5, 2])
    assert "left out, as they are no joints of the dataset spec: points labelled 1 of neck" in caplog.text


def test_prompts_of_a_model_without_a_place_are_no_keypoints():
    """https://github.com/HumanSignal/label-studio-sdk/issues/480."""
    ghost = studio_result("g", "keypointlabels", {"width": 0.5, "keypointlabels": ["nose"]}, SIZE)
    (person,) = people(box("p", 0, 0, 60, 60), nose("k", (5, 5)), ghost)
    assert person["keypoints"][:3] == pytest.approx([5, 5, 2])


def test_photos_in_the_file_itself_are_refused():
    message = told(
        box("p", 0, 0, 9, 9), nose("k", (5, 5)), task={"data": {"image": "data:image/png;base64,iVBORw0KGgo"}}
    )
    assert "task 101: its photos stand in it as base 64" in message


def two_pictures(data, *marks):
    """A task of two photos, in each of which somebody's nose is labelled; ``marks`` say of each what was drawn on."""
    results = []
    for number, mark in enumerate(marks):
        one = [box(f"p{number}", 0, 0, 60, 60), nose(f"k{number}", (5 + number, 5), parentID=f"p{number}")]
        results += [result | mark for result in one]
    return made([studio_task(0, shots()[0]) | {"annotations": [studio_annotation(results)], "data": data}], ["nose"])


@pytest.mark.parametrize(
    ("data", "marks"),
    [
        ({"left": "a.png", "right": "b.png"}, [{"to_name": "left"}, {"to_name": "right"}]),
        ({"url": "c.png", "left": "a.png", "right": "b.png"}, [{"to_name": "left"}, {"to_name": "right"}]),
        ({"pages": ["a.png", "b.png"]}, [{"item_index": 0}, {"item_index": 1}]),
        ({"pages": ["c.png", "a.png", "b.png"], "url": "c.png"}, [{"item_index": 1}, {"item_index": 2}]),
    ],
)
def test_each_picture_of_a_task_has_the_people_that_were_drawn_on_it(data, marks):
    document = two_pictures(data, *marks)
    assert [image["file_name"] for image in document["images"]] == ["a.png", "b.png"]
    found = {person["image_id"]: person["keypoints"] for person in document["annotations"]}
    assert found == {1: pytest.approx([5, 5, 2]), 2: pytest.approx([6, 5, 2])}


def test_what_has_no_id_is_on_its_own_picture_only():
    results = [box(f"p{place}", 0, 0, 60, 60) | {"to_name": name} for place, name in enumerate(("left", "right"))]
    results += [nose("k", (5, 5)) | {"to_name": "left"}, nose("l", (6, 5)) | {"to_name": "right"}]
    for result in results:
        del result["id"]
    task = studio_task(0, shots()[0]) | {"annotations": [studio_annotation(results)]}
    document = made([task | {"data": {"left": "a.png", "right": "b.png"}}], ["nose"])
    assert [person["keypoints"][:2] for person in document["annotations"]] == [
        pytest.approx([5, 5]),
        pytest.approx([6, 5]),
    ]


@pytest.mark.parametrize(
    ("data", "marks"),
    [
        ({"image": "a.png", "image2": "b.png"}, [{"to_name": "img"}, {"to_name": "img2"}]),
        ({"left": "a.png", "right": "b.png"}, [{"to_name": "img2"}]),
        ({"pages": ["a.png"], "others": ["b.png"]}, [{"item_index": 0}]),
    ],
)
def test_a_photo_that_may_be_one_of_several_is_no_photo(data, marks):
    document = two_pictures(data, *marks)
    assert all(isinstance(image["file_name"], Fault) for image in document["images"])
    assert "task 101 has several photos, and which was drawn on is not told" in document["images"][0]["file_name"]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"images": ["/data/upload/1/1a2b3c4d-a.png"]}, "1a2b3c4d-a.png"),
        ({"page": "https://host/a", "file": "/data/upload/1/1a2b3c4d-a.png"}, "1a2b3c4d-a.png"),
        ({"page": "https://host/b.png", "image": "a.png"}, "a.png"),
        ({"camera": "north", "file": "a.png"}, "a.png"),
    ],
)
def test_the_photo_of_a_task_is_what_of_its_data_is_one(data, name):
    assert [image["file_name"] for image in two_pictures(data, {})["images"]] == [name]


def test_what_the_file_does_not_tell_is_missing_in_the_document():
    """So that the check of the images finds it."""
    results = [box("p", 0, 0, 60, 60), nose("k", (5, 5))]
    for result in results:
        del result["original_width"]
    task = studio_task(0, shots()[0]) | {"annotations": [studio_annotation(results)], "data": {}}
    assert made([task], ["nose"])["images"] == [{"id": 101}]


def test_numbers_that_are_none_reach_the_check_of_the_annotation():
    broken = nose("k", (5, 5), parentID="p")
    broken["value"]["x"] = "12,5"
    (person,) = people(box("p", 0, 0, 60, 60), broken)
    assert math.isnan(person["keypoints"][0])


def test_numbers_written_as_texts_are_numbers():
    """As of tasks that went through a table."""
    tasks = studio_tasks(shots())
    texts = json.loads(json.dumps(tasks))
    for result in (result for task in texts for result in task["annotations"][0]["result"]):
        drawn = result.get("value", {})  # a relation has none
        drawn |= {key: str(drawn[key]) for key in ("x", "y", "width", "height", "rotation") if key in drawn}
        result |= {key: str(result[key]) for key in ("original_width", "original_height") if key in result}
    assert made(texts) == made(tasks)


@pytest.mark.parametrize("number", [101, None, "7", True, 10**30])
def test_task_numbers_that_are_none_or_not_unique_are_given_anew(number):
    tasks = studio_tasks(shots())
    tasks[2]["id"] = number
    found = made(tasks)
    assert [image["id"] for image in found["images"]] == [1, 2, 3]
    assert sorted({person["image_id"] for person in found["annotations"]}) == [1, 2, 3]
