"""Distillation: a teacher's maps are targets beside the labels."""

import logging
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from click.testing import CliRunner
from support.drawn_records import convert_drawn, records_of
from support.tiny_training import MOMENTUM, SMALL, Dots, tiny_spec

from bodyposenet.common.cli.main import main
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.network.flops import flops
from bodyposenet.common.model.network.losses import pose_loss
from bodyposenet.common.model.network.teacher import load_teacher
from bodyposenet.common.model.training.dry_run import build
from bodyposenet.common.model.training.initial_network import starting_network, starting_teacher
from bodyposenet.common.model.training.lr_schedule import make_teacher_weights
from bodyposenet.common.model.training.optimizer import make_optimizer
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.model.training.step import make_step
from bodyposenet.common.model.training.train import make_card, train
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17
from bodyposenet.common.spec.optimizer import Distillation

ONE_STAGE = {"stages": 1, "stage1_kernel_sizes": [3]}
LOSS = {"normalize_cells": True, "joint_weight": 5.0, "paf_weight": 0.15}
EPOCHS, STEPS = 3, 4


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The file of a network of two stages, whose batch norms have seen pictures and whose maps are no zeros."""
    keras.utils.set_random_seed(3)
    model = build_model(tiny_spec().model, BODYPOSENET_18)
    images = next(make_plan(tiny_spec(), Dots(16)).batches(0, first=0)).images
    for _ in range(20):
        model(images, training=True)
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    save_model(model, path, make_card(tiny_spec(), BODYPOSENET_18))
    return path


def taught_spec(path, **changes):
    told = {"teacher": str(path), "weight": 0.75, "final_weight": 0.25} | changes.pop("distillation", {})
    return tiny_spec(num_epoch=EPOCHS, distillation=told, **changes)


def with_card(teacher, path, **changes):
    """The same network with another card."""
    model, card = load_model(teacher)
    save_model(model, path, replace(card, **changes))
    return path


def half_error(outputs, heatmaps, pafs, mask):
    """The loss of the settings above: by the formula, channel by channel, in float64."""
    outputs, heatmaps, pafs, mask = ([np.float64(part) for part in parts] if isinstance(parts, list)
                                     else np.float64(parts) for parts in (outputs, heatmaps, pafs, mask))  # fmt: skip
    weight = 1 + 5 * np.maximum(heatmaps, 0)
    weight[..., -1] = 1
    parts = [weight * ((out - heatmaps) * mask) ** 2 for out in outputs[: len(outputs) // 2]]
    parts += [0.15 * ((out - pafs) * mask) ** 2 for out in outputs[len(outputs) // 2 :]]
    return sum(0.5 * part.sum() / part[..., 0].size for part in parts)


def test_the_losses_are_those_of_the_formula_and_the_teacher_counts_where_the_labels_mask(teacher):
    spec = taught_spec(teacher, loss=LOSS)
    plan = make_plan(spec, Dots(16))
    batch = next(plan.batches(0, first=0))
    mask = np.random.default_rng(0).random(batch.mask.shape).astype(np.float32)
    model = starting_network(spec, BODYPOSENET_18)
    outputs = [np.asarray(out) for out in model(batch.images, training=True)]
    shown = [np.asarray(out) for out in load_model(teacher)[0](batch.images, training=False)]
    task = half_error(outputs, batch.heatmaps, batch.pafs, mask)
    distillation = half_error(outputs, shown[1], shown[3], np.ones_like(mask))
    penalty = float(sum(model.losses))

    optimizer = make_optimizer(spec.optimizer, model, stagewise=False)
    step = make_step(model, optimizer, spec.loss, teacher=starting_teacher(plan))
    found = step(batch._replace(mask=mask), 1e-3, share=0.3).read()
    assert found["task_loss"] == pytest.approx(task, rel=1e-4)
    assert found["distillation_loss"] == pytest.approx(distillation, rel=1e-4)
    assert found["regularization"] == pytest.approx(penalty, rel=1e-4)
    assert found["loss"] == pytest.approx(0.7 * task + 0.3 * distillation + penalty, rel=1e-4)
    stages = [found[f"{kind}_loss_stage{stage}"] for kind in ("heatmap", "paf") for stage in (1, 2)]
    assert found["task_loss"] == pytest.approx(sum(stages), rel=1e-5)


def test_a_step_goes_down_the_mixed_gradient_and_leaves_the_teacher_as_it_is(teacher):
    spec = taught_spec(teacher, loss=LOSS, optimizer=MOMENTUM, model={"kernel_regularization_factor": 0.0,
                                                                      "bias_regularization_factor": 0.0})  # fmt: skip
    plan, rate = make_plan(spec, Dots(16)), 1.0  # so high that rounding of the weights hides nothing
    batch = next(plan.batches(0, first=0))
    keras.utils.set_random_seed(1)
    model = starting_network(spec, BODYPOSENET_18)
    shown = load_model(teacher)[0](batch.images, training=False)

    def gradient(*targets):
        with tf.GradientTape() as tape:
            total = pose_loss(model(batch.images, training=True), *targets, spec.loss).total
        return [np.asarray(part) for part in tape.gradient(total, model.trainable_variables)]

    kept = [np.asarray(weight) for weight in model.weights]
    task, taught = gradient(batch.heatmaps, batch.pafs, batch.mask), gradient(shown[1], shown[3], np.float32(1))
    model.set_weights(kept)
    before = [np.asarray(variable) for variable in model.trainable_variables]
    asked = starting_teacher(plan)
    optimizer = make_optimizer(spec.optimizer, model, stagewise=False)
    make_step(model, optimizer, spec.loss, teacher=asked)(batch, rate, share=0.6)
    after = [np.asarray(variable) for variable in model.trainable_variables]
    for one, other, own, its in zip(before, after, task, taught, strict=True):
        mixed, near = 0.4 * own + 0.6 * its, 2e-3 * max(1e-2, np.abs(own).max())
        np.testing.assert_allclose((one - other) / rate, mixed, atol=near)
    for held, read in zip(asked.model.get_weights(), load_model(teacher)[0].get_weights(), strict=True):
        np.testing.assert_array_equal(held, read)


def test_who_is_their_own_teacher_has_nothing_to_learn_from_it(tmp_path):
    plain = {"backbone_attributes": SMALL | {"width_multiplier": 0.125, "use_batch_norm": False}}
    spec = tiny_spec(model=ONE_STAGE | plain)
    model = starting_network(spec, BODYPOSENET_18)
    path = tmp_path / "own.keras"
    save_model(model, path, make_card(spec, BODYPOSENET_18))
    plan = make_plan(spec.model_copy(update={"distillation": Distillation(teacher=str(path))}), Dots(16))
    step = make_step(model, make_optimizer(spec.optimizer, model, stagewise=False), spec.loss,
                     teacher=starting_teacher(plan))  # fmt: skip
    found = step(next(plan.batches(0, first=0)), 1e-3, share=0.5).read()
    assert found["distillation_loss"] < 1e-9
    assert found["task_loss"] > 0.1


def test_a_teacher_draws_a_picture_the_same_whatever_else_is_in_the_batch(teacher):
    asked = load_teacher(str(teacher), make_card(tiny_spec(), BODYPOSENET_18), policy="float32")
    images = next(make_plan(tiny_spec(), Dots(16)).batches(0, first=0)).images
    together = asked.draw(images)
    alone = asked.draw(images[:1])
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-5)


def test_a_teacher_that_sees_other_numbers_is_shown_them(teacher, tmp_path):
    model, card = load_model(teacher)
    student = replace(card, image_scale=(255.0, 128.0, 64.0), image_offset=(0.0, 1.0, -0.5))
    photos = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    asked = load_teacher(str(teacher), student, policy="float32")
    heatmaps, pafs = asked.draw(photos / np.float32(student.image_scale) - np.float32(student.image_offset))
    wanted = model(photos / np.float32(card.image_scale) - np.float32(card.image_offset), training=False)
    np.testing.assert_allclose(heatmaps, wanted[1], atol=1e-4)
    np.testing.assert_allclose(pafs, wanted[3], atol=1e-4)


def test_in_16_bits_the_teacher_draws_float32_maps_and_a_step_learns_from_them(teacher):
    spec = taught_spec(teacher)
    plan = make_plan(spec, Dots(16))
    batch = next(plan.batches(0, first=0))
    exact, rounded = (starting_teacher(plan, policy) for policy in ("float32", "mixed_bfloat16"))
    for one, other in zip(exact.draw(batch.images), rounded.draw(batch.images), strict=True):
        assert other.dtype == "float32"
        np.testing.assert_allclose(other, one, atol=0.05 * np.abs(one).max())
    model = starting_network(spec, BODYPOSENET_18, policy="mixed_bfloat16")
    optimizer = make_optimizer(spec.optimizer, model, stagewise=False)
    step = make_step(model, optimizer, spec.loss, teacher=rounded)
    losses = [step(batch, 3e-3, share=1.0).read()["distillation_loss"] for _ in range(8)]
    assert losses[-1] < 0.9 * losses[0]


def test_the_teachers_weight_goes_in_a_line_from_its_first_to_its_last():
    told = Distillation(teacher="any", weight=0.8, final_weight=0.2)
    share = make_teacher_weights(told, 12)
    assert [share(step) for step in (0, 3, 6, 12, 13)] == pytest.approx([0.8, 0.65, 0.5, 0.2, 0.2], abs=1e-12)
    assert make_teacher_weights(None, 12)(5) == 0


@pytest.fixture(scope="module")
def taught(teacher, tmp_path_factory):
    """Three epochs of four steps with a teacher, undisturbed."""
    return train(taught_spec(teacher), tmp_path_factory.mktemp("taught"), source=Dots(16))


def test_an_epochs_entry_has_both_losses_and_the_weight_and_they_add_up(taught):
    weights = [0.75 - 0.5 * step / 12 for step in (3, 7, 11)]
    assert [epoch["distillation_weight"] for epoch in taught.history] == pytest.approx(weights)
    for epoch in taught.history:
        low, high = sorted((epoch["task_loss"], epoch["distillation_loss"]))
        assert low < epoch["loss"] < high
    assert taught.history[-1]["task_loss"] < taught.history[0]["task_loss"]


def test_an_interrupted_training_with_a_teacher_goes_on_to_the_same_bits(taught, teacher, tmp_path):
    with pytest.raises(OSError, match="the disk is gone"):
        train(taught_spec(teacher), tmp_path, source=Dots(16, fails_at=2))
    resumed = train(taught_spec(teacher), tmp_path, source=Dots(16))
    for one, other in zip(*(load_model(done.model)[0].get_weights() for done in (taught, resumed)), strict=True):
        np.testing.assert_array_equal(one, other)
    clocked = {"seconds", "images_per_second"}
    one, other = ([{k: v for k, v in entry.items() if k not in clocked} for entry in done.history]
                  for done in (taught, resumed))  # fmt: skip
    assert one == other


def test_a_disabled_teacher_changes_nothing_and_is_not_even_looked_for(taught, tmp_path):
    off = {"teacher": "nowhere.keras", "enabled": False}
    done = [train(tiny_spec(num_epoch=1, distillation=told), tmp_path / str(number), source=Dots(16))
            for number, told in enumerate((None, off, {"weight": 1.0}))]  # fmt: skip
    first, *others = (load_model(one.model)[0].get_weights() for one in done)
    for weights in others:
        for one, other in zip(first, weights, strict=True):
            np.testing.assert_array_equal(one, other)
    assert "distillation_loss" not in done[1].history[0]


def test_a_teacher_costs_its_weights_and_no_way_back(teacher):
    spec = taught_spec(teacher)
    plan = make_plan(spec, Dots(16))
    asked = starting_teacher(plan)
    (_, without), (_, beside) = build(plan), build(plan, teacher=asked)
    assert beside.total - without.total == beside.teacher == beside.device - without.device
    weights = 4 * asked.model.count_params()
    assert weights < beside.teacher < weights + without.maps


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with records, and a function that writes a spec for them."""
    folder = tmp_path_factory.mktemp("workplace")
    convert_drawn(folder)

    def write(name, **changes):
        spec = tiny_spec(**changes).model_dump(mode="json", by_alias=True)
        spec["dataloader"] |= {"dataset_config": records_of(folder), "batch_size": 2}
        (folder / name).write_text(yaml.safe_dump(spec))
        return name

    return folder, write


