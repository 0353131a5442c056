"""Exporters: what is written for a labelling tool is read back by this project's importers, number by number."""

import json
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.exporters.labels import LabelSet, PhotoLabels, label_people
from bodyposenet.common.data.exporters.write import write_labels
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, make_skeleton
from bodyposenet.common.storage.location import locate

SIZES = {
    "a.png": (120, 200),
    "inner/b c.png": (333, 77),
    "nobody.png": (40, 50),
    "images/a.png": (90, 60),
    "cam/images/day/a.png": (50, 80),
    "Images/é ü.png": (70, 80),
}
HAND = make_skeleton("hand", ("wrist", "left_tip", "right_tip", "palm"), ((0, 3), (3, 1), (3, 2)))


def find(seed, size, skeleton, number):
    """People as a network finds them: joints of any score, some missing, some beyond the border."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-0.1, 1.1, (number, skeleton.num_joints, 2)) * (size[1], size[0])
    scores = rng.choice([0, 0.1, 0.299, 0.3, 0.9], (number, skeleton.num_joints))
    scores[:, -1] = 0.9
    return People(np.where(scores[..., None] > 0, np.dstack([places, scores]), 0), rng.uniform(0.1, 0.9, number))


def make_set(skeleton=BODYPOSENET_18, seed=1):
    counts = dict(zip(SIZES, (3, 1, 0, 1, 2, 1), strict=True))
    photos = [
        PhotoLabels(name, size, label_people(find(seed, size, skeleton, counts[name]), skeleton, size))
        for name, size in SIZES.items()
    ]
    written = COCO_17 if skeleton is BODYPOSENET_18 else skeleton
    return LabelSet(written, photos, "people")


def draw(folder):
    for name, size in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((*size, 3), np.uint8))


def read(path, labels, photos=None):
    """What the importer makes of a file: for each photo its people's triplets and boxes, to a thousandth pixel."""
    document = load_document(path, joints=list(labels.skeleton.joints), photos=photos)
    (category,) = document["categories"]
    assert category["keypoints"] == list(labels.skeleton.joints)
    names = {image["id"]: image["file_name"] for image in document["images"]}
    people = {name: [] for name in names.values()}
    for entry in document["annotations"]:
        triplets = np.reshape(entry["keypoints"], (-1, 3)).round(3)
        people[names[entry["image_id"]]].append((triplets.tolist(), np.round(entry["bbox"], 3).tolist()))
    return people


def told(labels):
    return {photo.name: [(one.keypoints.tolist(), list(one.box)) for one in photo.people] for photo in labels.photos}


def accept(tasks):
    """The tasks as Label Studio exports them when somebody has submitted each prediction as it is."""
    return [
        {"id": task["id"], "data": task["data"], "annotations": [{"result": task["predictions"][0]["result"]}]}
        for task in tasks
    ]


