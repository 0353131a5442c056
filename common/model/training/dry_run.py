"""Dry run: what a training would be, without training."""

from pathlib import Path
from typing import Any

from bodyposenet.common.model.network.flops import flops
from bodyposenet.common.model.network.teacher import Teacher
from bodyposenet.common.model.training.initial_network import starting_network, starting_precision, starting_teacher
from bodyposenet.common.model.training.memory_estimate import Memory, estimate
from bodyposenet.common.model.training.optimizer import make_optimizer
from bodyposenet.common.model.training.plan import Plan
from bodyposenet.common.model.training.precision import FLOAT32
from bodyposenet.common.spec.base import dump_yaml

GIGA = 1e9
BACK = 3  # times the FLOPs of a network's way there that a step of its training takes


def describe(plan: Plan, results_dir: Path | None = None) -> str:
    """The resolved spec, and as its last lines, comments of YAML, samples, steps, parameters, precision and memory.

    The network is built, with the weights it starts from, and its teacher read, so that weights or a teacher that do
    not fit are told here, too.

    Args:
        plan: The training.
        results_dir: Where checkpoints may be that it would go on from.

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
    return dump_yaml(plan.spec) + "".join(f"# {line}\n" for line in lines)


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
    } | ({"the teacher": memory.teacher} if memory.teacher else {})
    told = ", ".join(f"{name} {size / GIGA:.2f}" for name, size in parts.items())
    return f"memory: about {memory.total / GIGA:.2f} GB ({told}); on a GPU {memory.device / GIGA:.2f} of it"
