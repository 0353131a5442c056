"""Prelabel: new photos become drafts for a labelling tool, whatever is wrong with some, however often it is killed."""

import csv
import errno
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from support.faulty_disk import fail_reading
from support.person_net import BRIGHT, DARK, IN_PHOTO, jpeg, write_network

from bodyposenet.common import tasks
from bodyposenet.common.cli.main import main
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.batch import PART
from bodyposenet.common.inference.prelabel import LabelChoice, prelabel
from bodyposenet.common.machine.processor import count_cores
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.files import listing
from bodyposenet.common.tracking import promote, register_model

SETTINGS = {"input_shape": [128, 128], "keep_aspect_ratio_mode": "pad_image_input"}
SPEC = parse_spec(SETTINGS, InferenceSpec)
COCO = "person_keypoints_prelabel.json"
WHERE = dict(zip(BODYPOSENET_18.joints, IN_PHOTO, strict=True))

# Looks at the photos of a folder, and dies when it opens a certain one.
KILLED = """
import os, signal, sys
from pathlib import Path
from bodyposenet.common.inference.prelabel import LabelChoice, prelabel
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
model, spec, source, folder, last = sys.argv[1:]
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith(last):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
prelabel(Path(model), parse_spec(__import__("json").loads(spec), InferenceSpec), source, Path(folder), LabelChoice())
"""

