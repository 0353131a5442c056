"""Training's arithmetic: loss, optimizer, gradient weights and schedules against NumPy and TAO's numbers."""

import math

import numpy as np
import pytest
from support.tiny_training import vgg_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.network.losses import pose_loss
from bodyposenet.common.model.training.lr_schedule import exponential_decay, make_schedule, soft_start_annealing
from bodyposenet.common.model.training.optimizer import WeightedMomentum, gradient_weights, make_optimizer
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.train import (
    Adam,
    AdamW,
    BpNetExponentialDecayLRSchedule,
    Loss,
    SoftstartAnnealingLearningRateSchedule,
    WeightedMomentumOptimizer,
)

RAMP = {"base_learning_rate": 1.0, "min_learning_rate": 0.1, "soft_start": 0.05, "annealing": 0.5}
TAOS = {"base_learning_rate": 2e-5, "min_learning_rate": 8e-8, "soft_start": 0.05, "annealing": 0.5}


# Loss


def maps(stages, joints=3, limbs=2, batch=2, size=(4, 5)):
    """Random outputs, targets and a soft mask."""
    rng = np.random.default_rng(stages)
    heat, paf = (*size, joints + 1), (*size, 2 * limbs)
    outputs = [rng.normal(size=(batch, *shape)).astype(np.float32) for shape in [heat] * stages + [paf] * stages]
    targets = [rng.random((batch, *shape)).astype(np.float32) for shape in (heat, paf)]
    return outputs, *targets, rng.random((batch, *size, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("stages", "settings"),
    [
        (1, {}),
        (3, {}),
        (2, {"paf_weight": 0.3}),
        (2, {"joint_weight": 5.0}),
        (3, {"joint_weight": 2.0, "paf_weight": 0.0, "normalize_cells": True}),
    ],
)
def test_the_loss_is_half_the_masked_squared_error_of_all_stages(stages, settings):
    outputs, heatmaps, pafs, mask = maps(stages)
    losses = pose_loss(outputs, heatmaps, pafs, mask, Loss(**settings))
    scale = 2 * (20 if settings.get("normalize_cells") else 1)  # batch, and cells
    joints = np.append(np.ones(3), 0)  # the background weighs one
    weight = 1 + settings.get("joint_weight", 0) * heatmaps * joints
    heat = [0.5 * (weight * ((out - heatmaps) * mask) ** 2).sum() / scale for out in outputs[:stages]]
    paf = [0.5 * (((out - pafs) * mask) ** 2).sum() * settings.get("paf_weight", 1) / scale for out in outputs[stages:]]
    np.testing.assert_allclose([float(value) for value in losses.heatmaps], heat, rtol=1e-5)
    np.testing.assert_allclose([float(value) for value in losses.pafs], paf, rtol=1e-5)
    assert float(losses.total) == pytest.approx(sum(heat) + sum(paf), rel=1e-5)


def test_a_soft_mask_enters_squared_and_an_empty_one_leaves_nothing():
    outputs, heatmaps, pafs, mask = maps(2)
    full, half, none = (
        float(pose_loss(outputs, heatmaps, pafs, np.full_like(mask, value), Loss()).total) for value in (1, 0.5, 0)
    )
    assert half == pytest.approx(full / 4, rel=1e-5)
    assert none == 0


def test_perfect_maps_cost_nothing():
    _, heatmaps, pafs, mask = maps(1)
    assert float(pose_loss([heatmaps, heatmaps, pafs, pafs], heatmaps, pafs, mask, Loss(joint_weight=3)).total) == 0


@pytest.mark.parametrize(
    "focal",
    [
        {},
        {"gamma": 2.5},
        {"gamma": 0.0},
        {"alpha": 0.4, "gamma": 0.5},
        {"beta": -0.3},
        {"bkg_thresh": 0.5},
    ],
)
def test_the_focal_option_weighs_the_error_by_the_score_s_distance_from_one(focal):
    outputs, heatmaps, pafs, mask = maps(2)
    pafs = 2 * pafs - 1  # a field's negative labels are background
    spec = parse_spec({"focal_loss_params": {"use_focal_loss": True} | focal, "paf_weight": 0.3}, Loss)
    losses = pose_loss(outputs, heatmaps, pafs, mask, spec)
    used = {"alpha": 0.1, "beta": 0.02, "bkg_thresh": 0.01, "gamma": 1.0} | focal

    def cost(out, label):
        total = 0.0
        for index in np.ndindex(out.shape):
            front = label[index] > used["bkg_thresh"]
            score = out[index] - used["alpha"] if front else 1 - out[index] - used["beta"]
            error = (float(out[index]) - label[index]) * mask[(*index[:3], 0)]
            total += 0.5 * (error * abs(1 - score) ** used["gamma"]) ** 2
        return total / len(out)

    assert [float(value) for value in losses.heatmaps] == pytest.approx([cost(y, heatmaps) for y in outputs[:2]])
    assert [float(value) for value in losses.pafs] == pytest.approx([0.3 * cost(y, pafs) for y in outputs[2:]])


def test_focal_parameters_without_the_option_are_without_effect():
    outputs, heatmaps, pafs, mask = maps(1)
    spec = parse_spec({"focal_loss_params": {"gamma": 3.0}}, Loss)
    assert spec.focal_loss_params is not None
    assert float(pose_loss(outputs, heatmaps, pafs, mask, spec).total) == float(
        pose_loss(outputs, heatmaps, pafs, mask, Loss()).total
    )


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 3.0])
def test_a_score_of_one_has_a_finite_gradient(gamma):
    import tensorflow as tf

    focal = {"use_focal_loss": True, "gamma": gamma, "alpha": 0.25, "beta": 0.0}
    spec = parse_spec({"focal_loss_params": focal}, Loss)
    label = tf.constant([[[[0.5, 0.0]]]])
    out = tf.Variable([[[[1.25, 0.0]]]])  # the scores of both cells are 1
    with tf.GradientTape() as tape:
        total = pose_loss([out, out], label, label, tf.ones((1, 1, 1, 1)), spec).total
    assert np.isfinite(tape.gradient(total, out).numpy()).all()


