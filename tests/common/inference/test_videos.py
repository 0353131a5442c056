"""Videos: a line of JSON a frame, people drawn on them, and what is left whatever ends the work."""

import contextlib
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import weakref

import cv2
import numpy as np
import pytest
from support.clips import Camera, write_clip
from support.person_net import BRIGHT, DARK, IN_PHOTO, write_network

from bodyposenet import PoseEstimator
from bodyposenet.common.errors import UserError
from bodyposenet.common.inference import frame_people
from bodyposenet.common.inference.inputs import split_videos
from bodyposenet.common.inference.many import AT_ONCE
from bodyposenet.common.inference.photo_people import PhotoPeople
from bodyposenet.common.inference.videos import watch_videos
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.video import clip as clip_module
from bodyposenet.common.video.clip import open_clip
from bodyposenet.common.video.watch import Watch

NOBODY = People(np.zeros((0, 18, 3), np.float32), np.zeros(0, np.float32))
CLIP = [BRIGHT] * 4 + [DARK] * 2 + [BRIGHT] * 4


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "person.onnx")


@pytest.fixture
def clip(tmp_path):
    """Ten frames, a tenth of a second each; the person is hidden in two."""
    return write_clip(tmp_path / "clip.avi", CLIP)


def run(network, folder, *inputs, how=None, **options):
    videos, others = split_videos([str(each) for each in inputs])
    assert others == []
    return watch_videos(network, None, videos, folder, how or Watch(), **options)


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_frame_has_a_line_with_its_time_and_its_people_by_number(network, clip, tmp_path):
    done = run(network, tmp_path / "out", clip)
    assert done.lines == [tmp_path / "out/clip.people.jsonl"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.people.jsonl", "status.json"}
    assert done.summary() == "8 people found in 10 frames (nobody in 2), 1 of them different."
    lines = read_lines(done.lines[0])
    assert [line["frame"] for line in lines] == list(range(10))
    assert [line["time"] for line in lines] == [frame / 10 for frame in range(10)]
    assert [[person["id"] for person in line["people"]] for line in lines] == [[1]] * 4 + [[]] * 2 + [[1]] * 4
    (person,) = lines[0]["people"]
    assert list(person) == ["id", "score", "joints"]
    assert list(person["joints"]) == list(BODYPOSENET_18.joints)
    assert np.abs(np.array(list(person["joints"].values()))[:, :2] - IN_PHOTO).max() < 3


def test_the_lines_are_what_python_gives_frame_by_frame(network, clip, tmp_path):
    how = Watch(fps=5, max_frames=4, smooth=True)
    done = run(network, tmp_path / "out", clip, how=how)
    pose = PoseEstimator.load(network)
    frames = list(pose.video(clip, fps=5, max_frames=4, smooth=True))
    assert [frame.number for frame in frames] == [0, 2, 4, 6]
    assert done.lines[0].read_text().splitlines() == [frame.to_line() for frame in frames]
    assert [frame.ids for frame in frames] == [(1,), (1,), (), (1,)]
    assert frames[0].draw().shape == BRIGHT.shape
    assert frames[0].name == f"{clip}: frame 0"


@pytest.mark.parametrize("fps", [None, 10, 5])
@pytest.mark.parametrize(("dark", "number"), [(4, 1), (9, 2)])
def test_fewer_frames_a_second_change_nothing_in_how_long_somebody_may_be_hidden(tmp_path, fps, dark, number):
    path = write_clip(tmp_path / "clip.avi", [BRIGHT] * 4 + [DARK] * dark + [BRIGHT] * 4)
    somebody = People(np.ones((1, 18, 3), np.float32), np.ones(1, np.float32))

    def look(pixels, name):
        return PhotoPeople(name, pixels.shape[:2], BODYPOSENET_18, somebody if pixels.max() > 100 else NOBODY)

    with open_clip(str(path)) as clip:
        *_, last = frame_people.watch(clip, Watch(fps=fps), BODYPOSENET_18, look)
    assert last.ids == (number,)


def test_nobody_is_numbered_where_nobody_is_followed(network, clip, tmp_path):
    done = run(network, tmp_path / "out", clip, how=Watch(track=False))
    assert done.identities is None
    assert done.summary() == "8 people found in 10 frames (nobody in 2)."
    assert "id" not in read_lines(done.lines[0])[0]["people"][0]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"fps": 0}, "fps: 0 is not above 0"),
        ({"fps": float("nan")}, "fps: nan is not above 0"),
        ({"max_frames": -1}, "max_frames: -1 is not above 0"),
        (
            {"smooth": True, "track": False},
            "smooth: joints are smoothed from frame to frame person by person; track them",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(network, clip, wrong, told):
    with pytest.raises(UserError, match=told):
        PoseEstimator.load(network).video(clip, **wrong)


def test_the_people_and_their_numbers_are_drawn_in_a_video_of_the_same_length(network, clip, tmp_path):
    done = run(network, tmp_path / "out", clip, save=True)
    assert done.drawn == [tmp_path / "out/clip.people.mp4"]
    with open_clip(str(done.drawn[0])) as made:
        assert made.rate == 10
        frames = list(made.read())
    assert [frame.number for frame in frames] == list(range(10))
    for frame, image in zip(frames, CLIP, strict=True):
        changed = np.abs(frame.pixels.astype(int) - image).max(axis=-1) > 60
        assert (changed.mean() > 0.01) == (image is BRIGHT)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"clip.people.jsonl", "clip.people.mp4", "status.json"}


