"""YOLO-pose datasets: wherever photos and labels lie, the people are those of the COCO file."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.coco_files import JOINTS
from support.exports import HASHES, coco, shots, zipped
from support.tool_files import FLIPS, as_bytes, assert_same_people, people_in, pixels, write_files, yolo_labels
from support.turned_photos import draw_photo, store_turned

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.location import locate

EXPORTS = Path(__file__).parents[3] / "exports"
POSE = f"kpt_shape: [17, 3]\nflip_idx: {FLIPS}\n"
NAMED = "names: [person]\n"


@pytest.fixture
def expected(tmp_path):
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(coco(shots())))
    return people_in(read_annotations(path, JOINTS))


def files(images, labels, yaml, *, photos=None, **how):
    """Photos, their label files and the yaml, by path."""
    photos = photos or shots()
    drawn = {f"{images}/{shot.name}": pixels(shot) for shot in photos}
    return drawn | {f"{labels}/{stem}.txt": text for stem, text in yolo_labels(photos, **how).items()} | yaml


def read(path, images=None, joints=JOINTS, **how):
    album = Album(locate(images)) if images else None
    return read_annotations(path, joints, strict=False, album=album, **how)


def plain(**how):
    """As the documentation has it: a path, images/train and labels/train."""
    yaml = f"path: ../datasets/mine\ntrain: images/train\nval: images/val\n{NAMED}{POSE}"
    return files("images/train", "labels/train", {"data.yaml": yaml}, **how)


def roboflow():
    """The yaml's folders are those of a folder below, and there are classes and settings of its own."""
    yaml = f"train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['person']\n{POSE}roboflow:\n  version: 2\n"
    return files("train/images", "train/labels", {"data.yaml": yaml, "README.roboflow.txt": "v2\n"})


def cvat():
    """A list of photos, and classes as an object."""
    listed = "".join(f"data/images/train/{shot.name}\n" for shot in shots())
    yaml = "path: ./ # dataset root dir\ntrain: train.txt\nkpt_shape: [17, 3]\nnames:\n  0: person\n"
    return files("images/train", "labels/train", {"data.yaml": yaml, "train.txt": listed})


def studio():
    """Label Studio writes no yaml; whoever adds one names the folder of photos."""
    yaml = {"data.yaml": f"train: images\n{NAMED}{POSE}", "classes.txt": "person\n", "notes.json": "{}"}
    return files("images", "labels", yaml)


def beside():
    """Label files beside the photos, and a list of folders."""
    return files("day/one", "day/one", {"data.yaml": f"train: [day/one, ]\n{NAMED}{POSE}"})


def named():
    """Joints by name for the class, and an absolute path of another machine."""
    yaml = f"path: /home/somebody/mine\ntrain: images/train\n{NAMED}{POSE}kpt_names:\n  0: {JOINTS}\n"
    return files("images/train", "labels/train", {"data.yaml": yaml})


@pytest.mark.parametrize("layout", [plain, roboflow, cvat, studio, beside, named])
@pytest.mark.parametrize("how", ["yaml", "folder", "zip"])
def test_every_layout_gives_the_people_of_the_coco_file(tmp_path, expected, layout, how):
    whole = layout()
    if how == "zip":
        (tmp_path / "export.zip").write_bytes(zipped({name: as_bytes(content) for name, content in whole.items()}))
        source = tmp_path / "export.zip"
    else:
        source = write_files(tmp_path / "mine", whole)
    name = f"{source}/data.yaml#train" if how == "yaml" else f"{source}#train"
    found = read(name)
    assert found.problems == ()
    assert_same_people(people_in(found), expected)
    assert found.images.widths.tolist() == [shot.size[1] for shot in shots()]


def test_photos_elsewhere_are_found_and_give_the_sizes(tmp_path, expected):
    """Labels and yaml alone here, the photos in an archive: as a dataset spec names them apart."""
    apart = {name: content for name, content in plain().items() if not name.endswith(".png")}
    write_files(tmp_path / "mine", apart)
    packed = tmp_path / "photos.zip"
    packed.write_bytes(zipped({f"deep/{shot.name}": pixels(shot) for shot in shots()}))
    found = read(f"{tmp_path}/mine/data.yaml#train", packed)
    assert_same_people(people_in(found), expected)
    assert set(found.images.file_names) == {f"deep/{shot.name}" for shot in shots()}


def test_a_list_of_photos_that_are_elsewhere_is_matched_with_them(tmp_path, expected):
    apart = {name: content for name, content in cvat().items() if not name.endswith(".png")}
    images = write_files(tmp_path / "photos", {f"deep/{shot.name}": pixels(shot) for shot in shots()})
    found = read(write_files(tmp_path / "mine", apart), images)
    assert_same_people(people_in(found), expected)
    assert set(found.images.file_names) == {f"deep/{shot.name}" for shot in shots()}


