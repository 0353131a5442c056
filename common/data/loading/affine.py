"""Affine: one matrix from a photo to the network's input, for image, mask and joints alike.

Pixel centres are at whole numbers in the photo and in the input.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from bodyposenet.common.imaging.bitmask_png import Bitmap
from bodyposenet.common.machine.compiling import njit
from bodyposenet.common.spec.train import SpatialAugParams

GREY = 127  # the image beyond the photo's border, as in TAO
SPARE = 2  # pixels around what an input shows: those that it is interpolated with, and one more for rounding


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
        (a, b, _), (c, d, _), _ = self.matrix.tolist()
        return math.sqrt(max(a * a + c * c, b * b + d * d))

    def from_reduced(self, factor: int) -> "Warp":
        """Return the same way, from the photo with each ``factor`` x ``factor`` of its pixels averaged to one."""
        if factor == 1:
            return self
        middle = (factor - 1) / 2
        to_photo = np.array([[factor, 0.0, middle], [0.0, factor, middle], [0.0, 0.0, 1.0]])
        return replace(self, matrix=self.matrix @ to_photo)

    def image(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Warp an RGB photo to the input of ``size`` (height, width); grey beyond its border.

        OpenCV warps four channels in half the time of three: what is shown of the photo gets a fourth on the way.
        """
        rows, columns = self._find_shown(size)
        shown = image[rows, columns]
        if not shown.size:
            return np.full((*size, 3), GREY, np.uint8)
        matrix = self.matrix[:2].copy()
        matrix[:, 2] += matrix[:, 0] * columns.start + matrix[:, 1] * rows.start
        four = cv2.cvtColor(shown, cv2.COLOR_RGB2RGBA)
        warped = cv2.warpAffine(four, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderValue=(GREY,) * 4)
        return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)

    def _find_shown(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """Find the rows and columns of the photo that an input of ``size`` (height, width) is interpolated between."""
        (a, b, right), (c, d, down), _ = self.matrix.tolist()
        across, along = (size[1] - 1) / 2, (size[0] - 1) / 2  # from the input's middle to its edges
        area = a * d - b * c
        x, y = (d * (across - right) - b * (along - down)) / area, (a * (along - down) - c * (across - right)) / area
        reach_x = (abs(d) * across + abs(b) * along) / abs(area) + SPARE
        reach_y = (abs(a) * along + abs(c) * across) / abs(area) + SPARE
        rows, columns = (
            slice(max(math.floor(middle - reach), 0), max(math.ceil(middle + reach), 0))
            for middle, reach in ((y, reach_y), (x, reach_x))
        )
        return rows, columns

    def mask(self, mask: np.ndarray | Bitmap | None, grid: tuple[int, int], stride: int) -> np.ndarray:
        """Warp a mask, 255 where the loss counts, to a float32 one of the grid: 1 there and beyond the border.

        The value of a cell is that of the pixel at its centre.

        Args:
            mask: ``(H, W)`` of the photo; None is 255 everywhere.
            grid: ``(rows, columns)``.
            stride: Input pixels per cell.
        """
        cells = np.ones(grid, np.float32)
        if mask is None:
            return cells
        middle = (stride - 1) / 2
        to_grid = np.array([[1 / stride, 0.0, -middle / stride], [0.0, 1 / stride, -middle / stride], [0.0, 0.0, 1.0]])
        matrix = (to_grid @ self.matrix)[:2]
        if isinstance(mask, Bitmap):
            _look_up(mask.rows, mask.width, cv2.invertAffineTransform(matrix), cells)
            return cells
        warped = cv2.warpAffine(mask, matrix, grid[::-1], flags=cv2.INTER_NEAREST, borderValue=(255,))
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
    """Bring one person to the middle of the input, at a random place, size and angle: TAO's ``person_centric``.

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
    return _about(rng, params, centre, (scale, scale), photo, size)


def whole_photo(
    rng: np.random.Generator,
    params: SpatialAugParams,
    *,
    photo: tuple[int, int],
    size: tuple[int, int],
    stretch: bool = False,
) -> Warp:
    """Fit the whole photo into the input, at a random place, size and angle.

    TAO's ``standard``, and with ``stretch`` its ``standard_with_fixed_aspect_ratio``.

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
    return _about(rng, params, middle, (across, down) if stretch else (least, least), photo, size)


def _about(
    rng: np.random.Generator,
    params: SpatialAugParams,
    centre: np.ndarray,
    scaling: tuple[float, float],
    photo: tuple[int, int],
    size: tuple[int, int],
) -> Warp:
    """Scale about a point of the photo, zoom, turn and mirror at random, and bring it near the middle of the input."""
    mirrored = bool(rng.random() < params.flip_lr_prob)
    upside_down = bool(rng.random() < params.flip_tb_prob)
    shift = _translation(rng, params, photo)
    zoom = rng.uniform(params.zoom_ratio_min, params.zoom_ratio_max) if rng.random() < params.zoom_prob else 1.0
    angle = np.deg2rad(rng.uniform(params.rotate_deg_min, params.rotate_deg_max))
    across, down = scaling
    left, up = -1.0 if mirrored else 1.0, -1.0 if upside_down else 1.0
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    matrix = np.array([[0.0, 0.0, (size[1] - 1) / 2], [0.0, 0.0, (size[0] - 1) / 2], [0.0, 0.0, 1.0]])
    matrix[:2, :2] = [[left * cos * across, -left * sin * down], [up * sin * across, up * cos * down]]
    matrix[:2, :2] /= zoom
    matrix[:2, 2] -= matrix[:2, :2] @ (centre + shift)
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


@njit(nogil=True, cache=True)
def _look_up(rows, width, back, cells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill those cells that lie in a bitmap with the bit nearest to each; of two, with the even one, as OpenCV does."""
    for row in range(cells.shape[0]):
        for column in range(cells.shape[1]):
            x = int(np.rint(back[0, 0] * column + back[0, 1] * row + back[0, 2]))
            y = int(np.rint(back[1, 0] * column + back[1, 1] * row + back[1, 2]))
            if 0 <= x < width and 0 <= y < rows.shape[0]:
                cells[row, column] = rows[y, 1 + (x >> 3)] >> (7 - (x & 7)) & 1
