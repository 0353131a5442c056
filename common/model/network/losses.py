"""Losses: how far the maps of every stage are from the targets.

Masked L2 over all stages: Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (CVPR 2017,
equation 5), with the factor of one half and the squared soft mask of TAO's ``losses/bpnet_loss.py``. The focal option
is after Lin et al., "Focal Loss for Dense Object Detection" (ICCV 2017), carried over to L2 as in Li et al., "Simple
Pose" (AAAI 2020).
"""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from bodyposenet.common.spec.train import FocalLossParams, Loss

LEAST_DISTANCE = 1e-6  # of a score from 1 in the focal factor: powers below 1 have no slope at 0


@dataclass(frozen=True)
class StageLosses:
    """Scalar float32 tensors: the sum that training minimises, and its parts, stage 1 first."""

    total: Any
    heatmaps: tuple[Any, ...]
    pafs: tuple[Any, ...]


def pose_loss(outputs: list[Any], heatmaps: Any, pafs: Any, mask: Any, spec: Loss) -> StageLosses:
    """Half the masked squared error, summed over cells, channels and stages, averaged over the batch.

    Args:
        outputs: T heatmaps ``(B, H, W, K + 1)``, then T part affinity fields ``(B, H, W, 2 L)``, float32.
        heatmaps: Targets, ``(B, H, W, K + 1)``: labels, or a teacher's maps.
        pafs: Targets, ``(B, H, W, 2 L)``.
        mask: ``(B, H, W, 1)`` in [0, 1]; it multiplies the error before it is squared; or 1, which counts all cells.
        spec: ``joint_weight`` adds that many times the target to the weight of a heatmap cell, ``paf_weight`` scales
            the fields' part, ``normalize_cells`` divides the sum over cells by their number, ``focal_loss_params``
            makes cells that are nearly right count less.

    Returns:
        The losses; regularisation is not in them.
    """
    stages = len(outputs) // 2
    batch = tf.cast(tf.shape(heatmaps)[0], tf.float32)
    cells = tf.cast(tf.shape(heatmaps)[1] * tf.shape(heatmaps)[2], tf.float32) if spec.normalize_cells else 1.0
    peaks = tf.nn.relu(heatmaps[..., :-1])  # a teacher's maps may be below 0
    weight = 1.0 + spec.joint_weight * tf.concat([peaks, tf.zeros_like(heatmaps[..., -1:])], axis=-1)
    focal = spec.focal_loss_params if spec.focal_loss_params and spec.focal_loss_params.use_focal_loss else None

    def cost(predicted: Any, target: Any, weight: Any) -> Any:
        factor = focal_factor(predicted, target, focal) if focal else 1.0
        return 0.5 * tf.reduce_sum(weight * tf.square((predicted - target) * mask * factor)) / (batch * cells)

    heat = tuple(cost(out, heatmaps, weight) for out in outputs[:stages])
    paf = tuple(spec.paf_weight * cost(out, pafs, 1.0) for out in outputs[stages:])
    return StageLosses(tf.add_n([*heat, *paf]), heat, paf)


def focal_factor(predicted: Any, target: Any, focal: FocalLossParams) -> Any:
    """How much each cell's error counts, before it is squared: ``|1 - s| ** gamma`` with s the cell's score.

    Args:
        predicted: Maps, ``(B, H, W, C)``.
        target: Labels; those above ``bkg_thresh`` are foreground, a field's negative ones background.
        focal: The score is ``predicted - alpha`` on the foreground and ``1 - predicted - beta`` elsewhere.

    Returns:
        ``(B, H, W, C)``; its gradient is finite everywhere.
    """
    score = tf.where(target > focal.bkg_thresh, predicted - focal.alpha, 1.0 - predicted - focal.beta)
    return tf.maximum(tf.abs(1.0 - score), LEAST_DISTANCE) ** focal.gamma
