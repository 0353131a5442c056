"""Targets once more, slowly and in plain NumPy: what the compiled ones are held against."""

import numpy as np


def cell_centres(size, stride):
    """``(H, W)`` x and y of the cell centres, in input pixels."""
    rows, columns = size
    return np.meshgrid(np.arange(columns) * stride + (stride - 1) / 2, np.arange(rows) * stride + (stride - 1) / 2)


def gaussians(joints, visible, *, size, stride, sigma):
    """``(N, K, H, W)`` peaks before the cut-off; 0 where nothing is drawn."""
    x, y = cell_centres(size, stride)
    peaks = np.zeros((*joints.shape[:2], *size))
    for person, joint in np.ndindex(joints.shape[:2]):
        if visible[person, joint] and np.isfinite(joints[person, joint]).all():
            joint_x, joint_y = joints[person, joint].astype(float)
            peaks[person, joint] = np.exp(-((x - joint_x) ** 2 + (y - joint_y) ** 2) / (2 * sigma**2))
    return peaks


def heatmaps(joints, visible, **options):
    """``(H, W, K + 1)`` targets and ``(H, W, K + 1)`` bool: cells whose value is too near the cut-off to tell."""
    peaks = gaussians(joints, visible, **options)
    near = (np.abs(peaks - 0.001) < 1e-5).any(axis=0)
    maps = np.where(peaks >= 0.001, peaks, 0).max(axis=0, initial=0)
    maps = np.concatenate([maps, 1 - maps.max(axis=0, keepdims=True)])
    near = np.concatenate([near, near.any(axis=0, keepdims=True)])
    return np.moveaxis(maps, 0, -1), np.moveaxis(near, 0, -1)


def distances(start, end, *, size, stride):
    """``(H, W)`` of every cell centre from the segment, in input pixels."""
    centres = np.stack(cell_centres(size, stride), axis=-1)
    along = end - start
    share = np.clip(((centres - start) @ along) / (along @ along), 0, 1)
    return np.linalg.norm(centres - (start + share[..., None] * along), axis=-1)


def pafs(joints, visible, limbs, *, size, stride, paf_width):
    """``(H, W, 2 L)`` targets and ``(H, W, 2 L)`` bool: cells too near the edge of a band to tell."""
    fields = np.zeros((*size, len(limbs), 2))
    near = np.zeros((*size, len(limbs), 2), bool)
    for number, (a, b) in enumerate(limbs):
        total, count = np.zeros((*size, 2)), np.zeros(size)
        for person in range(len(joints)):
            start, end = joints[person, a].astype(float), joints[person, b].astype(float)
            drawn = visible[person, a] and visible[person, b] and np.isfinite([start, end]).all()
            if not drawn or (start == end).all():
                continue
            away = distances(start, end, size=size, stride=stride)
            inside = away <= paf_width * stride
            total[inside] += (end - start) / np.linalg.norm(end - start)
            count += inside
            near[:, :, number] |= (np.abs(away - paf_width * stride) < 1e-3)[..., None]
        fields[:, :, number] = total / np.maximum(count, 1)[..., None]
    return fields.reshape(*size, -1), near.reshape(*size, -1)
