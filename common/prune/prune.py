"""Prune: drop the filters that matter least from a network, or from a model file.

The algorithm is that of TAO's ``prune``: "Pruning Filters for Efficient ConvNets" (Li et al., 2017) with a threshold on
normalized norms.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.criteria import CRITERIA, Criterion, Indices
from bodyposenet.common.model.channels.rebuild import rebuild
from bodyposenet.common.model.files.model_file import MODEL_NAME, load_model, model_file, save_model
from bodyposenet.common.prune.refit import refit
from bodyposenet.common.prune.taylor import TrainingData
from bodyposenet.common.prune.thresholds import Cut, Ladder, ScoredNetwork, choose_cut, ladder, shortfall, weigh
from bodyposenet.common.spec.prune import PruneSpec

SIZE = (256, 256)  # pixels, where nothing tells another


@dataclass(frozen=True)
class Pruned:
    """A network and its smaller copy's figures.

    Attributes:
        model: The smaller ``keras.Model``, not compiled unless the original was.
        filters: For each convolution and dense layer the indices of its filters that stayed, ascending.
        kept: For each of them how many stayed, and of how many.
        params_before: Parameters of the original, BN statistics included.
        params_after: Parameters of ``model``.
        flops_before: Floating-point operations of the original for one picture.
        flops_after: The same of ``model``.
        threshold: What filters had to score more than, given or found.
        note: A sentence, if a target was missed by much.
    """

    model: Any
    filters: dict[str, Indices]
    kept: dict[str, tuple[int, int]]
    params_before: int
    params_after: int
    flops_before: float
    flops_after: float
    threshold: float
    note: str


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
        threshold: What filters had to score more than, given or found.
        note: A sentence, if a target was missed by much.
    """

    path: Path
    layers: dict[str, tuple[int, int]]
    params_before: int
    params_after: int
    gflops_before: float
    gflops_after: float
    size: tuple[int, int]
    threshold: float
    note: str = ""

    @property
    def kept(self) -> float:
        """Parameters kept, as a fraction."""
        return self.params_after / self.params_before

    def markdown(self) -> str:
        """Write both networks' figures, and filters layer by layer, as Markdown tables."""
        height, width = self.size
        lines = ["| | before | after | kept |", "|---|---:|---:|---:|"]
        lines.append(f"| parameters | {self.params_before:,} | {self.params_after:,} | {self.kept:.1%} |")
        share = self.gflops_after / self.gflops_before if self.gflops_before else 1.0
        lines.append(
            f"| GFLOPs at {height}x{width} | {self.gflops_before:.2f} | {self.gflops_after:.2f} | {share:.1%} |"
        )
        lines += ["", f"Threshold {self.threshold:g}. {self.note}".strip()]
        lines += ["", "| layer | filters before | after | kept |", "|---|---:|---:|---:|"]
        lines += [f"| {name} | {of} | {count} | {count / of:.1%} |" for name, (count, of) in self.layers.items()]
        return "\n".join(lines) + "\n"


def prune_model(
    model: Any,
    settings: PruneSpec,
    keep_whole: Collection[str] = (),
    *,
    criterion: Criterion | None = None,
    size: tuple[int, int] = SIZE,
) -> Pruned:
    """Drop the filters of a network that matter least.

    Args:
        model: A functional or sequential ``keras.Model``, channels last; it is left as it is.
        settings: Threshold or target, normalizer and the like; excluded layers keep every filter, and may be given as
            TAO writes them, with ``/`` for ``_``.
        keep_whole: More layers that keep every filter. Those that make the model's outputs always do.
        criterion: Tells how much each filter matters; by default that of the settings.
        size: Of the pictures that FLOPs are counted for, ``(height, width)`` in pixels.

    Raises:
        UserError: The network has layers that pruning cannot follow, no layer of an excluded name, or no threshold
            leaves as little as the target.
    """
    weighed = weigh(model, settings, criterion or make_criterion(settings), whole=keep_whole, size=size)
    return cut_down(model, weighed, choose_cut(weighed, settings), settings)


