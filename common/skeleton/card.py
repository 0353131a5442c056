"""Card: how a network is fed and read: its skeleton, its stride and its scales."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bodyposenet.common.bounds import INPUT_SIDE, LARGEST_STRIDE
from bodyposenet.common.errors import MALFORMED
from bodyposenet.common.skeleton.skeleton import Skeleton

CHANNELS = 3


@dataclass(frozen=True)
class Card:
    """What a runner must know of a network that the network itself does not tell.

    Attributes:
        skeleton: Meaning of the output channels.
        stride: Input pixels per cell of the output grid.
        image_scale: Per channel: network input = RGB / scale - offset.
        image_offset: Per channel, see ``image_scale``.
        input_size: ``(height, width)`` it was trained at.
        sigma: Spread of a heatmap peak it was trained to draw, in input pixels.
        paf_shift: Input pixels, to the right and down, from a cell of the fields to the heatmaps' cell of that place: 0
            where both stand for the cell's centre, (stride - 1) / 2 where fields were drawn from its corner, as by
            OpenPose and TAO.
        made_from: What a network was adopted from, and under which licence; empty of a network that was trained here.
        decoding: Keys of an inference spec that were tuned for this network: ``input_shape``, ``heatmap_threshold``,
            ``min_parts`` and the like. They hold where a spec does not say otherwise.
        trained_on: Photos that the weights this network began with had been trained on, as far as that is told: names
            by the SHA-256 of their files. An AP on such photos measures nothing.
    """

    skeleton: Skeleton
    stride: int = 8
    image_scale: tuple[float, ...] = (256.0, 256.0, 256.0)
    image_offset: tuple[float, ...] = (0.5, 0.5, 0.5)
    input_size: tuple[int, int] = (256, 256)
    sigma: float = 7.0
    paf_shift: float = 0.0
    made_from: str = ""
    decoding: Mapping[str, Any] = field(default_factory=dict, hash=False)
    trained_on: Mapping[str, str] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Return this card as plain JSON data."""
        said = {
            "skeleton": self.skeleton.to_dict(),
            "stride": self.stride,
            "image_scale": list(self.image_scale),
            "image_offset": list(self.image_offset),
            "input_size": list(self.input_size),
            "sigma": self.sigma,
        }
        rare = {"paf_shift": self.paf_shift, "made_from": self.made_from}
        rare |= {"decoding": dict(self.decoding), "trained_on": dict(self.trained_on)}
        return said | {name: value for name, value in rare.items() if value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Card":
        """Undo :meth:`to_dict`.

        Raises:
            ValueError: It is no card, or says what cannot be; the data may be anybody's.
        """
        try:
            card = cls._take(data)
            problem = next(_find_problems(card), None)
        except MALFORMED as error:
            raise ValueError(f"it is no card of a network ({type(error).__name__}: {error})") from None
        if problem is not None:
            raise ValueError(f"its card cannot be: {problem}")
        return card

    @classmethod
    def from_json(cls, text: str | bytes) -> "Card":
        """Read a card from its text; raises as :meth:`from_dict`."""
        try:
            return cls.from_dict(json.loads(text))
        except RecursionError:
            raise ValueError("it is no card of a network (nested too deeply)") from None

    @classmethod
    def _take(cls, data: dict[str, Any]) -> "Card":
        return cls(
            skeleton=Skeleton.from_dict(data["skeleton"]),
            stride=int(data["stride"]),
            image_scale=tuple(data["image_scale"]),
            image_offset=tuple(data["image_offset"]),
            input_size=(int(data["input_size"][0]), int(data["input_size"][1])),
            sigma=float(data["sigma"]),
            paf_shift=float(data.get("paf_shift", 0.0)),
            made_from=str(data.get("made_from", "")),
            decoding=_read_mapping(data, "decoding"),
            trained_on={name: str(told) for name, told in _read_mapping(data, "trained_on").items()},
        )


def _read_mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Read a mapping of a card, empty where there is none."""
    found = data.get(key, {})
    if not isinstance(found, dict):
        raise TypeError(f"the card's {key} is no mapping")
    return {str(name): value for name, value in found.items()}


def _find_problems(card: Card) -> Iterator[str]:
    """List what a card says that no network can be fed or read by."""
    if not 1 <= card.stride <= LARGEST_STRIDE:
        yield f"a stride of {card.stride}"
    if not all(1 <= side <= INPUT_SIDE for side in card.input_size):
        yield f"an input size of {card.input_size}"
    for key in ("image_scale", "image_offset"):
        values = getattr(card, key)
        if len(values) != CHANNELS or not all(_is_number(value) for value in values):
            yield f"{key} is not {CHANNELS} numbers"
    if not all(card.image_scale):
        yield "image_scale has a 0"
    if not (_is_number(card.sigma) and card.sigma > 0 and _is_number(card.paf_shift)):
        yield f"sigma {card.sigma} or paf_shift {card.paf_shift}"
    yield from card.skeleton.find_problems()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
