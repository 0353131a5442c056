"""Imitation: a smaller network learns, from pictures without labels, to draw what the whole one draws, at every depth.

Beside the maps, chosen layers in between are held to those that they were cut from, filter by filter: hints, after
Romero et al., "FitNets: Hints for Thin Deep Nets" (ICLR 2015, equation 3), where no regressor is needed, as pruning
keeps filters as they are. Without them a network of 45 layers that has lost half of each barely learns in an hour.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bodyposenet.common.data.loading.batches import SampleSource
from bodyposenet.common.machine.prefetch import keep_ahead
from bodyposenet.common.model.channels.criteria import Indices
from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.model.network.dtype_policy import convert_policy
from bodyposenet.common.model.training.precision import take_precision
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.storage.files import whole_file

log = logging.getLogger(__name__)

STUDENT, STATE, LOG = "student.keras", "state.npz", "log.json"
SMOOTH = 0.95  # of the losses that are told


@dataclass(frozen=True)
class Course:
    """How long and how fast is learnt, and by what.

    Attributes:
        hints: Names of layers that are held to the teacher's.
        steps: In all.
        batch_size: Pictures of a step.
        learning_rate: The greatest; it is reached after a tenth of the steps, and falls to a hundredth as a cosine.
        joint_weight: Heatmap cells weigh one and this times the teacher's value more.
        maps_weight: Of the heatmaps' squared error, summed over channels, over that of a hint.
        paf_weight: The same of the fields, over the heatmaps'.
        hints_until: The share of the steps till which hints fade, in a straight line.
        hints_left: What is left of them from then on.
        averaged: The share of the weights' running mean that a step keeps; 0 takes the weights of the last step.
        every: Steps between checkpoints.
    """

    hints: tuple[str, ...]
    steps: int
    batch_size: int = 8
    learning_rate: float = 1.5e-4
    joint_weight: float = 5.0
    maps_weight: float = 20.0
    paf_weight: float = 1.0
    hints_until: float = 0.6
    hints_left: float = 0.0
    averaged: float = 0.0
    every: int = 200


def imitate(
    student: Path, teacher: Path, kept: Mapping[str, Indices], source: SampleSource, folder: Path, course: Course
) -> Path:
    """Train a pruned network on what the whole one draws; call it again with the same folder, and it goes on.

    Args:
        student: The pruned network, without layers that learn from a batch alone.
        teacher: The network that it was cut from, with the same names of layers.
        kept: For each layer that lost filters, those that stayed.
        source: Pictures; no picture is seen twice.
        folder: Gets ``state.npz``, from which it goes on, at the end ``student.keras``, and ``log.json``: losses.
        course: How.

    Returns:
        The trained network's file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / STUDENT
    if done.is_file():
        return done
    precision = take_precision("auto")
    small, card = load_model(student)
    small, large = (
        convert_policy(model, precision.policy, regularized=False) for model in (small, load_model(teacher)[0])
    )
    optimizer = make_optimizer(course)
    optimizer.build(small.trainable_variables)
    means = [tf.Variable(np.asarray(each)) for each in small.variables] if course.averaged else []
    variables = [*small.variables, *optimizer.variables, *means]
    begun, told = _read_state(folder / STATE, variables)
    step = make_step(small, large, kept, optimizer, course)
    smooth, started = None, time.monotonic()
    for number, pictures in enumerate(read_pictures(source, card, course, begun), begun + 1):
        fade = max(course.hints_left, 1 - (number - 1) / (course.hints_until * course.steps))
        found = np.asarray(step(tf.constant(pictures), tf.constant(fade, tf.float32)))
        smooth = found if smooth is None else SMOOTH * smooth + (1 - SMOOTH) * found
        follow(means, small.variables, min(course.averaged, 1 - 1 / number))
        if number % course.every == 0 or number == course.steps:
            seconds = (time.monotonic() - started) / (number - begun)
            told.append(_entry(number, smooth, course.hints, seconds, precision.name))
            log.info("step %d of %d: %.4f, %.4f, %.2f s a step", number, course.steps, *smooth[:2], seconds)
            _keep_state(folder / STATE, variables, number, told)
    for mean, variable in zip(means, small.variables, strict=False):
        variable.assign(mean)
    with whole_file(folder / LOG) as file:
        file.write(json.dumps(told, indent=1).encode())
    save_model(convert_policy(small, "float32", regularized=False), done, card)
    return done


