"""Card: how a network is fed and read: its skeleton, its stride and its scales."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bodyposenet.common.skeleton.skeleton import Skeleton


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
        """Undo :meth:`to_dict`."""
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
