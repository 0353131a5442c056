"""Drawn videos: the frames of a video with their people drawn, as a video that appears when it is complete."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.frame_people import FramePeople
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.together import appear_together
from bodyposenet.common.video.clip import hush_opencv, require_utf8

CODE = "mp4v"  # MPEG-4 part 2: what OpenCV's own FFmpeg writes wherever it runs
TICKS = 65_535  # at most, in the 1, 10, 100, ... seconds by whose whole frames OpenCV tells it a rate
SLOWEST = 0.002  # frames a second; OpenCV takes less for none
STILL = 1.0  # seconds of a camera's video that one frame is shown at most

Write = Callable[[FramePeople], None]


@contextlib.contextmanager
def draw_video(path: Path, rate: float, size: tuple[int, int], *, camera: bool) -> Iterator[Write]:
    """Open a video that appears when it is complete.

    Args:
        path: Its name.
        rate: Frames a second.
        size: ``(height, width)`` of the first frame; the video's sides are even numbers, as its format asks.
        camera: Repeat frames where they come too late, so that it takes as long as what was seen.

    Raises:
        UserError: The disk does not take it.
    """
    height, width = (side + side % 2 for side in size)
    rate = max(SLOWEST, round(rate, int(math.log10(TICKS / rate))))  # phones tell theirs in any number of digits
    with appear_together(locate(path.parent), path.stem) as folder, hush_opencv():
        staged = require_utf8(os.path.join(str(folder), path.name))
        writer = cv2.VideoWriter(staged, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODE), rate, (width, height))
        if not writer.isOpened():
            raise UserError("OpenCV cannot write this video", where=str(path), fix="leave --save out")
        written = 0

        def write(found: FramePeople) -> None:
            nonlocal written
            image = _fit(cv2.cvtColor(found.draw(), cv2.COLOR_RGB2BGR), height, width)
            late = math.floor(found.time * rate) - written if camera else 0
            for _ in range(1 + min(max(0, late), math.ceil(STILL * rate))):
                writer.write(image)
                written += 1

        try:
            yield write
        finally:
            writer.release()
        if not _is_whole(staged):
            raise UserError("cannot be written whole", where=str(path), fix="free some space, or leave --save out")


def _is_whole(path: str) -> bool:
    """Tell whether an MP4 file was written to its end, which OpenCV does not: whether its boxes fill it.

    A box begins with its size and its kind (ISO 14496-12); the table of frames, ``moov``, is written last.
    """
    place, kinds, most = 0, set[bytes](), os.path.getsize(path)
    with open(path, "rb") as file:
        while place < most:
            file.seek(place)
            head = file.read(16)
            size = int.from_bytes(head[8:] if head[:4] == bytes((0, 0, 0, 1)) else head[:4])
            if size < 8:
                return False
            kinds.add(head[4:8])
            place += size
    return place == most and b"moov" in kinds


def _fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image at this size: a side that is odd has its last pixels twice."""
    if not (0 <= height - image.shape[0] <= 1 and 0 <= width - image.shape[1] <= 1):
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    edge = height - image.shape[0], width - image.shape[1]
    return cv2.copyMakeBorder(image, 0, edge[0], 0, edge[1], cv2.BORDER_REPLICATE) if any(edge) else image
