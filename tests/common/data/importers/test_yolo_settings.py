"""YOLO settings: joints are put in order by the names that the yaml gives, and what it lacks is told."""

import pytest
from support.coco_files import JOINTS
from support.tool_files import assert_same_people, people_in, write_files
from support.yolo_sets import KEYS, NAMED, POSE, files, plain, read

from bodyposenet.common.errors import UserError


def test_joints_in_another_order_are_put_in_order_by_name(tmp_path, expected):
    whole = plain()
    turned = [*JOINTS[1:], JOINTS[0]]
    for name in [name for name in whole if name.endswith(".txt")]:
        lines = [line.split() for line in whole[name].splitlines()]
        whole[name] = "".join(" ".join([*line[:5], *line[8:], *line[5:8]]) + "\n" for line in lines)
    whole["data.yaml"] = f"train: images/train\n{NAMED}kpt_shape: [17, 3]\nkpt_names: {turned}\n"
    assert_same_people(people_in(read(write_files(tmp_path / "mine", whole))), expected)


@pytest.mark.parametrize("key", ["keypoint_names", "keypoints", "kpt_labels", "joints"])
@pytest.mark.parametrize("shape", [lambda names: names, lambda names: {0: names}, lambda names: dict(enumerate(names))])
def test_joints_are_named_by_whatever_key_names_so_many(tmp_path, expected, key, shape):
    """Read as COCO's, each would be another: people are those of the file only if the key is looked at."""
    whole = plain()
    turned = [*JOINTS[1:], JOINTS[0]]
    for name in [name for name in whole if name.endswith(".txt")]:
        lines = [line.split() for line in whole[name].splitlines()]
        whole[name] = "".join(" ".join([*line[:5], *line[8:], *line[5:8]]) + "\n" for line in lines)
    whole["data.yaml"] = f"train: images/train\n{NAMED}kpt_shape: [17, 3]\n{key}: {shape(turned)}\n"
    assert_same_people(people_in(read(write_files(tmp_path / "mine", whole))), expected)


def test_two_keys_that_name_so_many_name_none(tmp_path):
    lists = f"joints: {JOINTS[:5]}\ncolours: [a, b, c, d, e]\n"
    whole = files("images/train", "labels/train", {"data.yaml": f"{KEYS}kpt_shape: [5, 3]\n{lists}"})
    with pytest.raises(UserError, match="it has no key 'kpt_names'"):
        read(write_files(tmp_path / "mine", whole) / "data.yaml")


@pytest.mark.parametrize("names", ["person", "{'0': person}", "{0: person}", "[person]"])
def test_classes_are_a_list_a_table_or_the_only_one(tmp_path, expected, names):
    whole = plain() | {"data.yaml": f"train: images/train\nnames: {names}\n{POSE}"}
    assert_same_people(people_in(read(write_files(tmp_path / "mine", whole))), expected)


