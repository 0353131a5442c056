"""Upsampled: decoding as TAO and its models' callers do it, for comparison only.

Maps are enlarged by bicubic interpolation, peaks are pixels of the enlarged maps, limbs are joined kind by kind, and
people need four parts.
"""

import cv2
import numpy as np

from bodyposenet.common.pose import People
from bodyposenet.common.skeleton.skeleton import Skeleton

FACTOR = 4
SAMPLES, NEEDED = 10, 9
LEAST_PARTS = 4


def decode_upsampled(heatmaps: np.ndarray, pafs: np.ndarray, skeleton: Skeleton, stride: int = 8) -> People:
    """People of ``(H, W, C)`` maps, x and y in input pixels."""
    both = np.concatenate([heatmaps[..., : skeleton.num_joints], pafs], axis=-1)
    side = (both.shape[1] * FACTOR, both.shape[0] * FACTOR)
    large = cv2.resize(both, side, interpolation=cv2.INTER_CUBIC)
    fields = large[..., skeleton.num_joints :]
    peaks = [_peaks(large[..., joint]) for joint in range(skeleton.num_joints)]
    people: list[dict[int, int]] = []
    scores: list[float] = []
    for limb, (start, end) in enumerate(skeleton.limbs):
        for score, i, j in _pairs(peaks[start], peaks[end], fields[..., 2 * limb : 2 * limb + 2]):
            _join(people, scores, {start: i, end: j}, score)
    kept = sorted(
        (n for n, joints in enumerate(people) if len(joints) >= LEAST_PARTS), key=lambda n: scores[n], reverse=True
    )
    keypoints = np.zeros((len(kept), skeleton.num_joints, 3), np.float32)
    for row, person in enumerate(kept):
        for joint, peak in people[person].items():
            x, y, value = peaks[joint][peak]
            place = (np.array([x, y]) + 0.5) * stride / FACTOR - 0.5
            keypoints[row, joint] = (*place, min(value, 1))
    totals = np.array([scores[person] for person in kept], np.float32)
    return People(keypoints, totals / (1 + totals))


def _peaks(heatmap: np.ndarray) -> np.ndarray:
    """``(P, 3)`` x, y, value."""
    top = (heatmap > 0.1) & (heatmap == cv2.dilate(heatmap, np.ones((5, 5), np.uint8)))
    rows, columns = np.nonzero(top)
    return np.stack([columns, rows, heatmap[rows, columns]], axis=1)


def _pairs(starts: np.ndarray, ends: np.ndarray, field: np.ndarray) -> list[tuple[float, int, int]]:
    """Score, start and end of the pairs of one limb, best first, each end once."""
    if not (len(starts) and len(ends)):
        return []
    way = ends[None, :, :2] - starts[:, None, :2]
    direction = way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
    share = np.linspace(0, 1, SAMPLES)[:, None, None, None]
    places = np.rint(starts[:, None, :2] + share * way).astype(int)  # (samples, starts, ends, 2)
    along = (field[places[..., 1], places[..., 0]] * direction).sum(axis=-1)
    good = along > 0.05
    means = np.where(good.sum(axis=0) >= NEEDED, (along * good).sum(axis=0) / np.maximum(good.sum(axis=0), 1), 0)
    pairs = []
    while means.max() > 0:
        i, j = map(int, np.unravel_index(means.argmax(), means.shape))
        pairs.append((float(means[i, j]), i, j))
        means[i], means[:, j] = 0, 0
    return pairs


def _join(people: list[dict[int, int]], scores: list[float], ends: dict[int, int], score: float) -> None:
    """Add a limb to the person who owns one of its ends, join two who own one each, or begin a person."""
    owners = [n for n, joints in enumerate(people) if any(joints.get(joint) == peak for joint, peak in ends.items())]
    if len(owners) == 2 and not people[owners[0]].keys() & people[owners[1]].keys():
        people[owners[0]] |= people.pop(owners[1])
        scores[owners[0]] += scores.pop(owners[1]) + score
    elif owners:
        people[owners[0]] |= {joint: peak for joint, peak in ends.items() if joint not in people[owners[0]]}
        scores[owners[0]] += score
    else:
        people.append(dict(ends))
        scores.append(score + 1)
