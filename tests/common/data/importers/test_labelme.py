"""LabelMe: points and rectangles of a group are the people of the COCO file."""

import json

import numpy as np
import pytest
from support.coco_files import JOINTS
from support.exports import coco, shots, zipped
from support.tool_files import assert_same_people, labelme, labelme_shape, people_in, pixels, write_files

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError


def files(**how):
    return {f"{shot.name[:-4]}.json": labelme(shot, **how) for shot in shots()}


def write(root, documents):
    return write_files(root, {name: json.dumps(content) for name, content in documents.items()})


def read(path, joints=JOINTS):
    return read_annotations(path, joints, strict=False)


@pytest.mark.parametrize("how", ["beside", "apart", "zip"])
def test_a_folder_of_files_gives_the_people_of_the_coco_file(tmp_path, expected, how):
    """The files lie beside the photos, or apart from them and name them by the way there, as Windows writes it."""
    if how == "zip":
        path = tmp_path / "people.zip"
        path.write_bytes(zipped({f"mine/{name}": content for name, content in files().items()}))
    elif how == "apart":
        paths = {f"{shot.name[:-4]}.json": labelme(shot, path=f"..\\photos\\{shot.name}") for shot in shots()}
        path = write(tmp_path / "labels", paths)
    else:
        path = write(tmp_path / "mine", files())
        write_files(path, {shot.name: pixels(shot) for shot in shots()})
    found = read(path)
    assert found.problems == ()
    assert_same_people(people_in(found), expected)
    assert found.images.widths.tolist() == [shot.size[1] for shot in shots()]


def test_one_file_is_one_photo(tmp_path, expected):
    write(tmp_path / "mine", files())
    assert_same_people(people_in(read(tmp_path / "mine/a.json")), {"a.png": expected["a.png"]})


def test_a_group_without_a_rectangle_has_the_box_of_its_points(tmp_path, expected):
    found = read(write(tmp_path / "mine", files(boxes=False)))
    assert_same_people(people_in(found), expected)
    assert {problem.kind for problem in found.problems} == {"bbox"}


def test_points_without_a_group_go_to_the_only_rectangle_that_holds_them(tmp_path, expected):
    assert_same_people(people_in(read(write(tmp_path / "mine", files(grouped=False)))), expected)


def test_points_of_a_group_have_the_rectangle_without_one_that_alone_holds_them(tmp_path, expected):
    """Else the rectangles would be further people, over those who are labelled."""
    documents = files()
    for content in documents.values():
        for shape in content["shapes"]:
            shape["group_id"] = None if shape["shape_type"] == "rectangle" else shape["group_id"]
    assert_same_people(people_in(read(write(tmp_path / "mine", documents))), expected)


@pytest.mark.parametrize("write_group", [str, float, lambda group: f"{group}.0", lambda group: f"p{group}"])
def test_groups_may_be_texts_or_fractions_that_are_whole(tmp_path, write_group):
    """Else points would go to whichever rectangle holds them: here the first person's to the second's."""
    shot = shots()[0]
    one, other = (
        labelme_shape("person", "rectangle", [[0, 0], [width, 119]], group) for group, width in ((1, 9), (2, 199))
    )
    places = [(group, joint, place) for group, joint, place in ((1, "nose", [50, 60]), (2, "left_eye", [70, 80]))]
    points = [labelme_shape(joint, "point", [place], group) for group, joint, place in places]
    document = labelme(shot) | {"shapes": [one, other, *points]}
    whole = people_in(read(write(tmp_path / "whole", {"a.json": document})))
    assert whole["a.png"][0][0][0].tolist() == [50, 60, 2]
    for shape in document["shapes"]:
        shape["group_id"] = write_group(shape["group_id"])
    found = read(write(tmp_path / "mine", {"a.json": document}))
    assert found.problems == ()
    assert_same_people(people_in(found), whole)


@pytest.mark.parametrize("form", ["polygon", "mask"])
def test_a_rectangle_counts_before_an_outline_of_its_group(tmp_path, expected, form):
    documents = files()
    for content in documents.values():
        content["shapes"].insert(0, labelme_shape("person", form, [[1, 2], [9, 9], [1, 9]][: 2 + (form != "mask")], 1))
    found = read(write(tmp_path / "mine", documents))
    assert found.problems == ()
    assert_same_people(people_in(found), expected)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (labelme_shape("nose", "point", [[1, 2]], 1), "group 1: joint 'nose' is there twice"),
        (labelme_shape("person", "rectangle", [[1, 2], [9, 9]], 1), "group 1: there are two rectangles in a group"),
    ],
)
def test_an_ambiguous_group_is_told_and_its_person_masked(tmp_path, expected, shape, told):
    documents = files()
    documents["b.json"]["shapes"].append(shape)
    root = write(tmp_path / "mine", documents)
    found = read(root)
    people = people_in(found)
    ((joints, box),) = people.pop("b.png")
    assert not joints.any()
    np.testing.assert_array_equal(box, expected["b.png"][0][1])
    assert_same_people(people, {name: expected[name] for name in people})
    (problem,) = found.problems
    assert problem.text == f"{root}/b.json: {told}"
    assert problem.fix == "give the points and the rectangle of each person one group id in LabelMe"


