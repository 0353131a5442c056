"""Smoothing: joints that are steady while a person is still, and not late while they move: the One-Euro filter.

Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012, algorithm 1: a low-pass filter of first order, whose cutoff grows with the speed,

    alpha = 1 / (1 + tau / T),  tau = 1 / (2 pi cutoff),  cutoff = STILL + EAGER |speed|

where T is the time since the last value, and the speed itself went through such a filter with the cutoff SPEED. Here
speeds are sizes of the person a second, so that a video has the same joints at whatever size it is.
"""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bodyposenet.common.pose.people import People

STILL = 1.5  # Hz; cutoff of a joint that does not move
EAGER = 10.0  # Hz for each size of the person a second: who goes on lags by 1 / (2 pi EAGER) of the size at most
SPEED = 1.0  # Hz; cutoff of the speed
GONE = 0.5  # seconds after which a joint that comes back begins anew

Floats = npt.NDArray[np.float64]


@dataclass(eq=False)
class _Smoothed:
    """A person's joints: ``(K, 2)`` places, ``(K, 2)`` speeds in pixels a second, ``(K,)`` times; -inf for never."""

    places: Floats
    speeds: Floats
    times: Floats


class Smoother:
    """Smooths the joints of people who are numbered."""

    def __init__(self) -> None:
        self._known: dict[int, _Smoothed] = {}

    def smooth(self, people: People, ids: Sequence[int], time: float) -> People:
        """Smooth the joints of the next frame.

        Args:
            people: In pixels of the video.
            ids: Who they are.
            time: Seconds; later than the last frame's.

        Returns:
            The same people and scores; joints that were not found still are not.
        """
        keypoints = people.keypoints.copy()
        for index, number in enumerate(ids):
            keypoints[index, :, :2] = self._go_on(number, people.keypoints[index].astype(float), time)
        return People(keypoints, people.scores)

    def forget(self, expected: Container[int]) -> None:
        """Keep those who are expected only."""
        self._known = {number: each for number, each in self._known.items() if number in expected}

    def _go_on(self, number: int, joints: Floats, time: float) -> Floats:
        """``(K, 2)`` smoothed places of a person."""
        count, found = len(joints), joints[:, 2] > 0
        fresh = _Smoothed(joints[:, :2].copy(), np.zeros((count, 2)), np.full(count, -math.inf))
        known = self._known.setdefault(number, fresh)
        apart = time - known.times
        goes_on = found & (apart > 0) & (apart <= GONE)
        starts = found & ~goes_on
        known.places[starts], known.speeds[starts] = joints[starts, :2], 0.0
        known.times[found] = time
        if goes_on.any():
            size = max(1.0, float(np.hypot(*np.ptp(joints[found, :2], axis=0))))
            _filter(known, goes_on, joints[goes_on, :2], apart[goes_on, None], size)
        return np.where(found[:, None], known.places, joints[:, :2])


def _filter(known: _Smoothed, which: npt.NDArray[np.bool_], given: Floats, apart: Floats, size: float) -> None:
    """Take the next places ``(n, 2)`` of some joints, seconds ``(n, 1)`` after the last ones."""
    before = known.places[which]
    speeds = known.speeds[which]
    speeds += _weigh(np.asarray(SPEED), apart) * ((given - before) / apart - speeds)
    cutoff = STILL + EAGER * np.linalg.norm(speeds, axis=1, keepdims=True) / size
    known.speeds[which] = speeds
    known.places[which] = before + _weigh(cutoff, apart) * (given - before)


def _weigh(cutoff: Floats, apart: Floats) -> Floats:
    """The weight of a new value: alpha."""
    return np.asarray(1 / (1 + 1 / (2 * math.pi * cutoff * apart)))
