"""Dry runs: they tell what the verb then does, refuse what it would refuse, and leave no trace."""

import json
import os
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.clips import write_clip
from support.faulty_proxy import faulty_proxy
from support.person_net import BRIGHT, write_network
from support.verb_cases import CASES, draw_given, list_verbs, make_given
from support.web_server import web_server

from bodyposenet.common.cli.main import main
from bodyposenet.common.errors import UserError
from bodyposenet.common.steps.presence import MOST_ASKED, look_for
from bodyposenet.common.steps.preview import examine_folder
from bodyposenet.common.storage.files import write_text
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.locking import hold_alone

PAGE = Path(__file__).parents[3] / "docs/command-line.md"
HEAVY = ("export", "prune", "train")  # that start TensorFlow


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    import cv2

    folder = tmp_path_factory.mktemp("drawn")
    draw_given(folder)
    write_network(folder / "person.onnx")
    (folder / "photos").mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"photos/{number}.png"), BRIGHT)
    write_clip(folder / "clip.avi", [BRIGHT, BRIGHT], "MJPG")
    return folder


def takes_dry_run(verb):
    command = main
    for word in verb.split():
        command = command.get_command(click.Context(command), word)
    return any("--dry-run" in param.opts for param in command.params)


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def list_tree(folder):
    """All that is in a folder, with sizes, times and contents."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def preview(case, given, out, *more):
    """What ``--json`` says of a dry run that leaves everything as it is."""
    before = list_tree(out), list_tree(given)
    done = run(*case.command(given, out), "--dry-run", "--json", *more)
    assert done.exit_code == 0, done.stderr
    assert (list_tree(out), list_tree(given)) == before
    told = json.loads(done.stdout)
    assert told["dry_run"] is True
    return told


def choose(*verbs):
    cases = [case for case in CASES if takes_dry_run(case.verb) and (case.verb in HEAVY) == ("heavy" in verbs)]
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def test_the_page_names_the_verbs_that_have_dry_runs():
    text = PAGE.read_text().split("## Dry runs\n", 1)[1].split("\n## ", 1)[0]
    listed = re.findall(
        r"`([\w ]+)`", next(line for line in text.splitlines() if line.startswith("Verbs that have it:"))
    )
    assert listed == [verb for verb in list_verbs() if takes_dry_run(verb)]


@choose()
def test_a_dry_run_leaves_no_trace(case, given, tmp_path):
    preview(case, given, tmp_path)


@pytest.mark.heavy
@choose("heavy")
def test_a_dry_run_that_starts_tensorflow_leaves_no_trace(case, tmp_path_factory, tmp_path):
    given = tmp_path_factory.mktemp("whole")
    make_given(given)
    preview(case, given, tmp_path)


def test_a_conversion_does_what_its_dry_run_tells(given, tmp_path):
    (case,) = [case for case in CASES if case.verb == "dataset_convert"]
    told = preview(case, given, tmp_path)
    done = json.loads(run(*case.command(given, tmp_path), "--json").stdout)
    assert (told["photos"], told["shards"]) == (done["images"], len(done["shards"]))
    assert told["photo_bytes"] < sum(Path(shard).stat().st_size for shard in done["shards"]) < 2 * told["photo_bytes"]
    assert [Path(shard).name for shard in done["shards"]] == told["files"][:-1]
    again = preview(case, given, tmp_path)
    assert (again["photos"], again["shards"], again["untouched_shards"]) == (0, 0, len(done["shards"]))
    anew = preview(case, given, tmp_path, "--from_scratch")
    assert (anew["photos"], anew["shards"]) == (told["photos"], told["shards"])


def test_an_inference_does_what_its_dry_run_tells(given, tmp_path):
    words = ["inference", given / "photos", "-m", given / "person.onnx", "-r", tmp_path / "found"]
    told = run(*words, "--dry-run")
    assert told.stdout.splitlines()[0].startswith("would find people in 3 photos at ")
    assert re.match(rf"would write .*, 3 pictures to {tmp_path}/found, with .* free", told.stdout.splitlines()[1])
    assert told.stdout.splitlines()[2:] == ["nothing was written"]


def test_an_inference_of_photos_and_videos_tells_the_files_of_both(given, tmp_path):
    words = ["inference", given / "photos", given / "clip.avi", "-m", given / "person.onnx", "-r", tmp_path / "found"]
    told = run(*words, "--dry-run")
    assert [line.split(" at ")[0] for line in told.stdout.splitlines()[:2]] == [
        "would find people in 3 photos",
        "would find people in about 2 frames of 1 video",
    ]
    told = json.loads(run(*words, "--dry-run", "--json").stdout)
    assert (told["photos"], told["photos_missing"], told["frames"]) == (3, 0, 2)
    assert told["files"] == ["detections.json", "detections_coco_format.json", "3 pictures", "clip.people.jsonl"]


def test_a_demo_names_its_tasks(tmp_path):
    told = json.loads(run("demo", "-o", tmp_path / "demo", "--dry-run", "--json").stdout)
    assert {"Train", "Prune", "Retrain"} <= set(told["tasks"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("dataset_convert -d {given}/none.json -o {out}/train", "none.json: there is no such file"),
        ("evaluate -d {given}/coco.json -m {given}/none.onnx -r {out}", "there is no such model"),
        ("inference {given}/none.png -m {given}/person.onnx", "none.png: there is no such photo or folder"),
        ("inference {given}/photos -m {given}/coco.json", "coco.json: "),
        ("prelabel --input {given}/data -m {given}/person.onnx", "data"),
        ("inference {given}/photos -m {given}/person.onnx -r {given}/coco.json/found", "is a file, where a folder"),
    ],
)
def test_a_dry_run_refuses_what_the_verb_would(words, problem, given, tmp_path):
    done = run(*words.format(given=given, out=tmp_path).split(), "--dry-run")
    assert (done.exit_code, done.stdout) == (2, "")
    assert problem in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_whose_photos_are_all_missing_is_refused(given, tmp_path):
    annotations = given / "drawn/annotations"
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved/annotations").symlink_to(annotations)
    words = (
        "dataset_convert -d {given}/coco.json -o {out}/train",
        "evaluate -d {given}/coco.json -m {given}/person.onnx",
    )
    for line in words:
        done = run(*line.format(given=given, out=tmp_path).split(), "--path-map", f"/workspace/drawn={tmp_path}/moved",
                   "--dry-run")  # fmt: skip
        assert done.exit_code == 2, done.stdout


def test_a_folder_in_which_another_run_is_at_work_is_refused(tmp_path):
    with hold_alone(tmp_path), pytest.raises(UserError, match="another run is at work here: process"):
        examine_folder(tmp_path)
    assert examine_folder(tmp_path / "new/folder") > 0
    assert not (tmp_path / "new").exists()


def test_a_disk_with_too_little_room_is_refused(tmp_path):
    with pytest.raises(UserError, match="would take 1,000,000,000,000,000,000 bytes, and"):
        examine_folder(tmp_path, needed=10**18)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="may not be written to"):
        examine_folder(tmp_path / "found")


def test_photos_of_which_none_is_there_are_refused(tmp_path):
    (tmp_path / "a.png").touch()
    assert look_for([locate(tmp_path / "a.png"), locate(tmp_path / "b.png")]) == (1, 2, [])
    with pytest.raises(UserError, match=r"b\.png: there is no such photo, and none of the others"):
        look_for([locate(tmp_path / "b.png")])


def test_photos_of_a_store_are_looked_for_in_one_list_of_each_folder(store):
    for name in (*(f"a/{number}.png" for number in range(20)), "b/0.png", "b/1.png"):
        write_text(f"{store}/{name}", "a photo")
    named = [locate(f"{store}/{folder}/{number}.png") for folder in "ab" for number in range(24)]
    assert look_for(named) == (22, 48, [f"{store}/a", f"{store}/b"])
    with pytest.raises(UserError, match="there is no such photo, and none of the others"):
        look_for([locate(f"{store}/c/{number}.png") for number in range(3)])


def test_a_set_in_a_store_costs_a_request_a_page_and_not_one_a_photo(s3_bucket, s3_url, monkeypatch):
    for number in range(4):
        write_text(f"{s3_bucket}/set/{number}.png", "a photo")
    asked = []
    with faulty_proxy(s3_url, lambda request: asked.append(request.path)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        found = look_for([locate(f"{s3_bucket}/set/{number}.png") for number in range(100_000)])
    assert found == (4, 100_000, [f"{s3_bucket}/set"])
    assert len(asked) == 1


def test_of_photos_that_no_list_tells_of_a_bounded_number_is_looked_for(tmp_path):
    with web_server(tmp_path) as server:
        names = [f"{number}.png" for number in range(3 * MOST_ASKED)]
        (tmp_path / names[0]).write_text("a photo")
        found = look_for([locate(f"{server.url}/{name}") for name in names])
        assert found == (1, MOST_ASKED, [])
        assert {name.lstrip("/") for name in server.asked} == {*names[::3]}, "spread evenly over the set"
        (tmp_path / names[0]).rename(tmp_path / names[1])
        assert look_for([locate(f"{server.url}/{name}") for name in names]).present == 0, "one that was not asked for"


def test_where_photos_were_looked_for_is_told(given, s3_bucket, tmp_path):
    for number in range(3):
        write_text(f"{s3_bucket}/set/{number}.png", "a photo")
    words = ["inference", f"{s3_bucket}/set", "-m", given / "person.onnx", "-r", tmp_path, "--dry-run"]
    told = run(*words).stdout.splitlines()[0]
    assert told.startswith(f"would find people in 3 photos (all in the list of {s3_bucket}/set) at ")
    (tmp_path / "list.json").write_text(json.dumps([f"{s3_bucket}/set/{number}.png" for number in range(5)]))
    words = ["inference", "--input", tmp_path / "list.json", "-m", given / "person.onnx", "-r", tmp_path, "--dry-run"]
    told = run(*words).stdout.splitlines()[0]
    assert told.startswith(f"would find people in 5 photos (2 are not in the list of {s3_bucket}/set) at ")
    told = json.loads(run(*words, "--json").stdout)
    assert (told["photos"], told["photos_missing"], told["photos_looked_for"]) == (5, 2, 5)
