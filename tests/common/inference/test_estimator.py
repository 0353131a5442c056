"""The estimator that Python calls with photos: the same people as the verb's, whatever a photo is given as."""

import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from PIL import Image

from bodyposenet import PoseEstimator
from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.inputs import find_photos
from bodyposenet.common.inference.pictures import draw_photos
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.files import whole_file

GRACE_HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
SPEC = parse_spec({"input_shape": [192, 192]}, InferenceSpec)  # half of what it was tuned at, to be quick
TURNED = 6  # EXIF: a quarter to the right shows it upright


@pytest.fixture(scope="module")
def pose():
    return PoseEstimator.load("people", SPEC, runner="exact")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A photo of one person without loss, so that every library decodes the same pixels."""
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    cv2.imwrite(str(path), cv2.imread(str(GRACE_HOPPER))[::2, ::2])
    return path


@pytest.fixture(scope="module")
def people(pose, photo):
    return pose(photo)


@pytest.fixture(scope="module")
def written(pose, photo, tmp_path_factory):
    """What the verb writes of the photo."""
    made = draw_photos(pose.runner, SPEC, find_photos([str(photo)]), tmp_path_factory.mktemp("verb"))
    return made.detections.parent


GIVEN = {
    "text": str,
    "path": Path,
    "bytes": lambda path: path.read_bytes(),
    "RGB array": lambda path: cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB),
    "RGBA array": lambda path: cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGBA),
    "PIL image": Image.open,
    "PIL image with alpha": lambda path: Image.open(path).convert("RGBA"),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_the_people_are_those_of_the_verb_whatever_the_photo_is_given_as(pose, photo, written, kind):
    found = pose(GIVEN[kind](photo))
    assert len(found) >= 1
    (entry,) = json.loads((written / "detections.json").read_text())["images"]
    made = found.to_entry(1, "photo.png")
    assert (made["keypoints"], made["scores"]) == (entry["keypoints"], entry["scores"])
    assert made["image_meta"] == entry["image_meta"]
    assert found.to_coco(1) == json.loads((written / "detections_coco_format.json").read_text())


def test_a_photo_in_a_store_is_one(pose, photo, people, bucket):
    with whole_file(f"{bucket}/photo.png") as file:
        file.write(photo.read_bytes())
    found = pose(f"{bucket}/photo.png")
    assert found.name == f"{bucket}/photo.png"
    np.testing.assert_array_equal(found.keypoints, people.keypoints)
    assert found.draw().shape == people.draw().shape


def test_opencvs_arrays_are_taken_if_their_order_is_said(pose, photo, people):
    frame = cv2.imread(str(photo))
    found = pose(frame, order="bgr")
    np.testing.assert_array_equal(found.keypoints, people.keypoints)
    np.testing.assert_array_equal(found.draw(), people.draw())
    with pytest.raises(UserError, match="'gbr' is no order of colours; give 'rgb' or 'bgr'"):
        pose(frame, order="gbr")


def test_an_array_of_greys_is_a_photo(pose, photo):
    grey = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(pose(grey).keypoints, pose(np.dstack([grey] * 3)).keypoints)
    np.testing.assert_array_equal(pose(grey[..., None]).keypoints, pose(Image.fromarray(grey)).keypoints)


def test_files_and_pil_images_are_turned_as_their_exif_data_say(pose, photo):
    upright = Image.open(photo)
    turned, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = TURNED
    held = io.BytesIO()
    turned.save(held, "png", exif=exif)
    size = (upright.height, upright.width)
    assert pose(held.getvalue()).size == size
    assert pose(Image.open(io.BytesIO(held.getvalue()))).size == size


def test_a_list_gives_a_list_and_a_generator_an_iterator_in_their_order(pose, photo, people):
    upright = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    cuts = [upright[:, : upright.shape[1] - 8 * index] for index in range(6)]
    listed = pose(cuts)
    assert isinstance(listed, list)
    assert [found.size[1] for found in listed] == [cut.shape[1] for cut in cuts]
    assert [found.name for found in listed] == [f"photos[{index}]" for index in range(6)]
    streamed = pose(cut for cut in cuts)
    assert iter(streamed) is streamed
    for one, other in zip(streamed, listed, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
    np.testing.assert_array_equal(listed[0].keypoints, people.keypoints)
    assert pose([]) == []


def test_a_generator_without_an_end_is_read_a_few_photos_ahead(pose):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield np.zeros((64, 64, 3), np.uint8)

    streamed = pose(endless())
    assert len(next(streamed)) == 0
    streamed.close()
    assert len(taken) < 50


def test_a_damaged_photo_of_several_keeps_its_place_and_says_why(pose, photo, people, tmp_path, caplog):
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    first, broken, missing, wrong, last = pose([photo, tmp_path / "broken.jpg", "none.jpg", np.zeros(3), photo])
    assert "broken.jpg: is no readable image" in broken.problem
    assert (len(broken), list(broken), broken.to_coco(), broken.size) == (0, [], [], (0, 0))
    assert missing.problem.startswith("none.jpg: there is no such file")
    assert "photos[3]: float64 of shape (3,) is no photo" in wrong.problem
    assert (first.problem, last.problem) == ("", "")
    np.testing.assert_array_equal(last.keypoints, people.keypoints)
    assert "broken.jpg: is no readable image" in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none.jpg", "none.jpg: there is no such file"),
        (b"broken", "the photo: is no readable image"),
        (3, "int is no photo; give a path"),
        (None, "NoneType is no photo"),
        ({"photo": 1}, "dict is no photo"),
        (np.zeros((8, 8, 3)), r"float64 of shape \(8, 8, 3\) is no photo; give uint8"),
        (np.zeros((2, 8, 8, 3), np.uint8), "several photos as a list"),
        (np.zeros((0, 8, 3), np.uint8), "is no photo"),
        (Image.new("F", (8, 8)), "a PIL image of mode F is no photo; convert it to RGB"),
        (np.zeros((1, 60_000, 3), np.uint8), "the photo: .*crop it"),
    ],
)
def test_a_single_photo_that_cannot_be_used_is_an_error(pose, given, message):
    with pytest.raises(UserError, match=message):
        pose(given)


def test_a_pil_image_whose_file_ends_early_is_an_error(pose):
    data = GRACE_HOPPER.read_bytes()
    with pytest.raises(UserError, match=r"the photo: cannot be read: .*truncated"):
        pose(Image.open(io.BytesIO(data[: len(data) // 2])))


def test_what_is_saved_is_what_the_verb_writes(pose, people, written, tmp_path):
    pose.save(people, tmp_path / "one")
    pose.save(iter([people]), tmp_path / "several")
    coco, rich = "detections_coco_format.json", "detections.json"
    for folder in ("one", "several"):
        assert (tmp_path / folder / coco).read_bytes() == (written / coco).read_bytes()
    made, theirs = (json.loads((folder / rich).read_text()) for folder in (tmp_path / "one", written))
    del theirs["images"][0]["picture"]  # which the verb draws, too
    assert made == theirs


def test_networks_are_named_or_files(pose):
    assert pose.joints == pose.runner.card.skeleton.joints
    for given, message in (
        ("nobody.onnx", r"nobody\.onnx: no such model"),
        ("pretrained:nobody", "no weights named 'pretrained:nobody' are shipped"),
        ("gs://bucket/model.onnx", "models are read from a disk; fetch it first"),
    ):
        with pytest.raises(UserError, match=message):
            PoseEstimator.load(given)


def test_neither_tensorflow_nor_a_library_for_results_is_imported():
    code = "import sys; from bodyposenet import PoseEstimator; PoseEstimator.load(runner='exact')\n"
    code += "print(*{'tensorflow', 'keras', 'pandas', 'PIL', 'supervision', 'fiftyone'} & {*sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "\n"
