"""Batch: people in very many photos, wherever they are, whatever is wrong with some, and however often it is killed."""

import json
import signal
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest
from support.person_net import BRIGHT, DARK, IN_PHOTO, jpeg, write_network

from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.batch import PART, digest_work, infer_batch, list_source
from bodyposenet.common.inference.detector import open_model
from bodyposenet.common.inference.gallery_picks import PhotoSampler
from bodyposenet.common.machine.processor import count_cores
from bodyposenet.common.skeleton.skeleton import COCO_17
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.files import listing, whole_file
from bodyposenet.common.storage.photo_store import open_photos

SPEC = parse_spec({"input_shape": [128, 128], "keep_aspect_ratio_mode": "pad_image_input"}, InferenceSpec)
AHEAD = 2 * (count_cores() + 1)  # photos that are begun before those before them are done
RICH, PLAIN = "detections.json", "detections_coco_format.json"

# Looks at the photos of a folder, and dies when it opens a certain one.
KILLED = """
import os, signal, sys
from pathlib import Path
from bodyposenet.common.inference.batch import infer_batch
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
model, spec, source, folder, work, last = sys.argv[1:]
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith(last):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
infer_batch(Path(model), parse_spec(__import__("json").loads(spec), InferenceSpec), source, Path(folder), work=work)
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "person.onnx")


@pytest.fixture
def photos(tmp_path):
    """A folder with a person, with nobody, with a person below it, and with files that are no photos or broken ones."""
    folder = tmp_path / "photos"
    for name in ("inner", ".cache", "__MACOSX"):
        (folder / name).mkdir(parents=True)
    files = {"a.jpg": jpeg(BRIGHT), "b.JPG": jpeg(DARK), "inner/c.jpeg": jpeg(BRIGHT), "notes.txt": b"no photo"}
    files |= {"cut.jpg": jpeg(BRIGHT)[:-400], "none.png": b"", ".cache/a.jpg": b"hidden", "__MACOSX/a.jpg": b"hidden"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def found(folder, name):
    return json.loads((folder / name).read_text())


def test_every_photo_is_told_of_with_its_people_or_with_what_is_wrong_with_it(network, photos, tmp_path, caplog):
    out = tmp_path / "out"
    batch = infer_batch(network, SPEC, str(photos), out, extra={"model": {"name": "n", "version": "3"}})
    assert batch.summary() == "2 people found in 5 photos (nobody in 1). 2 photos could not be used."
    document = found(out, RICH)
    told = {entry["image_meta"]["file_name"]: entry for entry in document["images"]}
    assert list(told) == ["a.jpg", "b.JPG", "cut.jpg", "inner/c.jpeg", "none.png"]
    assert [entry["image_meta"]["id"] for entry in told.values()] == [1, 2, 3, 4, 5]
    people = {name: len(entry["scores"]) for name, entry in told.items() if "problem" not in entry}
    assert people == {"a.jpg": 1, "b.JPG": 0, "inner/c.jpeg": 1}
    assert (
        told["cut.jpg"]["problem"]
        == f"{photos}/cut.jpg: is no readable image; replace it with a JPEG, PNG, BMP, WebP or TIFF file"
    )
    assert "scores" not in told["none.png"]
    np.testing.assert_allclose(told["inner/c.jpeg"]["keypoints"][0], IN_PHOTO, atol=3)
    assert document["model"] == {"name": "n", "version": "3"}
    assert batch.problems == [told[name]["problem"] for name in ("cut.jpg", "none.png")]
    assert all(problem in caplog.text for problem in batch.problems)
    status = [json.loads(line)["status"] for line in (out / "status.json").read_text().splitlines()]
    assert status == ["STARTED", "SUCCESS"]
    assert sorted(path.name for path in out.iterdir()) == [RICH, PLAIN, "status.json"]


def test_coco_s_own_reader_takes_the_results(network, photos, tmp_path):
    from pycocotools.coco import COCO

    infer_batch(network, SPEC, str(photos), tmp_path / "out")
    truth = COCO()
    photo = {"height": 256, "width": 256}
    person = {"id": 1, "name": "person", "keypoints": list(COCO_17.joints)}
    truth.dataset = {"images": [{"id": number, **photo} for number in range(1, 6)], "categories": [person]}
    truth.dataset |= {"info": {}, "annotations": []}
    truth.createIndex()
    read = truth.loadRes(str(tmp_path / "out" / PLAIN))
    assert [each["image_id"] for each in read.loadAnns(read.getAnnIds())] == [1, 4]
    nose = read.loadAnns(read.getAnnIds(imgIds=[4]))[0]["keypoints"][:3]
    np.testing.assert_allclose(nose, [*IN_PHOTO[0], 1], atol=3)


def test_the_same_comes_out_of_a_bucket_and_of_an_archive(network, photos, tmp_path, store):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in listing(photos):
            archive.write(photos / name, name)
            with whole_file(f"{store}/in/{name}") as file:
                file.write((photos / name).read_bytes())
    wanted = infer_batch(network, SPEC, str(photos), tmp_path / "disk").summary()
    for place, source in (("bucket", f"{store}/in"), ("zip", str(tmp_path / "photos.zip"))):
        out = tmp_path / place
        work = f"{store}/work" if place == "bucket" else ""
        assert infer_batch(network, SPEC, source, out, work=work).summary() == wanted
        assert (out / PLAIN).read_text() == (tmp_path / "disk" / PLAIN).read_text()
        assert found(out, RICH)["images"][0]["full_image_path"] == f"{source}/a.jpg"
    assert not [name for name in listing(store) if name.startswith("work/")], "finished parts are not left behind"


def test_an_inference_that_was_killed_goes_on_where_it_was(network, tmp_path, caplog):
    caplog.set_level("INFO")
    folder, out, work = tmp_path / "many", tmp_path / "out", tmp_path / "work"
    folder.mkdir()
    photos, later = 2 * PART + 20 + AHEAD, 2 * PART + 10 + AHEAD  # the second part may be being written
    for number in range(photos):
        cv2.imwrite(str(folder / f"{number:03d}.png"), np.full((48, 48, 3), 255 * (number % 2), np.uint8))
    infer_batch(network, SPEC, str(folder), tmp_path / "wanted")
    command = [network, json.dumps(SPEC.model_dump(mode="json")), folder, out, work, f"{later}.png"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, command)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (out / RICH).exists()
    batch = infer_batch(network, SPEC, str(folder), out, work=str(work))
    assert batch.resumed in (PART, 2 * PART)
    assert batch.photos == photos
    assert f"an earlier attempt has looked at {batch.resumed} of {photos} photos" in caplog.text
    for name in (RICH, PLAIN):
        assert (out / name).read_bytes() == (tmp_path / "wanted" / name).read_bytes()
    assert list(work.iterdir()) == []


def test_what_was_found_with_other_settings_or_photos_is_not_taken_over(network, photos, tmp_path):
    command = [network, json.dumps(SPEC.model_dump(mode="json")), photos, tmp_path / "out", tmp_path / "work"]
    for number in range(PART):
        (photos / f"a{number:03d}.jpg").write_bytes(jpeg(DARK[:32, :32]))
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, command), "c.jpeg"], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    other = SPEC.model_copy(update={"heatmap_threshold": 0.2})
    assert infer_batch(network, other, str(photos), tmp_path / "a", work=str(tmp_path / "work")).resumed == 0
    (photos / "a000.jpg").write_bytes(jpeg(BRIGHT))
    assert infer_batch(network, SPEC, str(photos), tmp_path / "b", work=str(tmp_path / "work")).resumed == 0


def test_a_part_that_cannot_be_written_is_told(network, photos, tmp_path):
    listed = list_source(open_photos(photos), str(photos))
    key = digest_work(network, open_model(network, SPEC)[1], str(photos), listed, "people")
    part = tmp_path / "work" / f"parts-{key[:16]}" / "000000.jsonl"
    (part / "folder").mkdir(parents=True)
    with pytest.raises(UserError, match=r"000000\.jsonl: "):
        infer_batch(network, SPEC, str(photos), tmp_path / "out", work=str(tmp_path / "work"))
    assert not (tmp_path / "out" / RICH).exists()


def test_a_place_without_photos_is_refused(network, tmp_path, bucket):
    (tmp_path / "empty").mkdir()
    with whole_file(f"{bucket}/in/readme.txt") as file:
        file.write(b"none here")
    for source, problem in (
        (
            str(tmp_path / "empty"),
            r"empty: has no photos \(JPEG, PNG, BMP, WebP or TIFF\); name the folder that your photos are",
        ),
        (f"{bucket}/in", r"in: has no photos \(JPEG, PNG, BMP, WebP or TIFF\); name the folder"),
        (f"{bucket}/out", "out: there is no such file or folder; name a folder that exists"),
        (str(tmp_path / "away"), "away: there is no such folder; name a folder or a zip archive of photos"),
    ):
        with pytest.raises(UserError, match=problem):
            infer_batch(network, SPEC, source, tmp_path / "out")


def test_photos_none_of_which_can_be_used_are_refused_and_told(network, tmp_path):
    (tmp_path / "bad").mkdir()
    for name in ("a.jpg", "b.png"):
        (tmp_path / "bad" / name).write_bytes(b"broken")
    with pytest.raises(UserError, match=r"a\.jpg: is no readable image.*: none of the 2 photos can be used"):
        infer_batch(network, SPEC, str(tmp_path / "bad"), tmp_path / "out")
    assert all("problem" in entry for entry in found(tmp_path / "out", RICH)["images"])


def test_photos_none_of_which_can_be_used_leave_what_was_found_before(network, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.jpg").write_bytes(b"broken")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / RICH).write_bytes(b"what was found")
    with pytest.raises(UserError, match="none of the 1 photos can be used"):
        infer_batch(network, SPEC, str(tmp_path / "bad"), tmp_path / "out")
    assert (tmp_path / "out" / RICH).read_bytes() == b"what was found"


def entry(name, *scores):
    return {"full_image_path": name, "scores": list(scores)}


def test_photos_worth_a_look_are_the_fullest_the_most_doubtful_and_some_with_nobody():
    picks = PhotoSampler(4)
    full, doubtful, empty = entry("full", *[0.9] * 5), entry("doubtful", 0.9, 0.1), entry("empty")
    plain = [entry(f"plain {number}", 0.8) for number in range(50)]
    for each in (*plain, full, entry("second", *[0.9] * 4), doubtful, empty, {"full_image_path": "broken"}):
        picks.offer(each)
    picked = {kind: [each["full_image_path"] for each in entries] for kind, entries in picks.pick().items()}
    assert picked == {"crowded": ["full", "second"], "doubtful": ["doubtful"], "empty": ["empty"]}


def test_each_photo_is_picked_once_and_kinds_make_up_for_one_another():
    picks = PhotoSampler(4)
    for number in range(3):
        picks.offer(entry(f"one {number}", 0.5))
    picked = [each["full_image_path"] for entries in picks.pick().values() for each in entries]
    assert sorted(picked) == ["one 0", "one 1", "one 2"]
    assert not any(PhotoSampler(3).pick().values())
