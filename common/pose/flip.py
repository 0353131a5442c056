"""Flip: maps of a mirrored picture, brought back to the picture's own left and right."""

import numpy as np

from bodyposenet.common.skeleton.skeleton import Skeleton


def mirror_maps(heatmaps: np.ndarray, pafs: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Turn the maps of a picture into those of the mirrored picture, and back.

    Columns are reversed, which is exact, since cell centres are symmetric in a picture of whole cells; left joints and
    limbs change places with right ones; fields point the other way along x.

    Args:
        heatmaps: ``(H, W, K + 1)`` or ``(H, W, K)``.
        pafs: ``(H, W, 2 L)``; limbs whose mirror image is no limb of the skeleton come out as NaN.
        skeleton: Names the channels.
    """
    order = [*skeleton.flip_order, *range(skeleton.num_joints, heatmaps.shape[2])]
    fields = np.full((*pafs.shape[:2], skeleton.num_limbs, 2), np.nan, np.float32)
    given = pafs[:, ::-1].reshape(fields.shape)
    for limb, (start, end) in enumerate(skeleton.limbs):
        pair = int(skeleton.flip_order[start]), int(skeleton.flip_order[end])
        if pair in skeleton.limbs:
            fields[:, :, limb] = given[:, :, skeleton.limbs.index(pair)] * np.array([-1, 1], np.float32)
        elif pair[::-1] in skeleton.limbs:  # runs the other way
            fields[:, :, limb] = given[:, :, skeleton.limbs.index(pair[::-1])] * np.array([1, -1], np.float32)
    return heatmaps[:, ::-1][..., order], fields.reshape(pafs.shape)