def test_points_that_are_nobodys_are_told_and_masked(tmp_path, expected):
    documents = files()
    lost = [labelme_shape(joint, "point", [place], None) for joint, place in (("nose", [1, 2]), ("left_eye", [7, 9]))]
    documents["b.json"]["shapes"] += lost
    found = read(write(tmp_path / "mine", documents))
    people = people_in(found)
    joints, box = people["b.png"].pop()
    assert_same_people(people, expected)
    assert not joints.any()
    np.testing.assert_array_equal(box, [1, 2, 6, 7])
    assert found.problems[0].text.endswith("2 points have no group, and lie in no person's rectangle: nose, left_eye")


def test_flags_and_descriptions_tell_what_is_hidden_or_not_there(tmp_path):
    documents = {"c.json": labelme(shots()[2])}
    for shape in documents["c.json"]["shapes"]:
        shape["description"] = {"nose": "Occluded", "left_eye": "outside"}.get(shape["label"], "")
    ((joints, _),) = people_in(read(write(tmp_path / "mine", documents)))["c.png"]
    assert dict(zip(JOINTS, joints[:, 2].tolist(), strict=True)) == dict.fromkeys(JOINTS, 2) | {
        "nose": 1, "left_eye": 0, "left_wrist": 1
    }  # fmt: skip


def test_what_x_anylabeling_calls_difficult_is_hidden(tmp_path, expected):
    """Its "useDifficult": https://github.com/CVHub520/X-AnyLabeling, examples/estimation/pose_estimation."""
    documents = files()
    for shape in (shape for content in documents.values() for shape in content["shapes"]):
        shape |= {"difficult": shape.pop("flags")["occluded"], "attributes": {}, "kie_linking": []}
        if shape["shape_type"] == "rectangle":  # all four corners
            (right, bottom), (left, top) = shape["points"]
            corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
            shape |= {"points": corners, "difficult": True}
    found = read(write(tmp_path / "mine", documents))
    assert found.problems == ()
    assert_same_people(people_in(found), expected)


@pytest.mark.parametrize("mark", ["-", "_", " "])
def test_the_end_of_a_label_says_whether_a_joint_is_hidden(tmp_path, expected, mark):
    """As https://github.com/wkentaro/labelme/issues/921 proposes."""
    documents = files()
    for shape in (shape for content in documents.values() for shape in content["shapes"]):
        if shape["shape_type"] == "point":
            shape["label"] += mark + ("Occluded" if shape.pop("flags")["occluded"] else "visible")
    assert_same_people(people_in(read(write(tmp_path / "mine", documents))), expected)


@pytest.mark.parametrize("end", ["_1", "_0", "_twin"])
def test_other_ends_of_labels_are_refused(tmp_path, end):
    """A number may be a person's, and nobody's flag."""
    documents = files()
    for shape in documents["a.json"]["shapes"]:
        shape["label"] += end if shape["label"] == "nose" else ""
    with pytest.raises(UserError, match=rf"the points nose{end} are no joints"):
        read(write(tmp_path / "mine", {"a.json": documents["a.json"]}))


def test_labels_that_are_no_joints_of_the_spec_are_refused(tmp_path):
    documents = files()
    for shape in documents["a.json"]["shapes"]:
        shape["label"] = shape["label"].replace("nose", "beak")
    with pytest.raises(
        UserError, match=r"the points beak are no joints of the dataset spec; .*no label is called nose"
    ):
        read(write(tmp_path / "mine", {"a.json": documents["a.json"]}), {"person": JOINTS})


def test_points_that_the_spec_does_not_ask_for_are_left_out_and_told(tmp_path, expected, caplog):
    """Wherever they lie, and if a person has two of them; once for all files."""
    why = "left out, as they are no joints of the dataset spec"
    told = f"{tmp_path / 'mine'}: {why}: points labelled 3 of belly, 1 of ball"
    documents = files()
    extra = [("belly", [5, 6], 1), ("belly", [7, 8], 1), ("ball", [1, 2], None)]
    documents["b.json"]["shapes"] += [labelme_shape(label, "point", [place], group) for label, place, group in extra]
    documents["a.json"]["shapes"].append(labelme_shape("belly", "point", [[9, 9]], 1))
    found = read(write(tmp_path / "mine", documents))
    assert found.problems == ()
    assert_same_people(people_in(found), expected)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [told]