def test_joints_in_another_order_are_put_in_order_by_name(tmp_path, expected):
    whole = plain()
    turned = [*JOINTS[1:], JOINTS[0]]
    for name in [name for name in whole if name.endswith(".txt")]:
        lines = [line.split() for line in whole[name].splitlines()]
        whole[name] = "".join(" ".join([*line[:5], *line[8:], *line[5:8]]) + "\n" for line in lines)
    whole["data.yaml"] = f"train: images/train\n{NAMED}kpt_shape: [17, 3]\nkpt_names: {turned}\n"
    assert_same_people(people_in(read(write_files(tmp_path / "mine", whole))), expected)


def test_two_numbers_for_each_joint_are_visible_or_not_there(tmp_path, expected):
    whole = plain(numbers=2)
    whole["data.yaml"] = whole["data.yaml"].replace("[17, 3]", "[17, 2]")
    found = people_in(read(f"{write_files(tmp_path / 'mine', whole)}#train"))
    assert_same_people(found, expected, flags=False)
    assert {float(flag) for people in found.values() for joints, _ in people for flag in joints[:, 2]} == {0.0, 2.0}


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


def test_a_line_whose_box_is_wrong_too_is_left_out_alone(tmp_path, expected):
    whole = plain()
    whole["labels/train/b.txt"] += "0 .5 .5\n"
    found = read(f"{write_files(tmp_path / 'mine', whole)}#train")
    assert_same_people(people_in(found), expected)
    assert "b.txt:2: 3 numbers instead of 56" in found.problems[0].text


def test_a_label_file_of_no_photo_is_told_and_left_out(tmp_path, expected):
    whole = plain()
    whole["labels/train/gone.txt"] = whole["labels/train/a.txt"]
    root = write_files(tmp_path / "mine", whole)
    found = read(f"{root}#train")
    assert_same_people(people_in(found), expected)
    assert [str(problem.text) for problem in found.problems] == [f"{root}/labels/train/gone.txt: no photo is called so"]
    assert "add the photo, or remove the label file" in found.problems[0].fix


KEYS = f"train: images/train\n{NAMED}"


@pytest.mark.parametrize(
    ("yaml", "problem", "fix"),
    [
        (KEYS, "it has no key 'kpt_shape'", "add kpt_shape: [17, 3]"),
        (f"{KEYS}kpt_shape: 17\n", "'kpt_shape' is 17", "kpt_shape: [17, 3]"),
        (f"{KEYS}kpt_shape: [17, 4]\n", "'kpt_shape' is [17, 4]", "2 or 3 numbers"),
        (f"{KEYS}kpt_shape: [5, 3]\n", "only 17 are known to be COCO's, these are 5", "kpt_names: {0: [nose, …]}"),
        (f"{KEYS}kpt_shape: [17, 3]\nflip_idx: [0, 4, 5, 6, 1, 2, 3]\n", "'flip_idx' is not that of", "kpt_names"),
        (f"{KEYS}kpt_shape: [3, 3]\nkpt_names: [a, b]\n", "'kpt_shape' has 3 joints, and 'kpt_names' 2 names", "each"),
        (
            f"{KEYS}kpt_shape: [2, 3]\nkpt_names: [left_eye, right_eye]\nflip_idx: [0, 0]\n",
            "'flip_idx' does not exchange left_eye with right_eye",
            "mend flip_idx",
        ),
        (f"train: images/train\n{POSE}", "'names' is missing", "names: [person]"),
        (f"{NAMED}{POSE}", "none of the keys 'train', 'val' and 'test'", "#val"),
        (f"train: 5\n{NAMED}{POSE}", "'train' is 5", "a folder, a list or a .txt file"),
        (
            f"train: pictures\n{NAMED}{POSE}",
            "'train' is 'pictures', and there is no such folder",
            "below the data.yaml",
        ),
        (f"train: list.txt\n{NAMED}{POSE}", "there is no file 'list.txt'", "below the data.yaml"),
        ("train: [a\nb: {", ":2: no YAML", "mend it"),
        ("- a\n", "it holds no keys", "name the data.yaml"),
        ("", "the file is empty", "export it again"),
    ],
)
def test_what_is_wrong_with_the_yaml_is_told_with_what_to_write(tmp_path, yaml, problem, fix):
    whole = files("images/train", "labels/train", {"data.yaml": yaml})
    with pytest.raises(UserError) as caught:
        read(write_files(tmp_path / "mine", whole) / "data.yaml")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/mine/data.yaml")
    assert problem in message
    assert fix in message


def test_the_specs_names_are_proposed_where_the_yaml_has_none(tmp_path):
    whole = files("images/train", "labels/train", {"data.yaml": f"{KEYS}kpt_shape: [2, 3]\n"})
    with pytest.raises(UserError, match=r"kpt_names: \{0: \[head, tail\]\}"):
        read(write_files(tmp_path / "mine", whole) / "data.yaml", joints=["head", "tail"])


