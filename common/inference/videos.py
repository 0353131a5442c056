"""Videos: the people in files and cameras that somebody names: a line of JSON a frame, and them drawn."""

import contextlib
import logging
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.detector import open_model
from bodyposenet.common.inference.drawn_videos import Write, draw_video
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
from bodyposenet.common.video.clip import Clip, ClipError, open_clip
from bodyposenet.common.video.names import is_camera
from bodyposenet.common.video.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodyposenet.common.deploy.runner import Runner
    from bodyposenet.common.spec.words import Device, RunnerName

log = logging.getLogger(__name__)


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
                outputs = [] if drawn is None else [draw_video(drawn, rate, found.size, camera=clip.camera)]
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
