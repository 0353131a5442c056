"""Dry run: what a training would be, without training."""

from pathlib import Path
from typing import Any

from bodyposenet.common.model.training.initial_network import starting_network, starting_precision
from bodyposenet.common.model.training.memory_estimate import Memory, estimate
from bodyposenet.common.model.training.optimizer import make_optimizer
from bodyposenet.common.model.training.plan import Plan
from bodyposenet.common.model.training.precision import FLOAT32
from bodyposenet.common.spec.base import dump_yaml

GIGA = 1e9


def describe(plan: Plan, results_dir: Path | None = None) -> str:
    """The resolved spec, and as its last lines, comments of YAML, samples, steps, parameters, precision and memory.

    The network is built, with the weights it starts from, so that weights that do not fit are told here, too.

    Args:
        plan: The training.
        results_dir: Where checkpoints may be that it would go on from.

    Raises:
        UserError: They do not.
    """
    choice = starting_precision(plan, results_dir)
    model, memory = build(plan, choice.policy)
    photos = 0 if plan.validation is None else sum(len(shard) for shard in plan.validation.shards)
    held_out = f", {photos:,} photos held out for validation" if photos else ", no validation"
    epochs = plan.epochs - plan.first
    lines = [
        f"samples: {len(plan.source):,}{held_out}",
        f"steps: {plan.steps:,} an epoch of {plan.batch_size} samples each, {epochs} epochs: {plan.steps * epochs:,}",
        f"parameters: {model.count_params():,}",
        f"precision: {choice}",
        memory_text(memory),
    ]
    return dump_yaml(plan.spec) + "".join(f"# {line}\n" for line in lines)


def build(plan: Plan, policy: str = FLOAT32) -> tuple[Any, Memory]:
    """The network as training starts with it, and the memory that its training will need."""
    spec = plan.spec
    model = starting_network(spec, plan.skeleton, policy=policy)
    optimizer = make_optimizer(spec.optimizer, model, stagewise=spec.use_stagewise_lr_multipliers)
    optimizer.build(model.trainable_variables)
    return model, estimate(plan, model, optimizer)


def memory_text(memory: Memory) -> str:
    """An estimate in a line."""
    parts = {
        "TensorFlow itself": memory.runtime,
        "maps of a batch": memory.maps,
        "batches made ahead": memory.batches,
        "weights, gradients and the optimizer's state": memory.weights,
    }
    told = ", ".join(f"{name} {size / GIGA:.2f}" for name, size in parts.items())
    return f"memory: about {memory.total / GIGA:.2f} GB ({told}); on a GPU {memory.device / GIGA:.2f} of it"
