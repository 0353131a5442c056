"""Visibility: flags of joints, from a dataset's numbers to those that are meant."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt


def recode(flags: npt.NDArray[np.float64], codes: Mapping[int, int]) -> npt.NDArray[np.float64]:
    """Translate visibility flags by a dataset's table; flags that it lacks become 0.

    Args:
        flags: The dataset's numbers, of any shape.
        codes: For each of them what it means: 0 not labelled, 1 hidden, 2 visible.

    Returns:
        The same shape, of these three numbers.
    """
    coded = np.zeros_like(flags)
    for flag, code in codes.items():
        if code:
            coded[flags == flag] = code
    return coded