@pytest.mark.parametrize("skeleton", [BODYPOSENET_18, COCO_17, HAND], ids=lambda each: each.name)
@pytest.mark.parametrize("form", ["coco", "label-studio", "yolo"])
def test_every_number_comes_back(form, skeleton, tmp_path):
    draw(tmp_path / "images" / "train")
    labels = make_set(skeleton)
    path = write_labels(labels, locate(tmp_path), form)
    if form == "label-studio":
        (tmp_path / "export.json").write_text(json.dumps(accept(json.loads((tmp_path / "tasks.json").read_text()))))
        path = tmp_path / "export.json"
    found = read(path, labels)
    found = {name.removeprefix("images/train/"): people for name, people in found.items()}
    assert found == told(labels)
    assert {flag for people in found.values() for one, _ in people for *_, flag in one} == {0, 1, 2}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_percent_of_label_studio_come_back_for_any_place(seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    labels = make_set(seed=seed)
    write_labels(labels, locate(folder), "label-studio", prefix="/data/local-files/?d=photos/")
    (folder / "export.json").write_text(json.dumps(accept(json.loads((folder / "tasks.json").read_text()))))
    assert read(folder / "export.json", labels) == told(labels)


@pytest.mark.parametrize("prefix", ["", "gs://bucket/x/", "https://host/photos/", "/data/local-files/?d=p/"])
def test_photos_are_found_again_behind_any_prefix(prefix, tmp_path):
    labels = make_set()
    write_labels(labels, locate(tmp_path), "label-studio", prefix=prefix)
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert all(task["data"]["image"].startswith(prefix) for task in tasks)
    (tmp_path / "export.json").write_text(json.dumps(accept(tasks)))
    assert [*read(tmp_path / "export.json", labels)] == [*SIZES]


def test_label_studio_keeps_what_is_only_predicted_apart_from_what_somebody_annotated(tmp_path):
    path = write_labels(make_set(), locate(tmp_path), "label-studio")
    with pytest.raises(UserError, match="tasks of Label Studio carry no annotations"):
        load_document(path)


def test_the_interface_has_a_label_for_all_that_the_tasks_hold(tmp_path):
    labels = make_set()
    write_labels(labels, locate(tmp_path), "label-studio")
    view = ElementTree.fromstring((tmp_path / "interface.xml").read_text())
    known = {(part.get("name"), label.get("value")) for part in view for label in part}
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    results = [entry for task in tasks for entry in task["predictions"][0]["result"]]
    used = {(entry["from_name"], *entry["value"][entry["type"]]) for entry in results}
    assert used <= known
    assert len(known) == 18
    order = {label.get("value"): label.get("model_index") for label in view.find("KeyPointLabels")}
    assert order == {joint: str(number) for number, joint in enumerate(COCO_17.joints)}  # Label Studio's COCO and YOLO


def test_photos_of_a_yolo_dataset_may_be_elsewhere(tmp_path):
    draw(tmp_path / "photos")
    labels = make_set()
    path = write_labels(labels, locate(tmp_path / "out"), "yolo")
    album = Album(locate(tmp_path / "photos"))
    assert read(path, labels, album) == told(labels)


def test_label_files_of_yolo_lie_where_trainings_look_for_them(tmp_path):
    """There the last folder ``images`` of a photo's path becomes ``labels``."""
    write_labels(make_set(), locate(tmp_path), "yolo")
    for name in SIZES:
        before, _, behind = f"/images/train/{name}".rpartition("/images/")
        assert (tmp_path / f"{before}/labels/{behind}".lstrip("/")).with_suffix(".txt").exists()


def test_a_yolo_dataset_says_what_a_mirror_swaps(tmp_path):
    document = yaml.safe_load(write_labels(make_set(HAND), locate(tmp_path), "yolo").read_text(encoding="utf-8"))
    assert (document["kpt_shape"], document["flip_idx"]) == ([4, 3], [0, 2, 1, 3])
    assert document["kpt_names"] == {0: list(HAND.joints)}


def test_photos_that_would_share_a_label_file_are_refused(tmp_path):
    twins = [PhotoLabels(name, (10, 10), []) for name in ("a.png", "a.jpg")]
    with pytest.raises(UserError, match=r"a.png and a.jpg would have one label file, labels/train/a.txt"):
        write_labels(LabelSet(COCO_17, twins), locate(tmp_path), "yolo")
    assert not list(tmp_path.iterdir()), "nothing is written by halves"


def test_coco_s_own_reader_takes_the_annotations_with_skeleton_counts_and_areas(tmp_path):
    from pycocotools.coco import COCO

    labels = make_set()
    coco = COCO(str(write_labels(labels, locate(tmp_path), "coco")))
    (category,) = coco.loadCats(coco.getCatIds())
    assert [16, 14] in category["skeleton"], "left ankle to left knee, counted from 1"
    entries = coco.loadAnns(coco.getAnnIds())
    assert len(entries) == labels.num_people == 8
    for entry in entries:
        triplets = np.reshape(entry["keypoints"], (17, 3))
        seen = triplets[triplets[:, 2] > 0]
        assert entry["num_keypoints"] == len(seen)
        x, y, width, height = entry["bbox"]
        np.testing.assert_allclose([x, y, x + width, y + height], [*seen[:, :2].min(0), *seen[:, :2].max(0)], atol=2e-3)
        assert entry["area"] == pytest.approx(width * height, abs=1e-3)


def test_scores_decide_the_flags_and_nobody_without_a_joint_is_written():
    scores = np.zeros((2, 18))
    scores[0, :4] = (0.49, 0.5, 0.51, 0)
    keypoints = np.dstack([np.full((2, 18, 2), 5.0) * (scores[..., None] > 0), scores])
    (one,) = label_people(People(keypoints, np.array([0.5, 0.4])), BODYPOSENET_18, (20, 20), least=0.5)
    flags = dict(zip(COCO_17.joints, one.keypoints[:, 2], strict=True))
    assert (flags["nose"], flags["right_shoulder"], flags["right_elbow"]) == (1, 2, 0)
    assert one.box == (5, 5, 1, 1), "a box is a pixel wide and high at least"
