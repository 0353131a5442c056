"""Card: how a network is fed and read: its skeleton, its stride and its scales."""

from dataclasses import dataclass
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
    """

    skeleton: Skeleton
    stride: int = 8
    image_scale: tuple[float, ...] = (256.0, 256.0, 256.0)
    image_offset: tuple[float, ...] = (0.5, 0.5, 0.5)
    input_size: tuple[int, int] = (256, 256)
    sigma: float = 7.0
    paf_shift: float = 0.0
    made_from: str = ""

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
        adopted = {"paf_shift": self.paf_shift, "made_from": self.made_from}
        return said | {name: value for name, value in adopted.items() if value}

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
        )
