"""Fit: a photo fitted to the network, and the way back for what is found in it.

One convention throughout: pixel centres lie at whole numbers, so a resize by ``s`` takes ``x`` to
``(x + .5) * s - .5``, which is what ``cv2.resize`` does to the pixels.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bodyposenet.common.bounds import FRAMED_PIXELS, INPUT_PIXELS
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.photo import REDUCTIONS, DecodedPhoto
from bodyposenet.common.imaging.pixels import average_squares

if TYPE_CHECKING:
    from bodyposenet.common.skeleton.card import Card


GREY = (128, 128, 128)  # around a photo that does not fill the input, as in TAO
LEAST = {8: 2, 4: 2, 2: 1}  # times the size that it is fitted to, that a photo has after such a reduction

Size = tuple[int, int]
Borders = tuple[int, int, int, int]  # top, bottom, left, right, in pixels


@dataclass(frozen=True, eq=False)
class Fit:
    """How photos of one size are fitted.

    Attributes:
        borders: Grey added to the photo first, in its own pixels.
        resized: ``(height, width)`` to which photo and borders are resized.
        size: ``(height, width)`` of the input: ``resized``, with grey at the bottom and right up to the stride.
        matrix: ``(3, 3)`` float64, photo pixels to input pixels.
    """

    borders: Borders
    resized: Size
    size: Size
    matrix: np.ndarray

    def to_input(self, points: np.ndarray) -> np.ndarray:
        """Map ``(..., 2)`` x, y in photo pixels to input pixels, float64."""
        return _map(self.matrix, points)

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Map ``(..., 2)`` x, y in input pixels to photo pixels, float64."""
        return _map(np.linalg.inv(self.matrix), points)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A photo as the network wants it.

    Attributes:
        image: ``(H, W, 3)`` RGB uint8; the stride divides H and W.
        fit: Where its pixels come from.
    """

    image: np.ndarray
    fit: Fit

    @property
    def matrix(self) -> np.ndarray:
        """``(3, 3)`` float64, photo pixels to input pixels."""
        return self.fit.matrix

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Map ``(..., 2)`` x, y in input pixels to photo pixels, float64."""
        return self.fit.to_photo(points)


