"""Pareto front: of several networks those that no other beats, and the smallest that is good enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bodyposenet.common.pages.numbers import is_known, percent, plain, precision, share
from bodyposenet.common.report.comparison_table import Stage

ROUNDING = 1e-9  # of a difference of two APs
LEAST = 1e-6  # AP of a network that finds somebody


@dataclass(frozen=True)
class ParetoChoice:
    """Which of several networks to go on with.

    Attributes:
        place: Of the chosen one among them; None if none is good enough.
        least_ap: AP that is good enough; None where nothing could be measured.
        reason: Why that one, or why none, in a sentence or two.
    """

    place: int | None
    least_ap: float | None
    reason: str


def on_front(stages: Sequence[Stage]) -> list[bool]:
    """Tell for each network whether no other has as much AP for fewer GFLOPs, or more AP for as many.

    Those that were not measured are never on the front.
    """
    return [_is_measured(one) and not any(_beats(other, one) for other in stages) for one in stages]


def _is_measured(stage: Stage) -> bool:
    return is_known(stage.ap) and is_known(stage.gflops)


def _beats(one: Stage, other: Stage) -> bool:
    """Tell whether a network is nowhere worse than another, and somewhere better."""
    if not _is_measured(one):
        return False
    ours, theirs = _rank(one), _rank(other)
    return all(a <= b for a, b in zip(ours, theirs, strict=True)) and ours != theirs


def _rank(stage: Stage) -> tuple[float, float]:
    """Return the GFLOPs, and the AP as a loss."""
    return float(stage.gflops or 0), -float(stage.ap or 0)


def choose(base: Stage, stages: Sequence[Stage], max_ap_drop: float) -> ParetoChoice:
    """Choose the network with the fewest GFLOPs whose AP is at most so much below the base's; of equals the better.

    Args:
        base: What they were made of.
        stages: The networks.
        max_ap_drop: Greatest loss of AP.
    """
    if base.ap is None or not is_known(base.ap):
        return ParetoChoice(None, None, "The AP of the base was not measured: nothing is promoted.")
    least = base.ap - max_ap_drop
    measured = [place for place, stage in enumerate(stages) if _is_measured(stage)]
    good = [place for place in measured if float(stages[place].ap or 0) >= max(least - ROUNDING, LEAST)]
    if good:
        place = min(good, key=lambda place: _rank(stages[place]))
        return ParetoChoice(place, least, _why(stages[place], base, max_ap_drop))
    none = f"No network keeps AP {precision(least)}, which is {precision(max_ap_drop)} below the base's"
    if measured:
        best = max((stages[place] for place in measured), key=lambda stage: float(stage.ap or 0))
        none += f"; the best, {best.name}, has {precision(float(best.ap or 0))}"
    return ParetoChoice(None, least, f"{none}. Nothing is promoted.")


def _why(stage: Stage, base: Stage, max_ap_drop: float) -> str:
    kept = share(stage.gflops, base.gflops)
    of_base = f" ({percent(kept)} of the base)" if is_known(kept) else ""
    lost = precision(abs(float(base.ap or 0) - float(stage.ap or 0)))
    side = "below" if float(stage.ap or 0) < float(base.ap or 0) else "above"
    against = f"{lost} {side} the base" if any(digit in lost for digit in "123456789") else "as the base"
    return (
        f"{stage.name} is the smallest within the budget: {plain(float(stage.gflops or 0))} GFLOPs{of_base} "
        f"at AP {precision(float(stage.ap or 0))}, {against}; {precision(max_ap_drop)} below was allowed."
    )


def cut_name(cut: Mapping[str, Any]) -> str:
    """Name a cut in words: ``target_flops 0.5``."""
    return ", ".join(f"{key} {value}" for key, value in cut.items()) or "as the spec says"
