"""Outlines: what many people cover, kept as JSON text until somebody draws it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import overload

import msgspec

from bodyposenet.common.data.annotations.fields import Mask, Numbers, Segmentation

NONE = b"[]"
_DECODER = msgspec.json.Decoder()


class Outlines(Sequence[Segmentation]):
    """Outlines of people: polygons, run lengths or an empty list, each parsed when it is asked for.

    Most never are: a mask is drawn only where somebody is not labelled. As text they take a fourth of the memory that
    their numbers take as Python's objects.

    Args:
        shapes: The outlines, or their texts.
    """

    def __init__(self, shapes: Iterable[Segmentation | bytes]) -> None:
        self._shapes = [*shapes]

    def __len__(self) -> int:
        return len(self._shapes)

    @overload
    def __getitem__(self, index: int) -> Segmentation: ...
    @overload
    def __getitem__(self, index: slice) -> list[Segmentation]: ...
    def __getitem__(self, index: int | slice) -> Segmentation | list[Segmentation]:
        """Parse an outline, or some."""
        if not isinstance(index, slice):
            return _parse(self._shapes[index])
        shapes = self._shapes[index]
        texts = [shape for shape in shapes if isinstance(shape, bytes)]
        if len(texts) < len(shapes):
            return [*map(_parse, shapes)]
        found: list[Segmentation] = _DECODER.decode(b"[%b]" % b",".join(texts))
        return found

    def __setitem__(self, place: int, shape: Segmentation) -> None:
        self._shapes[place] = shape

    def __iter__(self) -> Iterator[Segmentation]:
        return map(_parse, self._shapes)

    @classmethod
    def join(cls, parts: Iterable["Outlines"]) -> "Outlines":
        """Put several lists of them together."""
        return cls(chain.from_iterable(part._shapes for part in parts))

    def select(self, places: Numbers, wanted: Mask | None = None) -> "Outlines":
        """Choose some, in any order, of which those that are not wanted are empty."""
        chosen = [self._shapes[place] for place in places.tolist()]
        if wanted is not None:
            chosen = [shape if needed else NONE for shape, needed in zip(chosen, wanted.tolist(), strict=True)]
        return Outlines(chosen)

    def pack(self, places: slice) -> bytes:
        """Write some as bytes, the same for the same outlines, whatever blanks stand in their text.

        None is parsed for it, but where a value is a text, in which blanks may stand for themselves.
        """
        text = b";".join([shape if isinstance(shape, bytes) else _write(shape) for shape in self._shapes[places]])
        if text.count(b'"') <= 4 * text.count(b"{"):  # those of two keys
            return text.translate(None, b" \t\n\r")
        return b";".join([_write(_parse(shape)) for shape in self._shapes[places]])

    def find_runs(self) -> list[int]:
        """Find the places of those that are run lengths."""
        return [
            place
            for place, shape in enumerate(self._shapes)
            if (shape.startswith(b"{") if isinstance(shape, bytes) else isinstance(shape, dict))
        ]


def _write(shape: Segmentation) -> bytes:
    return json.dumps(shape, separators=(",", ":"), default=repr).encode()


def _parse(shape: Segmentation | bytes) -> Segmentation:
    found: Segmentation = _DECODER.decode(shape) if isinstance(shape, bytes) else shape
    return found
