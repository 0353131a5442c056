"""Forecast: how long the demo will take on this machine, from some seconds of measuring.

What a run does is known: how often a training looks at a photo, and about what else there is to do. So it needs two
speeds, that of convolutions in the precision that trainings will take, and that of plain code, both by processor time,
and the share of the processors that other programs leave.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SPIN, CONVOLVE = 0.7, 0.6  # seconds of measuring plain code, and convolutions
TURNS = 1000  # of the loop between two looks at the clock
SHAPE, KERNEL = (8, 24, 32, 96), 3  # of a convolution in the middle of the demo's network
# Seconds of a run on an AMD EPYC, on which the loop made 21 to 47 million turns a second, from one second to the next,
# while whole runs took much the same. So a short look at the loop says little, and counts by its root alone.
TURNS_THERE = 3.5e7
TRUST = 0.5  # the exponent by which it counts
OWN_SECONDS = 45.0  # what grows with no number of photos
LOOKED_SECONDS = 0.21  # for a held-out photo: all evaluations together
TRAINED_SECONDS = 0.075  # for a photo in an epoch, beside convolutions
STEP_GFLOP = (16.3, 7.5)  # for a photo in an epoch, way there and back: of the base, and of the pruned network
ALONE = 1.5  # so much more of a shared processor gets what computes in one thread
SPREAD = 0.78  # the exponent by which trainings gain from processors


@dataclass(frozen=True)
class Speeds:
    """What a machine can do.

    Attributes:
        turns: Of a loop, in a second of processor time.
        gflops: Of a convolution and its gradients, billions of operations in a second of processor time.
        share: Of the processors, that this run will get.
        processors: How many there are.
    """

    turns: float
    gflops: float
    share: float
    processors: int


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

    Returns:
        ``seconds``, and the speeds that say so.
    """
    speeds, photos = measure_speeds(), count_photos(data)
    return {"seconds": estimate_seconds(Work(*photos, (epochs[0], epochs[1])), speeds), **asdict(speeds)}


def estimate_seconds(work: Work, speeds: Speeds) -> float:
    """How long a piece of work takes at given speeds."""
    slower = (TURNS_THERE / speeds.turns) ** TRUST
    gflop = sum(work.trained * epochs * step for epochs, step in zip(work.epochs, STEP_GFLOP, strict=True))
    training = gflop / speeds.gflops + work.trained * sum(work.epochs) * TRAINED_SECONDS * slower
    plain = (OWN_SECONDS + LOOKED_SECONDS * work.held_out) * slower
    seconds: float = plain / min(1.0, ALONE * speeds.share) + training / (speeds.processors**SPREAD * speeds.share)
    return seconds


def count_photos(data: str) -> tuple[int, int]:
    """Photos to train on, and held out."""
    from bodyposenet.common.data.conversion.split import DatasetSplit
    from bodyposenet.common.data.photo_set import make_dataset_spec
    from bodyposenet.common.tasks.run_inputs import parse_synthetic

    drawn = parse_synthetic(data)
    if drawn:
        return drawn.train, drawn.val
    spec = make_dataset_spec(Path(data))
    trained, held_out = (len(DatasetSplit.read(spec, mode).coco.images.ids) for mode in ("train", "test"))
    return trained, held_out


def measure_speeds() -> Speeds:
    """Measure this machine; the plain code first, as it needs processes that have not touched TensorFlow."""
    from bodyposenet.common.model.training.precision import take_precision

    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    turns, share = measure_code(processors)
    return Speeds(turns, measure_convolution(take_precision("auto").name), share, processors)


def measure_code(processors: int) -> tuple[float, float]:
    """Turns of a loop in a second of processor time, and the share of the processors that this process is given."""
    with multiprocessing.get_context("fork").Pool(processors) as pool:
        found = pool.map(spin, [SPIN] * processors, chunksize=1)
    turns, seconds = (sum(column) for column in zip(*found, strict=True))
    return turns / seconds, min(1.0, seconds / (SPIN * processors))


def spin(seconds: float) -> tuple[int, float]:
    """Count for some seconds; returns how far, and the processor time that it took."""
    end, begun, turns = time.monotonic() + seconds, time.process_time(), 0
    while time.monotonic() < end:
        for _ in range(TURNS):
            turns += 1
    return turns, time.process_time() - begun


def measure_convolution(precision: str) -> float:
    """Billions of operations in a second of processor time of a convolution ``(B, H, W, C)`` and its gradients."""
    step = build_step(precision)
    step()  # compiles
    batch, height, width, channels = SHAPE
    gflop = 3 * 2 * batch * height * width * channels**2 * KERNEL**2 / 1e9
    end, begun, steps = time.monotonic() + CONVOLVE, time.process_time(), 0
    while time.monotonic() < end:
        step()
        steps += 1
    return steps * gflop / (time.process_time() - begun)


def build_step(precision: str) -> Callable[[], Any]:
    """Build what is timed."""
    import tensorflow as tf

    images = tf.ones(SHAPE, precision)
    weights = tf.ones((KERNEL, KERNEL, SHAPE[-1], SHAPE[-1]), precision)

    @tf.function(autograph=False)
    def compiled() -> Any:
        with tf.GradientTape() as tape:
            tape.watch([images, weights])
            maps = tf.nn.conv2d(images, weights, 1, "SAME")
        return [maps, *tape.gradient(maps, [images, weights])]

    return lambda: [part[0, 0, 0, 0].numpy() for part in compiled()]
