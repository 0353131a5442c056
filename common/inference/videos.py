"""Videos: the people in files and cameras that somebody names: a line of JSON a frame, and them drawn."""

import contextlib
import logging
import math
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.detector import open_model
from bodyposenet.common.inference.estimator import PoseEstimator
from bodyposenet.common.inference.frame_people import FramePeople
from bodyposenet.common.inference.inputs import NamedVideo
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import locate, open_to_append
from bodyposenet.common.storage.locking import lock_at_once
from bodyposenet.common.storage.status_log import StatusLog
from bodyposenet.common.storage.together import appear_together
from bodyposenet.common.video.clip import Clip, ClipError, hush_opencv, open_clip, require_utf8
from bodyposenet.common.video.names import is_camera
from bodyposenet.common.video.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodyposenet.common.deploy.runner import Runner
    from bodyposenet.common.spec.words import Device, RunnerName

log = logging.getLogger(__name__)

CODE = "mp4v"  # MPEG-4 part 2: what OpenCV's own FFmpeg writes wherever it runs
TICKS = 65_535  # at most, in the 1, 10, 100, ... seconds by whose whole frames OpenCV tells it a rate
SLOWEST = 0.002  # frames a second; OpenCV takes less for none
STILL = 1.0  # seconds of a camera's video that one frame is shown at most

Write = Callable[[FramePeople], None]


@dataclass
class VideoFound:
    """What was found in videos.

    Attributes:
        lines: Files with a line of JSON a frame.
        drawn: Videos with the people drawn.
        frames: That were looked at.
        people: Found in them, in each frame anew.
        empty: Frames in which nobody was found.
        identities: How many of them are different, as far as they could be followed; None if nobody was.
        problems: What is wrong with videos that could not be used.
        cut_off: What is wrong with those that ended before their end; what there is of them was looked at.
        ran: What ran the network.
    """

    lines: list[Path] = field(default_factory=list)
    drawn: list[Path] = field(default_factory=list)
    frames: int = 0
    people: int = 0
    empty: int = 0
    identities: int | None = None
    problems: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)
    ran: str = ""

    def summary(self) -> str:
        """The outcome in a sentence."""
        told = (
            f"{pluralize(self.people, 'person')} found in {pluralize(self.frames, 'frame')} (nobody in {self.empty:,})"
        )
        return f"{told}." if self.identities is None else f"{told}, {self.identities:,} of them different."

    def count(self, found: FramePeople) -> None:
        """Add a frame to the numbers."""
        self.frames += 1
        self.people += len(found)
        self.empty += not len(found)


def watch_videos(
    model: "Path | Runner",
    spec: InferenceSpec | None,
    videos: "Sequence[NamedVideo]",
    results_dir: str | Path,
    how: Watch,
    *,
    save: bool = False,
    progress: bool | None = None,
    device: "Device" = "auto",
    runner: "RunnerName | None" = None,
) -> VideoFound:
    """Find the people in videos and cameras, and write a line of JSON a frame, as soon as it is known.

    A camera goes on until ``how`` or an interrupt ends it, which is no failure.

    Args:
        model: A Keras or ONNX model's file, an engine's, or a runner.
        spec: How to find people; None takes what was tuned for the model, at the size that it was trained at.
        videos: As :func:`~bodyposenet.common.inference.inputs.split_videos` finds them.
        results_dir: Where to write, on a disk.
        how: Which frames are looked at, and what of the people.
        save: Write the videos with the people drawn, too; each appears when it is complete.
        progress: Show a progress bar; by default on terminals.
        device: What to compute on.
        runner: What to run an ONNX model with; the spec's if None.

    Raises:
        UserError: The model cannot be used, nothing can be written, or no video can be read. One that cannot, among
            others, is reported instead.
    """
    from bodyposenet.common.deploy.runtime.runners import describe_runner

    folder = Path(results_dir)
    status = StatusLog(folder)
    status.write("STARTED", "Starting inference.")
    frames = 1 if any(is_camera(video.source) for video in videos) else None  # they come one by one
    estimator = PoseEstimator(*open_model(model, spec, device, runner, photos=frames))
    made = VideoFound(identities=0 if how.track else None, ran=describe_runner(estimator.runner))
    hidden = None if progress is None else not progress
    for video in videos:
        lines, drawn = (folder / f"{video.name}{ending}" for ending in (".jsonl", ".mp4"))
        try:
            with (
                open_clip(video.source) as clip,
                _open_outputs(lines, drawn if save else None, min(how.fps or clip.rate, clip.rate), clip) as write,
            ):
                frames = _watch_one(estimator.watch(clip, how), clip, how, write, made, hidden)
        except ClipError as error:
            made.problems.append(str(error))
            if len(made.problems) == len(videos):
                raise
            log.warning("skipped %s", error)
            continue
        made.lines += [lines] if frames else []
        made.drawn += [drawn] if frames and save else []
    log.info(made.summary())
    status.write("SUCCESS", made.summary())
    return made