# Optimizer


def variables(*sizes):
    import keras

    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=size).astype(np.float32), name=f"v{n}") for n, size in enumerate(sizes)]


def run(optimizer, held, steps):
    """Apply random gradients at changing rates; returns what was applied."""
    rng = np.random.default_rng(1)
    done = []
    optimizer.build(held)
    for step in range(steps):
        gradients = [rng.normal(size=variable.shape).astype(np.float32) for variable in held]
        rate = 0.1 / (1 + step % 3)
        optimizer.learning_rate = rate
        optimizer.apply_gradients(zip(gradients, held, strict=True))
        done.append((rate, gradients))
    return done


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum_is_that_of_tensorflow_1_at_changing_rates(momentum, nesterov):
    held = variables((3, 2), (4,), (2,))
    wanted = [variable.numpy().astype(float) for variable in held]
    weights = {held[0].path: 2.0, held[1].path: 0.25}
    optimizer = WeightedMomentum(momentum=momentum, nesterov=nesterov, weights=weights)
    sums = [np.zeros_like(value) for value in wanted]
    for rate, gradients in run(optimizer, held, 8):
        for n, factor in enumerate((2.0, 0.25, 1.0)):
            weighted = factor * gradients[n]
            sums[n] = momentum * sums[n] + weighted
            wanted[n] = wanted[n] - rate * (weighted + momentum * sums[n] if nesterov else sums[n])
    for variable, value in zip(held, wanted, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-6)


def test_a_weight_of_zero_freezes_a_variable():
    held = variables((3,), (3,))
    before = [variable.numpy().copy() for variable in held]
    run(WeightedMomentum(weights={held[0].path: 0.0}), held, 5)
    assert (held[0].numpy() == before[0]).all()
    assert (held[1].numpy() != before[1]).all()


def test_weights_of_one_are_plain_momentum():
    plain, weighted = variables((5,)), variables((5,))
    run(WeightedMomentum(), plain, 5)
    run(WeightedMomentum(weights={weighted[0].path: 1.0}), weighted, 5)
    assert (plain[0].numpy() == weighted[0].numpy()).all()


def test_an_optimizer_is_made_again_from_its_config():
    optimizer = WeightedMomentum(momentum=0.7, nesterov=True, weights={"a/kernel": 4.0})
    again = WeightedMomentum.from_config(optimizer.get_config())
    assert (again.momentum, again.nesterov, again.weights) == (0.7, True, {"a/kernel": 4.0})


@pytest.fixture(scope="module")
def three_stages():
    return build_model(vgg_spec(model={"stages": 3, "stageT_kernel_sizes": None}).model, BODYPOSENET_18)


def test_later_stages_learn_four_times_as_fast_and_biases_twice(three_stages):
    weights = gradient_weights(three_stages, stagewise=True)
    assert set(weights) == {variable.path for variable in three_stages.trainable_variables}
    table = {
        "block_1a_conv_1/kernel": 1, "channel_reduction_conv/kernel": 1, "channel_reduction_conv/bias": 2,
        "stage1_conv1/kernel": 1, "stage1_conv1/bias": 2, "stage1_heat_branch_out/kernel": 1,
        "stage1_paf_branch_out/bias": 2, "stage2_conv1/kernel": 4, "stage2_conv1/bias": 8,
        "stage2_paf_branch_out/kernel": 4, "stage3_cmap_conv6/bias": 8, "heatmap_out/kernel": 4, "paf_out/bias": 8,
        "block_1a_bn_1/gamma": 1, "block_6a_bn_1/beta": 1,
    }  # fmt: skip
    assert {path: weights[path] for path in table} == table
    late = [path for path in weights if path.startswith(("stage2", "stage3", "heatmap_out", "paf_out"))]
    assert {weights[path] for path in late} == {4, 8}
    assert {factor for path, factor in weights.items() if path not in late} == {1, 2}


