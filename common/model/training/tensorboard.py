"""TensorBoard: a training's curves as it reads them, written without its package."""

import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import tensorflow as tf

FOLDER = "events"
NAMED = re.compile(r"events\.out\.tfevents\.(\d{10}\.\d{6})\.")
VERSION = "brain.Event:2"  # of the file's format: its first record
TAGS = {"loss": "Loss/total_loss", "val_loss": "Validation/loss", "val_ap": "Validation/AP",
        "task_loss": "Loss/task_loss", "distillation_loss": "Loss/distillation_loss"}  # fmt: skip
STAGES = (("heatmap_loss_stage", "Loss/cmap_loss_stage"), ("paf_loss_stage", "Loss/paf_loss_stage"))  # ours, TAO's


class Summaries:
    """Scalars of every so many steps in ``events/``, under TAO's names.

    Args:
        results_dir: Gets the folder.
        every: Steps between points; 0 writes nothing.
        begun: Steps done by runs before this one; what they wrote of later ones is to be forgotten.
    """

    def __init__(self, results_dir: Path, *, every: int, begun: int) -> None:
        self.every, self.begun = every, begun
        self.folder = results_dir / FOLDER
        self._writer: Any = None

    def __enter__(self) -> "Summaries":
        if self.every:
            self.folder.mkdir(exist_ok=True)
            self._writer = tf.io.TFRecordWriter(str(self.folder / name_file(self.folder)))
            self._write(file_version=VERSION)
            start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
            self._write(step=self.begun + 1, session_log=start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer:
            self._writer.close()

    def step(self, number: int, scalars: Mapping[str, float]) -> None:
        """Note what step ``number`` returned, counted from 1 over the whole training, if it is one to be noted."""
        if self.every and number % self.every == 0:
            self._scalars(number, scalars)

    def epoch(self, number: int, means: Mapping[str, float]) -> None:
        """Note what validation found after step ``number``, and bring all that was noted to the disk."""
        if self._writer:
            self._scalars(number, {name: means[name] for name in ("val_loss", "val_ap") if name in means})
            self._writer.flush()

    def _scalars(self, number: int, values: Mapping[str, float]) -> None:
        value = tf.compat.v1.Summary.Value
        points = [value(tag=make_tag(name), simple_value=float(value_)) for name, value_ in values.items()]
        if points:
            self._write(step=number, summary=tf.compat.v1.Summary(value=points))

    def _write(self, **fields: Any) -> None:
        self._writer.write(tf.compat.v1.Event(wall_time=time.time(), **fields).SerializeToString())


def name_file(folder: Path) -> str:
    """Name the next file of events: TensorBoard reads them by name, so it comes last though a clock was set back."""
    earlier = [float(found[1]) for path in folder.iterdir() if (found := NAMED.match(path.name))]
    moment = max(time.time(), *(each + 1e-3 for each in earlier), 0.0)
    return f"events.out.tfevents.{moment:.6f}.{socket.gethostname()}.{os.getpid()}"


def make_tag(name: str) -> str:
    """The name of a curve in TensorBoard."""
    for ours, theirs in STAGES:
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return TAGS.get(name, name)
