"""Thresholds: what each would leave of a network, and the one that leaves a wanted share."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.channel_graph import ChannelGraph
from bodyposenet.common.model.channels.criteria import (
    Criterion,
    Indices,
    Scores,
    Votes,
    choose,
    collect_scores,
    equalize,
)
from bodyposenet.common.model.channels.tracing import read_graph
from bodyposenet.common.prune.cost import NetworkCost
from bodyposenet.common.spec.prune import PruneSpec

NEAR = 0.03  # a network that is further below its target than this is worth a word
STEPS = tuple(share / 10 for share in range(9, 0, -1))  # of the ladder: shares of the parameters

FLOAT = 4  # bytes of a weight in a model file
COLUMNS = 6  # thresholds side by side in the table of layers
HERE = "<"  # marks the threshold that was asked for


@dataclass(frozen=True)
class Group:
    """Layers that keep the same filters.

    Attributes:
        paths: Of the layers.
        depth: Filters of each of them.
        scores: One for each filter, normalized and merged; None if all filters stay whatever the threshold.
    """

    paths: tuple[str, ...]
    depth: int
    scores: Scores | None


@dataclass(frozen=True)
class Cut:
    """What a threshold leaves of a network.

    Attributes:
        threshold: Filters that score no more than this are gone, but for those that minimum and granularity save.
        filters: For each prunable layer, by path, the indices of its filters that stay, ascending.
        params: Parameters left, BN statistics included.
        flops: Floating-point operations left, for one picture.
    """

    threshold: float
    filters: dict[str, Indices]
    params: int
    flops: float


@dataclass(frozen=True)
class ScoredNetwork:
    """A network whose filters are weighed: what any threshold would leave of it can be told.

    Attributes:
        graph: Its channels.
        groups: Its prunable layers.
        settings: Minimum and granularity; the threshold in it plays no part.
        sizes: What it costs.
    """

    graph: ChannelGraph
    groups: tuple[Group, ...]
    settings: PruneSpec
    sizes: NetworkCost

    @cached_property
    def thresholds(self) -> list[float]:
        """All that make a difference, ascending: 0, and the score of every filter that may go."""
        scores = [group.scores for group in self.groups if group.scores is not None]
        return [float(score) for score in np.unique(np.concatenate([np.zeros(1), *scores]))]

    def filters(self, threshold: float) -> dict[str, Indices]:
        """Choose the filters that stay, for each prunable layer."""
        kept: dict[str, Indices] = {}
        for group in self.groups:
            stay = np.arange(group.depth)
            if group.scores is not None:
                stay = choose(
                    group.scores,
                    threshold=threshold,
                    minimum=self.settings.min_num_filters,
                    granularity=self.settings.pruning_granularity,
                )
            kept.update(dict.fromkeys(group.paths, stay))
        return {path: kept[path] for path in self.graph.producers}

    def cut(self, threshold: float) -> Cut:
        """Tell what this threshold leaves."""
        filters = self.filters(threshold)
        return Cut(threshold, filters, self.sizes.count_params(filters), self.sizes.count_flops(filters))


def weigh(
    model: Any, settings: PruneSpec, criterion: Criterion, *, whole: Collection[str], size: tuple[int, int]
) -> ScoredNetwork:
    """Weigh the filters of a network.

    Args:
        model: A functional or sequential ``keras.Model``, channels last.
        settings: Excluded layers, normalizer and the like.
        criterion: Tells how much each filter matters.
        whole: More layers that keep every filter.
        size: Of the pictures that FLOPs are counted for, ``(height, width)`` in pixels.

    Raises:
        UserError: The network has layers that pruning cannot follow, or no layer of an excluded name.
    """
    graph = read_graph(model, whole=(*settings.excluded_layers, *whole))
    groups = tuple(_group(graph, settings, criterion(graph)))
    sizes = NetworkCost.count(model, graph, size)
    if settings.normalizer == "cost":
        count = sizes.count_flops if settings.target_params is None else sizes.count_params
        groups = tuple(_divide_by_cost(group, count) for group in groups)
    return ScoredNetwork(graph, groups, settings, sizes)


def _divide_by_cost(group: Group, count: Callable[[Mapping[str, Indices]], float]) -> Group:
    """Divide scores by the root of what a filter costs: those are dropped first whose squares buy the least for it.

    That is the greedy choice of a knapsack, if the squares of scores add up, as those of ``taylor`` do to first order.
    """
    if group.scores is None or group.depth == 1:
        return group
    one_less = count(dict.fromkeys(group.paths, np.arange(group.depth - 1)))
    return replace(group, scores=group.scores / np.sqrt(max(count({}) - one_less, 1.0)))


def _group(graph: ChannelGraph, settings: PruneSpec, votes: Votes) -> Iterator[Group]:
    scores = collect_scores(graph, votes, settings.normalizer)
    for paths, free in graph.groups():
        depth = int(graph.producers[paths[0]].kernel.shape[-1])
        together = [score for path in paths for score in scores[path]]
        merged = equalize(together, settings.equalization_criterion) if free else None
        yield Group(tuple(paths), depth, merged)


def choose_cut(weighed: ScoredNetwork, settings: PruneSpec) -> Cut:
    """Choose what the settings ask for: their threshold, or the one that leaves the share that is their target.

    Raises:
        UserError: No threshold leaves so little.
    """
    if settings.target_params is not None:
        return largest(weighed, params=settings.target_params)
    if settings.target_flops is not None:
        return largest(weighed, flops=settings.target_flops)
    return weighed.cut(settings.pruning_threshold)


def largest(weighed: ScoredNetwork, *, params: float = 1.0, flops: float = 1.0) -> Cut:
    """Find the largest network that has at most these shares of the parameters and of the FLOPs.

    Raises:
        UserError: No threshold leaves so little.
    """
    steps = weighed.thresholds

    def fits(cut: Cut) -> bool:
        return cut.params <= params * weighed.sizes.params and cut.flops <= flops * weighed.sizes.flops

    low, high = 0, len(steps) - 1
    if not fits(weighed.cut(steps[high])):
        raise _out_of_reach(weighed, weighed.cut(steps[high]), params, flops)
    while low < high:  # what is left shrinks as the threshold grows
        middle = (low + high) // 2
        low, high = (low, middle) if fits(weighed.cut(steps[middle])) else (middle + 1, high)
    after = steps[low + 1] if low + 1 < len(steps) else 2 * steps[low] + 1
    return weighed.cut(shortest(steps[low], after))


def _out_of_reach(weighed: ScoredNetwork, least: Cut, params: float, flops: float) -> UserError:
    key, share, left = "target_params", params, least.params / weighed.sizes.params
    if flops < 1:
        key, share, left = "target_flops", flops, least.flops / weighed.sizes.flops
    return UserError(
        f"no threshold leaves as little as {share:.3g} of it; the least is {left:.3f}",
        where=key,
        fix=f"lower min_num_filters ({weighed.settings.min_num_filters}) or pruning_granularity "
        f"({weighed.settings.pruning_granularity}), exclude fewer layers, or ask for more",
    )


def shortest(low: float, high: float) -> float:
    """Find the number with the fewest decimals that is at least ``low`` and below ``high``; both not negative."""
    for decimals in range(1, 17):
        number = float(f"{ceil(low * 10**decimals) / 10**decimals:.{decimals}f}")
        if low <= number < high:
            return number
    return low


def shortfall(weighed: ScoredNetwork, settings: PruneSpec, cut: Cut) -> str:
    """Say in a sentence if a network is far below its target; else nothing."""
    for key, target, share in (
        ("target_params", settings.target_params, cut.params / weighed.sizes.params),
        ("target_flops", settings.target_flops, cut.flops / max(weighed.sizes.flops, 1)),
    ):
        if target is not None and share < target - NEAR:
            return (
                f"{key} {target:g} is met by {share:.3f} only: between the two no threshold leaves anything else; "
                f"a finer pruning_granularity ({settings.pruning_granularity}) has more steps"
            )
    return ""


def ladder(weighed: ScoredNetwork, *more: float) -> list[Cut]:
    """List cuts that leave ever less: thresholds for every tenth of the parameters that can go, and those given."""
    thresholds = {0.0, *more}
    least = weighed.cut(weighed.thresholds[-1]).params / weighed.sizes.params
    thresholds.update(largest(weighed, params=share).threshold for share in STEPS if share >= least)
    return [weighed.cut(threshold) for threshold in sorted(thresholds)]


@dataclass(frozen=True)
class Ladder:
    """What ever higher thresholds would leave of a model file.

    Attributes:
        weighed: The network.
        cuts: What each threshold would leave, lowest first.
        threshold: The one that was asked for, or found for a target.
        size: Of the pictures that FLOPs are counted for, ``(height, width)`` in pixels.
        file_bytes: Of the model file.
    """

    weighed: ScoredNetwork
    cuts: list[Cut]
    threshold: float
    size: tuple[int, int]
    file_bytes: int

    def estimate_bytes(self, cut: Cut) -> int:
        """Estimate how large the pruned model's file would be."""
        return self.file_bytes - FLOAT * (self.weighed.sizes.params - cut.params)

    def text(self) -> str:
        """Write parameters, GFLOPs, file size, and filters layer by layer, as tables for a terminal."""
        return f"{_align(self._figures())}\n\n{_align(self._layers())}\n"

    def numbers(self) -> dict[str, Any]:
        """Tell the same for programs: sizes, the threshold that was asked for or found, and what each would leave."""
        sizes = self.weighed.sizes
        rows = [
            {
                "threshold": cut.threshold, "parameters": cut.params, "kept": cut.params / sizes.params,
                "gflops": cut.flops / 1e9, "gflops_kept": cut.flops / sizes.flops if sizes.flops else 1.0,
                "estimated_bytes": self.estimate_bytes(cut),
                "filters": {path: len(cut.filters[path]) for path in self.weighed.graph.producers},
            }
            for cut in self.cuts
        ]  # fmt: skip
        return {"input_size": self.size, "threshold": self.threshold, "cuts": rows}

    def _figures(self) -> list[list[str]]:
        sizes, (height, width) = self.weighed.sizes, self.size
        rows = [["threshold", "parameters", "kept", f"GFLOPs at {height}x{width}", "kept", "file MB", ""]]
        for cut in self.cuts:
            rows.append([
                f"{cut.threshold:g}", f"{cut.params:,}", f"{cut.params / sizes.params:.1%}",
                f"{cut.flops / 1e9:.3f}", f"{cut.flops / sizes.flops if sizes.flops else 1:.1%}",
                f"{self.estimate_bytes(cut) / 1e6:.2f}", HERE if cut.threshold == self.threshold else "",
            ])  # fmt: skip
        return rows

    def _layers(self) -> list[list[str]]:
        cuts, last = self.cuts, len(self.cuts) - 1
        if len(cuts) > COLUMNS:  # so many of them, evenly, with the first and the last
            cuts = [cuts[round(number * last / (COLUMNS - 1))] for number in range(COLUMNS)]
        rows = [["filters at", *(f"{cut.threshold:g}" for cut in cuts)]]
        for path in self.weighed.graph.producers:
            rows.append([path, *(str(len(cut.filters[path])) for cut in cuts)])
        return rows


def _align(rows: Sequence[Sequence[str]]) -> str:
    """Write rows as columns: the first flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        [row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))] for row in rows
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)
