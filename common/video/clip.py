"""Clip: a video file or a camera as frames, one after another, each with its number and its time.

OpenCV's own FFmpeg decodes. It would take whatever it finds in a file, playlists that name other files among them, and
addresses: a file is only handed to it where its first bytes are those of a video.
"""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from bodyposenet.common.bounds import VIDEO_FRAMES, VIDEO_PIXELS
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.location import locate
from bodyposenet.common.video.names import CAMERA, VIDEOS, is_camera

RATE, FASTEST = 30.0, 1000.0  # frames a second: where nothing is told, and what is believed
SHORT = 0.98  # of the frames that are told; some files tell a length in time alone, which is rounded
QUIET = "-8"  # FFmpeg's level of messages at which it says nothing: what is wrong is told in a line here

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", QUIET)  # read with the first video


class ClipError(UserError):
    """A video that cannot be used, or a camera that is not there; others can."""


class Frame(NamedTuple):
    """A frame.

    Attributes:
        number: In the video, from 0, those that were passed over counted, too.
        time: Seconds from the first one.
        pixels: ``(H, W, 3)`` uint8, BGR as OpenCV decodes it, turned as the file says.
    """

    number: int
    time: float
    pixels: np.ndarray


class Clip:
    """A video that is open.

    Attributes:
        name: What messages call it.
        camera: It has no end of its own.
        rate: Frames a second.
        told: Frames, as the file says; 0 where it does not, or says what cannot be.
        pixels: Of the largest frame so far, as the file says or as it was decoded.
        problem: What is wrong with a video that ends before its end, or a camera that does, once it has been read.
    """

    def __init__(self, name: str, capture: cv2.VideoCapture, *, camera: bool) -> None:
        self.name, self.camera, self._capture = name, camera, capture
        rate, told = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.rate = rate if 0 < rate <= FASTEST else RATE
        self.told = int(told) if not camera and 0 < told <= VIDEO_FRAMES else 0
        self.problem, self.pixels = "", 1
        self._hold(capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT))

    def count(self, fps: float | None = None, most: int | None = None) -> int | None:
        """How many frames :meth:`read` will give, about; None where nothing tells."""
        known = math.ceil(self.told * min(1.0, fps / self.rate if fps else 1.0)) or None
        return known if most is None else min(most, known or most)

    def read(self, fps: float | None = None, most: int | None = None) -> Iterator[Frame]:
        """Read the frames.

        Args:
            fps: How many a second to take at most; the others are passed over.
            most: How many to take.

        Raises:
            ClipError: There is not one, or they are too large.
        """
        taken, number, slot = 0, 0, -1
        for number, seconds in enumerate(self._grab()):
            if (due := number if fps is None else math.floor(seconds * fps + 1e-6)) <= slot:
                continue
            slot = due
            whole, pixels = self._capture.retrieve()
            if not whole:
                break
            self._hold(pixels.shape[0] * pixels.shape[1])
            yield Frame(number, seconds, np.asarray(pixels, np.uint8))
            taken += 1
            if most is not None and taken >= most:
                return
        if not taken:
            fix = "connect it anew" if self.camera else f"give {VIDEOS}, such as of H.264"
            raise ClipError("no frame of it can be decoded", where=self.name, fix=fix)
        if self.camera and not self.problem:
            self.problem = f"{self.name}: has ended by itself after {number + 1} frames"
        if number + 1 < SHORT * self.told - 1:
            self.problem = f"{self.name}: ends after {number + 1} of {self.told} frames: it is cut off, or damaged"

    def _grab(self) -> Iterator[float]:
        """Go to the next frame, and give its time, until there is none."""
        begun, last = None, -1 / self.rate
        for _ in range(VIDEO_FRAMES):
            if not self._capture.grab():
                return
            begun = time.monotonic() if begun is None else begun  # a camera takes a while to its first frame
            seconds = time.monotonic() - begun if self.camera else self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if not last < seconds < VIDEO_FRAMES:  # some files tell no times, or go back
                seconds = last + 1 / self.rate
            yield seconds
            last = seconds
        if self._capture.grab():
            self.problem = f"{self.name}: has more than {VIDEO_FRAMES:,} frames: the others are left out"

    def _hold(self, pixels: float) -> None:
        if pixels > VIDEO_PIXELS:
            problem = (
                f"has frames of {pixels / 1e6:.0f} million pixels; {VIDEO_PIXELS / 1e6:.0f} million are taken at most"
            )
            raise ClipError(problem, where=self.name, fix="make it smaller")
        self.pixels = max(self.pixels, int(pixels))


@contextlib.contextmanager
def open_clip(source: str) -> Iterator[Clip]:
    """Open a video.

    Args:
        source: A file's path, or ``camera:N``, N counting the machine's cameras from 0.

    Raises:
        ClipError: It is none, or its frames are too large, or there is no such camera.
    """
    camera = is_camera(source)
    given = (int(source.removeprefix(CAMERA)),) if camera else (_require_video(source), cv2.CAP_FFMPEG)
    with hush_opencv():
        capture = cv2.VideoCapture(*given)
    try:
        if not capture.isOpened():
            problem = "there is no such camera, or it is in use" if camera else f"is no readable video ({VIDEOS})"
            fix = "connect it, or name another, or a video" if camera else "check that it is whole"
            raise ClipError(problem, where=source, fix=fix)
        yield Clip(source, capture, camera=camera)
    finally:
        capture.release()


def _require_video(source: str) -> str:
    """A file's path from the root, so that FFmpeg takes it for nothing else."""
    if in_bucket(source):
        raise ClipError("videos are read from a disk", where=source, fix="fetch it first")
    place = locate(source)
    try:
        with translate_errors(place), place.open_stream() as file:
            head = file.read(12)
    except UserError as error:
        raise ClipError(error.problem, where=error.where, fix=error.fix) from None
    if not _begins_as_video(head):
        raise ClipError(f"is no video ({VIDEOS})", where=source, fix="check the file")
    return require_utf8(str(Path(source).absolute()))


def require_utf8(path: str) -> str:
    """Give a path back that OpenCV takes: at one that is not UTF-8 it ends the process.

    Raises:
        ClipError: It is not.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ClipError("OpenCV takes no path that is not UTF-8", where=path, fix="rename it") from None
    return path


def _begins_as_video(head: bytes) -> bool:
    boxes = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # of MP4 and QuickTime: ISO 14496-12
    if head[4:] in (b"ftypjp2 ", b"ftypjpx ", b"ftypjxl "):  # photos, in which FFmpeg would look for a list of streams
        return False
    return head[4:8] in boxes or head.startswith(b"\x1aE\xdf\xa3") or (head[:4], head[8:]) == (b"RIFF", b"AVI ")


@contextlib.contextmanager
def hush_opencv() -> Iterator[None]:
    """Keep OpenCV's warnings from the terminal."""
    log = cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(before)
