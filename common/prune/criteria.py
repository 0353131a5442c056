"""Criteria: how much each filter matters, and which of them stay.

A criterion is any function from a layer to one number per filter, so that others (batch-norm scales, Taylor
expansions) can stand in for :func:`filter_norms`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bodyposenet.common.errors import UserError

Scores = NDArray[np.float64]  # (F,), one for each filter
Indices = NDArray[np.int64]  # ascending
Criterion = Callable[[Any], Scores]
Normalizer = Literal["max", "L2"]
Equalization = Literal["union", "intersection", "arithmetic_mean", "geometric_mean"]


def filter_norms(layer: Any) -> Scores:
    """The L2 norm of each filter of a layer; its bias and what normalizes it later do not count.

    Args:
        layer: A ``Conv2D`` or ``Dense`` (kernel ``(..., F)``), or a ``DepthwiseConv2D`` of multiplier 1 (kernel
            ``(kh, kw, F, 1)``).

    Returns:
        ``(F,)``.

    Raises:
        UserError: A weight is infinite or no number.
    """
    import keras

    kernel = np.asarray(layer.kernel).astype(np.float64)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = kernel[..., 0]
    if not np.isfinite(kernel).all():
        raise UserError(
            f"layer {layer.name!r} has weights that are infinite or no numbers", fix="training diverged; train it again"
        )
    return np.asarray(np.sqrt((kernel.reshape(-1, kernel.shape[-1]) ** 2).sum(axis=0)))


def normalize(scores: Scores, normalizer: Normalizer) -> Scores:
    """Make scores of different layers comparable.

    Args:
        scores: ``(F,)``, none negative.
        normalizer: ``max`` divides by the greatest score; ``L2`` by the norm of all of them, times their number, so
            that equal filters score ``sqrt(F)``.

    Returns:
        ``(F,)``; zeros stay zeros even when there is nothing else.
    """
    whole = scores.max() if normalizer == "max" else np.linalg.norm(scores) / len(scores)
    return scores / whole if whole > 0 else np.zeros_like(scores)


def equalize(scores: Sequence[Scores], criterion: Equalization) -> Scores:
    """One score for each channel that several layers must keep or drop together.

    Args:
        scores: Of each layer, ``(F,)``.
        criterion: ``union`` keeps what matters to any layer, ``intersection`` what matters to all; the means lie
            between.

    Returns:
        ``(F,)``.
    """
    table = np.stack(scores)
    if criterion == "union":
        return np.asarray(table.max(axis=0))
    if criterion == "intersection":
        return np.asarray(table.min(axis=0))
    if criterion == "arithmetic_mean":
        return np.asarray(table.mean(axis=0))
    with np.errstate(divide="ignore"):  # log 0 is -inf, and its mean's exponential 0 again
        return np.asarray(np.exp(np.log(table).mean(axis=0)))


def choose(scores: Scores, *, threshold: float, minimum: int, granularity: int) -> Indices:
    """The filters that stay: those above the threshold, rounded up to what hardware likes.

    Args:
        scores: ``(F,)``, normalized.
        threshold: Filters that score more than this count; never those that equal it.
        minimum: Keep at least so many, or all where there are fewer.
        granularity: Keep a multiple of this, or all where that would be too many.

    Returns:
        Indices of the filters with the highest scores, ascending; of equal ones the first. Never empty.
    """
    depth = len(scores)
    count = max(int((scores > threshold).sum()), min(minimum, depth), 1)
    count = min(-(-count // granularity) * granularity, depth)
    return np.sort(np.argsort(-scores, kind="stable")[:count])