def test_a_video_with_odd_sides_is_drawn_with_even_ones(network, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Camera(BRIGHT[:-1, :-3], 1000))
    done = run(network, tmp_path / "out", "camera:0", how=Watch(max_frames=3), save=True)
    monkeypatch.undo()
    with open_clip(str(done.drawn[0])) as made:
        assert {frame.pixels.shape for frame in made.read()} == {(256, 254, 3)}


@pytest.mark.parametrize(("rate", "drawn"), [(119.8734, 119.87), (239.76, 239.76), (59.9401, 59.94)])
def test_a_rate_of_many_digits_is_drawn_at_one_that_the_format_can_tell(network, tmp_path, rate, drawn, capfd):
    clip = write_clip(tmp_path / "clip.avi", CLIP, rate=rate)
    done = run(network, tmp_path / "out", clip, save=True)
    with open_clip(str(done.drawn[0])) as made:
        assert (made.rate, made.told) == (drawn, len(CLIP))
    assert "ERROR" not in capfd.readouterr().err


def test_few_frames_an_hour_are_drawn_too(network, clip, tmp_path):
    done = run(network, tmp_path / "out", clip, how=Watch(fps=1e-4), save=True)
    with open_clip(str(done.drawn[0])) as made:
        assert made.told == done.frames == 1


