"""The verb inference with videos: what it writes where, and what it refuses in a line."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from support.clips import Camera, write_clip
from support.person_net import BRIGHT, DARK, write_network

from bodyposenet.common.cli.main import main


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(write_network(tmp_path_factory.mktemp("network") / "person.onnx"))


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """One stands beside two videos and a photo."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.avi", "b.MP4"):
        write_clip(tmp_path / name, [BRIGHT, BRIGHT, DARK, BRIGHT], "MJPG" if name.endswith("avi") else "mp4v")
    cv2.imwrite("photo.png", BRIGHT)
    return tmp_path


def run(*words):
    return CliRunner().invoke(main, ["inference", *words])


def written(folder):
    return {path.name for path in Path(folder).iterdir()} - {"status.json"}


def test_a_video_alone_is_enough_and_what_was_written_is_said(clips, network):
    done = run("a.avi", "-m", network)
    assert done.exit_code == 0, done.output
    assert written("bpnet-people") == {"a.people.jsonl"}
    assert "wrote bpnet-people/a.people.jsonl: a line of JSON a frame" in done.stdout
    assert "3 people found in 4 frames (nobody in 1), 1 of them different." in done.stdout


def test_several_videos_and_photos_go_to_the_folder_that_is_named(clips, network):
    done = run("*.avi", "*.MP4", "photo.png", "-m", network, "-r", "found", "--save", "--fps", "5", "--no_track")
    assert done.exit_code == 0, done.output
    videos = {f"{name}.people.{end}" for name in "ab" for end in ("jsonl", "mp4")}
    assert written("found") == videos | {"photo.people.jpg", "detections.json", "detections_coco_format.json"}
    lines = [json.loads(line) for line in Path("found/a.people.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 2]
    assert "id" not in lines[0]["people"][0]
    again = run("*.avi", "found/*.mp4", "found/*.png", "-m", network)
    assert "found/*.mp4: matches no videos" in again.stderr, "what was drawn is no video to look at"


def test_the_numbers_are_a_document_which_a_dry_run_tells_without_a_trace(clips, network):
    before = {path: path.stat().st_mtime_ns for path in clips.rglob("*")}
    words = ("a.avi", "b.MP4", "-m", network, "--fps", "5", "--save", "--json")
    told = json.loads(run(*words, "--dry-run").stdout)
    assert {path: path.stat().st_mtime_ns for path in clips.rglob("*")} == before
    assert (told["frames"], told["dry_run"]) == (4, True)
    done = json.loads(run(*words).stdout)
    assert {Path(each).name for each in done["lines"] + done["videos"]} == set(told["files"])
    counts = ("frames", "people_in_frames", "frames_without_people", "videos_left_out")
    assert [done[key] for key in counts] == [told["frames"], 2, 2, 0]
    Path("none.avi").write_text("no video")
    refused = run("none.avi", "-m", network, "--dry-run")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert run("none.avi", "a.avi", "-m", network, "--dry-run").exit_code == 0, "one of them can be looked at"


def test_videos_that_are_cut_off_count_apart_from_those_that_are_left_out(clips, network):
    noise = np.random.default_rng(0).integers(0, 255, (10, 64, 64, 3), np.uint8)
    cut = write_clip(clips / "cut.avi", list(noise))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    Path("bad.avi").write_text("no video")
    done = run("a.avi", "cut.avi", "bad.avi", "-m", network, "--json")
    told = json.loads(done.stdout)
    assert (told["videos_left_out"], told["videos_cut_off"]) == (1, 1)
    assert [Path(each).name for each in told["lines"]] == ["a.people.jsonl", "cut.people.jsonl"]
    assert "left out: bad.avi: is no video" in done.stderr
    assert "note: cut.avi: ends after" in done.stderr
    assert "left out: cut.avi" not in done.stderr


def test_a_video_alone_that_cannot_be_used_is_told_once(clips, network):
    Path("bad.avi").write_text("no video")
    done = run("bad.avi", "-m", network)
    assert (done.exit_code, done.stderr.count("bad.avi")) == (2, 1)


def test_a_folder_is_one_of_photos(clips, network):
    done = run(".", "-m", network)
    assert done.exit_code == 0, done.output
    assert written("bpnet-people") == {"photo.people.jpg", "detections.json", "detections_coco_format.json"}


def test_two_videos_of_one_name_do_not_overwrite_each_other(clips, network):
    Path("a").mkdir()
    Path("a.avi").rename("a/clip.avi")
    Path("b.MP4").rename("clip.mp4")
    done = run("a/clip.avi", "clip.mp4", "a/clip.avi", "-m", network)
    assert done.exit_code == 0, done.output
    assert written("bpnet-people") == {"clip.people.jsonl", "clip-2.people.jsonl"}


def test_ctrl_c_ends_a_camera_with_what_was_written(clips, network, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Camera(BRIGHT, 30))
    done = run("camera:0", "-m", network)
    assert done.exit_code == 0, done.output
    assert len(Path("bpnet-people/camera-0.people.jsonl").read_text().splitlines()) >= 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.mp4"], "error: nothing.mp4: there is no such video; check the path"),
        (["*.mov"], "error: *.mov: matches no videos (MP4, MOV, AVI, MKV or WebM)"),
        (["gs://bucket/a.mp4"], "error: gs://bucket/a.mp4: videos are read from a disk; fetch it first"),
        (["a.avi", "-r", "gs://bucket/found"], "this verb writes to a disk only"),
        (["photo.png", "--save"], "error: --save: this is about videos, and none is named"),
        (["--input", "photo.png", "--fps", "3"], "error: --fps: this is about videos, and none is named"),
        (["a.avi", "--smooth", "--no_track"], "error: smooth: joints are smoothed from frame to frame"),
        (["a.avi", "--input", "photo.png"], "error: PHOTOS: photo.png is named by --input"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line_and_nothing_is_written(clips, network, words, told):
    done = run(*words, "-m", network)
    assert done.exit_code == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert told in line
    assert {path.name for path in clips.iterdir()} == {"a.avi", "b.MP4", "photo.png"}


def test_a_camera_that_is_not_there_is_told_in_a_line(clips, network):
    done = run("camera:98", "-m", network)
    assert done.exit_code == 2
    assert "error: camera:98: there is no such camera, or it is in use; connect it, or" in done.stderr
    assert written("bpnet-people") == set()
