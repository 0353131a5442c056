"""People: what decoding finds."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class People:
    """The people found in one picture, best first.

    Attributes:
        keypoints: ``(N, K, 3)`` float32 x, y in pixels and score in (0, 1]; score 0 where the joint was not found.
        scores: ``(N,)`` float32 in [0, 1).
    """

    keypoints: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def keep(self, wanted: np.ndarray) -> "People":
        """Return those of whom ``(N,)`` says so, in the same order."""
        return People(self.keypoints[wanted], self.scores[wanted])
