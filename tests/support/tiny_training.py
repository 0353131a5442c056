"""A training so small that it takes seconds: sixteen fixed pictures, a network an eighth as wide."""

from dataclasses import dataclass

import cv2
import numpy as np

from bodyposenet.common.data.loading.batches import Sample
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.train import TrainSpec

JOINTS = 18
POSE = np.array(
    [(32, 10), (32, 18), (25, 18), (21, 27), (19, 36), (39, 18), (43, 27), (45, 36), (28, 36),
     (27, 46), (26, 55), (36, 36), (37, 46), (38, 55), (30, 8), (34, 8), (28, 10), (36, 10)], float
)  # fmt: skip
SMALL = {"architecture": "helnet", "nlayers": 6, "mtype": "s8_3rdblock"}  # the backbone with the fewest layers
VGG = {"width_multiplier": 0.125, "bn_momentum": 0.9}
SOFT_START = {"__class_name__": "SoftstartAnnealingLearningRateSchedule", "base_learning_rate": 2e-4,
              "min_learning_rate": 2e-5, "soft_start": 0.1, "annealing": 0.6}  # fmt: skip
MOMENTUM = {"__class_name__": "WeightedMomentumOptimizer", "learning_rate_schedule": SOFT_START}
ADAM = {"__class_name__": "AdamW", "weight_decay": 1e-3,
        "learning_rate_schedule": SOFT_START | {"base_learning_rate": 3e-3}}  # fmt: skip


@dataclass(frozen=True)
class Dots:
    """A source of pictures of one person in the middle, a coloured dot for each joint.

    Attributes:
        fails_at: Epoch from which on nothing can be read.
        poison: Sample whose mask is not a number.
    """

    count: int = 16
    fails_at: int = 1_000_000
    poison: int = -1
    size: tuple = (64, 64)

    def __len__(self):
        return self.count

    def sample(self, index, epoch):
        if epoch >= self.fails_at:
            raise OSError("the disk is gone")
        rng = np.random.default_rng([index, epoch % 2])
        joints = POSE[None] + rng.uniform(-4, 4, 2) + rng.uniform(-1, 1, (1, JOINTS, 2))
        image = np.full((*self.size, 3), 90, np.uint8)
        for number, (x, y) in enumerate(joints[0]):
            colour = (10 * number, 255 - 10 * number, 120 + 7 * number)
            cv2.circle(image, (round(x), round(y)), 3, colour, -1)
        mask = np.ones((self.size[0] // 8, self.size[1] // 8), np.float32)
        mask *= np.nan if index == self.poison else 1
        return Sample(image, mask, joints, np.ones((1, JOINTS), bool), image_id=1000 + index)


def vgg_spec(**changes):
    """The same with TAO's backbone, whose layers have other names."""
    return tiny_spec(model={"backbone_attributes": VGG} | changes.pop("model", {}), **changes)


def tiny_spec(**changes):
    """A train spec for :class:`Dots`; ``model`` and ``loss`` are merged with the defaults."""
    model = {
        "stages": 2,
        "stage1_kernel_sizes": [3, 3],
        "stageT_kernel_sizes": [3, 3],
        "backbone_attributes": SMALL | VGG,
        "kernel_initializer": "he_normal",
    } | changes.pop("model", {})
    data = {
        "num_epoch": 2,
        "random_seed": 7,
        "dataloader": {
            "batch_size": 4,
            "image_config": {"image_dims": {"height": 64, "width": 64}},
            "pose_config": {"target_shape": [8, 8]},
            "dataset_config": {"train_records_folder_path": "nowhere", "train_records_path": ["none"]},
        },
        "model": model,
        "optimizer": ADAM,
        "loss": {"normalize_cells": True},
    }
    return parse_spec(data | changes, TrainSpec)
