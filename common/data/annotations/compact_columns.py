"""Compact columns: outlines and joints of many people, in little memory until somebody asks for some of them."""

import json
import mmap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Raw

from bodyposenet.common.data.annotations.fields import Floats, Mask, Numbers, Segmentation

NONE = b"[]"
OWN = -1  # where an outline begins that stands in no text
_OBJECT = ord("{")
KINDS = (np.int16, np.float32, np.float64)  # COCO's are whole numbers; those of most tools are not
_DECODER = msgspec.json.Decoder()


class Outlines(Sequence[Segmentation]):
    """Outlines of people: polygons, run lengths or an empty list, each parsed when it is asked for.

    Most never are: a mask is drawn only where somebody is not labelled. As text they take a fourth of the memory that
    their numbers take as Python's objects; as places in the text of their file 16 bytes each.

    Args:
        shapes: The outlines, or their texts.
    """

    def __init__(self, shapes: Iterable[Segmentation | bytes | Raw]) -> None:
        self._own = [bytes(shape) if isinstance(shape, Raw) else shape for shape in shapes]
        self._text: bytes | mmap.mmap = b""
        self._spans = np.stack([np.full(len(self._own), OWN), np.arange(len(self._own))], axis=1)

    @classmethod
    def cut(cls, text: bytes | mmap.mmap, spans: Numbers) -> "Outlines":
        """Find outlines in a text, which is held for as long as they are.

        Args:
            text: Of the file.
            spans: ``(A, 2)`` where each begins, and its bytes; of none, nobody has an outline.
        """
        found = cls(())
        found._text, found._spans = text, spans
        return found

    def __len__(self) -> int:
        return len(self._spans)

    @overload
    def __getitem__(self, index: int) -> Segmentation: ...
    @overload
    def __getitem__(self, index: slice) -> list[Segmentation]: ...
    def __getitem__(self, index: int | slice) -> Segmentation | list[Segmentation]:
        """Parse an outline, or some."""
        if not isinstance(index, slice):
            return read_outline(self._find(*self._spans[index].tolist()))
        shapes = self.take(index)
        texts = [shape for shape in shapes if isinstance(shape, bytes)]
        if len(texts) < len(shapes):
            return [*map(read_outline, shapes)]
        found: list[Segmentation] = _DECODER.decode(b"[%b]" % b",".join(texts))
        return found

    def _find(self, begin: int, size: int) -> Segmentation | bytes:
        if begin == OWN:
            return self._own[size]
        return self._text[begin : begin + size] or NONE

    def take(self, places: slice) -> list[Segmentation | bytes]:
        """Take some as they are held, for :func:`read_outline`."""
        return [self._find(begin, size) for begin, size in self._spans[places].tolist()]

    def __setitem__(self, place: int, shape: Segmentation) -> None:
        self._spans[place] = OWN, len(self._own)
        self._own.append(shape)

    def __iter__(self) -> Iterator[Segmentation]:
        return (self[place] for place in range(len(self)))

    def __reduce__(self) -> tuple[type["Outlines"], tuple[list[Segmentation | bytes]]]:
        """Tell what others need who do not have the text of the file."""
        return Outlines, (self.take(slice(None)),)

    @classmethod
    def join(cls, parts: Iterable["Outlines"]) -> "Outlines":
        """Put several lists of them together; one text is held, and of others what is an outline."""
        whole, spans = cls(()), [np.empty((0, 2), np.int64)]
        for part in parts:
            whole._text = whole._text or part._text
            if part._text and part._text is not whole._text:
                part = cls(part.take(slice(None)))
            spans.append(part._spans + (part._spans[:, :1] == OWN) * np.array([0, len(whole._own)]))
            whole._own += part._own
        whole._spans = np.concatenate(spans)
        return whole

    def select(self, places: Numbers, wanted: Mask | None = None) -> "Outlines":
        """Choose some, in any order, of which those that are not wanted are empty."""
        spans = self._spans[places]
        if wanted is not None:
            spans[~wanted] = 0
        is_own = spans[:, 0] == OWN
        chosen = Outlines.cut(self._text, spans)
        chosen._own = [self._own[place] for place in spans[is_own, 1].tolist()]
        spans[is_own, 1] = np.arange(len(chosen._own))
        return chosen

    def pack(self, places: slice) -> bytes:
        """Write some as bytes, the same for the same outlines, whatever blanks stand in their text.

        None is parsed for it, but where a value is a text, in which blanks may stand for themselves.
        """
        shapes = self.take(places)
        text = b";".join([shape if isinstance(shape, bytes) else _write(shape) for shape in shapes])
        if text.count(b'"') <= 4 * text.count(b"{"):  # those of two keys
            return text.translate(None, b" \t\n\r")
        return b";".join([_write(read_outline(shape)) for shape in shapes])

    def find_runs(self) -> list[int]:
        """Find the places of those that are run lengths."""
        return [
            place
            for place, (begin, size) in enumerate(self._spans.tolist())
            if (self._text[begin] == _OBJECT if begin != OWN and size else _is_runs(self._find(begin, size)))
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


def _is_runs(shape: Segmentation | bytes) -> bool:
    """Tell run lengths from polygons, by the first character of a text."""
    if isinstance(shape, bytes):
        return shape[0] == _OBJECT
    return isinstance(shape, dict)


def read_outline(shape: Segmentation | bytes) -> Segmentation:
    """Parse an outline, if it is still a text."""
    found: Segmentation = _DECODER.decode(shape) if isinstance(shape, bytes) else shape
    return found
