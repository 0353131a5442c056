"""Dry run: what a training would be, and the memory that it would need, told without training."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from bodyposenet.common.data.loading.batches import AHEAD
from bodyposenet.common.model.network.dtype_policy import is_mixed
from bodyposenet.common.model.network.flops import flops
from bodyposenet.common.model.network.teacher import Teacher
from bodyposenet.common.model.training.initial_network import starting_network, starting_precision, starting_teacher
from bodyposenet.common.model.training.optimizer import make_optimizer
from bodyposenet.common.model.training.plan import Plan
from bodyposenet.common.model.training.precision import FLOAT32
from bodyposenet.common.spec.base import dump_yaml

GIGA = 1e9
BACK = 3  # times the FLOPs of a network's way there that a step of its training takes
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
        photos: Kept as they were decoded, if the spec gives memory for that; fewer photos take less.
    """

    maps: float
    weights: float
    batches: float
    runtime: float = RUNTIME
    teacher: float = 0.0
    photos: float = 0.0

    @property
    def total(self) -> float:
        """All of it: what a process on a CPU needs."""
        return self.device + self.batches + self.runtime + self.photos

    @property
    def device(self) -> float:
        """What lies on the GPU, where there is one."""
        return self.maps + self.weights + self.teacher


def describe(plan: Plan, results_dir: Path | None = None) -> tuple[str, dict[str, Any]]:
    """The resolved spec, and as its last lines, comments of YAML, samples, steps, parameters, precision and memory.

    The network is built, with the weights it starts from, and its teacher read, so that weights or a teacher that do
    not fit are told here, too.

    Args:
        plan: The training.
        results_dir: Where checkpoints may be that it would go on from.

    Returns:
        The text, and the numbers in those lines by name.

    Raises:
        UserError: They do not.
    """
    choice = starting_precision(plan, results_dir)
    teacher = starting_teacher(plan, choice.policy)
    model, memory = build(plan, choice.policy, teacher)
    photos = 0 if plan.validation is None else sum(len(shard) for shard in plan.validation.shards)
    negatives = int(getattr(plan.source, "negatives", 0))
    shown = f", {negatives:,} of them of nobody" if negatives else ""
    held_out = f", {photos:,} photos held out for validation" if photos else ", no validation"
    epochs = plan.epochs - plan.first
    lines = [
        f"samples: {len(plan.source):,}{shown}{held_out}",
        f"steps: {plan.steps:,} an epoch of {plan.batch_size} samples each, {epochs} epochs: {plan.steps * epochs:,}",
        f"parameters: {model.count_params():,}",
        f"precision: {choice}",
        *([teacher_text(plan, model, teacher)] if teacher else []),
        memory_text(memory),
    ]
    numbers = {
        "samples": len(plan.source), "negatives": negatives, "validation_photos": photos, "steps_an_epoch": plan.steps,
        "batch_size": plan.batch_size, "epochs": epochs, "steps": plan.steps * epochs,
        "parameters": model.count_params(), "precision": choice.name, "memory_bytes": memory.total,
        "device_memory_bytes": memory.device,
    }  # fmt: skip
    return dump_yaml(plan.spec) + "".join(f"# {line}\n" for line in lines), numbers


def build(plan: Plan, policy: str = FLOAT32, teacher: Teacher | None = None) -> tuple[Any, Memory]:
    """The network as training starts with it, and the memory that its training will need, that of a teacher too."""
    spec = plan.spec
    model = starting_network(spec, plan.skeleton, policy=policy)
    optimizer = make_optimizer(spec.optimizer, model, stagewise=spec.use_stagewise_lr_multipliers)
    optimizer.build(model.trainable_variables)
    return model, estimate(plan, model, optimizer, teacher)


def teacher_text(plan: Plan, model: Any, teacher: Teacher) -> str:
    """What a teacher adds to a training, in a line; a step of the student is its way there and twice that back."""
    size = plan.card.input_size
    own, its = (flops(network, size) for network in (model, teacher.model))
    return f"teacher: {teacher.cost(size)}, beside {BACK * own / GIGA:.3g} of a step: {its / (BACK * own):+.0%}"


def memory_text(memory: Memory) -> str:
    """An estimate in a line."""
    parts = {
        "TensorFlow itself": memory.runtime,
        "maps of a batch": memory.maps,
        "batches made ahead": memory.batches,
        "weights, gradients and the optimizer's state": memory.weights,
    }
    more = {"the teacher": memory.teacher, "photos that are kept": memory.photos}
    parts |= {name: size for name, size in more.items() if size}
    told = ", ".join(f"{name} {size / GIGA:.2f}" for name, size in parts.items())
    return f"memory: about {memory.total / GIGA:.2f} GB ({told}); on a GPU {memory.device / GIGA:.2f} of it"


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
        photos=spec.dataloader.cache_bytes,
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
