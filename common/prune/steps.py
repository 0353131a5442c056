"""Steps: a ladder of thresholds as a table to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass

from bodyposenet.common.prune.thresholds import Cut, Weighed

FLOAT = 4  # bytes of a weight in a model file
COLUMNS = 6  # thresholds side by side in the table of layers
HERE = "<"  # marks the threshold that was asked for


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

    weighed: Weighed
    cuts: list[Cut]
    threshold: float
    size: tuple[int, int]
    file_bytes: int

    def bytes_of(self, cut: Cut) -> int:
        """About how large the pruned model's file would be."""
        return self.file_bytes - FLOAT * (self.weighed.sizes.params - cut.params)

    def text(self) -> str:
        """Parameters, GFLOPs, file size, and filters layer by layer, as tables for a terminal."""
        return f"{_aligned(self._figures())}\n\n{_aligned(self._layers())}\n"

    def _figures(self) -> list[list[str]]:
        sizes, (height, width) = self.weighed.sizes, self.size
        rows = [["threshold", "parameters", "kept", f"GFLOPs at {height}x{width}", "kept", "file MB", ""]]
        for cut in self.cuts:
            rows.append([
                f"{cut.threshold:g}", f"{cut.params:,}", f"{cut.params / sizes.params:.1%}",
                f"{cut.flops / 1e9:.3f}", f"{cut.flops / sizes.flops if sizes.flops else 1:.1%}",
                f"{self.bytes_of(cut) / 1e6:.2f}", HERE if cut.threshold == self.threshold else "",
            ])  # fmt: skip
        return rows

    def _layers(self) -> list[list[str]]:
        cuts = _spread(self.cuts, COLUMNS)
        rows = [["filters at", *(f"{cut.threshold:g}" for cut in cuts)]]
        for path in self.weighed.graph.producers:
            rows.append([path, *(str(len(cut.filters[path])) for cut in cuts)])
        return rows


def _spread(cuts: Sequence[Cut], most: int) -> list[Cut]:
    """At most so many of them, evenly, with the first and the last."""
    if len(cuts) <= most:
        return list(cuts)
    return [cuts[round(number * (len(cuts) - 1) / (most - 1))] for number in range(most)]


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns: the first flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        [row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))] for row in rows
    )
    return "\n".join("  ".join(line).rstrip() for line in lines)
