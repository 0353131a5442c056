"""Precision: the number format that a training computes in, decided by what this machine is fast in."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.train import Wish
from bodyposenet.common.storage.json_files import read_json

FLOAT32, BFLOAT16, FLOAT16 = "float32", "bfloat16", "float16"
LEAST_GAIN = 1.2  # of 16 bits over 32: less could be another choice at the next start
SHAPE = (4, 32, 32, 64)  # of the pictures: milliseconds on a processor, a tenth of a second where it emulates 16 bits
SHAPE_ON_GPU = (16, 96, 96, 128)  # a small one would time how long a GPU takes to be called
KERNEL = 3
PRECISION = "precision.json"  # what a training leaves: its choice
ROUNDS = 9  # of both formats in turn; the fastest of each counts
PATIENCE = 0.6  # seconds after which no further round begins


@dataclass(frozen=True)
class PrecisionTimes:
    """What one step of a small convolution takes, way there and way back.

    Attributes:
        half: The 16-bit format of the device: ``float16`` on a GPU, ``bfloat16`` on a processor.
        seconds32: In float32.
        seconds16: In that format; infinite where it cannot compute in it at all.
    """

    half: str
    seconds32: float = math.nan
    seconds16: float = math.nan

    @property
    def gain(self) -> float:
        """How many times as fast 16 bits are as 32; nan where nothing was timed."""
        return self.seconds32 / self.seconds16


@dataclass(frozen=True)
class PrecisionChoice:
    """The format that a training computes in.

    Attributes:
        name: ``float32``, ``bfloat16`` or ``float16``.
        reason: Why, in words that follow a colon.
        is_surprising: It is not what was asked for, or much slower than it might be: worth a warning.
    """

    name: str
    reason: str
    is_surprising: bool = False

    @property
    def policy(self) -> str:
        """Keras' dtype policy of it."""
        return self.name if self.name == FLOAT32 else f"mixed_{self.name}"

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def choose_precision(
    wish: Wish, times: PrecisionTimes, *, deterministic: bool = False, kept: str = ""
) -> PrecisionChoice:
    """Choose a format by what is wished and what was timed.

    Args:
        wish: ``mixed_precision`` of a train spec.
        times: Of this machine; those of nothing timed do for what :func:`needs_timing` denies.
        deterministic: Every start is to choose alike, so no timing has a say.
        kept: The format of the checkpoint that the training goes on from; it has the say over ``auto`` and true.

    Raises:
        UserError: This machine cannot compute in that format.
    """
    if not wish:
        return _turn(kept, PrecisionChoice(FLOAT32, "16 bits are not asked for"))
    if wish == "force":
        return _turn(kept, PrecisionChoice(times.half, "mixed_precision: force"))
    if kept:
        return _keep(kept, times)
    if deterministic:
        return _choose_blindly(wish, times.half)
    if times.gain >= LEAST_GAIN:
        return PrecisionChoice(times.half, _compare(times))
    return _decline(wish, times)


def needs_timing(wish: Wish, *, deterministic: bool = False, kept: str = "") -> bool:
    """Whether the choice, or what is said of it, depends on how fast this machine is."""
    if not wish or wish == "force":
        return False
    return kept != FLOAT32 if kept else not deterministic


def take_precision(wish: Wish, *, deterministic: bool = False, kept: str = "") -> PrecisionChoice:
    """Choose the format for this machine, timed if need be; arguments as of :func:`choose_precision`."""
    timed = needs_timing(wish, deterministic=deterministic, kept=kept)
    times = measure_precision() if timed else PrecisionTimes(find_half())
    return choose_precision(wish, times, deterministic=deterministic, kept=kept)


def _turn(kept: str, choice: PrecisionChoice) -> PrecisionChoice:
    """Say of a choice that it is another than the checkpoint's: somebody may have forgotten ``--use_amp``."""
    if kept in ("", choice.name):
        return choice
    return PrecisionChoice(choice.name, f"{choice.reason}; until its checkpoint it was {kept}", is_surprising=True)


def _choose_blindly(wish: Wish, half: str) -> PrecisionChoice:
    if wish == "auto":
        return PrecisionChoice(FLOAT32, "deterministic: true, which leaves nothing to a timing")
    return PrecisionChoice(half, "mixed_precision: true, taken at its word as deterministic is true")


