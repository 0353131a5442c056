"""Affine: one matrix from a photo to the network's input, for image, mask and joints alike.

Pixel centres are at whole numbers in the photo and in the input.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from bodyposenet.common.spec.train import SpatialAugParams

GREY = 127  # the image beyond the photo's border (reference 4.3)


@dataclass(frozen=True)
class Warp:
    """A way from the photo to the input.

    Attributes:
        matrix: ``(3, 3)`` float64, photo pixels to input pixels.
        mirrored: Left and right have changed sides.
    """

    matrix: np.ndarray
    mirrored: bool = False

    def points(self, points: np.ndarray) -> np.ndarray:
        """Map ``(..., 2)`` x, y in the photo to x, y in the input."""
        moved: np.ndarray = points @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        return moved

    @property
    def scale(self) -> float:
        """Pixels of the input per pixel of the photo; of two axes that differ, the greater."""
        return float(np.sqrt((self.matrix[:2, :2] ** 2).sum(axis=0).max()))

    def from_reduced(self, factor: int) -> "Warp":
        """Return the same way, from the photo with each ``factor`` x ``factor`` of its pixels averaged to one."""
        to_photo = np.diag([factor, factor, 1.0])
        to_photo[:2, 2] = (factor - 1) / 2
        return replace(self, matrix=self.matrix @ to_photo)

    def image(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Warp an RGB photo to the input of ``size`` (height, width); grey beyond its border."""
        return cv2.warpAffine(
            image, self.matrix[:2], size[::-1], flags=cv2.INTER_LINEAR, borderValue=(GREY, GREY, GREY)
        )

    def mask(self, mask: np.ndarray | None, grid: tuple[int, int], stride: int) -> np.ndarray:
        """Warp a mask, 255 where the loss counts, to a float32 one of the grid: 1 there and beyond the border.

        The value of a cell is that of the pixel at its centre.
        """
        if mask is None:
            return np.ones(grid, np.float32)
        to_grid = np.diag([1 / stride, 1 / stride, 1.0])
        to_grid[:2, 2] = -(stride - 1) / 2 / stride
        warped = cv2.warpAffine(
            mask, (to_grid @ self.matrix)[:2], grid[::-1], flags=cv2.INTER_NEAREST, borderValue=(255,)
        )
        return warped.astype(np.float32) / 255


def person_centric(
    rng: np.random.Generator,
    params: SpatialAugParams,
    *,
    centre: np.ndarray,
    height: float,
    photo: tuple[int, int],
    size: tuple[int, int],
) -> Warp:
    """Bring one person to the middle of the input, at a random place, size and angle (reference 4.4, mode 1).

    A person ``height`` pixels tall becomes ``target_person_scale`` of the input's height, divided by the zoom: a zoom
    above 1 zooms out.

    Args:
        rng: Where the randomness comes from.
        params: Ranges of the spec.
        centre: ``(2,)`` x, y of the person in the photo.
        height: Of the person's box, in pixels of the photo.
        photo: ``(height, width)`` of the photo.
        size: ``(height, width)`` of the input.
    """
    scale = params.target_person_scale * size[0] / max(height, 1.0)
    return _about(rng, params, centre, np.diag([scale, scale]), photo, size)


def whole_photo(
    rng: np.random.Generator,
    params: SpatialAugParams,
    *,
    photo: tuple[int, int],
    size: tuple[int, int],
    stretch: bool = False,
) -> Warp:
    """Fit the whole photo into the input, at a random place, size and angle (reference 4.4, modes 2 and 3).

    Args:
        rng: Where the randomness comes from.
        params: Ranges of the spec; a zoom above 1 zooms out here, too.
        photo: ``(height, width)`` of the photo.
        size: ``(height, width)`` of the input.
        stretch: Fill the input; otherwise the photo keeps its aspect, with grey beside it.
    """
    across, down = size[1] / photo[1], size[0] / photo[0]
    least = min(across, down)
    middle = (np.array(photo[::-1]) - 1) / 2
    return _about(rng, params, middle, np.diag([across, down] if stretch else [least, least]), photo, size)


def _about(
    rng: np.random.Generator,
    params: SpatialAugParams,
    centre: np.ndarray,
    scaling: np.ndarray,
    photo: tuple[int, int],
    size: tuple[int, int],
) -> Warp:
    """Scale about a point of the photo, zoom, turn and mirror at random, and bring it near the middle of the input."""
    mirrored = bool(rng.random() < params.flip_lr_prob)
    upside_down = bool(rng.random() < params.flip_tb_prob)
    shift = _translation(rng, params, photo)
    zoom = rng.uniform(params.zoom_ratio_min, params.zoom_ratio_max) if rng.random() < params.zoom_prob else 1.0
    angle = np.deg2rad(rng.uniform(params.rotate_deg_min, params.rotate_deg_max))
    flips = np.diag([-1.0 if mirrored else 1.0, -1.0 if upside_down else 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = flips @ turn @ scaling / zoom
    matrix[:2, 2] = (np.array(size[::-1]) - 1) / 2 - matrix[:2, :2] @ (centre + shift)
    return Warp(matrix, mirrored)


def _translation(rng: np.random.Generator, params: SpatialAugParams, photo: tuple[int, int]) -> np.ndarray:
    """Choose by how much to move, ``(2,)`` x, y in pixels of the photo."""
    if params.use_translate_ratio:
        return rng.uniform(params.translate_ratio_min, params.translate_ratio_max, 2) * photo[::-1]
    return np.array(
        [
            rng.uniform(params.translate_min_x, params.translate_max_x),
            rng.uniform(params.translate_min_y, params.translate_max_y),
        ]
    )
