"""Inference on a user's photos: what is listed, found, written and drawn."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.coco_files import document, image, write_annotations
from support.perfect import PerfectRunner, standing

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.photo import read_image
from bodyposenet.common.inference.inference import default_results_dir, infer, list_photos
from bodyposenet.common.pose.draw import limb_colour
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.location import locate

pytestmark = pytest.mark.usefixtures("one_photo_at_a_time")  # which perfect networks count on

SPEC = parse_spec({"input_shape": [184, 184]}, InferenceSpec)
PEOPLE = [standing(1, 1, (20, 20, 90, 180)), standing(2, 2, (30, 20, 100, 170)), standing(3, 2, (150, 20, 80, 170))]


@pytest.fixture
def photos(tmp_path):
    """A folder with photos a.JPG and b.png of one and two people, and other files."""
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "inner/c.png"):
        cv2.imwrite(str(folder / name), np.full((200, 260, 3), 90, np.uint8))
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture
def network(tmp_path):
    """A perfect network that is shown the photos in the order of the folder."""
    return network_that_sees(PEOPLE, tmp_path)


def network_that_sees(people, folder):
    images = [image(1, size=(200, 260), name="a.JPG"), image(2, size=(200, 260), name="b.png")]
    path = write_annotations(folder / "truth.json", document(images, people))
    return PerfectRunner(read_annotations(path), shape=(184, 184))


def run(network, kind, source, **options):
    outcome = infer(network, SPEC, input_type=kind, input=source, **options)
    return outcome, json.loads(outcome.detections.read_text())


def names(entries):
    return [entry["full_image_path"].rpartition("/")[2] for entry in entries]


@pytest.mark.parametrize("name", ["c.BMP", "c.webp", "c.JPeG"])
def test_photos_of_every_kind_that_a_folder_is_looked_through_for_are_read(name, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix.lower(), picture)[1].tobytes())
    ((photo,), _) = list_photos("dir", locate(tmp_path), None)
    assert read_image(Path(photo["full_image_path"])).shape == (40, 50, 3)


def test_a_folders_photos_are_taken_by_name_and_not_those_below_it(network, photos, tmp_path):
    outcome, made = run(network, "dir", photos, results_dir=tmp_path / "out")
    assert names(made["images"]) == ["a.JPG", "b.png"]
    assert [len(entry["scores"]) for entry in made["images"]] == [1, 2]
    assert np.shape(made["images"][1]["keypoints"]) == (2, 18, 2)
    assert (outcome.images, outcome.people, outcome.empty, outcome.skipped) == (2, 3, 0, [])
    assert made["categories"][0]["keypoints"] == list(BODYPOSENET_18.joints)
    assert made["inference_spec"]["input_shape"] == [184, 184]
    assert "viz_id" not in made["images"][0]
    assert not (tmp_path / "out/images_annotated").exists()
    status = [json.loads(line)["status"] for line in (tmp_path / "out/status.json").read_text().splitlines()]
    assert status == ["STARTED", "SUCCESS"]


def test_keypoints_are_in_the_photos_pixels_and_missing_ones_at_zero(photos, tmp_path):
    left_ankle = 15
    network = network_that_sees([standing(1, 1, (20, 20, 90, 180), hidden=[left_ankle]), *PEOPLE[1:]], tmp_path)
    _, made = run(network, "image", photos / "a.JPG", results_dir=tmp_path / "out")
    found = dict(zip(BODYPOSENET_18.joints, made["images"][0]["keypoints"][0], strict=True))
    assert found["left_ankle"] == [0, 0]
    np.testing.assert_allclose(found["nose"], [20 + 0.5 * 90, 20 + 0.08 * 180], atol=0.7)


def test_results_are_beside_the_input_unless_told_otherwise(network, photos, monkeypatch):
    outcome, _ = run(network, "image", photos / "a.JPG")
    assert outcome.detections == photos / "inference/detections.json"
    monkeypatch.chdir(photos)
    network.queue = list(network.truth.photos)
    bare, _ = run(network, "image", "b.png")
    assert bare.detections == photos / "inference/detections.json"
    assert default_results_dir(photos) == photos.parent / "inference"


def test_people_are_drawn_under_the_index_in_the_list(network, photos, tmp_path):
    (photos / "a.JPG").rename(photos / "z.JPG")
    (photos / "a.png").write_bytes(b"broken")
    outcome, made = run(network, "dir", photos, results_dir=tmp_path, dump_visualizations=True)
    assert names(made["images"]) == ["a.png", "b.png", "z.JPG"]
    assert [entry.get("viz_id") for entry in made["images"]] == [None, 1, 2]
    assert outcome.pictures == [tmp_path / "images_annotated/1.png", tmp_path / "images_annotated/2.png"]
    drawn = read_image(outcome.pictures[0])
    assert drawn.shape == (200, 260, 3)
    colours = set(map(tuple, drawn.reshape(-1, 3).tolist()))
    assert {limb_colour("left_hip", "left_knee"), limb_colour("right_hip", "right_knee")} <= colours


def test_a_photo_that_cannot_be_read_stays_in_the_list_without_keypoints(network, photos, tmp_path, caplog):
    (photos / "a.JPG").write_bytes(b"broken")
    network.queue = network.queue[1:]
    outcome, made = run(network, "dir", photos, results_dir=tmp_path)
    assert "keypoints" not in made["images"][0]
    assert len(made["images"][1]["keypoints"]) == 2
    assert len(outcome.skipped) == 1
    assert "a.JPG: is no readable image" in caplog.text
    assert outcome.summary() == "2 people found in 2 photos (nobody in 0). 1 photo could not be used."


def test_photos_none_of_which_can_be_read_are_an_error(network, photos, tmp_path):
    for photo in filter(Path.is_file, photos.iterdir()):
        photo.write_bytes(b"broken")
    with pytest.raises(UserError, match="none of the 2 photos can be used"):
        run(network, "dir", photos, results_dir=tmp_path)


def test_an_archive_in_a_photo_s_place_is_told_from_one_that_cannot_be_read(network, tmp_path):
    (tmp_path / "cut.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"cut\.zip: is an archive rather than a photo; .* bpnet prelabel --input"):
        run(network, "image", tmp_path / "cut.zip")
    assert not (tmp_path / "inference").exists()


def test_a_list_of_paths_is_read_below_the_root_in_its_order(network, photos, tmp_path):
    (tmp_path / "list.json").write_text(json.dumps(["b.png", str(photos / "a.JPG"), "missing.png"]))
    outcome, made = run(network, "json", tmp_path / "list.json", image_root_path=photos, results_dir=tmp_path / "out")
    assert names(made["images"]) == ["b.png", "a.JPG", "missing.png"]
    assert made["images"][0]["full_image_path"] == str(photos / "b.png")
    assert len(outcome.skipped) == 1
    assert "missing.png" in outcome.skipped[0]


def test_a_list_of_photos_in_a_store_is_taken_without_a_question_for_each(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(photos.parent)
    wanted = ["b.png", "https://127.0.0.1:9/more/c.png", str(photos / "a.JPG")]  # nobody answers there
    (tmp_path / "list.json").write_text(json.dumps(wanted))
    entries, _ = list_photos("json", tmp_path / "list.json", locate("https://127.0.0.1:9/photos"))
    assert [entry["full_image_path"] for entry in entries] == ["https://127.0.0.1:9/photos/b.png", *wanted[1:]]


def test_an_objects_other_keys_and_fields_are_kept(network, photos, tmp_path):
    source = {"set": "holiday", "images": [{"full_image_path": "a.JPG", "id": 12, "place": "beach"}], "categories": 1}
    (tmp_path / "list.json").write_text(json.dumps(source))
    _, made = run(network, "json", tmp_path / "list.json", image_root_path=photos, results_dir=tmp_path / "out")
    assert made["set"] == "holiday"
    assert made["categories"][0]["name"] == "person"  # ours, not the list's
    entry = made["images"][0]
    assert (entry["id"], entry["place"], len(entry["keypoints"])) == (12, "beach", 1)


def test_an_image_is_found_as_given_or_below_the_root(photos, monkeypatch):
    assert list_photos("image", photos / "a.JPG", None)[0] == [{"full_image_path": str(photos / "a.JPG")}]
    monkeypatch.chdir(photos.parent)
    for given in ("a.JPG", "photos/a.JPG"):
        (entry,), _ = list_photos("image", given, "photos")
        assert read_image(photos.parent / entry["full_image_path"]).shape == (200, 260, 3)


def test_a_folder_without_photos_is_refused_and_each_file_passed_over_is_told(network, tmp_path, caplog):
    (tmp_path / "empty/below").mkdir(parents=True)
    (tmp_path / "empty/notes.txt").write_text("none")
    (tmp_path / "empty/below/a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty: has no photos \(JPEG, PNG, BMP, WebP or TIFF\)"):
        run(network, "dir", tmp_path / "empty")
    assert "empty/notes.txt is passed over: no photo by its name" in caplog.text
    assert "empty/below/a.png is passed over: it is in a folder below" in caplog.text


@pytest.mark.parametrize(
    ("kind", "name", "content", "message"),
    [
        ("image", "none.png", None, "there is no such image file; check --input"),
        ("image", "", None, "there is no such image file; give a file, or --input_type dir"),
        ("dir", "none", None, "is no folder"),
        ("dir", "a.png", "x", "is no folder"),
        ("json", "none.json", None, "there is no such file"),
        ("json", "a.json", "[1,\n2", r"a\.json:2: is no JSON"),
        ("json", "a.json", '{"pictures": []}', "lists no images"),
        ("json", "a.json", '"text"', "lists no images"),
        ("json", "a.json", '["a.png", {"file_name": "b.png"}]', r"images\[1\]: has no 'full_image_path'"),
        ("json", "a.json", "[3]", r"images\[0\]: has no 'full_image_path'"),
        ("json", "a.json", b"\xff\xfe\x00", "is no text"),
    ],
)
def test_an_input_that_is_not_what_it_should_be_is_named(tmp_path, kind, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        list_photos(kind, tmp_path / name, None)