def _decline(wish: Wish, times: PrecisionTimes) -> PrecisionChoice:
    if wish == "auto":
        return PrecisionChoice(FLOAT32, _compare(times))
    reason = f"{_compare(times)}, so mixed_precision: true is not followed; force would be"
    return PrecisionChoice(FLOAT32, reason, is_surprising=True)


def _keep(kept: str, times: PrecisionTimes) -> PrecisionChoice:
    reason = "as the training that goes on was begun"
    if kept != times.half or not times.gain < 1:
        return PrecisionChoice(kept, reason)
    if math.isinf(times.seconds16):
        raise UserError(
            f"the checkpoint's training computes in {kept}, and TensorFlow cannot here",
            where="mixed_precision",
            fix="go on where it can, or set it to false to go on in float32",
        )
    reason += f"; {_compare(times)}, and mixed_precision: false would go on in float32"
    return PrecisionChoice(kept, reason, is_surprising=True)


def _compare(times: PrecisionTimes) -> str:
    if math.isinf(times.seconds16):
        return f"TensorFlow cannot compute in {times.half} here"
    if times.gain < 1:
        return f"{times.half} takes {1 / times.gain:.2g} times as long as float32 here"
    only = "only " if times.gain < LEAST_GAIN else ""
    return f"{times.half} is {only}{times.gain:.2g} times as fast as float32 here"


def read_precision(folder: Path) -> PrecisionChoice | None:
    """Read what the training that left ``folder`` computed in; None where it does not tell."""
    path = folder / PRECISION
    if not path.is_file():
        return None
    return read_json(path, _take_choice, what="note of a training's numbers", fix="remove the file")


def _take_choice(data: Any) -> PrecisionChoice:
    choice = PrecisionChoice(**data)
    if not (isinstance(choice.name, str) and isinstance(choice.reason, str)):
        raise TypeError("a text is wanted")
    return choice


def find_half() -> str:
    """Find the 16-bit format of the device that trains: float16 on GPUs, bfloat16 on processors."""
    import tensorflow as tf

    return FLOAT16 if tf.config.list_physical_devices("GPU") else BFLOAT16


@cache
def measure_precision() -> PrecisionTimes:
    """Time a small convolution in both formats in turn, once per process; it takes a share of a second.

    The device is TensorFlow's first GPU, or the processor within whatever oneDNN has been told to use of it: so no
    processor's name has a say.
    """
    half = find_half()
    shape = SHAPE_ON_GPU if half == FLOAT16 else SHAPE
    steps = [_build_step(name, shape) for name in (FLOAT32, half)]
    seconds32, seconds16 = _time_in_turn(steps)
    return PrecisionTimes(half, seconds32, seconds16)


def _time_in_turn(steps: Sequence[Callable[[], Any]]) -> list[float]:
    """Return the least seconds of each step; the first call of each compiles, and tells whether it can be computed."""
    able = [step for step in steps if math.isfinite(_time(step))]
    least = dict.fromkeys(steps, math.inf)
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        least |= {step: min(least[step], _time(step)) for step in able}
        if time.perf_counter() - begun > PATIENCE:
            break
    return [least[step] for step in steps]


def _time(step: Callable[[], Any]) -> float:
    """Return a step's seconds; infinite where TensorFlow refuses to compute it."""
    import tensorflow as tf

    begun = time.perf_counter()
    try:
        step()
    except tf.errors.OpError:
        return math.inf
    return time.perf_counter() - begun


def _build_step(name: str, shape: tuple[int, int, int, int]) -> Callable[[], Any]:
    """Build a function that computes a convolution of pictures ``(B, H, W, C)`` and its gradients, and waits."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernel = (KERNEL, KERNEL, shape[-1], shape[-1])
    images, weights = (tf.constant(rng.standard_normal(size), name) for size in (shape, kernel))

    @tf.function(jit_compile=False, autograph=False)
    def run_step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch([images, weights])
            maps = tf.nn.conv2d(images, weights, 1, "SAME")
        parts = [maps, *tape.gradient(maps, [images, weights])]
        return tf.stack([tf.cast(tf.reshape(part, [-1])[0], FLOAT32) for part in parts])

    return lambda: run_step().numpy()