def _watch_one(
    frames: Generator[FramePeople], clip: Clip, how: Watch, write: Write, made: VideoFound, hidden: bool | None
) -> int:
    """Look at one video, write what is found, and count its frames."""
    before, different = made.frames, set[int]()
    total = clip.count(how.fps, how.max_frames)
    try:
        with contextlib.closing(frames):
            for found in Bar(frames, "inference", total, unit="frame", disable=hidden):
                write(found)
                made.count(found)
                different.update(found.ids)
    except KeyboardInterrupt:
        if not clip.camera:
            raise
        log.info("%s: ended by an interrupt", clip.name)
    except ClipError as error:
        if made.frames == before:
            raise
        clip.problem = str(error)
    if made.identities is not None:
        made.identities += len(different)
    if clip.problem:
        log.warning("%s", clip.problem)
        made.cut_off.append(clip.problem)
    return made.frames - before


@contextlib.contextmanager
def _open_outputs(lines: Path, drawn: Path | None, rate: float, clip: Clip) -> Iterator[Write]:
    """Open what is written of a video, with its first frame: until then, what an earlier run left stays."""
    with contextlib.ExitStack() as opened:
        writes: list[Write] = []

        def write(found: FramePeople) -> None:
            if not writes:
                outputs = [] if drawn is None else [_draw_video(drawn, rate, found.size, camera=clip.camera)]
                outputs.append(_write_lines(lines, camera=clip.camera))
                writes.extend(map(opened.enter_context, outputs))
                writes.reverse()  # lines are opened last, as a video that cannot be is to cost no earlier ones
            for each in writes:
                each(found)

        yield write


@contextlib.contextmanager
def _write_lines(path: Path, *, camera: bool) -> Iterator[Write]:
    """Open a file of lines: whenever the process ends, or the disk is full, those in it are whole.

    What an earlier run left stays until those of a video are complete, and of a camera, which has no end, until there
    is the first.
    """
    with contextlib.ExitStack() as opened:
        with translate_errors(path):
            file = opened.enter_context(_open_alone(path))
            earlier = os.fstat(file.fileno()).st_size > 0
        if earlier and not camera:
            folder = opened.enter_context(appear_together(locate(path.parent), path.name))
            with translate_errors(path):
                file = opened.enter_context(open_to_append(Path(str(folder), path.name), buffering=0))

        def write(found: FramePeople) -> None:
            nonlocal file, earlier
            line = f"{found.to_line()}\n".encode()
            with translate_errors(path):
                if not (earlier and camera):
                    _append(file, line)
                    return
                with whole_file(path) as first:
                    first.write(line)
                file, earlier = opened.enter_context(_open_alone(path)), False

        yield write


def _open_alone(path: Path) -> BinaryIO:
    """Open a file to write at its end, and keep other runs from that."""
    file = open_to_append(path, buffering=0)
    if not lock_at_once(file.fileno()):
        file.close()
        fix = "wait for it, or name another folder with -r"
        raise UserError("another run is writing this", where=str(path), fix=fix)
    return file


def _append(file: BinaryIO, line: bytes) -> None:
    before, written = file.tell(), 0
    try:
        while written < len(line):
            written += file.write(line[written:])
    except OSError:
        file.truncate(before)
        raise


@contextlib.contextmanager
def _draw_video(path: Path, rate: float, size: tuple[int, int], *, camera: bool) -> Iterator[Write]:
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
