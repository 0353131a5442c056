"""Agreement: how far the maps of one network are from those of another."""

import math
from collections.abc import Sequence

import numpy as np

from bodyposenet.common.deploy.onnx_file import OUTPUTS


def map_error(reference: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> float:
    """Root mean square of the difference over that of the reference, the worse of heatmaps and PAFs.

    Maps of other shapes are infinitely far, and so are those that hold NaN or infinity on either side.

    Args:
        reference: Heatmaps and PAFs of each picture in turn.
        maps: The same of another network.
    """
    if [one.shape for one in reference] != [other.shape for other in maps]:
        return float("inf")
    kinds = []
    for kind in range(len(OUTPUTS)):
        pairs = list(zip(reference[kind :: len(OUTPUTS)], maps[kind :: len(OUTPUTS)], strict=True))
        with np.errstate(invalid="ignore"):  # the difference of two infinities is NaN
            wrong = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in pairs)
        whole = sum(float(np.square(a, dtype=np.float64).sum()) for a, _ in pairs)
        kinds.append((wrong / whole) ** 0.5 if whole else float(wrong > 0))
    return max(kinds) if all(map(math.isfinite, kinds)) else float("inf")
