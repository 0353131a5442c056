"""Forecast: how long the demo will take on this machine, from two seconds of measuring.

What a run does is known: how often a training looks at a photo, and about what else there is to do. So it needs two
speeds, that of convolutions in the precision that trainings will take, and that of plain code, and the share of the
processor that other programs leave.
"""

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bodyposenet.common.model.precision import KERNEL, LEAST_GAIN, SHAPE, PrecisionTimes

SPIN = 0.7  # seconds of measuring plain code
TURNS = 1000  # of the loop between two looks at the clock
# Measured on two cores of an AMD EPYC of 2.6 GHz, where these were the speeds.
TURNS_THERE = 2.0e7  # a second
OWN_SECONDS = 100.0  # all that is no training and grows with no number of photos
LOOKED_SECONDS = 0.3  # for a held-out photo: all evaluations together
STEP_GFLOP = (16.3, 7.5)  # for a photo in an epoch, way there and back: of the base, and of the pruned network
TRAINED_SHARE = 0.5  # of the small convolution's speed, that a whole training step has


@dataclass(frozen=True)
class Speeds:
    """What a machine can do.

    Attributes:
        turns: Of a loop, in a second of one processor.
        gflops: Of a convolution and its gradients, billions of operations a second on all processors.
        share: Of the processors, that this run will get.
    """

    turns: float
    gflops: float
    share: float


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        trained: Photos to train on.
        held_out: Photos to evaluate on.
        epochs: Of the first training, and of the one after pruning.
    """

    trained: int
    held_out: int
    epochs: tuple[int, int]


def foresee(data: str, epochs: Sequence[int]) -> dict[str, float]:
    """Measure this machine, and say how many ``seconds`` the demo will take.

    Args:
        data: A folder, or how many people to draw.
        epochs: Of both trainings.
    """
    trained, held_out = count_photos(data)
    return {"seconds": seconds_of(Work(trained, held_out, (epochs[0], epochs[1])), measure_speeds())}


def seconds_of(work: Work, speeds: Speeds) -> float:
    """How long a piece of work takes at given speeds."""
    gflop = sum(work.trained * epochs * step for epochs, step in zip(work.epochs, STEP_GFLOP, strict=True))
    plain = (OWN_SECONDS + LOOKED_SECONDS * work.held_out) * TURNS_THERE / speeds.turns
    return (plain + gflop / (speeds.gflops * TRAINED_SHARE)) / speeds.share


def count_photos(data: str) -> tuple[int, int]:
    """Photos to train on, and held out."""
    from bodyposenet.common.data.photo_set import dataset_spec_of
    from bodyposenet.common.data.source import Source
    from bodyposenet.common.inputs import drawn_of

    drawn = drawn_of(data)
    if drawn:
        return drawn.train, drawn.val
    spec = dataset_spec_of(Path(data))
    trained, held_out = (len(Source.read(spec, mode).coco.images.ids) for mode in ("train", "test"))
    return trained, held_out


def measure_speeds() -> Speeds:
    """Measure this machine; the plain code first, as it needs processes that have not touched TensorFlow."""
    from bodyposenet.common.model.precision import measure_precision

    turns, share = measure_code()
    return Speeds(turns, convolution_gflops(measure_precision()), share)


def convolution_gflops(times: PrecisionTimes) -> float:
    """Billions of operations a second, in the precision that ``auto`` would take."""
    seconds = times.seconds16 if times.gain >= LEAST_GAIN else times.seconds32
    batch, height, width, channels = SHAPE
    return 3 * 2 * batch * height * width * channels**2 * KERNEL**2 / seconds / 1e9


def measure_code() -> tuple[float, float]:
    """Turns of a loop in a second of processor time, and the share of the processors that this process is given."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        found = pool.map(spin, [SPIN] * cores, chunksize=1)
    turns, seconds = (sum(column) for column in zip(*found, strict=True))
    return turns / seconds, min(1.0, seconds / (SPIN * cores))


def spin(seconds: float) -> tuple[int, float]:
    """Count for some seconds; returns how far, and the processor time that it took."""
    end, begun, turns = time.monotonic() + seconds, time.process_time(), 0
    while time.monotonic() < end:
        for _ in range(TURNS):
            turns += 1
    return turns, time.process_time() - begun
