"""Losses: how far the maps of every stage are from the targets.

Masked L2 over all stages: Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (CVPR 2017,
equation 5), with TAO's factor of one half and its squared soft mask (reference 6.1).
"""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from bodyposenet.common.spec.train import Loss


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
        heatmaps: Targets, ``(B, H, W, K + 1)``.
        pafs: Targets, ``(B, H, W, 2 L)``.
        mask: ``(B, H, W, 1)`` in [0, 1]; it multiplies the error before it is squared.
        spec: ``joint_weight`` adds that many times the target to the weight of a heatmap cell, ``paf_weight`` scales
            the fields' part, ``normalize_cells`` divides the sum over cells by their number.

    Returns:
        The losses; regularisation is not in them.
    """
    stages = len(outputs) // 2
    batch = tf.cast(tf.shape(heatmaps)[0], tf.float32)
    cells = tf.cast(tf.shape(heatmaps)[1] * tf.shape(heatmaps)[2], tf.float32) if spec.normalize_cells else 1.0
    weight = 1.0 + spec.joint_weight * tf.concat([heatmaps[..., :-1], tf.zeros_like(heatmaps[..., -1:])], axis=-1)
    heat = tuple(_half_squared(out, heatmaps, mask, weight) / (batch * cells) for out in outputs[:stages])
    paf = tuple(spec.paf_weight * _half_squared(out, pafs, mask, 1.0) / (batch * cells) for out in outputs[stages:])
    return StageLosses(tf.add_n([*heat, *paf]), heat, paf)


def _half_squared(predicted: Any, target: Any, mask: Any, weight: Any) -> Any:
    return 0.5 * tf.reduce_sum(weight * tf.square((predicted - target) * mask))
