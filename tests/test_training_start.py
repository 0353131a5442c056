"""Start of training: weights by name, pruned graphs as they are, and the numeric precision."""

import logging
from dataclasses import replace

import keras
import numpy as np
import pytest
from support.tiny_training import MOMENTUM, Dots, tiny_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.bpnet import build_model
from bodyposenet.common.model.files import load_model, save_model
from bodyposenet.common.model.start import fill, starting_network, weights_path
from bodyposenet.common.model.train import card_of, check_built, train
from bodyposenet.common.prune.prune import prune_file
from bodyposenet.common.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.prune import PruneSpec


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A network of two stages in a file, every weight and statistic of it at random."""
    keras.utils.set_random_seed(11)
    model = build_model(tiny_spec().model, BODYPOSENET_18)
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.uniform(0.01, 0.1, value.shape) for value in model.get_weights()])
    path = tmp_path_factory.mktemp("given") / "model.keras"
    save_model(model, path, card_of(tiny_spec(), BODYPOSENET_18))
    return path


def weights_of(model):
    return {variable.path: value for variable, value in zip(model.variables, model.get_weights(), strict=True)}


def test_a_sixteen_bit_network_keeps_its_outputs_and_variables_in_32_bits():
    model = starting_network(tiny_spec(mixed_precision=True), BODYPOSENET_18)
    assert {tensor.dtype for tensor in model.outputs} == {"float32"}
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert model.get_layer("stage2_conv1").compute_dtype == "bfloat16"


def test_pretrained_weights_are_copied_by_name_and_the_others_reported(given, caplog):
    spec = tiny_spec(model={"stages": 3}, pretrained_weights=str(given))
    with caplog.at_level(logging.INFO):
        model = starting_network(spec, BODYPOSENET_18)
    theirs, ours = weights_of(load_model(given)[0]), weights_of(model)
    for path, value in theirs.items():
        assert (ours[path] == value).all()
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    new = {layer.name for layer in model.layers if layer.weights} - {path.split("/")[0] for path in theirs}
    assert {name for name in new if any(f"layer {name} " in line for line in warned)} == new


def test_layers_of_another_shape_start_from_scratch(given):
    model = build_model(tiny_spec(model={"stage1_kernel_sizes": [3, 5]}).model, BODYPOSENET_18)
    before = model.get_layer("stage1_conv2").kernel.numpy()
    filled = fill(model, load_model(given)[0].layers)
    assert list(filled.left) == ["stage1_conv2"]
    assert "do not fit" in filled.left["stage1_conv2"]
    assert (model.get_layer("stage1_conv2").kernel.numpy() == before).all()
    assert "stage1_conv1" in filled.layers


def test_weights_that_are_not_shipped_are_an_error_that_lists_those_that_are():
    with pytest.raises(UserError, match="no weights named 'pretrained:nothing' are shipped"):
        weights_path("pretrained:nothing")


@pytest.fixture(scope="module")
def pruned(given, tmp_path_factory):
    """That network without its weaker filters."""
    path = tmp_path_factory.mktemp("pruned") / "model.keras"
    prune_file(given, path, PruneSpec(pruning_threshold=0.9, min_num_filters=8))
    return path


def architecture(model):
    """Layers, their sizes and connections, without regularisation."""
    layers = []
    for layer in model.layers:
        config = {k: v for k, v in layer.get_config().items() if not k.endswith("regularizer")}
        layers.append((config, [tensor._keras_history.operation.name for tensor in keras.tree.flatten(layer.input)]))
    return layers


def test_a_pruned_network_is_trained_as_it_is_without_regularisation(pruned, tmp_path):
    start, _ = load_model(pruned)
    spec = tiny_spec(pretrained_weights=str(pruned), load_graph=True, num_epoch=1, optimizer=MOMENTUM,
                     model={"kernel_regularization_factor": 0.1}, use_stagewise_lr_multipliers=True)  # fmt: skip
    done = train(spec, tmp_path, source=Dots(8))
    model, _ = load_model(done.model)
    assert architecture(model) == architecture(start)
    assert model.losses == []
    assert done.history[0]["regularization"] == 0
    assert done.params == start.count_params() < build_model(spec.model, BODYPOSENET_18).count_params()
    moved = [(one != two).any() for one, two in zip(start.get_weights(), model.get_weights(), strict=True)]
    assert np.mean(moved) > 0.9


def test_a_pruned_network_starts_with_the_weights_that_it_kept(pruned):
    model = starting_network(tiny_spec(pretrained_weights=str(pruned), load_graph=True), BODYPOSENET_18)
    for one, two in zip(model.get_weights(), load_model(pruned)[0].get_weights(), strict=True):
        assert (one == two).all()


def test_a_graph_with_another_number_of_stages_is_an_error(pruned):
    spec = tiny_spec(pretrained_weights=str(pruned), load_graph=True, model={"stages": 3})
    with pytest.raises(UserError, match="has 2 stages, the spec 3"):
        starting_network(spec, BODYPOSENET_18)


def test_a_graph_of_another_skeleton_is_an_error(pruned, tmp_path):
    model, card = load_model(pruned)
    other = replace(card, skeleton=replace(card.skeleton, name="other", joints=card.skeleton.joints[::-1]))
    save_model(model, tmp_path / "other.keras", other)
    spec = tiny_spec(pretrained_weights=str(tmp_path / "other.keras"), load_graph=True)
    with pytest.raises(UserError, match="draws skeleton 'other'"):
        starting_network(spec, BODYPOSENET_18)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (
            {"finetuning_config": {"is_finetune_exp": True, "checkpoint_path": "x.ckzip"}},
            "finetuning_config.is_finetune_exp",
        ),
    ],
)
def test_what_cannot_be_trained_yet_is_refused_by_its_key(changes, key):
    with pytest.raises(UserError, match=f"^{key}: is not built yet"):
        check_built(tiny_spec(**changes))
