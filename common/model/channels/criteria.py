"""Criteria: how much each filter matters, and which of them stay.

A criterion is any function from a network's
:class:`~bodyposenet.common.model.channels.channel_graph.ChannelGraph` to votes: one number for each channel of each
layer that has a say, by the layer's path. Votes of different layers are made comparable by :func:`normalize`, and those
on the same channels become one by :func:`equalize`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.channel_graph import ChannelGraph, ChannelRun
from bodyposenet.common.spec.words import Equalization, Normalizer

Scores = NDArray[np.float64]  # (F,), one for each filter; none negative
Indices = NDArray[np.int64]  # ascending
Votes = Mapping[str, Scores]
Criterion = Callable[[ChannelGraph], Votes]


def l2_norm(graph: ChannelGraph) -> Votes:
    """Return the norm of each filter, as TAO: Li et al., "Pruning Filters for Efficient ConvNets" (ICLR 2017)."""
    return {path: filter_norms(layer) for path, layer in (graph.producers | graph.depthwise).items()}


def geometric_median(graph: ChannelGraph) -> Votes:
    """Sum how far each filter is from all others of its layer: the nearest can be replaced by the rest.

    He et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration" (CVPR 2019),
    equation 9.
    """
    return {path: filter_distances(layer) for path, layer in (graph.producers | graph.depthwise).items()}


def bn_scale(graph: ChannelGraph) -> Votes:
    """Tell how much batch normalization lets through of each channel: the magnitude of gamma.

    Liu et al., "Learning Efficient Convolutional Networks through Network Slimming" (ICCV 2017), section 3. Layers that
    no batch normalization follows go by the norms of their filters.

    Raises:
        UserError: The network has no batch normalization with scales, so none of its channels could be weighed.
    """
    votes = {path: np.abs(_sound(layer, layer.gamma)) for path, layer in graph.scales.items() if layer.scale}
    if not votes:
        raise UserError(
            "the network has no batch normalization, whose scales would tell which channels matter",
            where="criterion",
            fix="take l2_norm, geometric_median or taylor",
        )
    scaled = {run.source for path in votes for run in graph.reads[path]}
    return votes | {path: filter_norms(layer) for path, layer in graph.producers.items() if path not in scaled}


def filter_norms(layer: Any) -> Scores:
    """Compute the L2 norm of each filter of a layer; its bias and what normalizes it later do not count.

    Args:
        layer: A ``Conv2D`` or ``Dense`` (kernel ``(..., F)``), or a ``DepthwiseConv2D`` of multiplier 1 (kernel
            ``(kh, kw, F, 1)``).

    Returns:
        ``(F,)``.

    Raises:
        UserError: A weight is infinite or no number.
    """
    return np.asarray(np.sqrt(np.einsum("df,df->f", *2 * [list_filters(layer)])))


def filter_distances(layer: Any) -> Scores:
    """Sum the Euclidean distances of each filter to the others, ``(F,)``; see :func:`filter_norms`."""
    filters = list_filters(layer)
    products = filters.T @ filters
    squares = np.diag(products)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0))
    np.fill_diagonal(distances, 0)
    return np.asarray(distances.sum(axis=1))


def list_filters(layer: Any) -> NDArray[np.float64]:
    """Return the filters of a layer, as in :func:`filter_norms`, as columns: ``(D, F)`` float64."""
    return columns(layer, _sound(layer, layer.kernel))


def columns(layer: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lay the values of a layer's kernel, or of its bias, out with a column for each filter: ``(D, F)``."""
    import keras

    if values.ndim > 1 and isinstance(layer, keras.layers.DepthwiseConv2D):
        values = values[..., 0]
    return values.reshape(-1, values.shape[-1])


def _sound(layer: Any, variable: Any) -> NDArray[np.float64]:
    """Return a weight of a layer, if it is all numbers."""
    values = np.asarray(variable).astype(np.float64)
    if not np.isfinite(values).all():
        raise UserError(
            f"layer {layer.name!r} has weights that are infinite or no numbers", fix="training diverged; train it again"
        )
    return values


def normalize(scores: Scores, normalizer: Normalizer) -> Scores:
    """Make scores of different layers comparable.

    Args:
        scores: ``(F,)``, none negative.
        normalizer: ``max`` divides by the greatest score; ``L2`` by the norm of all of them, times their number, so
            that equal filters score ``sqrt(F)``; ``cost`` leaves them as they are, for scores that mean the same in
            every layer, as those of ``taylor`` do; what a filter costs is seen to when layers are weighed.

    Returns:
        ``(F,)``; zeros stay zeros even when there is nothing else.
    """
    if normalizer == "cost":
        return scores
    whole = scores.max() if normalizer == "max" else np.linalg.norm(scores) / len(scores)
    return scores / whole if whole > 0 else np.zeros_like(scores)


def equalize(scores: Sequence[Scores], criterion: Equalization) -> Scores:
    """Compute one score for each channel that several layers must keep or drop together.

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


def collect_scores(graph: ChannelGraph, votes: Votes, normalizer: Normalizer) -> Mapping[str, list[Scores]]:
    """Return each prunable layer's normalized scores: of its own filters, and of who votes on what it made."""
    scores: dict[str, list[Scores]] = defaultdict(list)
    for path, vote in votes.items():
        whole, offset = normalize(vote, normalizer), 0
        for run in (ChannelRun(path, len(vote)),) if path in graph.producers else graph.reads[path]:
            scores[run.source].append(whole[offset : offset + run.width])
            offset += run.width
    return scores


def choose(scores: Scores, *, threshold: float, minimum: int, granularity: int) -> Indices:
    """Choose the filters that stay: those above the threshold, rounded up to what hardware likes.

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


CRITERIA: dict[str, Criterion] = {"l2_norm": l2_norm, "bn_scale": bn_scale, "geometric_median": geometric_median}