@pytest.mark.parametrize("end", ["", "-occluded"])
def test_a_circle_labelled_as_a_joint_is_one_in_its_middle(tmp_path, expected, end):
    """Its points are the middle and one on the rim: labelme/shape.py."""
    documents = files()
    for shape in (shape for content in documents.values() for shape in content["shapes"]):
        if shape["shape_type"] == "point":
            (x, y), hidden = shape["points"][0], shape["flags"]["occluded"]
            shape |= {"shape_type": "circle", "points": [[x, y], [x + 4.5, y - 2]]}
            shape |= {"label": shape["label"] + end, "flags": {}} if hidden and end else {}
    documents["a.json"]["shapes"].append(labelme_shape("ball", "circle", [[1, 2], [9, 9]], None))
    found = read(write(tmp_path / "mine", documents))
    assert found.problems == ()
    assert_same_people(people_in(found), expected)


def test_other_files_of_a_folder_and_other_shapes_are_left_out(tmp_path, expected, caplog):
    documents = files() | {"z.json": {"something": "else"}}
    documents["a.json"]["shapes"].append(labelme_shape("car", "polygon", [[1, 2], [9, 9], [1, 9]], None))
    with caplog.at_level("INFO"):
        found = read(write(tmp_path / "mine", documents))
    assert_same_people(people_in(found), expected)
    assert "read as LabelMe: 3 photos, 4 people; left out, as they are no people: 1 of car" in caplog.text


def test_a_file_without_a_photo_and_a_damaged_one_are_told(tmp_path, expected):
    documents = files()
    documents["b.json"]["imagePath"] = None
    root = write(tmp_path / "mine", documents)
    found = read(root)
    assert_same_people(people_in(found), {name: expected[name] for name in ("a.png", "c.png")})
    assert found.problems[0].text == f"{root}/b.json: it names no photo: 'imagePath' is null"
    (root / "c.json").write_text('{"shapes": [\n{"label": ')
    found = read(root)
    assert_same_people(people_in(found), {"a.png": expected["a.png"]})
    assert found.problems[1].text.startswith(f"{root}/c.json:2: the file is cut short")


def test_a_subset_of_a_folder_is_refused_as_there_is_none(tmp_path):
    root = write(tmp_path / "mine", files())
    with pytest.raises(UserError, match="LabelMe's files have no subset 'train'; name the folder"):
        load_document(f"{root}#train")


@pytest.mark.parametrize("place", [[[float("nan"), 5]], [[None, None]], [], "here", [[1e400, 1]]])
@pytest.mark.parametrize("grouped", [True, False])
def test_a_joint_whose_place_is_damaged_is_told_and_never_taken_as_not_labelled(tmp_path, place, grouped):
    whole = files()
    shape = next(shape for shape in whole["b.json"]["shapes"] if shape["shape_type"] == "point")
    shape["points"], shape["group_id"] = place, shape["group_id"] if grouped else None
    found = read(write(tmp_path / "mine", whole))
    assert f"b.json: {'group 1: ' if grouped else ''}the place of {shape['label']!r} is no number" in str(
        found.problems[0]
    )
    assert grouped == (not people_in(found)["b.png"][0][0].any())


def test_files_of_other_tools_among_them_are_told(tmp_path, expected, caplog):
    found = read(write(tmp_path / "mine", files() | {"settings.json": {"a": 1}}))
    assert_same_people(people_in(found), expected)
    assert "1 files are no photos' of LabelMe, such as settings.json" in caplog.text


def test_files_in_utf_16_are_read(tmp_path, expected):
    whole = {name: json.dumps(content).encode("utf-16") for name, content in files().items()}
    assert_same_people(people_in(read(write_files(tmp_path / "mine", whole))), expected)


def test_large_files_of_others_in_an_archive_do_not_hide_its_people(tmp_path, expected):
    """As COCO's own archive has captions and instances, which pack better than a photo may or are larger."""
    path = tmp_path / "annotations.zip"
    others = {name: b"{}" + b" " * (17 << 20) for name in ("captions_train.json", "instances_train.json")}
    path.write_bytes(zipped({"person_keypoints_train.json": json.dumps(coco(shots())).encode()} | others))
    assert_same_people(people_in(read(path)), expected)