def plan_fit(photo: Size, size: Size, mode: str | None, stride: int = 8) -> Fit:
    """Decide how photos of a size are fitted to a network input.

    Args:
        photo: ``(height, width)`` of the photo.
        size: ``(height, width)`` of the input that the spec asks for.
        mode: ``adjust_network_input`` enlarges one side of the input to the photo's shape; ``pad_image_input`` pads the
            photo to the input's shape; None stretches it.
        stride: The input is padded to a multiple of it, at the bottom and right.

    Raises:
        UserError: The photo is so narrow that its input would be huge.
    """
    borders, framed = _frame(photo, size, mode)
    resized = _adjust(photo, size) if mode == "adjust_network_input" else size
    _refuse_lines(photo, framed, resized)
    scale_y, scale_x = resized[0] / framed[0], resized[1] / framed[1]
    matrix = np.array(
        [
            [scale_x, 0, (borders[2] + 0.5) * scale_x - 0.5],
            [0, scale_y, (borders[0] + 0.5) * scale_y - 0.5],
            [0, 0, 1],
        ]
    )
    rows, columns = (-(-length // stride) * stride for length in resized)
    return Fit(borders, resized, (rows, columns), matrix)


def choose_reduction(photo: Size, size: Size, mode: str | None) -> int:
    """Choose by how much a photo is reduced before it is fitted, by its decoder if that can, so that none is enlarged.

    What a reduction leaves hardly larger than the input is blurred by as much as the input's pixels measure, whatever
    the reduction: joints then move by .41 of them (median; 1.05 times the size), at 1.5 times by .25, at 2.04 by .13
    (people of coco_sample's photos, enlarged). So large photos are left twice the size. To decode a small one whole
    costs more than it gains: it is as sharp as its pixels, and fitting would skip some (see ``data.loading.decoding``).

    Args:
        photo: See :func:`plan_fit`.
        size: See :func:`plan_fit`.
        mode: See :func:`plan_fit`.

    Returns:
        How many of its pixels, each way, are averaged to one: 8, 4, 2 or 1.
    """
    resized = _adjust(photo, size) if mode == "adjust_network_input" else size
    _, framed = _frame(photo, size, mode)
    shrinks = min(framed[0] / resized[0], framed[1] / resized[1])
    return next((reduced for reduced in REDUCTIONS if shrinks >= reduced * LEAST[reduced]), 1)


def fit_photo(photo: DecodedPhoto, size: Size, mode: str | None, stride: int = 8) -> Fitted:
    """Fit a photo to a network input (bicubic).

    One that was decoded whole is first averaged as :func:`choose_reduction` says, so that it looks the same whatever
    kind of file, or video, it comes from.

    Args:
        photo: As it was decoded; however small that was, all lies where it does when the whole photo is fitted.
        size: See :func:`plan_fit`.
        mode: See :func:`plan_fit`.
        stride: See :func:`plan_fit`.
    """
    fit = plan_fit(photo.size, size, mode, stride)
    resized = _resize(_reduce(photo, choose_reduction(photo.size, size, mode)), fit)
    return Fitted(_add_borders(resized, (0, fit.size[0] - fit.resized[0], 0, fit.size[1] - fit.resized[1])), fit)


def fit_image(image: np.ndarray, size: Size, mode: str | None, stride: int = 8) -> Fitted:
    """Fit the whole pixels of a photo, ``(H, W, 3)`` RGB uint8; as for :func:`fit_photo`."""
    return fit_photo(DecodedPhoto.whole(image), size, mode, stride)


def _reduce(photo: DecodedPhoto, factor: int) -> DecodedPhoto:
    """Average a whole photo's pixels; one that was decoded reduced stays as it is."""
    if photo.reduced > 1 or factor == 1:
        return photo
    return DecodedPhoto(average_squares(photo.pixels, factor), photo.size, factor)


def _resize(photo: DecodedPhoto, fit: Fit) -> np.ndarray:
    """Resize photo and borders; a reduced photo by the whole one's scale, as its last pixels may reach beyond it."""
    if photo.reduced == 1:
        framed = _add_borders(photo.pixels, fit.borders)
        return cv2.resize(framed, fit.resized[::-1], interpolation=cv2.INTER_CUBIC)
    rows, columns = fit.resized
    if any(fit.borders):  # which are no whole numbers of its pixels
        step, centre = photo.reduced, (photo.reduced - 1) / 2
        to_whole = np.array([[step, 0, centre], [0, step, centre], [0, 0, 1]])
        return cv2.warpAffine(
            photo.pixels,
            (fit.matrix @ to_whole)[:2],
            (columns, rows),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=GREY,
        )
    across, down = np.diag(fit.matrix)[:2] * photo.reduced
    resized = cv2.resize(photo.pixels, None, fx=across, fy=down, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(resized[:rows, :columns])


def _map(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    mapped: np.ndarray = np.asarray(points, np.float64) @ matrix[:2, :2].T + matrix[:2, 2]
    return mapped


def _frame(photo: Size, size: Size, mode: str | None) -> tuple[Borders, Size]:
    """Return the borders that a photo is given, and the size that it has with them."""
    top, bottom, left, right = borders = _borders(photo, size) if mode == "pad_image_input" else (0, 0, 0, 0)
    return borders, (photo[0] + top + bottom, photo[1] + left + right)


def _borders(photo: Size, size: Size) -> Borders:
    """Return the grey that brings a photo to the shape of ``size``; of an odd number bottom or right has one more."""
    (height, width), (rows, columns) = photo, size
    if width * rows > height * columns:
        total = width * rows // columns - height
        return total // 2, total - total // 2, 0, 0
    total = height * columns // rows - width
    return 0, 0, total // 2, total - total // 2


def _adjust(photo: Size, size: Size) -> Size:
    """Make one side of ``size`` longer, so that it has the photo's shape."""
    (height, width), (rows, columns) = photo, size
    if width * rows > height * columns:
        return rows, round(width * rows / height)
    return round(height * columns / width), columns


def _refuse_lines(photo: Size, framed: Size, resized: Size) -> None:
    pixels = max(framed[0] * framed[1], resized[0] * resized[1])
    if pixels > min(max(INPUT_PIXELS, 4 * photo[0] * photo[1]), FRAMED_PIXELS):
        raise UserError(
            f"a photo of {photo[1]} x {photo[0]} pixels would need {pixels / 2**20:.0f} megapixels to fit the network",
            fix="crop it",
        )


def _add_borders(image: np.ndarray, borders: Borders) -> np.ndarray:
    return cv2.copyMakeBorder(image, *borders, cv2.BORDER_CONSTANT, value=GREY) if any(borders) else image


def normalise(image: np.ndarray, card: "Card") -> np.ndarray:
    """Turn ``(H, W, 3)`` RGB uint8 into what the network takes: float32, image / scale - offset.

    Each of the 256 values is computed once, and looked up in one pass over the picture.
    """
    scale, offset = np.array(card.image_scale, np.float32), np.array(card.image_offset, np.float32)
    values = np.arange(256, dtype=np.float32)[:, None] / scale - offset
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), values[None]), np.float32)
