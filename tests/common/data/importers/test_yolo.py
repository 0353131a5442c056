"""YOLO-pose datasets: each line of a label file is somebody, in pixels of the photo."""

import re
from pathlib import Path

import numpy as np
import pytest
from support.coco_files import JOINTS
from support.exports import HASHES, shots, zipped
from support.tool_files import assert_same_people, people_in, pixels, write_files
from support.turned_photos import draw_photo, store_turned
from support.yolo_sets import plain, read

from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError

EXPORTS = Path(__file__).parents[3] / "exports"


def test_two_numbers_for_each_joint_are_visible_or_not_there(tmp_path, expected):
    whole = plain(numbers=2)
    whole["data.yaml"] = whole["data.yaml"].replace("[17, 3]", "[17, 2]")
    found = people_in(read(f"{write_files(tmp_path / 'mine', whole)}#train"))
    assert_same_people(found, expected, flags=False)
    assert {float(flag) for people in found.values() for joints, _ in people for flag in joints[:, 2]} == {0.0, 2.0}


@pytest.mark.parametrize(("numbers", "old", "new"), [(2, "", " -1 -1"), (3, " 0", " -1 -1 2"), (3, " 0", " 0 0 2")])
def test_a_joint_in_the_photos_corner_is_one_that_nobody_placed(tmp_path, expected, numbers, old, new):
    whole = plain(numbers=numbers)
    whole["data.yaml"] = whole["data.yaml"].replace("[17, 3]", f"[17, {numbers}]")
    zeros = rf"(?<= )0(\.0*)? 0(\.0*)?{old}(?= |$)"
    for name in [name for name in whole if name.endswith(".txt")]:
        whole[name], count = re.subn(zeros, new[1:], whole[name], flags=re.MULTILINE)
        assert count or name != "labels/train/a.txt"
    found = people_in(read(f"{write_files(tmp_path / 'mine', whole)}#train"))
    assert_same_people(found, expected, flags=numbers == 3)


def test_a_photo_without_a_label_file_and_one_with_an_empty_one_have_nobody_in_them(tmp_path):
    whole = plain()
    del whole["labels/train/b.txt"]
    whole["labels/train/c.txt"] = "\n"
    found = people_in(read(f"{write_files(tmp_path / 'mine', whole)}#train"))
    assert {name: len(people) for name, people in found.items()} == {"a.png": 2, "b.png": 0, "c.png": 0}


def test_other_classes_are_left_out(tmp_path, expected, caplog):
    whole = plain(label=1)
    whole["data.yaml"] = whole["data.yaml"].replace("[person]", "[car, person]")
    whole["labels/train/a.txt"] += whole["labels/train/a.txt"].replace("1 ", "0 ", 1).splitlines()[0]
    with caplog.at_level("INFO"):
        found = read(f"{write_files(tmp_path / 'mine', whole)}#train")
    assert_same_people(people_in(found), expected)
    assert "read as Ultralytics YOLO-pose: 3 photos, 4 people; left out, as they are no people: 1 of car" in caplog.text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 .5 .5 .2 .2 .5 .5 2", "8 numbers instead of 56: a class, a box and 17 joints of 3"),
        ("0 .5 .5 .2 .2" + " .5 .5 2" * 16 + " 1.4 .5 2", "right_ankle lies at 1.4, 0.5: shares of the photo are from"),
        ("0 .5 .5 .2 .2" + " .5 .5 2" * 16 + " .5 .5 3", "the visibility of right_ankle is 3, not 0, 1 or 2"),
        ("0 .5 .5 .2 .2" + " .5 .5 2" * 16 + " .5 x 2", "value 55 is no number"),
        ("7 .5 .5 .2 .2" + " .5 .5 2" * 17, "class 7 has no name in the data.yaml"),
        ("person .5 .5 .2 .2" + " .5 .5 2" * 17, "class person has no name in the data.yaml"),
    ],
)
def test_a_wrong_line_is_told_with_its_place_and_the_person_is_masked(tmp_path, expected, line, told):
    whole = plain()
    whole["labels/train/b.txt"] += f"\n{line}\n"
    root = write_files(tmp_path / "mine", whole)
    found = read(f"{root}#train")
    people = people_in(found)
    joints, box = people["b.png"].pop()
    assert_same_people(people, expected)
    assert not joints.any()
    np.testing.assert_allclose(box, [0.4 * 160, 0.4 * 150, 0.2 * 160, 0.2 * 150])
    (problem,) = found.problems
    assert f"{root}/labels/train/b.txt:3: {told}" in problem.text
    assert problem.fix == "mend the line, or label the photo again"


