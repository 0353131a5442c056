"""Batch picture: what a network is shown and told, to be looked at before hours are spent on it."""

import cv2
import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.loading.batches import STRIDE, TrainingBatch
from bodyposenet.common.pose.draw import EDGE, WHITE, Colour, limb_colour
from bodyposenet.common.pose.peaks import find_peaks
from bodyposenet.common.skeleton.skeleton import Skeleton

Image = npt.NDArray[np.uint8]
Maps = npt.NDArray[np.float32]

MOST = 12  # samples drawn
COLUMNS = (4, 5, 3)  # of these, what leaves the fewest places empty
LONGEST = 384  # pixels of a tile's longer side
GAP = 8
STRIP = 22  # pixels of the line below a tile
PAPER: Colour = (24, 26, 30)
INK: Colour = (214, 218, 224)
MASKED: Colour = (226, 40, 132)
STRIPE = 6
LIMB = 0.6  # opacity
LEAST = 0.2  # of a heatmap's value at a joint


def batch_picture(
    batch: TrainingBatch, skeleton: Skeleton, *, scale: tuple[float, ...], offset: tuple[float, ...], sigma: float = 7.0
) -> Image:
    """Draw the first samples of a batch with their targets, read back from the maps that the network learns.

    Limbs are where fields are, in colours of side and part of the body; dots are the heatmaps' peaks; stripes are where
    errors do not count. Below each stands its photo's number.

    Args:
        batch: As training gets it.
        skeleton: Names its channels.
        scale: The batch's normalisation: input = RGB / scale - offset.
        offset: See ``scale``.
        sigma: Spread of the heatmaps' peaks, in input pixels.

    Returns:
        ``(H, W, 3)`` RGB.
    """
    tiles = [
        _add_caption(_tile(batch, place, skeleton, scale, offset, sigma), int(batch.image_ids[place]))
        for place in range(min(MOST, len(batch.images)))
    ]
    columns = min(min(COLUMNS, key=lambda columns: -len(tiles) % columns), len(tiles))
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[:2]
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _tile(
    batch: TrainingBatch,
    place: int,
    skeleton: Skeleton,
    scale: tuple[float, ...],
    offset: tuple[float, ...],
    sigma: float,
) -> Image:
    """Draw one sample with its targets."""
    values = (batch.images[place] + np.asarray(offset, np.float32)) * np.asarray(scale, np.float32)
    photo = np.clip(np.round(values), 0, 255).astype(np.uint8)
    zoom = LONGEST / max(photo.shape[:2])
    size = (round(photo.shape[1] * zoom), round(photo.shape[0] * zoom))
    canvas = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC))
    canvas = _draw_stripes(canvas, batch.mask[place, ..., 0])
    canvas = _limbs(canvas, batch.pafs[place], skeleton)
    _joints(canvas, batch.heatmaps[place], skeleton, zoom, sigma)
    return canvas


def _draw_stripes(canvas: Image, mask: Maps) -> Image:
    """Draw stripes where errors do not count, cell by cell."""
    height, width = canvas.shape[:2]
    away = 1 - np.clip(cv2.resize(np.nan_to_num(mask), (width, height), interpolation=cv2.INTER_NEAREST), 0, 1)
    rows, columns = np.indices((height, width), sparse=True)
    weight = (np.where((rows + columns) // STRIPE % 2, 0.7, 0.3) * away)[..., None]
    return (canvas * (1 - weight) + np.array(MASKED) * weight).astype(np.uint8)


def _limbs(canvas: Image, pafs: Maps, skeleton: Skeleton) -> Image:
    """Draw each limb's field as a shade of its length."""
    height, width = canvas.shape[:2]
    mixed = canvas.astype(np.float32)
    for limb, (start, end) in enumerate(skeleton.limbs):
        length = np.hypot(pafs[..., 2 * limb], pafs[..., 2 * limb + 1])
        if length.any():
            shade = cv2.resize(length, (width, height), interpolation=cv2.INTER_LINEAR)
            weight = LIMB * np.clip(np.asarray(shade, np.float32), 0, 1)[..., None]
            mixed += weight * (np.asarray(limb_colour(skeleton.joints[start], skeleton.joints[end])) - mixed)
    return mixed.astype(np.uint8)


def _joints(canvas: Image, heatmaps: Maps, skeleton: Skeleton, zoom: float, sigma: float) -> None:
    """Draw a dot, in place, at each peak."""
    points, _, bounds, *_ = find_peaks(heatmaps, skeleton.num_joints, np.float32(LEAST), sigma / STRIDE)
    for joint, name in enumerate(skeleton.joints):
        for x, y in points[bounds[joint] : bounds[joint + 1]]:
            at = [round(float((value + 0.5) * STRIDE * zoom - 0.5)) for value in (x, y)]
            cv2.circle(canvas, at, 5, EDGE, -1, cv2.LINE_AA)
            cv2.circle(canvas, at, 4, limb_colour(name, name), -1, cv2.LINE_AA)
            cv2.circle(canvas, at, 2, WHITE, -1, cv2.LINE_AA)


def _add_caption(tile: Image, image_id: int) -> Image:
    """Write the photo's number below the tile."""
    strip = np.full((STRIP, tile.shape[1], 3), PAPER, np.uint8)
    cv2.putText(strip, f"photo {image_id}", (2, STRIP - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    return np.concatenate([tile, strip])
