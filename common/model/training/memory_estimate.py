"""Memory estimate: what a training will need, told from the shapes of its network without running it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from bodyposenet.common.data.loading.batches import AHEAD
from bodyposenet.common.model.network.dtype_policy import is_mixed
from bodyposenet.common.model.network.teacher import Teacher
from bodyposenet.common.model.training.plan import Plan

RUNTIME = 0.9e9  # bytes: TensorFlow and the libraries beside it, with one network compiled, before any picture
NUMBER = 4  # bytes of a float32
HALF = 2  # bytes of a bfloat16 or a float16
FREED = (keras.layers.BatchNormalization, keras.layers.InputLayer)  # their outputs are not kept for the way back


@dataclass(frozen=True)
class Memory:
    """Bytes, by what takes them.

    Attributes:
        maps: Outputs of the layers that the way back needs, for all pictures of a batch on one device.
        weights: Weights, their gradients and the optimizer's state.
        batches: Those made ahead, with the one that is trained on.
        runtime: TensorFlow itself.
        teacher: Weights of a teacher, and its maps of a batch on their way, of which none is kept.
    """

    maps: float
    weights: float
    batches: float
    runtime: float = RUNTIME
    teacher: float = 0.0

    @property
    def total(self) -> float:
        """All of it: what a process on a CPU needs."""
        return self.device + self.batches + self.runtime

    @property
    def device(self) -> float:
        """What lies on the GPU, where there is one."""
        return self.maps + self.weights + self.teacher


def estimate(plan: Plan, model: Any, optimizer: Any, teacher: Teacher | None = None) -> Memory:
    """What a training needs.

    Measured against processes on a CPU, the total is right to a third; cuDNN's workspace on a GPU comes on top.

    Args:
        plan: The training.
        model: Its network, in the precision that it is trained in.
        optimizer: Its optimizer, built.
        teacher: Its teacher.
    """
    spec, (height, width) = plan.spec, plan.card.input_size
    number = HALF if is_mixed(model) else NUMBER
    skeleton = plan.skeleton
    picture = height * width * 3 + height * width / plan.card.stride**2 * (
        skeleton.num_joints + 1 + 2 * skeleton.num_limbs + 1
    )
    state = sum(math.prod(variable.shape) for variable in optimizer.variables)
    return Memory(
        maps=count_kept_outputs(model, (height, width)) * spec.dataloader.batch_size * number,
        weights=(2 * model.count_params() + state) * NUMBER,
        batches=picture * plan.batch_size * (AHEAD + 2) * NUMBER,
        teacher=_teacher_bytes(teacher.model, (height, width), spec.dataloader.batch_size) if teacher else 0.0,
    )


def _teacher_bytes(model: Any, size: tuple[int, int], batch: int) -> float:
    """Bytes of a network that only draws: its weights, and the two largest outputs, one made of the other."""
    number = HALF if is_mixed(model) else NUMBER
    largest = sorted(list_outputs(model, size))[-2:]
    return float(model.count_params() * NUMBER + sum(largest) * batch * number)


def count_kept_outputs(model: Any, size: tuple[int, int]) -> int:
    """Numbers that the way back needs of one picture of ``size`` (height, width)."""
    return sum(list_outputs(model, size))


def list_outputs(model: Any, size: tuple[int, int]) -> list[int]:
    """Numbers in each layer's output that is held in memory, of one picture of ``size`` (height, width)."""
    kept: list[int] = []

    def count(operation: Any) -> Callable[..., Any]:
        def shapes(*args: Any, **kwargs: Any) -> Any:
            made = operation.compute_output_spec(*args, **kwargs)
            if not isinstance(operation, FREED):
                kept.extend(math.prod(tensor.shape[1:]) for tensor in keras.tree.flatten(made))
            return made

        return shapes

    picture = keras.KerasTensor((1, *size, 3), dtype="float32")
    model._run_through_graph([picture], operation_fn=count)
    return kept
