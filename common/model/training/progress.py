"""Progress: how far a training is: for people at a terminal, for logs, and for what collects a pod's lines."""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from bodyposenet.common.kubeflow.pod import IN_A_POD
from bodyposenet.common.machine.bar import LINES, NOTES, Bar, Pace, draws_bar
from bodyposenet.common.storage.json_files import read_json, take_list, take_mapping
from bodyposenet.common.storage.status_log import StatusLog

log = logging.getLogger(__name__)

FIGURES = ("val_loss", "val_ap")
HISTORY = "history.json"  # what a training leaves of its epochs


def read_history(path: Path) -> list[dict[str, Any]]:
    """Read the entries of a training's epochs.

    Raises:
        UserError: It cannot be read, or is no history.
    """
    return read_json(path, _take_history, what="history of a training", fix="give the folder that a training wrote")


def _take_history(data: Any) -> list[dict[str, Any]]:
    entries = [take_mapping(entry) for entry in take_list(data)]
    if not all(isinstance(value, int | float) for entry in entries for value in entry.values()):
        raise TypeError("a value of an epoch is no number")
    if not all({"epoch", "loss"} <= entry.keys() for entry in entries):
        raise KeyError("an epoch has no number or no loss")
    return entries


class TrainingProgress:
    """A bar on a terminal, a line now and then in a log, and TAO's ``status.json``.

    In a Kubernetes pod the line is a JSON object on standard output; with ``BODYPOSENET_PROGRESS=json`` it is one on
    standard error.

    Args:
        results_dir: Gets ``status.json``.
        epochs: In all.
        steps: In an epoch.
        every: Seconds between lines of the log.
        precision: What is computed in, for ``status.json``.
    """

    def __init__(self, results_dir: Path, *, epochs: int, steps: int, every: float, precision: str = "float32") -> None:
        self.epochs, self.steps, self.every = epochs, steps, every
        self.precision = precision
        self.status = StatusLog(results_dir)
        self.bar = Bar(total=steps, unit="step", disable=not draws_bar(), leave=False)
        self.said = time.monotonic()
        self.pace: Pace | None = None  # in epochs, from this run's first step on, which also compiles

    def __enter__(self) -> "TrainingProgress":
        self.status.write("STARTED", message="Training started.", precision=self.precision)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        if error is None:
            self.status.write("SUCCESS", message="Training finished.")

    def step(self, epoch: int, number: int, loss: float, rate: float) -> None:
        """Note one step.

        Args:
            epoch: Its epoch, from 0.
            number: Of the step in the epoch, from 0.
            loss: What it had.
            rate: The learning rate that it took.
        """
        now, done = time.monotonic(), epoch + (number + 1) / self.steps
        left = self._estimate_left(now, done)
        if number == 0:
            self.bar.reset()
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(f"loss={loss:.4g}, {spell(left)} left", refresh=False)
        self.bar.update(number + 1 - self.bar.n)
        if now - self.said >= self.every:
            self.said = now
            self._say(done, number, loss, rate, left)

    def epoch(self, means: Mapping[str, float]) -> None:
        """Note the end of an epoch, with its entry in the history."""
        done = int(means["epoch"])
        left = spell(self._estimate_left(time.monotonic(), done))
        found = "".join(f", {name.replace('_', ' ')} {means[name]:.4g}" for name in FIGURES if name in means)
        log.info(
            "epoch %d of %d done: loss %.4g%s, %.3g images/s, %s left",
            done, self.epochs, means["loss"], found, means["images_per_second"], left,
        )  # fmt: skip
        self.status.write(
            "RUNNING",
            kpi={name: means[name] for name in FIGURES if name in means} or None,
            graphical={"loss": means["loss"], "learning_rate": means["learning_rate"]},
            epoch=done,
            max_epoch=self.epochs,
            time_per_epoch=str(timedelta(seconds=means["seconds"])),
            eta=left,
        )

    def _estimate_left(self, now: float, done: float) -> float | None:
        """Seconds until the last epoch is done: validation and checkpoints are part of the pace."""
        self.pace = self.pace or Pace(now, done, self.epochs)
        return self.pace.estimate_left(now, done)

    def _say(self, done: float, number: int, loss: float, rate: float, left: float | None) -> None:
        in_pod = IN_A_POD in os.environ
        if not in_pod and os.environ.get(NOTES) != LINES:
            log.info(
                "epoch %.2f of %d, loss %.4g, learning rate %.3g, %s left", done, self.epochs, loss, rate, spell(left)
            )
            return
        line = {
            "task": "train", "epoch": round(done, 4), "epochs": self.epochs, "step": number + 1, "steps": self.steps,
            "loss": loss, "learning_rate": rate, "seconds_left": None if left is None else round(left),
        }  # fmt: skip
        stream = sys.stdout if in_pod else sys.stderr
        stream.write(json.dumps(line) + "\n")
        stream.flush()


class Silence(TrainingProgress):
    """What those processes of a training tell that are not its chief: nothing."""

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def step(self, epoch: int, number: int, loss: float, rate: float) -> None:
        """Note one step."""

    def epoch(self, means: Mapping[str, float]) -> None:
        """Note the end of an epoch."""


def spell(seconds: float | None) -> str:
    """``1:02:03``; a question mark for what is not known."""
    return "?" if seconds is None else str(timedelta(seconds=round(seconds)))
