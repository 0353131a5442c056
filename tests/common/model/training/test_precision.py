"""Training in other number formats and compiled by XLA; and a loss that breaks late."""

import json
import math
import shutil
import zipfile

import keras
import numpy as np
import pytest
from support.networks import seeded
from support.tiny_training import ADAM, MOMENTUM, Dots, tiny_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.checkpoints import find_precision, read_state
from bodyposenet.common.model.training.initial_network import starting_network
from bodyposenet.common.model.training.optimizer import make_optimizer
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.model.training.precision import measure_precision, read_precision
from bodyposenet.common.model.training.step import make_step, with_loss_scale
from bodyposenet.common.model.training.train import train
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

RATE = 1e-3


def batches(count, spec):
    return list(make_plan(spec, Dots(4 * count)).batches(0, first=0))


def losses(step, batches):
    return [step(batch, RATE).read()["loss"] for batch in batches]


def trained_by(spec, data, **options):
    """Losses of the steps, and the weights after them."""
    keras.utils.set_random_seed(0)
    model = seeded(starting_network(spec, BODYPOSENET_18), 0)
    optimizer = make_optimizer(spec.optimizer, model, stagewise=True)
    return losses(make_step(model, optimizer, spec.loss, **options), data), model.get_weights()


@pytest.mark.slow
def test_xla_computes_the_same_steps():
    spec = tiny_spec(model={"stages": 1, "stage1_kernel_sizes": [3]}, optimizer=MOMENTUM)
    data = batches(4, spec)
    plain, weights = trained_by(spec, data)
    compiled, same = trained_by(spec, data, jit_compile=True)
    np.testing.assert_allclose(compiled, plain, rtol=1e-3)
    for found, wanted in zip(same, weights, strict=True):
        np.testing.assert_allclose(found, wanted, atol=0.02 * max(1e-2, np.abs(wanted).max()))


def half_network(scale):
    """A network in float16, and a step whose loss is multiplied by ``scale`` at first."""
    spec = tiny_spec(model={"stages": 1, "stage1_kernel_sizes": [3]}, optimizer=ADAM)
    model = keras.models.clone_model(
        starting_network(spec, BODYPOSENET_18),
        clone_function=lambda layer: type(layer).from_config(halved(layer)),
    )
    optimizer = with_loss_scale(make_optimizer(spec.optimizer, model, stagewise=True), model)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    step = make_step(model, optimizer, spec.loss)
    optimizer.dynamic_scale.assign(scale)
    return spec, model, optimizer, step


def halved(layer):
    """A layer's settings; all but the maps compute in float16."""
    config = layer.get_config()
    return config if layer.name.endswith("_out") else config | {"dtype": "mixed_float16"}


def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_is_halved():
    spec, model, optimizer, step = half_network(2.0**40)
    before = model.get_weights()
    (batch,) = batches(1, spec)
    found = step(batch, RATE).read()
    assert np.isfinite(found["loss"])
    assert float(optimizer.dynamic_scale) == 2.0**39
    trainable = {id(variable) for variable in model.trainable_variables}
    for variable, old in zip(model.weights, before, strict=True):
        assert np.dtype(variable.dtype) == np.float32
        if id(variable) in trainable:
            np.testing.assert_array_equal(np.asarray(variable), old)


def test_float16_learns_once_the_scale_fits():
    spec, _, optimizer, step = half_network(2.0**18)
    data = 6 * batches(2, spec)
    found = losses(step, data)
    assert np.isfinite(found).all()
    assert float(optimizer.dynamic_scale) <= 2.0**18
    assert found[-1] < 0.8 * found[0]


HELNET = {"architecture": "helnet", "nlayers": 6, "mtype": "s8_3rdblock", "width_multiplier": 0.125}
SMALL = {
    "model": {"stages": 1, "stage1_kernel_sizes": [3], "backbone_attributes": HELNET}, "optimizer": MOMENTUM,
}  # fmt: skip


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """An epoch of a training in float32."""
    folder = tmp_path_factory.mktemp("begun")
    train(tiny_spec(num_epoch=1, **SMALL), folder, source=Dots(8))
    return folder


def plant(begun, folder, precision):
    """The same training as if its checkpoint had been computed in another format; nothing is as if it were older."""
    shutil.copytree(begun, folder)
    path = folder / "model.epoch-1.keras"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    standing = json.loads(members["training.json"])
    assert standing.pop("precision") == "float32"
    members["training.json"] = json.dumps(standing | ({"precision": precision} if precision else {})).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return folder


def go_on(folder, wish, told=None):
    spec = tiny_spec(num_epoch=2, mixed_precision=wish, **SMALL)
    return train(spec, folder, source=Dots(8), chosen=told)


@pytest.fixture(scope="module")
def resumed(begun, tmp_path_factory):
    """That training, its second epoch on ``auto``: the folder, what it told and what came out."""
    folder, told = plant(begun, tmp_path_factory.mktemp("resumed") / "results", "float32"), []
    return folder, told, go_on(folder, "auto", told.append)


def test_a_training_begun_in_float32_goes_on_in_it_wherever_it_runs_and_every_record_says_so(resumed):
    folder, told, done = resumed
    assert told == [done.precision] == [read_precision(folder)]
    assert done.precision.name == read_state(folder / "model.epoch-2.keras").precision == "float32"
    lines = [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]
    assert [line["precision"] for line in lines if line["status"] == "STARTED"] == ["float32", "float32"]


def test_a_training_begun_in_bfloat16_goes_on_in_it_or_is_refused_but_never_changes_silently(begun, resumed, tmp_path):
    folder = plant(begun, tmp_path / "results", "bfloat16")
    if math.isinf(measure_precision().seconds16):
        with pytest.raises(UserError, match="computes in bfloat16, and TensorFlow cannot here"):
            go_on(folder, "auto")
        return
    done = go_on(folder, "auto")
    half, whole = done.history[1]["loss"], resumed[2].history[1]["loss"]
    assert done.precision.name == read_state(folder / "model.epoch-2.keras").precision == "bfloat16"
    assert half != whole
    assert half == pytest.approx(whole, rel=0.05)


def test_a_spec_that_now_says_false_goes_on_in_float32(begun, resumed, tmp_path):
    done = go_on(plant(begun, tmp_path / "results", "bfloat16"), False)
    assert done.precision.name == "float32"
    assert done.history[1]["loss"] == pytest.approx(resumed[2].history[1]["loss"], rel=1e-4)


def test_a_checkpoint_from_before_precisions_were_kept_leaves_the_choice_to_the_machine(begun, tmp_path):
    folder = plant(begun, tmp_path / "results", "")
    assert find_precision(folder, 2) == ""
    assert find_precision(begun, 2) == "float32"
    assert find_precision(begun, 0) == find_precision(tmp_path / "nowhere", 2) == ""


@pytest.mark.parametrize("poison", [3, 11, 22])
def test_a_loss_that_breaks_late_is_told_with_its_own_step_and_photos(tmp_path, poison):
    """A step is looked at while the next is under way: the message must not name that one."""
    spec = tiny_spec(model={"stages": 1, "stage1_kernel_sizes": [3]})
    order = [batch.image_ids.tolist() for batch in make_plan(spec, Dots(32)).batches(0, first=0)]
    (broken,) = (number for number, ids in enumerate(order) if 1000 + poison in ids)
    with pytest.raises(UserError, match=rf"the loss is nan at step {broken + 1} of 8") as caught:
        train(spec, tmp_path, source=Dots(32, poison=poison))
    told = caught.value.problem.split("on photos ")[1].split(";")[0].split(", ")
    assert told == [str(number) for number in order[broken]]
