"""YOLO layout: wherever photos and label files lie, the people are those of the COCO file."""

import pytest
from support.coco_files import JOINTS
from support.exports import shots, zipped
from support.tool_files import as_bytes, assert_same_people, people_in, pixels, write_files
from support.yolo_sets import KEYS, NAMED, POSE, files, plain, read

from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError


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


def test_a_label_file_of_no_photo_is_told_and_left_out(tmp_path, expected):
    whole = plain()
    whole["labels/train/gone.txt"] = whole["labels/train/a.txt"]
    root = write_files(tmp_path / "mine", whole)
    found = read(f"{root}#train")
    assert_same_people(people_in(found), expected)
    assert [str(problem.text) for problem in found.problems] == [f"{root}/labels/train/gone.txt: no photo is called so"]
    assert "add the photo, or remove the label file" in found.problems[0].fix


@pytest.mark.parametrize(
    ("photo", "label"),
    [("a b", "a%20b"), ("é", "e\u0301"), ("IMG", "1a2b3c4d-IMG"), ("IMG_1", "img_1")],
)
def test_a_label_file_whose_name_is_spelt_otherwise_is_its_photos(tmp_path, expected, photo, label):
    """As Label Studio writes them; the photo would have nobody in it."""
    whole = studio()
    whole[f"images/{photo}.png"], whole[f"labels/{label}.txt"] = whole.pop("images/a.png"), whole.pop("labels/a.txt")
    found = read(f"{write_files(tmp_path / 'mine', whole)}/data.yaml")
    assert found.problems == ()
    assert_same_people(people_in(found), {f"{photo}.png": expected.pop("a.png")} | expected)


def test_label_files_that_lie_flat_are_those_of_photos_in_folders(tmp_path, expected):
    """As Label Studio exports them; not where one name means two photos."""
    whole = studio()
    for name in ("a", "b", "c"):
        whole[f"images/{name}/{name}.png"] = whole.pop(f"images/{name}.png")
    found = read(f"{write_files(tmp_path / 'mine', whole)}/data.yaml")
    assert found.problems == ()
    assert_same_people(people_in(found), expected)
    write_files(tmp_path / "mine", {"images/x/a.png": whole["images/a/a.png"]})
    found = read(f"{tmp_path}/mine/data.yaml")
    assert len(found.problems) == 1
    assert people_in(found)["a.png"] == []


def test_label_files_that_lie_flat_are_those_of_photos_in_folders_where_others_are_not_in_one(tmp_path, expected):
    whole = studio()
    whole["images/deep/a.png"] = whole.pop("images/a.png")
    found = read(f"{write_files(tmp_path / 'mine', whole)}/data.yaml")
    assert found.problems == ()
    assert_same_people(people_in(found), expected)


@pytest.mark.parametrize("ending", [".TXT", ".png.txt"])
def test_an_ending_in_capitals_or_behind_that_of_the_photo_is_one_of_a_label_file(tmp_path, expected, ending):
    whole = plain()
    for name in ("a", "b"):
        whole[f"labels/train/{name}{ending}"] = whole.pop(f"labels/train/{name}.txt")
    root = write_files(tmp_path / "mine", whole)
    for images in (None, root, write_files(tmp_path / "photos", {shot.name: pixels(shot) for shot in shots()})):
        found = read(f"{root}#train", images)
        assert found.problems == ()
        assert_same_people(people_in(found), expected)


@pytest.mark.parametrize(("lost", "told"), [(True, True), (False, False)])
def test_a_photo_without_a_label_file_beside_one_of_no_photo_does_not_count_as_one_with_nobody(
    tmp_path, caplog, lost, told
):
    """It may be that photo's, renamed: its people would be learned as background."""
    whole = plain()
    labels = whole.pop("labels/train/a.txt")
    found = read(f"{write_files(tmp_path / 'mine', whole | ({'labels/train/a_1.txt': labels} if lost else {}))}#train")
    assert found.blank.tolist() == [not lost, False, False]
    assert ("1 photos have no label file, and 1 label files no photo, such as labels/train/a_1" in caplog.text) == told


@pytest.mark.parametrize("label", ["night/a", "a_1", "night/1a2b3c4d-a"])
def test_a_label_file_of_another_name_or_folder_is_not_that_of_a_photo_without_one(tmp_path, label):
    whole = plain()
    whole[f"labels/train/{label}.txt"] = whole.pop("labels/train/a.txt")
    found = read(f"{write_files(tmp_path / 'mine', whole)}/data.yaml#train")
    assert people_in(found)["a.png"] == []
    assert [problem.text for problem in found.problems] == [
        f"{tmp_path}/mine/labels/train/{label}.txt: no photo is called so"
    ]


def test_of_several_subsets_one_must_be_named(tmp_path, expected):
    root = write_files(tmp_path / "mine", plain() | files("images/val", "labels/val", {}, photos=shots()[:1]))
    with pytest.raises(UserError, match=r"several subsets; name one of them after a #, as in .*yaml#train; it has"):
        load_document(root)
    assert_same_people(people_in(read(f"{root}#valid")), {"a.png": expected["a.png"]})
    with pytest.raises(UserError, match=r"it has no photos for 'night'; .*it has: train, val"):
        load_document(f"{root}#night")


def test_photos_without_any_label_file_are_an_error(tmp_path):
    whole = {name: content for name, content in plain().items() if not name.startswith("labels/")}
    with pytest.raises(UserError, match="no label file belongs to the photos of 'train'"):
        load_document(f"{write_files(tmp_path / 'mine', whole)}#train")


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
