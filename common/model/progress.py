"""Progress: how far a training is, for people at a terminal and for logs."""

import logging
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from bodyposenet.common.status import StatusLog

log = logging.getLogger(__name__)


class Progress:
    """A bar on a terminal, a line now and then in a log, and TAO's ``status.json`` (reference 1.8).

    Args:
        results_dir: Gets ``status.json``.
        epochs: In all.
        steps: In an epoch.
        every: Seconds between lines of the log.
    """

    def __init__(self, results_dir: Path, *, epochs: int, steps: int, every: float) -> None:
        self.epochs, self.steps, self.every = epochs, steps, every
        self.status = StatusLog(results_dir)
        self.bar = tqdm(total=steps, unit="step", disable=not sys.stderr.isatty(), leave=False)
        self.said = time.monotonic()

    def __enter__(self) -> "Progress":
        self.status.write("STARTED", message="Training started.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        if error is None:
            self.status.write("SUCCESS", message="Training finished.")

    def step(self, epoch: int, number: int, loss: float, rate: float) -> None:
        """Note one step."""
        if number == 0:
            self.bar.reset()
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}")
        self.bar.set_postfix(loss=f"{loss:.4g}")
        self.bar.update()
        if time.monotonic() - self.said >= self.every:
            self.said = time.monotonic()
            done = epoch + (number + 1) / self.steps
            log.info("epoch %.2f of %d, loss %.4g, learning rate %.3g", done, self.epochs, loss, rate)

    def epoch(self, means: dict[str, float]) -> None:
        """Note the end of an epoch."""
        done, seconds = int(means["epoch"]), means["seconds"]
        left = timedelta(seconds=round(seconds * (self.epochs - done)))
        log.info(
            "epoch %d of %d done: loss %.4g, %.3g images/s, %s left",
            done, self.epochs, means["loss"], means["images_per_second"], left,
        )  # fmt: skip
        self.status.write(
            "RUNNING",
            graphical={"loss": means["loss"], "learning_rate": means["learning_rate"]},
            epoch=done,
            max_epoch=self.epochs,
            time_per_epoch=str(timedelta(seconds=seconds)),
            eta=str(left),
        )