@contextlib.contextmanager
def limit_files(size):
    """No file may be larger; who writes more is told so, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_video_that_the_disk_does_not_take_whole_does_not_appear(network, clip, tmp_path, capfd):
    earlier = run(network, tmp_path / "out", clip, save=True).drawn[0]
    kept = earlier.read_bytes()
    noise = list(np.random.default_rng(0).integers(0, 255, (20, 256, 256, 3), np.uint8))
    write_clip(clip, noise)
    capfd.readouterr()
    with limit_files(100_000), pytest.raises(UserError, match=r"clip\.people\.mp4: cannot be written whole; free some"):
        run(network, tmp_path / "out", clip, save=True)
    assert capfd.readouterr() == ("", "")
    assert earlier.read_bytes() == kept
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "clip.people.jsonl", "clip.people.mp4", "status.json"
    }  # fmt: skip


def test_a_video_that_cannot_be_drawn_costs_no_earlier_lines(network, clip, tmp_path):
    folder = tmp_path / os.fsdecode(b"o\xfft")
    (lines,) = run(network, folder, clip).lines
    kept = lines.read_bytes()
    with pytest.raises(UserError, match="OpenCV takes no path that is not UTF-8"):
        run(network, folder, clip, save=True)
    assert lines.read_bytes() == kept


@pytest.mark.parametrize("frames", [0.5, 9.5])
def test_lines_that_the_disk_does_not_take_cost_no_earlier_ones(network, clip, tmp_path, frames):
    (lines,) = run(network, tmp_path / "out", clip).lines
    kept = lines.read_bytes()
    (tmp_path / "out/status.json").unlink()
    with limit_files(int(frames * len(kept) / 10)), pytest.raises(UserError, match=r"people\.jsonl"):
        run(network, tmp_path / "out", clip)
    assert lines.read_bytes() == kept
    run(network, tmp_path / "out", clip, how=Watch(fps=5))
    assert [line["frame"] for line in read_lines(lines)] == [0, 2, 4, 6, 8]
    assert {path.name for path in lines.parent.iterdir()} == {"clip.people.jsonl", "status.json"}


def test_a_camera_without_room_for_a_line_costs_no_earlier_ones_and_else_is_read_as_it_goes(
    network, tmp_path, monkeypatch
):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Camera(BRIGHT, 1000))
    (lines,) = run(network, tmp_path / "out", "camera:0", how=Watch(max_frames=3)).lines
    kept = lines.read_bytes()
    (tmp_path / "out/status.json").unlink()
    with limit_files(len(kept) // 6), pytest.raises(UserError, match=r"people\.jsonl: "):
        run(network, tmp_path / "out", "camera:0")
    assert lines.read_bytes() == kept
    seen = []

    def retrieve(camera):
        seen.append(len(read_lines(lines)))
        return True, np.array(BRIGHT)

    monkeypatch.setattr(Camera, "retrieve", retrieve)
    run(network, tmp_path / "out", "camera:0", how=Watch(max_frames=60))
    assert max(seen) > 3, "lines of this run are there before it ends"
    assert len(read_lines(lines)) == 60


def test_lines_that_another_run_is_writing_are_let_be(network, clip, tmp_path):
    (lines,) = run(network, tmp_path / "out", clip).lines
    kept = lines.read_bytes()
    with lines.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"clip\.people\.jsonl: another run is writing this; wait for it"):
            run(network, tmp_path / "out", clip)
    assert lines.read_bytes() == kept
    run(network, tmp_path / "out", clip)
    assert lines.read_bytes() == kept


def test_a_video_that_cannot_be_used_is_told_and_the_others_are_looked_at(network, clip, tmp_path, caplog):
    (tmp_path / "bad.mp4").write_bytes(b"broken")
    cut = write_clip(tmp_path / "cut.avi", list(np.random.default_rng(0).integers(0, 255, (10, 256, 256, 3), np.uint8)))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    done = run(network, tmp_path / "out", tmp_path / "bad.mp4", clip, cut)
    assert [path.name for path in done.lines] == ["clip.people.jsonl", "cut.people.jsonl"]
    (bad,), (short,) = done.problems, done.cut_off
    assert "bad.mp4: is no video" in bad
    assert "cut.avi: ends after" in short
    assert [caplog.text.count(told) for told in ("bad.mp4: is no video", "cut.avi: ends after")] == [1, 1]
    assert len(read_lines(done.lines[1])) == done.frames - 10


def test_what_was_found_before_a_frame_that_is_too_large_is_kept(network, tmp_path, monkeypatch):
    class Growing(Camera):
        def retrieve(self):
            return True, np.array(BRIGHT if self.left >= 995 else np.tile(BRIGHT, (2, 2, 1)))

    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Growing(BRIGHT, 1000))
    monkeypatch.setattr(clip_module, "VIDEO_PIXELS", BRIGHT[..., 0].size)
    done = run(network, tmp_path / "out", "camera:0", save=True)
    monkeypatch.undo()
    assert [line["frame"] for line in read_lines(done.lines[0])] == list(range(5))
    with open_clip(str(done.drawn[0])) as made:
        assert made.told >= 5
    (problem,) = done.cut_off
    assert "camera:0: has frames of 0 million pixels" in problem


@pytest.mark.parametrize("sides", [[64] * 40, [16] * 20 + [64] * 20], ids=["as large", "growing"])
def test_frames_in_memory_come_to_no_more_than_their_bound(sides, monkeypatch):
    monkeypatch.setenv(AT_ONCE, "20")
    frames, totals, above, largest = [], [], threading.Event(), 3 * max(sides) ** 2
    monkeypatch.setattr(frame_people, "VIDEO_BYTES", bound := 12 * largest)

    def hold(pixels):
        frames.append(weakref.ref(pixels))
        totals.append(sum(frame.nbytes for ref in list(frames) if (frame := ref()) is not None))
        if totals[-1] > bound:
            above.set()
        return pixels

    class Large(Camera):
        def get(self, name):
            return 0.0

        def retrieve(self):
            side = sides[len(sides) - self.left - 1]
            return True, hold(np.zeros((side, side, 3), np.uint8))

    def look(pixels, name):
        hold(pixels)
        if int(name.removeprefix("camera:0: frame ")) < 20:
            above.wait(0.2)  # for more to be read than may be
        return PhotoPeople(name, pixels.shape[:2], BODYPOSENET_18, NOBODY, photo=pixels)

    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Large(None, len(sides)))
    with open_clip("camera:0") as clip:
        for found in frame_people.watch(clip, Watch(max_frames=len(sides)), BODYPOSENET_18, look):
            assert found.size == (sides[found.number],) * 2
    assert max(totals) <= bound + (2 * largest if min(sides) < max(sides) else 0), "one larger than those before, aside"


def test_videos_none_of_which_can_be_used_are_an_error_and_earlier_results_stay(network, clip, tmp_path, caplog):
    (before,) = run(network, tmp_path / "out", clip).lines
    kept = before.read_bytes()
    clip.write_bytes(b"broken")
    with pytest.raises(UserError, match=r"clip\.avi: is no video"):
        run(network, tmp_path / "out", clip)
    assert "clip.avi" not in caplog.text, "the error tells it"
    (tmp_path / "bad.mp4").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"clip\.avi: is no video"):
        run(network, tmp_path / "out", tmp_path / "bad.mp4", clip)
    assert [caplog.text.count(name) for name in ("bad.mp4: ", "clip.avi: ")] == [1, 0]
    assert before.read_bytes() == kept


def test_ctrl_c_ends_a_camera_well_and_a_video_not(network, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Camera(BRIGHT, 30))
    done = run(network, tmp_path / "out", "camera:0", save=True)
    assert done.lines == [tmp_path / "out/camera-0.people.jsonl"]
    lines = read_lines(done.lines[0])
    assert 10 <= len(lines) == done.frames <= 30
    assert done.drawn[0].stat().st_size > 0
    with pytest.raises(KeyboardInterrupt):
        run(network, tmp_path / "out", clip, save=True)
    assert not (tmp_path / "out/clip.people.mp4").exists()
    assert len(read_lines(tmp_path / "out/clip.people.jsonl")) >= 10


def test_a_camera_ends_after_so_many_frames(network, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Camera(BRIGHT, 1000))
    done = run(network, tmp_path / "out", "camera:2", how=Watch(max_frames=7))
    assert done.frames == 7
    times = [line["time"] for line in read_lines(tmp_path / "out/camera-2.people.jsonl")]
    assert times == sorted(times)


ENDLESS = """
import sys, cv2, numpy as np
sys.path.insert(0, {tests!r})
from support.clips import Camera
from support.person_net import BRIGHT
from bodyposenet.common.inference.videos import watch_videos
from bodyposenet.common.inference.inputs import split_videos
from bodyposenet.common.video.watch import Watch
cv2.VideoCapture = lambda *given: Camera(BRIGHT, 10**9)
watch_videos({network!r}, None, split_videos(["camera:0"])[0], {out!r}, Watch(max_frames=20_000))
"""


def test_a_run_that_is_killed_leaves_whole_lines(network, tmp_path, request):
    code = ENDLESS.format(tests=str(request.config.rootpath / "tests"), network=str(network), out=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code])
    path = tmp_path / "camera-0.people.jsonl"
    try:
        until = time.monotonic() + 120
        while not (path.exists() and path.stat().st_size > 20_000):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_bytes().endswith(b"\n")
    lines = read_lines(path)
    assert [line["frame"] for line in lines] == list(range(len(lines)))


def test_a_place_that_cannot_be_written_to_ends_all(network, clip, tmp_path):
    (tmp_path / "out/clip.people.jsonl").mkdir(parents=True)
    with pytest.raises(UserError, match=r"clip\.people\.jsonl"):
        run(network, tmp_path / "out", clip, clip)