def ask(*words):
    return CliRunner().invoke(main, ["train", *words])


REFUSALS = {
    "skeleton": (
        {"skeleton": COCO_17},
        "draws skeleton 'coco_17_joints' of 17 joints and 19 limbs, the spec names 'bpnet_18_joints' of 18 and 19",
    ),
    "stride": ({"stride": 4}, "draws maps of stride 4, the spec of stride 8"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_teacher_that_draws_something_else_is_refused_with_both_sides_named(teacher, workplace, monkeypatch, name):
    folder, write = workplace
    monkeypatch.chdir(folder)
    changes, reason = REFUSALS[name]
    path = with_card(teacher, folder / f"{name}.keras", **changes)
    said = ask("-e", write(f"{name}.yaml", distillation={"teacher": str(path)}), "-r", "results")
    assert said.exit_code == 2
    assert reason in said.stderr
    assert str(path) in said.stderr


def test_a_teacher_that_is_not_there_is_refused(workplace, monkeypatch):
    folder, write = workplace
    monkeypatch.chdir(folder)
    said = ask("-e", write("gone.yaml", distillation={"teacher": "gone.keras"}), "-r", "results")
    assert said.exit_code == 2
    assert "distillation.teacher: there is no such file: gone.keras" in said.stderr


def test_the_keys_are_checked():
    for told, reason in (
        ({"enabled": True}, r"distillation\.teacher: missing"),
        ({"teacher": "a.keras", "weight": 1.5}, r"distillation\.weight: .* less than or equal to 1"),
        ({"teachr": "a.keras"}, r"unknown key; did you mean 'teacher'"),
    ):
        with pytest.raises(UserError, match=reason):
            tiny_spec(distillation=told)


def test_a_dry_run_and_the_log_tell_what_the_teacher_costs(teacher, workplace, monkeypatch, caplog):
    folder, write = workplace
    monkeypatch.chdir(folder)
    said = ask("-e", write("taught.yaml", distillation={"teacher": str(teacher)}), "--dry-run")
    assert said.exit_code == 0
    told = dict(line[2:].split(": ", 1) for line in said.stdout.splitlines() if line.startswith("# "))
    model = load_model(teacher)[0]
    cost = f"{model.count_params():,} parameters, {flops(model, (64, 64)) / 1e9:.3g} GFLOPs a picture"
    assert told["teacher"].startswith(cost)
    assert told["teacher"].endswith("of a step: +33%")  # a teacher as large as its student: one way there of three
    assert ", the teacher " in told["memory"]
    with caplog.at_level(logging.INFO):
        starting_teacher(make_plan(taught_spec(teacher), Dots(16)))
    assert f"{teacher}: teacher, {cost}; weight 0.75 to 0.25" in caplog.text
