"""Clips: frames of the files that OpenCV decodes, each with its number and time; and what is no video, in a line."""

import base64
import os
import time

import cv2
import numpy as np
import pytest
from support.clips import Camera, write_clip

from bodyposenet.common.video import clip as module
from bodyposenet.common.video.clip import ClipError, open_clip
from bodyposenet.common.video.names import is_video

# Six frames of 64 x 48, H.264, which OpenCV decodes but does not write
H264 = """
AAAAIGZ0eXBpc29tAAACAGlzb21pc28yYXZjMW1wNDEAAANdbW9vdgAAAGxtdmhkAAAAAAAAAAAAAAAAAAAD6AAAAlgAAQAAAQAAAAAAAAAAAAAAAAEAAA
AAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAqx0cmFrAAAAXHRraGQAAAADAAAAAAAAAAAA
AAABAAAAAAAAAlgAAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAABAAAAAAEAAAAAwAAAAAAAkZWR0cwAAABxlbHN0AA
AAAAAAAAEAAAJYAAAIAAABAAAAAAIkbWRpYQAAACBtZGhkAAAAAAAAAAAAAAAAAAAoAAAAGABVxAAAAAAALWhkbHIAAAAAAAAAAHZpZGUAAAAAAAAAAAAA
AABWaWRlb0hhbmRsZXIAAAABz21pbmYAAAAUdm1oZAAAAAEAAAAAAAAAAAAAACRkaW5mAAAAHGRyZWYAAAAAAAAAAQAAAAx1cmwgAAAAAQAAAY9zdGJsAA
AAv3N0c2QAAAAAAAAAAQAAAK9hdmMxAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAEAAMABIAAAASAAAAAAAAAABDExhdmMgbGlieDI2NAAAAAAAAAAAAAAA
AAAAAAAAAAAAGP//AAAANWF2Y0MBZAAK/+EAGGdkAAqs2UR7ARAAAAMAEAAAAwFA8SJZYAEABmjr4OSyLP34+AAAAAAQcGFzcAAAAAEAAAABAAAAFGJ0cn
QAAAAAAAATYAAAAAAAAAAYc3R0cwAAAAAAAAABAAAABgAABAAAAAAUc3RzcwAAAAAAAAABAAAAAQAAAEBjdHRzAAAAAAAAAAYAAAABAAAIAAAAAAEAABQA
AAAAAQAACAAAAAABAAAAAAAAAAEAAAQAAAAAAQAACAAAAAAcc3RzYwAAAAAAAAABAAAAAQAAAAYAAAABAAAALHN0c3oAAAAAAAAAAAAAAAYAAAETAAAAKw
AAAAwAAAAMAAAADAAAABIAAAAUc3RjbwAAAAAAAAABAAADjQAAAD11ZHRhAAAANW1ldGEAAAAAAAAAIWhkbHIAAAAAAAAAAG1kaXJhcHBsAAAAAAAAAAAA
AAAACGlsc3QAAAAIZnJlZQAAAXxtZGF0AAABD2WIhABH0b2UrhgfE9CuHt5fGXngoYUVoL3yX/HulkvpNhjSxt8R/5xovcaJQHF2l7qfYnsHQJQRITrAuO
DVY9sgz97s4DB+QCdF0uVfae2qnxwu/ksmTHQeLXRKF68//0C8iIHhTrxszvqAv8aHKhiAWxHGwCIUZmmuZfbzLNejlCiDlbl9kKXn84YyM9+FoMw6HKQA
mw8MeBfe719JUUokC/SdczlV2C5gATHoKiB9le01hVGs3rxJwrcElEHX5q/hJYTQW6LoZT2oabHt/+thidt2HjvMwCZydWzgR8r5G7E1J04GN0sSQIEegb
bRmFuEorvqj9ur7wuYJ1vFt3tW1aGA2/dB4R+ixXJCsE0AAAAnQZokbEd/ipj71HRPcrBn8aOR1ntnAvey1VpaLVWLDGliqygCpLsYAAAACEGeQniO/7GB
AAAACAGeYXRCX7eAAAAACAGeY2pCX7eBAAAADkGaZUmoQWiZTAhL/4GB
"""
FRAMES, RATE = 20, 10


def read(path, **how):
    with open_clip(str(path)) as clip:
        frames = list(clip.read(**how))
        return clip, frames


@pytest.fixture
def grey(tmp_path):
    """A clip whose frames are 10, 20, 30, ... bright."""
    return write_clip(tmp_path / "grey.avi", [np.full((48, 64, 3), 10 * frame, np.uint8) for frame in range(FRAMES)])


@pytest.mark.parametrize(
    ("name", "code"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.webm", "VP80"), ("a.MKV", "mp4v")]
)
def test_frames_come_in_order_with_their_numbers_and_times(tmp_path, name, code):
    images = [np.full((48, 64, 3), 10 * frame, np.uint8) for frame in range(FRAMES)]
    clip, frames = read(write_clip(tmp_path / name, images, code))
    assert (clip.rate, clip.told, clip.problem) == (RATE, FRAMES, "")
    assert [frame.number for frame in frames] == list(range(FRAMES))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(FRAMES) / RATE, atol=0.002)
    assert all(frame.pixels.shape == (48, 64, 3) for frame in frames)
    assert [round(frame.pixels.mean(), -1) for frame in frames] == [10 * frame for frame in range(FRAMES)]


def test_h264_is_read(tmp_path):
    (tmp_path / "a.mp4").write_bytes(base64.b64decode(H264))
    clip, frames = read(tmp_path / "a.mp4")
    assert (len(frames), clip.problem, frames[0].pixels.shape) == (6, "", (48, 64, 3))


