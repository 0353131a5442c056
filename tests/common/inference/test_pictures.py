"""Pictures of people on photos that somebody names, and what is written beside them."""

import json

import cv2
import numpy as np
import pytest
from support.coco_files import document, image, write_annotations
from support.perfect import PerfectRunner, standing

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.photo import read_image
from bodyposenet.common.inference.inputs import find_photos
from bodyposenet.common.inference.pictures import draw_photos
from bodyposenet.common.pose.draw import limb_colour
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec

pytestmark = pytest.mark.usefixtures("one_photo_at_a_time")  # which perfect networks count on

SPEC = parse_spec({"input_shape": [184, 184]}, InferenceSpec)
PEOPLE = [standing(1, 1, (20, 20, 90, 180)), standing(2, 2, (30, 20, 100, 170)), standing(3, 2, (150, 20, 80, 170))]


@pytest.fixture
def photos(tmp_path):
    """A folder with photos a.jpg and deep/b.png of one and two people."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.jpg", "deep/b.png"):
        cv2.imwrite(str(folder / name), np.full((200, 260, 3), 90, np.uint8))
    return folder


@pytest.fixture
def network(tmp_path):
    """A perfect network that is shown the photos in the order of the folder."""
    images = [image(1, size=(200, 260), name="a.jpg"), image(2, size=(200, 260), name="b.png")]
    path = write_annotations(tmp_path / "truth.json", document(images, PEOPLE))
    return PerfectRunner(read_annotations(path), shape=(184, 184))


def draw(network, folder, *inputs):
    return draw_photos(network, SPEC, find_photos(list(map(str, inputs))), folder)


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_each_photo_has_a_picture_and_two_files_say_who_is_where(network, photos, tmp_path):
    before = files(photos)
    made = draw(network, tmp_path / "out", photos)
    assert files(photos) == before
    assert files(tmp_path / "out") == [
        "a.people.jpg", "deep/b.people.jpg", "detections.json", "detections_coco_format.json", "status.json",
    ]  # fmt: skip
    assert made.pictures == [tmp_path / "out/a.people.jpg", tmp_path / "out/deep/b.people.jpg"]
    assert made.found.summary() == "3 people found in 2 photos (nobody in 0)."
    first, second = json.loads(made.detections.read_text())["images"]
    assert first["image_meta"] == {"id": 1, "file_name": "a.jpg", "height": 200, "width": 260}
    assert second["full_image_path"] == str(photos / "deep/b.png")
    assert second["picture"] == "deep/b.people.jpg"
    assert [person["image_id"] for person in json.loads(made.coco.read_text())] == [1, 2, 2]


def test_the_people_are_drawn_on_the_picture(network, photos, tmp_path):
    made = draw(network, tmp_path / "out", photos / "a.jpg")
    drawn = read_image(made.pictures[0]).astype(int)
    assert drawn.shape == (200, 260, 3)
    for limb in (("left_hip", "left_knee"), ("right_hip", "right_knee")):
        assert np.abs(drawn - limb_colour(*limb)).max(axis=-1).min() < 60, "a JPEG's colours are near"


def test_a_photo_that_cannot_be_read_is_told_and_the_others_are_drawn(network, photos, tmp_path):
    (photos / "a.jpg").write_bytes(b"broken")
    network.queue = network.queue[1:]
    made = draw(network, tmp_path / "out", photos)
    assert made.found.summary() == "2 people found in 2 photos (nobody in 0). 1 photo could not be used."
    assert [path.name for path in made.pictures] == ["b.people.jpg"]
    first, _ = json.loads(made.detections.read_text())["images"]
    assert "a.jpg: is no readable image" in first["problem"]
    assert "keypoints" not in first


def test_photos_none_of_which_can_be_read_are_an_error_and_earlier_results_stay(network, photos, tmp_path):
    draw(network, tmp_path / "out", photos)
    before = (tmp_path / "out/detections.json").read_bytes()
    (photos / "a.jpg").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"a\.jpg: .*none of the 1 photos can be used"):
        draw(network, tmp_path / "out", photos / "a.jpg")
    assert (tmp_path / "out/detections.json").read_bytes() == before


def test_a_picture_that_cannot_be_written_is_no_fault_of_the_photo(network, photos, tmp_path):
    (tmp_path / "out/a.people.jpg").mkdir(parents=True)
    with pytest.raises(UserError, match=r"a\.people\.jpg: "):
        draw(network, tmp_path / "out", photos)
    assert not (tmp_path / "out/detections.json").exists()


def test_a_photo_longer_than_a_jpeg_is_drawn_as_a_png(network, tmp_path, monkeypatch):
    monkeypatch.setattr("bodyposenet.common.inference.pictures.JPEG_SIDE", 259)
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((200, 260, 3), 90, np.uint8))
    made = draw(network, tmp_path / "out", tmp_path / "a.jpg")
    assert made.pictures == [tmp_path / "out/a.people.png"]
    assert read_image(made.pictures[0]).shape == (200, 260, 3)
