"""Teacher: a larger network whose maps a smaller one learns beside the labels.

Distillation is after Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015): what a trained
network says of a picture tells more than its labels. For heatmaps it is that of Zhang, Zhu and Ye, "Fast Human Pose
Estimation" (CVPR 2019, equations 3 to 5): every stage of the student is held to the teacher's last maps by the same
squared error that holds it to the labels, and both are mixed, ``(1 - w) task + w distillation``.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.skeleton.card import Card

log = logging.getLogger(__name__)

KEY = "distillation.teacher"
OTHER_TEACHER = "give a teacher that draws the same, or train one first with this spec's pose config"


@dataclass(frozen=True)
class Teacher:
    """A network that is asked and does not learn.

    Attributes:
        model: The network, in the precision that the student trains in.
        scale: ``(3,)`` float32: the teacher's input is the student's times this, plus ``offset``.
        offset: ``(3,)`` float32.
    """

    model: Any
    scale: np.ndarray
    offset: np.ndarray

    def draw(self, images: Any) -> tuple[Any, Any]:
        """Draw the last stage's maps of a batch: no dropout, batch norms by their moving statistics, no gradient.

        Args:
            images: ``(B, H, W, 3)`` float32, normalised as the student takes them.

        Returns:
            Heatmaps ``(B, H/8, W/8, K + 1)`` and part affinity fields ``(B, H/8, W/8, 2 L)``, float32.
        """
        import tensorflow as tf

        same = (self.scale == 1).all() and (self.offset == 0).all()
        maps = self.model(images if same else images * self.scale + self.offset, training=False)
        return tf.stop_gradient(maps[len(maps) // 2 - 1]), tf.stop_gradient(maps[-1])

    def cost(self, size: tuple[int, int]) -> str:
        """Tell its parameters and what a picture of ``size`` (height, width) costs, in words."""
        from bodyposenet.common.model.network.flops import flops

        return f"{self.model.count_params():,} parameters, {flops(self.model, size) / 1e9:.3g} GFLOPs a picture"


def load_teacher(name: str, student: Card, *, policy: str) -> Teacher:
    """Read a teacher for a student.

    Args:
        name: A model file, or ``pretrained:NAME``.
        student: How the student is fed and read.
        policy: Keras' dtype policy that the student trains in. The teacher computes in it, too: its maps come out
            rounded by less than they are off the labels, and where 16 bits pay at all they pay twice.

    Raises:
        UserError: It cannot be read, or draws something else than the student is to learn.
    """
    from bodyposenet.common.model.network.dtype_policy import convert_policy

    path = weights_path(name, where=KEY)
    model, card = load_model(path)
    require_likeness(card, student, path)
    fixed = tuple(model.input_shape[1:3])
    if any(side not in (None, wanted) for side, wanted in zip(fixed, student.input_size, strict=True)):
        raise UserError(
            f"this teacher takes pictures of {_size(fixed)} only, the spec's are {_size(student.input_size)}",
            where=str(path),
            fix="set image_dims to that, or give another teacher",
        )
    model = convert_policy(model, policy, regularized=False)
    model.trainable = False
    return Teacher(model, *convert_input(student, card))


def require_likeness(teacher: Card, student: Card, path: Path) -> None:
    """Refuse a teacher whose maps mean something else than the student's.

    Args:
        teacher: Its card.
        student: The card of the network that is to be trained.
        path: The teacher's file.

    Raises:
        UserError: Joints, limbs or strides differ; names of skeletons do not count.
    """
    ours, theirs = student.skeleton, teacher.skeleton
    if theirs.joints != ours.joints or theirs.limbs != ours.limbs:
        raise UserError(
            f"this teacher draws skeleton {theirs.name!r} of {theirs.num_joints} joints and {theirs.num_limbs} limbs, "
            f"the spec names {ours.name!r} of {ours.num_joints} and {ours.num_limbs}, and they must be the same ones",
            where=str(path),
            fix=OTHER_TEACHER,
        )
    if teacher.stride != student.stride:
        raise UserError(
            f"this teacher draws maps of stride {teacher.stride}, the spec of stride {student.stride}",
            where=str(path),
            fix=OTHER_TEACHER,
        )
    if teacher.sigma != student.sigma:
        log.warning("%s: this teacher draws peaks of sigma %g, the labels %g", path, teacher.sigma, student.sigma)


def convert_input(student: Card, teacher: Card) -> tuple[np.ndarray, np.ndarray]:
    """Compute scale and offset, ``(3,)`` float32, that turn a student's normalised input into a teacher's.

    With RGB = (x + o) s for the student, the teacher's ``RGB / s' - o'`` is ``x s / s' + (o s / s' - o')``.
    """
    s, o = np.asarray(student.image_scale), np.asarray(student.image_offset)
    theirs = np.asarray(teacher.image_scale), np.asarray(teacher.image_offset)
    scale = s / theirs[0]
    return scale.astype(np.float32), (o * scale - theirs[1]).astype(np.float32)


def _size(sides: Any) -> str:
    return "x".join("any" if side is None else str(side) for side in sides)