def cut_down(model: Any, weighed: ScoredNetwork, cut: Cut, settings: PruneSpec) -> Pruned:
    """Build the network that a cut leaves."""
    smaller = rebuild(model, weighed.graph, cut.filters)
    depths = {path: int(layer.kernel.shape[-1]) for path, layer in weighed.graph.producers.items()}
    return Pruned(
        model=smaller,
        filters=cut.filters,
        kept={path: (len(indices), depths[path]) for path, indices in cut.filters.items()},
        params_before=weighed.sizes.params,
        params_after=cut.params,
        flops_before=weighed.sizes.flops,
        flops_after=cut.flops,
        threshold=cut.threshold,
        note=shortfall(weighed, settings, cut),
    )


def make_criterion(settings: PruneSpec) -> Criterion:
    """Make the criterion that the settings name.

    Raises:
        UserError: It needs training data.
    """
    if settings.criterion not in CRITERIA:
        raise UserError(
            f"{settings.criterion} weighs filters by training data, and none is given",
            where="criterion",
            fix="give a train spec (`bpnet prune -e`), or take another criterion",
        )
    return CRITERIA[settings.criterion]


def prune_file(
    source: str | Path, output: str | Path, settings: PruneSpec, *,
    size: tuple[int, int] | None = None, data: TrainingData | None = None,
) -> PruneOutcome:  # fmt: skip
    """Prune a model file into another; its card is carried over.

    Args:
        source: A model file, or a folder with a ``model.keras``.
        output: The file to write, whole or not at all; its folder is made. In a folder that exists, ``model.keras``.
        settings: See :func:`prune_model`.
        size: Of the pictures that FLOPs are counted for, ``(height, width)`` in pixels; by default the card's.
        data: For the criterion ``taylor``, and for refitting.

    Raises:
        UserError: ``source`` is no model file, ``output`` is ``source``, or see :func:`prune_model`.

    Examples:
        >>> smaller = bodyposenet.prune_file(trained.model, "pruned.keras", cut)
        >>> smaller.params_after < smaller.params_before / 2
        True
    """
    source, output = model_file(Path(source)), Path(output)
    output = output / MODEL_NAME if output.is_dir() else output
    if output.exists() and output.samefile(source):
        raise UserError("is the model to prune itself", where=str(output), fix="give another output file")
    model, card = load_model(source)
    size = size or card.input_size
    if settings.refit and data is None:
        fix = "give a train spec (`bpnet prune -e`), or leave refit out"
        raise UserError("fits layers to training data, and none is given", where="refit", fix=fix)
    pruned = prune_model(model, settings, criterion=_make_learned(settings, model, data), size=size)
    if settings.refit and data is not None:
        refit(model, pruned.model, pruned.filters, data.views)
    save_model(pruned.model, output, card)
    return PruneOutcome(
        path=output,
        layers=pruned.kept,
        params_before=pruned.params_before,
        params_after=pruned.params_after,
        gflops_before=pruned.flops_before / 1e9,
        gflops_after=pruned.flops_after / 1e9,
        size=size,
        threshold=pruned.threshold,
        note=pruned.note,
    )


def ladder_file(
    source: str | Path, settings: PruneSpec, *, size: tuple[int, int] | None = None, data: TrainingData | None = None
) -> Ladder:
    """Tell what a ladder of thresholds would leave of a model file; nothing is written.

    Args:
        source: A model file, or a folder with a ``model.keras``.
        settings: Its threshold, or the one that meets its target, is one of the ladder's.
        size: See :func:`prune_file`.
        data: See :func:`prune_file`.
    """
    source = model_file(Path(source))
    model, card = load_model(source)
    criterion = _make_learned(settings, model, data) or make_criterion(settings)
    weighed = weigh(model, settings, criterion, whole=(), size=size or card.input_size)
    own = choose_cut(weighed, settings).threshold
    return Ladder(weighed, ladder(weighed, own), own, size or card.input_size, source.stat().st_size)


def _make_learned(settings: PruneSpec, model: Any, data: TrainingData | None) -> Criterion | None:
    """Make the criterion that looks at training data, if that is asked for, and there are some."""
    if settings.criterion != "taylor" or data is None:
        return None
    from bodyposenet.common.prune.taylor import taylor

    return taylor(model, data)
