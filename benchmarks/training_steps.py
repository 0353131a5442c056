"""Steps: what a whole training step costs, over the same step without its input, and over plain Keras."""

import gc
import os
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from bodyposenet.common.data.loading.batches import AHEAD, SampleSource, TargetDrawing, TrainingBatch, epoch_batches
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.training.optimizer import make_optimizer
from bodyposenet.common.model.training.step import Step, make_step
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.train import Loss, ModelSpec, WeightedMomentumOptimizer

RATE = 1e-6
STEPS = 4  # timed together
ROUNDS = 15
WIDTH, STAGES = 0.125, 3
MOMENTUM = {
    "learning_rate_schedule": {
        "__class_name__": "SoftstartAnnealingLearningRateSchedule",
        "base_learning_rate": RATE,
        "min_learning_rate": RATE,
        "soft_start": 0.1,
        "annealing": 0.5,
    }
}
ROWS = {
    "step_overhead": (
        "a training step with its input, over one on a batch in memory; width 1/8, 256 x 256, batch 10",
        "≤ 1.20",
    ),
    "step_vs_keras": (
        "a step, over one of Keras with SGD, by fit or train_on_batch; width 1/8, batches in memory",
        "≤ 1.10",
    ),
}


def steps(source: SampleSource, drawing: TargetDrawing, batch_size: int) -> dict[str, float]:
    """All of ``ROWS``.

    Args:
        source: Samples of at least ``2 * (STEPS + AHEAD)`` batches.
        drawing: How they become batches.
        batch_size: Samples a batch.
    """
    step = new_step(drawing)
    held = list(first(epoch_batches(source, drawing, batch_size=batch_size, seed=0, epoch=0), STEPS))
    return {"step_overhead": overhead(step, held, source, drawing), "step_vs_keras": over_keras(step, held, drawing)}


def overhead(step: Step, held: list[TrainingBatch], source: SampleSource, drawing: TargetDrawing) -> float:
    """Median of the ratios of whole steps to steps on batches in memory, taken in turn."""
    ratios = []
    for number in range(ROUNDS + 1):  # the first compiles
        whole = whole_step(step, source, drawing, len(held[0].images), number)
        ratios.append(whole / seconds_a_step(lambda: take(step, held)))
    return median(ratios[1:])


def whole_step(step: Step, source: SampleSource, drawing: TargetDrawing, batch_size: int, epoch: int) -> float:
    """Seconds of a step with its input, once the batches made ahead are used up."""
    batches = epoch_batches(source, drawing, batch_size=batch_size, seed=0, epoch=epoch, threads=os.cpu_count() or 1)
    try:
        take(step, first(batches, AHEAD + 2))
        return seconds_a_step(lambda: take(step, first(batches, STEPS)))
    finally:
        batches.close()  # type: ignore[attr-defined]


def over_keras(step: Step, held: list[TrainingBatch], drawing: TargetDrawing) -> float:
    """Median of the ratios of steps to Keras' own, by the faster of its two ways, taken in turn."""
    model, data = keras_model(drawing), [keras_batch(batch) for batch in held]
    whole = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *data)
    size = len(held[0].images)
    ratios = []
    for _ in range(ROUNDS + 1):
        ours = seconds_a_step(lambda: take(step, held))
        theirs = (
            seconds_a_step(lambda: model.fit(*whole, batch_size=size, epochs=1, verbose=0, shuffle=False)),
            seconds_a_step(lambda: [model.train_on_batch(*batch) for batch in data]),
        )
        ratios.append(ours / min(theirs))
    return median(ratios[1:])


def keras_batch(batch: TrainingBatch) -> tuple[Any, Any]:
    """Input and targets of every stage, as Keras takes them."""
    return batch.images, (*[batch.heatmaps] * STAGES, *[batch.pafs] * STAGES)


def new_step(drawing: TargetDrawing) -> Step:
    """Our step on a network of random weights."""
    model = network(drawing)
    spec = parse_spec(MOMENTUM, WeightedMomentumOptimizer)
    return make_step(model, make_optimizer(spec, model, stagewise=True), Loss())


def keras_model(drawing: TargetDrawing) -> Any:
    """The same network, compiled as Keras does it; XLA, which is slower here, is left out."""
    model = network(drawing)
    model.compile(optimizer=keras.optimizers.SGD(RATE, momentum=0.9), loss="mse", jit_compile=False)
    return model


def network(drawing: TargetDrawing) -> Any:
    """The default network of three stages, an eighth as wide."""
    spec = parse_spec({"stages": STAGES, "backbone_attributes": {"width_multiplier": WIDTH}}, ModelSpec)
    return build_model(spec, drawing.skeleton)


def take(step: Step, batches: Any) -> None:
    """Train on batches, as a training does: what a step found is read when the next is under way."""
    late = None
    for batch in batches:
        before, late = late, step(batch, RATE)
        if before:
            before.read()
    if late:
        late.read()


def first(batches: Iterator[TrainingBatch], number: int) -> Iterator[TrainingBatch]:
    """So many batches; the rest stays."""
    for _ in range(number):
        yield next(batches)


def seconds_a_step(run: Callable[[], Any]) -> float:
    """Seconds of one of ``STEPS`` steps."""
    gc.collect()
    begin = time.perf_counter()
    run()
    return (time.perf_counter() - begin) / STEPS
