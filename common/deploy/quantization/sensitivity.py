"""Sensitivity: which convolutions 8 bits hurt, and the fewest to leave in float to stay within a budget."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS
from bodyposenet.common.deploy.quantization.qdq import convolutions
from bodyposenet.common.deploy.quantization.quantize import Ranges, make_signed_form, make_unsigned_form
from bodyposenet.common.deploy.runtime.agreement import map_error
from bodyposenet.common.deploy.runtime.sessions import open_session
from bodyposenet.common.machine.bar import Bar

if TYPE_CHECKING:
    from onnx import ModelProto

PICTURES = 8  # that layers are compared on

log = logging.getLogger(__name__)

Drop = Callable[["ModelProto"], float]  # what an 8-bit form of the network costs, in the budget's unit


@dataclass(frozen=True)
class FloatChoice:
    """Which convolutions stay float, and why.

    Attributes:
        kept: Their names, in the graph's order.
        drop: What the 8-bit forms cost with them in float, the worse of both forms.
        drop_without: What they would cost with none.
        errors: For every convolution the error of the maps with it alone in 8 bits, the largest first.
        tried: Sets of convolutions whose cost was measured.
    """

    kept: tuple[str, ...]
    drop: float
    drop_without: float
    errors: dict[str, float]
    tried: int

    def to_dict(self) -> dict[str, Any]:
        """This choice as plain JSON data."""
        return {
            "kept": list(self.kept),
            "drop": self.drop,
            "drop_without": self.drop_without,
            "tried": self.tried,
            "map_error_alone": self.errors,
        }


@dataclass
class Budget:
    """Chooses what stays float while a network is quantized, and remembers why.

    Attributes:
        images: Pictures to compare maps on.
        most: The largest drop that is accepted.
        drop: What a form costs, an AP for instance; the error of its maps if None.
        choice: What was chosen, once it was.
    """

    images: Iterable[np.ndarray]
    most: float
    drop: Drop | None = None
    choice: FloatChoice | None = None

    @property
    def unit(self) -> str:
        """What the drop is of."""
        return "AP" if self.drop else "relative error of the maps"

    def choose(self, model: "ModelProto", ranges: Ranges) -> tuple[str, ...]:
        """The convolutions that stay float: what :func:`quantize_int8` takes as ``keep``."""
        self.choice = choose_kept(model, ranges, self.images, self.most, self.drop)
        return self.choice.kept

    def to_dict(self) -> dict[str, Any]:
        """What was chosen, as plain JSON data; empty where nothing was."""
        return {"unit": self.unit, "max_drop": self.most, **self.choice.to_dict()} if self.choice else {}

    def markdown(self, kept: Collection[str]) -> str:
        """A page: what stays float, and what 8 bits do to each convolution alone."""
        lines = [f"{len(kept)} convolutions stay in float{': ' if kept else ''}{', '.join(kept)}.", ""]
        if self.choice:
            lines += [
                f"All in 8 bits cost {self.choice.drop_without:.4f} ({self.unit}), so {self.choice.drop:.4f}; "
                f"{self.most:g} were allowed.",
                "",
                "| convolution | relative error of the maps with it alone in 8 bits | |",
                "|---|---|---|",
            ]
            lines += [
                f"| {name} | {error:.4f} | {'float' if name in kept else ''} |"
                for name, error in self.choice.errors.items()
            ]
        return "\n".join([*lines, ""])


def choose_kept(
    model: "ModelProto", ranges: Ranges, images: Iterable[np.ndarray], most: float, drop: Drop | None = None
) -> FloatChoice:
    """Find the fewest convolutions to leave in float.

    Convolutions are ranked by the error of the maps with each alone in 8 bits. The shortest beginning of that ranking
    that stays within the budget is found by doubling and halving; then each of it that can do in 8 bits after all,
    beginning with the least sensitive, is taken out. Both 8-bit forms must stay within the budget.

    Args:
        model: Float ONNX model.
        ranges: Its calibration's.
        images: Pictures ``(B, H, W, 3)`` to compare maps on; the first few are read.
        most: The budget: the largest drop that is accepted.
        drop: What a form costs, an AP for instance; the error of its maps if None.
    """
    pictures = [batch for batch, _ in zip(images, range(PICTURES), strict=False)]
    reference = _maps(model, pictures)
    errors = layer_errors(model, ranges, pictures, reference)
    order = list(errors)
    cost = drop or (lambda form: map_error(reference, _maps(form, pictures)))
    known: dict[frozenset[str], float] = {}

    def worst(kept: Collection[str]) -> float:
        key = frozenset(kept)
        if key not in known:
            known[key] = max(cost(make_signed_form(model, ranges, key)), cost(make_unsigned_form(model, ranges, key)))
            log.info("%d of %d convolutions in float: drop %.4f", len(key), len(order), known[key])
        return known[key]

    kept = fewest(order, lambda names: worst(names) <= most)
    return FloatChoice(
        tuple(name for name in convolutions(model.graph) if name in kept), worst(kept), worst(()), errors, len(known)
    )


def fewest(order: Sequence[str], good: Callable[[Sequence[str]], bool]) -> list[str]:
    """The fewest of a ranking that are good together.

    Args:
        order: What can be taken, the most useful first; all of it is taken to be good.
        good: Whether a set of them is.

    Returns:
        A set that is good, of which none can be left out.
    """
    low = high = 0  # the longest beginning that is known not to be good, and one that is
    while high < len(order) and not good(order[:high]):
        low, high = high, min(max(2 * high, 1), len(order))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if good(order[:middle]) else (middle, high)
    taken = list(order[:high])
    for name in reversed(order[:high]):
        fewer = [other for other in taken if other != name]
        if good(fewer):
            taken = fewer
    return taken


def layer_errors(
    model: "ModelProto", ranges: Ranges, pictures: Sequence[np.ndarray], reference: Sequence[np.ndarray]
) -> dict[str, float]:
    """The error of the maps with each convolution alone in 8 bits, the form for TensorRT; the largest first.

    Args:
        model: Float ONNX model.
        ranges: What its tensors hold.
        pictures: Batches ``(B, H, W, 3)``, normalised.
        reference: Heatmaps and PAFs that the float model makes of each, in turn.

    Returns:
        By a convolution's name what :func:`map_error` says.
    """
    names = convolutions(model.graph)
    errors = {}
    with Bar(total=len(names), desc="sensitivity", unit="layer") as progress:
        for name in names:
            alone = make_signed_form(model, ranges, [other for other in names if other != name])
            errors[name] = map_error(reference, _maps(alone, pictures))
            progress.update()
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def _maps(model: "ModelProto", pictures: Iterable[np.ndarray]) -> list[np.ndarray]:
    session = open_session(model.SerializeToString())
    return [maps for picture in pictures for maps in session.run(list(OUTPUTS), {INPUT: picture})]