def test_normalisation_takes_the_default_and_named_weights_win(three_stages):
    named = {"stage2_conv1/kernel": 0.0, "block_1a_bn_1": 3.0, "paf_out": 0.5}
    weights = gradient_weights(three_stages, stagewise=True, default=0.1, named=named)
    assert (weights["stage2_conv1/kernel"], weights["stage2_conv1/bias"]) == (0, 8)
    assert (weights["block_1a_bn_1/gamma"], weights["block_1b_bn_1/gamma"]) == (3.0, 0.1)
    assert (weights["paf_out/kernel"], weights["paf_out/bias"]) == (0.5, 0.5)


def test_without_stagewise_multipliers_everything_has_the_default(three_stages):
    assert set(gradient_weights(three_stages, stagewise=False, default=0.7).values()) == {0.7}


def test_a_spec_makes_its_optimizer(three_stages):
    schedule = {"__class_name__": "SoftstartAnnealingLearningRateSchedule"} | RAMP

    def made(kind, **changes):
        data = {"learning_rate_schedule": schedule} | changes
        return make_optimizer(parse_spec(data, kind), three_stages, stagewise=False)

    momentum = made(WeightedMomentumOptimizer, momentum=0.8, use_nesterov=True, grad_weights_dict={"paf_out": 2.0})
    assert (momentum.momentum, momentum.nesterov, momentum.weights["paf_out/bias"]) == (0.8, True, 2.0)
    adam = made(AdamW, beta_1=0.8, beta_2=0.95, epsilon=1e-5, weight_decay=0.01)
    assert (adam.beta_1, adam.beta_2, adam.epsilon, adam.weight_decay) == (0.8, 0.95, 1e-5, 0.01)
    assert made(Adam).weight_decay is None


def test_weight_decay_spares_biases_and_normalisation(three_stages):
    data = {"learning_rate_schedule": {"__class_name__": "SoftstartAnnealingLearningRateSchedule"} | RAMP,
            "weight_decay": 0.1}  # fmt: skip
    optimizer = make_optimizer(parse_spec(data, AdamW), three_stages, stagewise=False)
    optimizer.build(three_stages.trainable_variables)
    decayed = {v.path.split("/")[-1] for v in three_stages.trainable_variables if optimizer._use_weight_decay(v)}
    assert decayed == {"kernel"}


# Schedules


def soft_start(last_step, **settings):
    return soft_start_annealing(SoftstartAnnealingLearningRateSchedule(**settings), last_step)


def test_soft_start_annealing_gives_taos_test_numbers():
    rate = soft_start(1000, **RAMP)
    wanted = [0.10471285, 1, 1, 0.63095725, 0.25118864, 0.100461565]
    assert [rate(step) for step in (1, 200, 400, 600, 800, 999)] == pytest.approx(wanted, rel=1e-6)


def test_soft_start_annealing_gives_the_references_numbers():
    rate = soft_start(1000, **TAOS)
    table = {0: 8e-8, 10: 2.414e-7, 25: 1.265e-6, 50: 2e-5, 300: 2e-5, 500: 2e-5, 600: 6.629e-6, 750: 1.265e-6,
             900: 2.414e-7, 1000: 8e-8}  # fmt: skip
    assert [rate(step) for step in table] == pytest.approx(list(table.values()), rel=1e-3)


def test_without_a_start_or_an_end_the_rate_stays_up():
    flat = soft_start(100, **RAMP | {"soft_start": 0.0, "annealing": 1.0})
    assert [flat(step) for step in (0, 50, 100)] == pytest.approx([1, 1, 1])


def test_steps_beyond_the_last_stay_at_the_least_rate():
    assert soft_start(100, **RAMP)(150) == pytest.approx(0.1)


def test_a_training_without_steps_is_an_error():
    with pytest.raises(UserError, match="no step to train"):
        soft_start(0, **RAMP)


def decay(**settings):
    return exponential_decay(BpNetExponentialDecayLRSchedule(**settings), steps_per_epoch=10)


def test_the_rate_decays_by_its_factor_every_so_many_epochs():
    rate = decay(learning_rate=1.0, decay_epochs=2, decay_rate=0.5)
    assert [rate(step) for step in (0, 10, 20, 60)] == pytest.approx([1, math.sqrt(0.5), 0.5, 0.125])


def test_a_staircase_decays_only_at_whole_multiples():
    rate = decay(learning_rate=1.0, decay_epochs=2, decay_rate=0.5, staircase=True)
    assert [rate(step) for step in (0, 19, 20, 39, 40)] == [1, 1, 0.5, 0.5, 0.25]


def test_decay_ends_at_the_least_rate():
    sample = decay(learning_rate=2e-5, decay_epochs=17, decay_rate=0.333, staircase=True, min_learning_rate=8.18938e-8)
    assert sample(169) == 2e-5
    assert sample(170) == pytest.approx(2e-5 * 0.333)
    assert sample(10_000) == 8.18938e-8


def test_a_spec_names_its_schedule():
    fall = BpNetExponentialDecayLRSchedule(learning_rate=1.0, decay_epochs=1, decay_rate=0.5)
    rise = SoftstartAnnealingLearningRateSchedule(**RAMP)
    assert make_schedule(fall, steps_per_epoch=10, last_step=100)(10) == 0.5
    assert make_schedule(rise, steps_per_epoch=10, last_step=100)(0) == pytest.approx(0.1)
