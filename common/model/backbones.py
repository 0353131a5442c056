"""Backbones: from the picture to features at stride 8."""

from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.layers import Style, unit
from bodyposenet.common.spec.train import BackboneAttributes

# VGG-19's convolutions up to block 4b, and one more to narrow it (reference 5.2): name, channels, stride.
VGG_UNITS = (
    ("block_1a", 64, 1), ("block_1b", 64, 1),
    ("block_2a", 128, 2), ("block_2b", 128, 1),
    ("block_3a", 256, 2), ("block_3b", 256, 1), ("block_3c", 256, 1), ("block_3d", 256, 1),
    ("block_4a", 512, 2), ("block_4b", 512, 1),
    ("block_6a", 256, 1),
)  # fmt: skip


def vgg(image: Any, style: Style) -> Any:
    """VGG-19 with batch normalization and strides for pooling.

    Args:
        image: ``(B, H, W, 3)``.
        style: How convolutions are built.

    Returns:
        ``(B, H/8, W/8, 256)`` at width 1.
    """
    x = image
    for name, channels, stride in VGG_UNITS:
        x = unit(x, channels, stride=stride, name=name, style=style)
    return x


def backbone(image: Any, attributes: BackboneAttributes, style: Style) -> Any:
    """The backbone that the spec names.

    Raises:
        UserError: This release has no such backbone.
    """
    if attributes.architecture != "vgg":
        raise UserError(
            f"backbone {attributes.architecture!r} is not built yet",
            where="model.backbone_attributes.architecture",
            fix="take 'vgg'",
        )
    return vgg(image, style)