def test_of_several_subsets_one_must_be_named(tmp_path, expected):
    root = write_files(tmp_path / "mine", plain() | files("images/val", "labels/val", {}, photos=shots()[:1]))
    with pytest.raises(UserError, match=r"several subsets; name one of them after a #, as in .*data.yaml#val; it has"):
        load_document(root)
    assert_same_people(people_in(read(f"{root}#valid")), {"a.png": expected["a.png"]})
    with pytest.raises(UserError, match=r"it has no photos for 'night'; .*it has: train, val"):
        load_document(f"{root}#night")


def test_photos_without_any_label_file_are_an_error(tmp_path):
    whole = {name: content for name, content in plain().items() if not name.startswith("labels/")}
    with pytest.raises(UserError, match="no label file belongs to the photos of 'train'"):
        load_document(f"{write_files(tmp_path / 'mine', whole)}#train")


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


def test_each_class_has_the_joints_that_are_listed_for_it(tmp_path, expected):
    """And names by number take the numbers' order, however the yaml lists them."""
    whole = plain(label=1)
    turned = "".join(f"  {place}: {JOINTS[place]}\n" for place in reversed(range(17)))
    for listed in (f"  0: {[f'wheel_{place}' for place in range(17)]}\n  1: {JOINTS}\n", turned):
        whole["data.yaml"] = f"train: images/train\nnames: [car, person]\nkpt_shape: [17, 3]\nkpt_names:\n{listed}"
        assert_same_people(people_in(read(write_files(tmp_path / "mine", whole))), expected)


def test_a_class_of_people_without_names_of_its_own_takes_no_others(tmp_path):
    whole = plain(label=1)
    listed = f"kpt_names:\n  0: {JOINTS}\n  2: {JOINTS}\n"
    whole["data.yaml"] = f"train: images/train\nnames: [car, person, cat]\nkpt_shape: [17, 3]\n{listed}"
    with pytest.raises(UserError, match="'kpt_names' no names; list the 17 joints' names of 'person'"):
        read(write_files(tmp_path / "mine", whole))


ALIASES = "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
MERGES = "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    "bomb",
    [
        f"a: &a [x, x, x, x]\n{ALIASES}train: *h\n{NAMED}{POSE}",
        f"a: &a [x, x, x, x]\n{ALIASES}train: images/train\nnames: [*h]\n{POSE}",
        f"a: &a {{x: 1}}\n{MERGES}{KEYS}{POSE}",
        f"a: &a [*a]\n{KEYS}{POSE}",
    ],
)
def test_aliases_that_grow_without_bound_are_refused(tmp_path, bomb):
    whole = files("images/train", "labels/train", {"data.yaml": bomb})
    with pytest.raises(UserError, match=r"data.yaml: its aliases stand for more.*write its values out"):
        read(write_files(tmp_path / "mine", whole))


@pytest.mark.parametrize("path", ["/", "../../../../../../../../../..", "gs://nobody/there", "x" * 5000, '"\\0"'])
def test_a_path_without_the_subset_leaves_the_yamls_own_folder(tmp_path, expected, path):
    whole = plain()
    whole["data.yaml"] = f"path: {path}\n{KEYS}{POSE}"
    root = write_files(tmp_path / "mine", whole)
    assert_same_people(people_in(read(root / "data.yaml")), expected)


def test_a_path_elsewhere_that_has_the_subset_is_taken(tmp_path, expected):
    whole = plain()
    yaml = f"path: ../data\n{KEYS}{POSE}"
    write_files(tmp_path / "data", {name: content for name, content in whole.items() if name != "data.yaml"})
    root = write_files(tmp_path / "spec", {"data.yaml": yaml})
    assert_same_people(people_in(read(root / "data.yaml")), expected)


def test_a_listed_photo_never_takes_the_label_file_of_another_folders(tmp_path):
    listed = "images/b.png\nimages/night/b.png\n"
    yaml = {"data.yaml": f"train: list.txt\n{NAMED}{POSE}", "list.txt": listed}
    whole = files("images", "labels", yaml) | {"images/night/b.png": pixels(shots()[1])}
    found = read(write_files(tmp_path / "mine", whole))
    assert {photo.file_name: len(photo.people) for photo in found.photos} == {
        "images/b.png": 1,
        "images/night/b.png": 0,
    }


def test_photos_that_differ_in_their_endings_alone_are_all_there(tmp_path):
    whole = plain() | {"images/train/b.jpg": pixels(shots()[1])}
    found = people_in(read(f"{write_files(tmp_path / 'mine', whole)}#train"))
    assert len(found["b.jpg"]) == len(found["b.png"]) == 1


def test_a_link_to_itself_is_no_file(tmp_path, expected):
    root = write_files(tmp_path / "mine", plain())
    (root / "images/train/loop.png").symlink_to("loop.png")
    assert_same_people(people_in(read(f"{root}#train")), expected)