@pytest.mark.parametrize(
    ("yaml", "problem", "fix"),
    [
        (KEYS, "it has no key 'kpt_shape'", "add kpt_shape: [17, 3]"),
        (f"{KEYS}kpt_shape: 17\n", "'kpt_shape' is 17", "kpt_shape: [17, 3]"),
        (f"{KEYS}kpt_shape: [17, 4]\n", "'kpt_shape' is [17, 4]", "2 or 3 numbers"),
        (f"{KEYS}kpt_shape: [5, 3]\n", "only 17 are known to be COCO's, these are 5", "kpt_names: {0: [nose, …]}"),
        (f"{KEYS}kpt_shape: [17, 3]\nflip_idx: [0, 4, 5, 6, 1, 2, 3]\n", "'flip_idx' is not that of", "kpt_names"),
        (f"{KEYS}kpt_shape: [3, 3]\nkpt_names: [a, b, c, d]\n", "has 3 joints, and 'kpt_names' 4 names", "each"),
        (f"{KEYS}kpt_shape: [3, 3]\nkpt_names: [a, b, a]\n", "has 3 joints, and 'kpt_names' 3 names", "each once"),
        (f"{KEYS}kpt_shape: [3, 3]\nkpt_names: []\n", "has 3 joints, and 'kpt_names' 0 names", "each once"),
        (f"{KEYS}kpt_shape: [17, 3]\nkpt_names: {JOINTS[:16]}\n", "has 17 joints, and 'kpt_names' 16 names", "each"),
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
        ("names: !!int ''", "no YAML: a value is not what its tag says", "mend it"),
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


PAIRS = [[place, place + 1] for place in range(1, 17, 2)]


@pytest.mark.parametrize(
    "yaml",
    [
        f"kpt_shape: [17, 3]\nflip_idx: {list(range(17))}\n",  # as Roboflow writes it of every set
        f"kpt_shape: [17, 3]\nflip_idx: {PAIRS}\n",
        f"kpt_shape: [17, 3]\nflip_idx: {PAIRS}\nkpt_names: {JOINTS}\n",
        f"kpt_shape: [17, 3]\nflip_idx: []\nkpt_names: {JOINTS}\n",
        "nkpt: 17\nndim: 3\n",  # before there was kpt_shape
    ],
)
def test_flips_that_tell_nothing_pairs_of_joints_and_older_keys_are_read(tmp_path, expected, yaml):
    """https://github.com/ultralytics/ultralytics/issues/9378, and its pull requests 1452 and 3577."""
    whole = plain() | {"data.yaml": f"{KEYS}{yaml}"}
    assert_same_people(people_in(read(write_files(tmp_path / "mine", whole))), expected)


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("", True),  # as CVAT writes it of a skeleton of any 17 joints
        (f"flip_idx: {list(range(17))}\n", True),
        (f"flip_idx: {PAIRS}\n", False),
        (f"kpt_names: {JOINTS}\n", False),
    ],
)
def test_joints_that_nothing_tells_to_be_cocos_are_told(tmp_path, caplog, yaml, told):
    read(write_files(tmp_path / "mine", plain() | {"data.yaml": f"{KEYS}kpt_shape: [17, 3]\n{yaml}"}))
    text = "neither kpt_names nor flip_idx tells what the 17 joints of 'person' are: they are taken for COCO's"
    assert caplog.text.count(text) == told


def test_pairs_that_are_not_cocos_name_no_joints(tmp_path):
    whole = plain() | {"data.yaml": f"{KEYS}kpt_shape: [17, 3]\nflip_idx: {PAIRS[1:]}\n"}
    with pytest.raises(UserError, match="'flip_idx' is not that of COCO's 17 joints"):
        read(write_files(tmp_path / "mine", whole))


@pytest.mark.parametrize(
    ("numbers", "rest"), [(3, ""), (3, " 0 0 0"), (3, " .3 .4 0"), (3, " -1 -1 2"), (2, ""), (2, " 0 0"), (2, " -1 -1")]
)
def test_joints_without_a_name_that_are_never_labelled_are_none(tmp_path, expected, numbers, rest):
    """Room for a joint that was deleted in Roboflow, or that only another class has; CVAT leaves it out."""
    whole = plain(numbers=numbers)
    for name in [name for name in whole if name.endswith(".txt")]:
        whole[name] = "".join(f"{line}{rest}\n" for line in whole[name].splitlines())
    whole["data.yaml"] = f"{KEYS}kpt_shape: [18, {numbers}]\nkpt_names: {JOINTS}\n"
    assert_same_people(people_in(read(write_files(tmp_path / "mine", whole))), expected, flags=numbers == 3)


def test_the_specs_names_are_proposed_where_the_yaml_has_none(tmp_path):
    whole = files("images/train", "labels/train", {"data.yaml": f"{KEYS}kpt_shape: [2, 3]\n"})
    with pytest.raises(UserError, match=r"kpt_names: \{0: \[head, tail\]\}"):
        read(write_files(tmp_path / "mine", whole) / "data.yaml", joints=["head", "tail"])


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
