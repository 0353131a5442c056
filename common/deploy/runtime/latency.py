"""Latency: how long models take for one picture, compared side by side."""

import statistics
import time
from collections.abc import Mapping

import numpy as np

from bodyposenet.common.deploy.runner import Runner

WARM_UP = 2  # calls before the clock counts: memory is laid out and kernels are chosen in them


def latency_ms(runner: Runner, size: tuple[int, int], repeats: int = 20) -> float:
    """Median milliseconds for one picture.

    Args:
        runner: The model, opened with the threads it is to have.
        size: ``(height, width)`` in pixels.
        repeats: Timed calls.
    """
    return compare_latency({"model": runner}, size, repeats=repeats)["model"]


def compare_latency(runners: Mapping[str, Runner], size: tuple[int, int], *, repeats: int = 20) -> dict[str, float]:
    """Median milliseconds for one picture, for several models in turn.

    The models take turns, so that whatever else the machine does slows them all alike.

    Args:
        runners: Models by name, opened with the threads they are to have.
        size: ``(height, width)`` in pixels.
        repeats: Timed calls of each.
    """
    image = np.random.default_rng(0).uniform(-0.5, 0.5, (1, *size, 3)).astype(np.float32)
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(-WARM_UP, repeats):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner(image)
            if turn >= 0:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}
