"""Prune: drop the filters that matter least from a network, or from a model file.

The algorithm is that of TAO's ``prune``: "Pruning Filters for Efficient ConvNets" (Li et al., 2017) with a threshold on
normalized norms.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files import MODEL_NAME, load_model, model_file, save_model
from bodyposenet.common.model.flops import flops
from bodyposenet.common.prune.criteria import Criterion, Indices, Scores, choose, equalize, filter_norms, normalize
from bodyposenet.common.prune.graph import ChannelGraph, read_graph
from bodyposenet.common.prune.rebuild import rebuild
from bodyposenet.common.spec.prune import PruneSpec


@dataclass(frozen=True)
class Pruned:
    """A network and its smaller copy's figures.

    Attributes:
        model: The smaller ``keras.Model``, not compiled unless the original was.
        filters: For each convolution and dense layer the indices of its filters that stayed, ascending.
        kept: For each of them how many stayed, and of how many.
        params_before: Parameters of the original, BN statistics included.
        params_after: Parameters of ``model``.
    """

    model: Any
    filters: dict[str, Indices]
    kept: dict[str, tuple[int, int]]
    params_before: int
    params_after: int


@dataclass(frozen=True)
class PruneOutcome:
    """What pruning a model file came to.

    Attributes:
        path: The file with the smaller network.
        layers: For each convolution and dense layer, how many filters stayed, and of how many.
        params_before: Parameters of the original.
        params_after: Parameters of the smaller network.
        gflops_before: 1e9 floating-point operations of the original for one picture of ``size``.
        gflops_after: The same of the smaller network.
        size: ``(height, width)``, the input size of the model's card.
    """

    path: Path
    layers: dict[str, tuple[int, int]]
    params_before: int
    params_after: int
    gflops_before: float
    gflops_after: float
    size: tuple[int, int]

    @property
    def kept(self) -> float:
        """Parameters kept, as a fraction."""
        return self.params_after / self.params_before

    def markdown(self) -> str:
        """Both networks' figures, and filters layer by layer, as Markdown tables."""
        height, width = self.size
        lines = ["| | before | after | kept |", "|---|---:|---:|---:|"]
        lines.append(f"| parameters | {self.params_before:,} | {self.params_after:,} | {self.kept:.1%} |")
        share = self.gflops_after / self.gflops_before if self.gflops_before else 1.0
        lines.append(
            f"| GFLOPs at {height}x{width} | {self.gflops_before:.2f} | {self.gflops_after:.2f} | {share:.1%} |"
        )
        lines += ["", "| layer | filters before | after | kept |", "|---|---:|---:|---:|"]
        lines += [f"| {name} | {of} | {count} | {count / of:.1%} |" for name, (count, of) in self.layers.items()]
        return "\n".join(lines) + "\n"


def prune_model(
    model: Any, settings: PruneSpec, keep_whole: Collection[str] = (), *, criterion: Criterion = filter_norms
) -> Pruned:
    """Drop the filters of a network that matter least.

    Args:
        model: A functional or sequential ``keras.Model``, channels last; it is left as it is.
        settings: Threshold, normalizer and the like; excluded layers keep every filter, and may be given as TAO
            writes them, with ``/`` for ``_``.
        keep_whole: More layers that keep every filter. Those that make the model's outputs always do.
        criterion: Tells how much each filter of a layer matters.

    Raises:
        UserError: The network has layers that pruning cannot follow, or no layer of an excluded name.
    """
    names = [layer.name for layer in model.layers]
    excluded = [name if name in names else name.replace("/", "_") for name in settings.excluded_layers]
    graph = read_graph(model, whole={*excluded, *keep_whole})
    filters = select(graph, settings, criterion)
    smaller = rebuild(model, graph, filters)
    kept = {name: (len(indices), depth(graph.producers[name])) for name, indices in filters.items()}
    return Pruned(smaller, filters, kept, model.count_params(), smaller.count_params())


def select(graph: ChannelGraph, settings: PruneSpec, criterion: Criterion) -> dict[str, Indices]:
    """For each prunable layer the filters that stay, ascending; all of them where the layer is kept whole."""
    scores = scored(graph, settings, criterion)
    kept: dict[str, Indices] = {}
    for names, free in graph.groups():
        together = [score for name in names for score in scores[name]]
        stay = np.arange(depth(graph.producers[names[0]]))
        if free:
            stay = choose(
                equalize(together, settings.equalization_criterion),
                threshold=settings.pruning_threshold,
                minimum=settings.min_num_filters,
                granularity=settings.pruning_granularity,
            )
        kept.update(dict.fromkeys(names, stay))
    return {name: kept[name] for name in graph.producers}


def scored(graph: ChannelGraph, settings: PruneSpec, criterion: Criterion) -> dict[str, list[Scores]]:
    """For each prunable layer the normalized scores of its filters: its own, and those of depthwise readers."""
    scores: dict[str, list[Scores]] = defaultdict(list)
    for name, layer in graph.producers.items():
        scores[name].append(normalize(criterion(layer), settings.normalizer))
    for name, layer in graph.depthwise.items():
        whole, offset = normalize(criterion(layer), settings.normalizer), 0
        for run in graph.reads[name]:
            scores[run.source].append(whole[offset : offset + run.width])
            offset += run.width
    return scores


def depth(layer: Any) -> int:
    """Number of filters of a convolution or dense layer."""
    return int(layer.kernel.shape[-1])


def prune_file(source: str | Path, output: str | Path, settings: PruneSpec) -> PruneOutcome:
    """Prune a model file into another; its card is carried over.

    Args:
        source: A model file, or a folder with a ``model.keras``.
        output: The file to write, whole or not at all; its folder is made. In a folder that exists, ``model.keras``.
        settings: See :func:`prune_model`.

    Raises:
        UserError: ``source`` is no model file, ``output`` is ``source``, or see :func:`prune_model`.
    """
    source, output = model_file(Path(source)), Path(output)
    output = output / MODEL_NAME if output.is_dir() else output
    if output.exists() and output.samefile(source):
        raise UserError("is the model to prune itself", where=str(output), fix="give another output file")
    model, card = load_model(source)
    pruned = prune_model(model, settings)
    save_model(pruned.model, output, card)
    return PruneOutcome(
        path=output,
        layers=pruned.kept,
        params_before=pruned.params_before,
        params_after=pruned.params_after,
        gflops_before=flops(model, card.input_size) / 1e9,
        gflops_after=flops(pruned.model, card.input_size) / 1e9,
        size=card.input_size,
    )
