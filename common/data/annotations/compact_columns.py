"""Compact columns: outlines and joints of many people, in little memory until somebody asks for some of them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Raw

from bodyposenet.common.data.annotations.fields import Floats, Mask, Numbers, Segmentation

NONE = b"[]"
_OBJECT = ord("{")
KINDS = (np.int16, np.float32, np.float64)  # COCO's are whole numbers; those of most tools are not
_DECODER = msgspec.json.Decoder()


class Outlines(Sequence[Segmentation]):
    """Outlines of people: polygons, run lengths or an empty list, each parsed when it is asked for.

    Most never are: a mask is drawn only where somebody is not labelled. As text they take a fourth of the memory that
    their numbers take as Python's objects; as places in the text of their file, next to none where that is mapped.

    Args:
        shapes: The outlines, or their texts.
    """

    def __init__(self, shapes: Iterable[Segmentation | bytes | Raw]) -> None:
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
            return read_outline(self._shapes[index])
        shapes = self._shapes[index]
        texts = [shape for shape in shapes if isinstance(shape, bytes | Raw)]
        if len(texts) < len(shapes):
            return [*map(read_outline, shapes)]
        found: list[Segmentation] = _DECODER.decode(b"[%b]" % b",".join(texts))
        return found

    def take(self, places: slice) -> "list[Segmentation | bytes | Raw]":
        """Take some as they are held, for :func:`read_outline`."""
        return self._shapes[places]

    def __setitem__(self, place: int, shape: Segmentation) -> None:
        self._shapes[place] = shape

    def __iter__(self) -> Iterator[Segmentation]:
        return map(read_outline, self._shapes)

    def __getstate__(self) -> dict[str, object]:
        """Tell what others need who do not have the text of the file."""
        return {"_shapes": [bytes(shape) if isinstance(shape, Raw) else shape for shape in self._shapes]}

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
        text = b";".join([shape if isinstance(shape, bytes | Raw) else _write(shape) for shape in self._shapes[places]])
        if text.count(b'"') <= 4 * text.count(b"{"):  # those of two keys
            return text.translate(None, b" \t\n\r")
        return b";".join([_write(read_outline(shape)) for shape in self._shapes[places]])

    def find_runs(self) -> list[int]:
        """Find the places of those that are run lengths."""
        return [
            place
            for place, shape in enumerate(self._shapes)
            if (memoryview(shape)[0] == _OBJECT if isinstance(shape, bytes | Raw) else isinstance(shape, dict))
        ]


class Joints:
    """``(A, K, 3)`` x, y in pixels and the raw visibility flag, as floats of 64 bits to whoever reads some of them.

    Args:
        held: All of them; its type may be a smaller one.
        count: People that are there already; rows beyond are room for others.
    """

    def __init__(self, held: npt.NDArray[Any], count: int) -> None:
        self._held, self._count = held, count

    @property
    def shape(self) -> tuple[int, int, int]:
        """A, K and 3."""
        return self._count, *self._held.shape[1:]

    def __getitem__(self, key: Any) -> Floats:
        """Read some, as of an array; what is done to the answer is not done to these."""
        found: Floats = self._held[: self._count][key].astype(np.float64)
        return found

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Read all."""
        if copy is False:
            raise ValueError("joints are always copied")
        return self._held[: self._count].astype(np.float64 if dtype is None else dtype)

    def __setitem__(self, place: int, joints: Floats) -> None:
        """Replace those of a person."""
        self._make_fit(joints)
        self._held[place] = joints

    def append(self, joints: Floats) -> None:
        """Add those of some people, for whom there must be room."""
        self._make_fit(joints)
        self._held[self._count : self._count + len(joints)] = joints
        self._count += len(joints)

    def select(self, places: Numbers | slice) -> "Joints":
        """Choose people, in any order."""
        held = self._held[: self._count][places]
        return Joints(held, len(held))

    def find_flags(self, flags: Sequence[int]) -> Mask:
        """Tell ``(A, K)`` which joints have one of some flags."""
        found = np.zeros(self.shape[:2], bool)
        for joint in range(self.shape[1]):  # of all at once, there would be several copies
            found[:, joint] = np.isin(self[:, joint, 2], flags)
        return found

    def _make_fit(self, joints: Floats) -> None:
        """Take a larger type where that of now does not hold some joints to the bit, the sign of a zero included."""
        bits = np.ascontiguousarray(joints).view(np.int64)
        for kind in KINDS[KINDS.index(self._held.dtype.type) :]:
            with np.errstate(all="ignore"):
                back = joints.astype(kind).astype(np.float64)
            if kind is np.float64 or np.array_equal(back.view(np.int64), bits):
                break
        if kind is not self._held.dtype.type:
            held = np.empty(self._held.shape, kind)
            held[: self._count] = self._held[: self._count]
            self._held = held


def _write(shape: Segmentation) -> bytes:
    return json.dumps(shape, separators=(",", ":"), default=repr).encode()


def read_outline(shape: Segmentation | bytes | Raw) -> Segmentation:
    """Parse an outline, if it is still a text."""
    found: Segmentation = _DECODER.decode(shape) if isinstance(shape, bytes | Raw) else shape
    return found
