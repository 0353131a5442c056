"""Colour: how a photo's colours are varied, as one affine map of RGB."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.loading.affine import GREY, Warp
from bodyposenet.common.machine.compiling import njit
from bodyposenet.common.spec.augmentation import ColorAugParams

LUMA = np.array([0.299, 0.587, 0.114])
YIQ = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])  # of RGB


@dataclass(frozen=True)
class Tint:
    """A change of colours.

    Attributes:
        matrix: ``(3, 4)`` float32: new RGB = matrix of (R, G, B, 1), in 0 to 255.
    """

    matrix: npt.NDArray[np.float32]

    def apply(self, image: npt.NDArray[np.uint8], warp: Warp, photo: tuple[int, int]) -> None:
        """Recolour, in place, those pixels of an input that show the photo.

        Args:
            image: ``(H, W, 3)`` RGB, warped.
            warp: The way from the photo to the image.
            photo: ``(height, width)`` of the photo.
        """
        back = np.linalg.inv(warp.matrix)[:2].astype(np.float32)
        _recolour(image, self.matrix, back, np.float32(photo[0]), np.float32(photo[1]))


def random_tint(rng: np.random.Generator, params: ColorAugParams | None) -> Tint | None:
    """Choose brightness, contrast, saturation and hue at random, as the spec has it; None changes nothing.

    Args:
        rng: Where the randomness comes from; it is not asked where the spec varies nothing.
        params: Ranges of the spec.
    """
    if params is None or not any(share for name, share in params if name != "color_prob"):
        return None
    varied = rng.random() < params.color_prob
    brightness, contrast, saturation, hue = rng.uniform(-1, 1, 4) * [
        params.brightness_max, params.contrast_max, params.saturation_max, params.hue_deg_max
    ]  # fmt: skip
    return tint(brightness, 1 + contrast, 1 + saturation, hue) if varied else None


def tint(brightness: float = 0, contrast: float = 1, saturation: float = 1, hue: float = 0) -> Tint:
    """Change colours in this order.

    Args:
        brightness: 255 times this is added to every channel.
        contrast: Multiplies the distance from the middle grey.
        saturation: Multiplies the distance from the pixel's own grey.
        hue: Degrees by which I turns towards Q.
    """
    angle = np.deg2rad(hue)
    turn = np.eye(3)
    turn[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    grey = np.tile(LUMA, (3, 1))
    colours = np.linalg.inv(YIQ) @ turn @ YIQ @ (saturation * np.eye(3) + (1 - saturation) * grey)
    shift = contrast * 255 * brightness + (1 - contrast) * GREY
    return Tint(np.c_[contrast * colours, colours @ np.full(3, shift)].astype(np.float32))


@njit(nogil=True, cache=True)
def _recolour(image, matrix, back, height, width):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    half, low, high = np.float32(0.5), np.float32(0), np.float32(255)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            x = back[0, 0] * column + back[0, 1] * row + back[0, 2]
            y = back[1, 0] * column + back[1, 1] * row + back[1, 2]
            if -half <= x <= width - half and -half <= y <= height - half:
                red, green, blue = image[row, column]
                for channel in range(3):
                    m = matrix[channel]
                    value = m[0] * red + m[1] * green + m[2] * blue + m[3]
                    image[row, column, channel] = np.uint8(min(max(value, low), high) + half)