# Prelabels the photos of a folder with copies; one of them goes when these are begun.
GONE = """
import json, os, sys
from pathlib import Path
from bodyposenet.common.inference.prelabel import LabelChoice, prelabel
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
model, spec, source, folder, gone = sys.argv[1:]
def hook(event, arguments):
    if event == "os.mkdir" and str(arguments[0]).endswith("images/train") and os.path.exists(gone):
        os.unlink(gone)
sys.addaudithook(hook)
how = parse_spec(json.loads(spec), InferenceSpec)
done = prelabel(Path(model), how, source, Path(folder), LabelChoice(copy=True))
print(json.dumps({"summary": done.summary(), "problems": done.problems}))
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "person.onnx")


@pytest.fixture
def photos(tmp_path):
    """A folder with two photos that show the person, one of them below it, one with nobody, and a broken one."""
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    files = {"a.jpg": jpeg(BRIGHT), "b.jpg": jpeg(DARK), "inner/c.jpg": jpeg(BRIGHT), "cut.jpg": jpeg(BRIGHT)[:-400]}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def python(code, *words):
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def ranks(folder):
    with (folder / "order.csv").open() as file:
        return [*csv.DictReader(file)]


def test_the_file_has_the_people_of_every_photo_the_hardest_first(network, photos, tmp_path):
    out = tmp_path / "out"
    done = prelabel(network, SPEC, str(photos), out, LabelChoice(), name="mine")
    assert done.summary() == "2 people found in 3 photos (nobody in 1). 1 photo could not be used."
    assert done.problems == [
        f"{photos}/cut.jpg: is no readable image; replace it with a JPEG, PNG, BMP, WebP or TIFF file"
    ]
    document = json.loads((out / COCO).read_text())
    names = [image["file_name"] for image in document["images"]]
    assert names == [row["photo"] for row in ranks(out)] == ["b.jpg", "a.jpg", "inner/c.jpg"]
    assert [image["id"] for image in document["images"]] == [1, 2, 3]
    for entry in document["annotations"]:
        triplets = np.reshape(entry["keypoints"], (17, 3))
        expected = [WHERE[joint] for joint in COCO_17.joints]
        np.testing.assert_allclose(triplets[:, :2], expected, atol=3)
    assert document["info"]["description"] == "people found by mine"
    assert [row["people"] for row in ranks(out)] == ["0", "1", "1"]
    assert sorted(path.name for path in out.iterdir()) == ["order.csv", COCO, "status.json"], "no part is left"


def test_the_same_photos_give_the_same_files(network, photos, tmp_path):
    for name in ("one", "other"):
        prelabel(network, SPEC, str(photos), tmp_path / name, LabelChoice())
    for name in (COCO, "order.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_a_limit_takes_the_first_of_the_order_and_copies_them_alone(network, photos, tmp_path):
    out = tmp_path / "out"
    done = prelabel(network, SPEC, str(photos), out, LabelChoice(form="yolo", limit=2, copy=True))
    assert done.summary().startswith("1 person found in 2 photos (nobody in 1), the hardest of 3.")
    assert sorted(listing(out / "images")) == ["train/a.jpg", "train/b.jpg"]
    assert (out / "images/train/a.jpg").read_bytes() == (photos / "a.jpg").read_bytes()
    document = load_document(out / "data.yaml")
    assert [image["file_name"] for image in document["images"]] == ["images/train/a.jpg", "images/train/b.jpg"]
    assert len(document["annotations"]) == 1


def test_a_photo_that_goes_bad_before_it_is_copied_is_left_out_with_its_labels(network, photos, tmp_path):
    """It goes once the folder for the copies is made, which is after all were looked at."""
    done = json.loads(python(GONE, network, json.dumps(SETTINGS), photos, tmp_path / "out", photos / "a.jpg"))
    assert done["summary"] == "1 person found in 2 photos (nobody in 1). 2 photos could not be used."
    assert done["problems"][1].startswith(f"{photos}/a.jpg: there is no such")
    assert sorted(listing(tmp_path / "out/images/train")) == ["b.jpg", "inner/c.jpg"]
    document = json.loads((tmp_path / "out" / COCO).read_text())
    assert [image["file_name"] for image in document["images"]] == ["b.jpg", "inner/c.jpg"]
    assert [row["photo"] for row in ranks(tmp_path / "out")] == ["b.jpg", "inner/c.jpg"]


def test_few_photos_on_a_disk_that_died_are_not_to_be_replaced(network, photos, tmp_path, monkeypatch):
    fail_reading(monkeypatch, photos, errno.EIO)
    with pytest.raises(UserError, match="none of the 4 photos can be used") as caught:
        prelabel(network, SPEC, str(photos), tmp_path / "out", LabelChoice())
    assert "check the disk, and run it again" in str(caught.value)
    assert "give photos" not in str(caught.value)


def test_the_least_score_decides_which_joints_are_doubted(network, photos, tmp_path):
    flags = {}
    for least in (0.0, 1.0):
        out = tmp_path / str(least)
        prelabel(network, SPEC, str(photos), out, LabelChoice(least=least))
        document = json.loads((out / COCO).read_text())
        flags[least] = {flag for entry in document["annotations"] for flag in entry["keypoints"][2::3]}
    assert flags == {0.0: {2}, 1.0: {1}}


def test_one_that_was_killed_is_gone_on_with(network, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    ahead = 2 * (count_cores() + 2)  # more than are begun before those before them are done
    for number in range(2 * PART + ahead):
        (photos / f"a{number:03d}.jpg").write_bytes(jpeg(DARK[:32, :32]))
    (photos / "last.jpg").write_bytes(jpeg(BRIGHT))
    command = [network, json.dumps(SPEC.model_dump(mode="json")), photos, out, "last.jpg"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, command)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    (kept,) = out.glob("parts-*")
    first, *others = sorted(kept.glob("*.jsonl"))
    assert len(others) < 2, "the second may have been being written"
    marked = first.read_text().replace('"height": 32', '"height": 31')  # so that it shows where this came from
    first.write_text(marked)
    prelabel(network, SPEC, str(photos), out, LabelChoice())
    heights = [image["height"] for image in json.loads((out / COCO).read_text())["images"]]
    assert sorted(heights) == [31] * PART + [32] * (PART + ahead) + [256]
    assert not [*out.glob("parts-*")]


def test_what_an_inference_left_unfinished_there_is_not_taken_for_a_prelabel_s(network, photos, tmp_path):
    from bodyposenet.common.inference.batch import digest_work, list_source
    from bodyposenet.common.storage.photo_store import open_photos

    listed = list_source(open_photos(str(photos)), str(photos))
    assert digest_work(network, SPEC, "x", listed) != digest_work(network, SPEC, "x", listed, "prelabel")


def test_photos_none_of_which_can_be_used_are_refused(network, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"a\.jpg: is no readable image.*: none of the 1 photos can be used"):
        prelabel(network, SPEC, str(tmp_path / "bad"), tmp_path / "out", LabelChoice())


def run(*words):
    return CliRunner().invoke(main, ["prelabel", *map(str, words)])


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "infer.yaml").write_text(json.dumps(SETTINGS))
    return tmp_path / "infer.yaml"


def test_the_verb_writes_beside_the_photos_and_says_where(network, photos, spec):
    done = run("-i", spec, "-m", network, "--input", photos, "--format", "label-studio", "--url_prefix", "gs://b/")
    assert done.exit_code == 0, done.output
    folder = photos.parent / "prelabel"
    assert f"wrote {folder}/tasks.json: 2 people found in 3 photos" in done.output
    tasks_written = json.loads((folder / "tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks_written] == ["gs://b/b.jpg", "gs://b/a.jpg", "gs://b/inner/c.jpg"]
    assert {task["predictions"][0]["model_version"] for task in tasks_written} == {"person"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--input", "away"], "away: there is no such folder; name a folder or a zip archive of photos"),
        (["--input", ".", "-m", "models:/mine"], "models:/mine: names no registered network; write models:/NAME@ALIAS"),
        (["--input", ".", "-m", "models:/mine@champion"], "MLFLOW_TRACKING_URI is not set"),
    ],
)
def test_wrong_input_ends_with_exit_code_2(words, told, tmp_path, monkeypatch, network, spec):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    given = words if "-m" in words else [*words, "-m", network, "-i", spec]
    done = run(*given)
    assert done.exit_code == 2
    assert told in done.output
    assert "Traceback" not in done.output


@pytest.fixture
def registry(tracked_at, tmp_path, network):
    """A registry with a champion, whose address is in the environment."""
    uri = tracked_at(f"sqlite:///{tmp_path}/mlflow.db")
    promote("bodyposenet", register_model(network, metrics={"ap": 0.5}, settings=SETTINGS))
    return uri


def test_the_champion_s_drafts_are_the_same_by_verb_and_by_task(registry, photos, tmp_path):
    folders = [tmp_path / "verb", tmp_path / "task" / "labels"]
    done = run("-m", "models:/bodyposenet@champion", "--input", photos, "-r", folders[0], "--limit", 2)
    assert done.exit_code == 0, done.output
    places = str(photos), "bodyposenet", "champion", {}, str(folders[1]), str(tmp_path / "metrics")
    said, numbers = tasks.prelabel(*places, choice={"form": "coco", "limit": 2})
    one, other = ((folder / COCO).read_bytes() for folder in folders)
    assert one == other
    assert b"people found by bodyposenet, version 1" in one
    assert said.startswith("1 person found in 2 photos")
    assert (numbers["photos"], numbers["seen"], numbers["unreadable"]) == (2, 3, 1)
    assert json.loads((tmp_path / "metrics").read_text()) == numbers
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=registry)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    logged = [each.data for each in runs if each.info.run_name == "prelabel"]
    assert [each.metrics["photos"] for each in logged] == [2, 2]
    assert logged[0].params == logged[1].params
    assert logged[0].params["data.model"] == "bodyposenet, version 1"


def test_a_choice_that_there_is_not_is_told_by_the_task(tmp_path, capsys):
    for choice, told in (
        ({"form": "csv"}, "label_format: there is no format 'csv'; take one of: coco, label-studio, yolo"),
        ({"limit": -1}, "limit: is -1; write how many photos, or 0 for all"),
        ({"least": 7.0}, "least_score: is 7; write a score from 0 to 1"),
    ):
        with pytest.raises(SystemExit) as end:
            tasks.prelabel("x", "n", "champion", {}, str(tmp_path / "a"), str(tmp_path / "b"), choice=choice)
        assert end.value.code == 2
        assert told in capsys.readouterr().err