@pytest.mark.parametrize(("said", "written"), [(2, 3), (3, 2)])
def test_lines_of_two_numbers_for_three_or_three_for_two_are_told_with_the_key_to_mend(tmp_path, said, written):
    whole = plain(numbers=written)
    whole["data.yaml"] = whole["data.yaml"].replace("[17, 3]", f"[17, {said}]")
    found = read(f"{write_files(tmp_path / 'mine', whole)}#train")
    assert [problem.fix for problem in found.problems] == [
        f"write kpt_shape: [17, {written}] in the data.yaml if all lines are so"
    ] * 4


def test_nothing_is_asked_of_places_of_joints_that_are_not_labelled(tmp_path, expected):
    whole = plain()
    for name in [name for name in whole if name.endswith(".txt")]:
        whole[name] = re.sub(r"(?<= )0 0 0(?= |$)", "nan None 0", whole[name], flags=re.MULTILINE)
    assert "nan None 0" in whole["labels/train/a.txt"]
    found = read(f"{write_files(tmp_path / 'mine', whole)}#train")
    assert found.problems == ()
    assert_same_people(people_in(found), expected)


def test_a_line_whose_box_is_wrong_too_is_left_out_alone(tmp_path, expected):
    whole = plain()
    whole["labels/train/b.txt"] += "0 .5 .5\n"
    found = read(f"{write_files(tmp_path / 'mine', whole)}#train")
    assert_same_people(people_in(found), expected)
    assert "b.txt:2: 3 numbers instead of 56" in found.problems[0].text


def test_an_export_of_sleap_io_gives_the_people_of_its_coco_export(tmp_path):
    """It names joints ``node_names``, copies photos under numbers, and makes boxes ten pixels larger."""
    drawn = [pixels(shot) for shot in shots()]
    for file in (EXPORTS / "sleap_io/yolo").rglob("*.*"):
        write_files(tmp_path, {str(file.relative_to(EXPORTS)): file.read_bytes()})
    write_files(tmp_path, {f"sleap_io/yolo/train/images/{n:07d}.png": data for n, data in enumerate(drawn)})
    found = people_in(read(tmp_path / "sleap_io/yolo"))
    whole = people_in(read(EXPORTS / "sleap_io/coco.json"))
    renamed = {f"{number:07d}.png": people for number, people in enumerate(whole.values())}
    assert_same_people(found, renamed, boxes=False)
    for (_, box), (_, inner), shot in zip(found["0000000.png"], renamed["0000000.png"], shots()[:1] * 2, strict=True):
        low = np.maximum(inner[:2] - 10, 0)
        high = np.minimum(inner[:2] + inner[2:] + 10, shot.size[::-1])
        np.testing.assert_allclose(box, [*low, *(high - low)], atol=1e-2)


def studio_export(tmp_path):
    """Label Studio's own export, with the photos that it does not copy."""
    written = {path.relative_to(EXPORTS / "label_studio"): path for path in (EXPORTS / "label_studio").rglob("*.*")}
    files = {str(name): path.read_bytes() for name, path in written.items() if path.is_file()}
    drawn = {f"images/{mark}-{shot.name}": pixels(shot) for mark, shot in zip(HASHES, shots(), strict=False)}
    return write_files(tmp_path / "studio", files | drawn)


def test_an_export_of_label_studio_with_a_yaml_gives_the_people_but_for_hidden_joints(tmp_path, expected):
    root = studio_export(tmp_path)
    write_files(root, {"data.yaml": f"train: images\nnames: [Person]\nkpt_shape: [17, 3]\nkpt_names: {JOINTS}\n"})
    found = {name.partition("-")[2]: people for name, people in people_in(read(root)).items()}
    assert_same_people(found, expected, flags=False)


@pytest.mark.parametrize("packed", [False, True])
def test_without_a_yaml_it_is_not_guessed_as_its_notes_list_joints_in_another_order(tmp_path, packed):
    root = studio_export(tmp_path)
    if packed:
        members = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")}
        root = tmp_path / "studio.zip"
        root.write_bytes(zipped(members))
    with pytest.raises(UserError, match=r"labels without their data.yaml.*orders a line's joints by model_index"):
        load_document(root)


@pytest.mark.parametrize("alone", [False, True])
def test_shares_are_of_the_photo_as_it_is_shown(tmp_path, expected, alone):
    """Whether photos lie with the labels or are those of a verb, and however EXIF data turn them."""
    write_files(tmp_path / "set", plain())
    for number, shot in enumerate(shots()):
        store_turned(tmp_path / "set/images/train" / shot.name, draw_photo(number, shot.size), 3 + number % 6)
    found = read(tmp_path / "set/data.yaml#train", None if alone else tmp_path / "set/images/train")
    assert_same_people(people_in(found), expected)
    assert [(photo.height, photo.width) for photo in found.photos] == [shot.size for shot in shots()]