def make_optimizer(course: Course) -> Any:
    """AdamW, with a warm-up and a cosine (Loshchilov and Hutter, "SGDR", ICLR 2017)."""
    schedule = keras.optimizers.schedules.CosineDecay(
        course.learning_rate / 100, course.steps, alpha=0.01,
        warmup_target=course.learning_rate, warmup_steps=max(1, course.steps // 10),
    )  # fmt: skip
    return keras.optimizers.AdamW(schedule, weight_decay=1e-5, beta_2=0.99)


def make_step(small: Any, large: Any, kept: Mapping[str, Indices], optimizer: Any, course: Course) -> Any:
    """Build the function that learns from a batch, and returns the losses: heatmaps, fields, then the hints."""
    large.trainable = False
    student, teacher = (
        keras.Model(model.inputs, [*model.outputs, *(model.get_layer(name).output for name in course.hints)])
        for model in (small, large)
    )
    variables = small.trainable_variables

    @tf.function(autograph=False)
    def step(pictures: Any, fade: Any) -> Any:
        wanted = [tf.cast(one, tf.float32) for one in teacher(pictures, training=False)]
        with tf.GradientTape() as tape:
            drawn = [tf.cast(one, tf.float32) for one in student(pictures, training=True)]
            maps = measure_maps(drawn[:2], wanted[:2], course)
            hints = [
                measure_hint(own, tf.gather(other, kept[name], axis=-1) if name in kept else other)
                for name, own, other in zip(course.hints, drawn[2:], wanted[2:], strict=True)
            ]
            total = tf.add_n([course.maps_weight * each for each in maps] + [fade * each for each in hints])
        optimizer.apply(tape.gradient(total, variables), variables)
        return tf.stack([*maps, *hints])

    return step


@tf.function(autograph=False)
def _follow(means: Sequence[Any], variables: Sequence[Any], kept: Any) -> None:
    for mean, variable in zip(means, variables, strict=True):
        mean.assign(kept * mean + (1 - kept) * tf.cast(variable, mean.dtype))


def follow(means: Sequence[Any], variables: Sequence[Any], kept: float) -> None:
    """Move running means towards variables, ``kept`` of each left; where there are none, do nothing.

    The mean of the weights of many steps generalises better than those of the last (Izmailov et al., "Averaging Weights
    Leads to Wider Optima and Better Generalization", UAI 2018).
    """
    if means:
        _follow(means, [tf.convert_to_tensor(each) for each in variables], tf.constant(kept, tf.float32))


def measure_maps(drawn: Sequence[Any], wanted: Sequence[Any], course: Course) -> list[Any]:
    """Squared errors of heatmaps and fields, summed over channels, the mean over cells; scalars."""
    peaks = tf.nn.relu(wanted[0][..., :-1])
    weights = 1.0 + course.joint_weight * tf.concat([peaks, tf.zeros_like(wanted[0][..., -1:])], axis=-1)
    heat = tf.reduce_mean(tf.reduce_sum(weights * tf.square(drawn[0] - wanted[0]), axis=-1))
    return [heat, course.paf_weight * tf.reduce_mean(tf.reduce_sum(tf.square(drawn[1] - wanted[1]), axis=-1))]


def measure_hint(drawn: Any, wanted: Any) -> Any:
    """The mean square error of a layer's channels, over their variance; a scalar."""
    spread = tf.reduce_mean(tf.math.reduce_variance(wanted, axis=(0, 1, 2)))
    return tf.reduce_mean(tf.square(drawn - wanted)) / (spread + 1e-6)


def read_pictures(source: SampleSource, card: Card, course: Course, begun: int) -> Iterator[Any]:
    """Make the batches from step ``begun`` on, ``(B, H, W, 3)`` float32 as the network takes them."""
    scale, offset = np.asarray(card.image_scale, np.float32), np.asarray(card.image_offset, np.float32)

    def make(number: int) -> Any:
        images = [source.sample(number * course.batch_size + each, 0).image for each in range(course.batch_size)]
        return np.stack(images) / scale - offset

    with ThreadPoolExecutor(2) as pool:
        jobs = (pool.submit(make, number) for number in range(begun, course.steps))
        yield from keep_ahead(jobs, 3)


def _entry(number: int, losses: Any, hints: Sequence[str], seconds: float, precision: str) -> dict[str, Any]:
    heatmaps, fields, *others = [float(f"{value:.4g}") for value in losses]
    told = {"step": number, "heatmaps": heatmaps, "fields": fields, "hints": dict(zip(hints, others, strict=True))}
    return told | {"seconds_a_step": round(seconds, 3), "precision": precision}


def _read_state(path: Path, variables: Sequence[Any]) -> tuple[int, list[dict[str, Any]]]:
    """Take up what was kept, if anything was: the steps that are done, and what is told of them."""
    if not path.is_file():
        return 0, []
    with np.load(path) as state:
        for number, variable in enumerate(variables):
            variable.assign(state[f"v{number}"])
        return int(state["step"]), json.loads(str(state["told"]))


def _keep_state(path: Path, variables: Sequence[Any], number: int, told: list[dict[str, Any]]) -> None:
    values = {f"v{index}": np.asarray(variable) for index, variable in enumerate(variables)}
    with whole_file(path) as file:
        np.savez(file, step=number, told=json.dumps(told), **values)  # type: ignore[arg-type]