def test_fewer_frames_a_second_are_those_nearest_after_their_time(grey):
    clip, frames = read(grey, fps=4)
    assert [frame.number for frame in frames] == [0, 3, 5, 8, 10, 13, 15, 18]
    assert clip.count(4) == len(frames)
    assert clip.problem == ""
    assert len(read(grey, fps=1000)[1]) == FRAMES


def test_no_more_frames_are_read_than_asked_for(grey):
    clip, frames = read(grey, fps=5, most=3)
    assert [frame.number for frame in frames] == [0, 2, 4]
    assert clip.count(5, 3) == 3
    assert clip.problem == "", "nobody knows what comes after them"


def test_a_video_that_is_cut_off_gives_what_there_is_and_says_so(tmp_path, capfd):
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, 120, 160, 3), np.uint8)
    grey = write_clip(tmp_path / "grey.avi", list(noise))
    grey.write_bytes(grey.read_bytes()[: grey.stat().st_size // 2])
    clip, frames = read(grey)
    assert 5 <= len(frames) <= 15
    assert clip.problem == f"{grey}: ends after {len(frames)} of 20 frames: it is cut off, or damaged"
    assert capfd.readouterr() == ("", "")


def test_what_a_file_tells_of_its_length_is_believed_within_bounds(grey, monkeypatch):
    monkeypatch.setattr(module, "VIDEO_FRAMES", FRAMES - 1)
    clip, frames = read(grey)
    assert (clip.told, clip.count(), len(frames)) == (0, None, FRAMES - 1)
    assert clip.problem == f"{grey}: has more than 19 frames: the others are left out"


def test_frames_that_are_too_large_are_refused_before_one_is_decoded(grey, monkeypatch):
    monkeypatch.setattr(module, "VIDEO_PIXELS", 48 * 64 - 1)
    with (
        pytest.raises(ClipError, match=r"grey\.avi: has frames of .* are taken at most; make it smaller"),
        open_clip(str(grey)),
    ):
        pass


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
STREAMS = b"aaaaftypjp2 \nv=0\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 45004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"


@pytest.mark.parametrize(
    "content", [b"", b"hello", PLAYLIST, CONCAT, STREAMS, b"RIFF\x10\x00\x00\x00WAVEfmt ", b"\xff\xd8\xff\xe0"]
)
def test_what_does_not_begin_as_a_video_is_not_handed_to_the_decoder(tmp_path, content, capfd):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ClipError, match=r"a\.mp4: is no video \(MP4, MOV, AVI, MKV or WebM\); check the file"):
        read(tmp_path / "a.mp4")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "head", [b"\x00\x00\x00\x18ftypisom", b"RIFF\x00\x10\x00\x00AVI ", b"\x1aE\xdf\xa3" + bytes(8)]
)
def test_what_only_begins_as_a_video_is_told_in_a_line(tmp_path, head, capfd):
    (tmp_path / "a.mp4").write_bytes(head + bytes(range(256)) * 8)
    with pytest.raises(ClipError, match=r"a\.mp4: (is no readable video|no frame of it can be decoded)"):
        read(tmp_path / "a.mp4")
    assert capfd.readouterr() == ("", "")


def test_pipes_devices_folders_and_addresses_are_no_videos(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").mkdir()
    (tmp_path / "c.mp4").symlink_to("/dev/zero")
    for name in ("a.mp4", "c.mp4"):
        with pytest.raises(ClipError, match="this is a pipe, a socket or a device; save what it gives in a file"):
            read(tmp_path / name)
    for name in ("b.mp4", "d.mp4"):
        with pytest.raises(ClipError, match=name):
            read(tmp_path / name)
    with pytest.raises(ClipError, match="videos are read from a disk; fetch it first"):
        read("gs://bucket/a.mp4")


def test_a_name_that_is_not_utf_8_is_refused_as_opencv_would_end_the_process(grey):
    named = grey.rename(os.fsdecode(os.fsencode(grey.parent) + b"/cl\xffip.avi"))
    with pytest.raises(ClipError, match=r"cl\\udcffip\.avi: OpenCV takes no path that is not UTF-8; rename it"):
        read(named)


def test_the_time_of_a_camera_begins_with_its_first_frame(monkeypatch):
    class Slow(Camera):
        def grab(self):
            time.sleep(0.3 if self.left == 5 else 0.01)
            return super().grab()

    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Slow(np.zeros((48, 64, 3), np.uint8), 5))
    _, frames = read("camera:0", most=3)
    assert frames[0].time < 0.1
    assert frames[0].time < frames[1].time < frames[2].time


@pytest.mark.parametrize("frames", [0, 4])
def test_a_camera_that_ends_by_itself_is_no_end_as_it_should_be(monkeypatch, frames):
    class Unplugged(Camera):
        def grab(self):
            self.left -= 1
            return self.left >= 0

    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: Unplugged(np.zeros((48, 64, 3), np.uint8), frames))
    if frames:
        clip, found = read("camera:0")
        assert (len(found), clip.problem) == (4, "camera:0: has ended by itself after 4 frames")
        assert read("camera:0", most=3)[0].problem == ""
    else:
        with pytest.raises(ClipError, match="camera:0: no frame of it can be decoded; connect it anew"):
            read("camera:0")


def test_a_camera_that_is_not_there_is_told_in_a_line(capfd):
    with pytest.raises(ClipError, match="camera:97: there is no such camera, or it is in use; connect it, or"):
        read("camera:97")
    assert capfd.readouterr() == ("", "")


def test_videos_and_cameras_are_told_by_their_names():
    assert all(map(is_video, ("a.mp4", "a.b/c.WEBM", "camera:0", "*.avi", "~/a.mov")))
    assert not any(
        map(is_video, ("a.jpg", "mp4", "camera:", "camera:x", "camera:0001", "camera:0\n", "a.mp4/", "people"))
    )
