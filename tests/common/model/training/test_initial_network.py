"""Start of training: weights by name, pruned graphs as they are, and the numeric precision."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from support.tiny_training import MOMENTUM, Dots, tiny_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.model.files.weights_file import Stored, read_weights
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.network.transfer import load_matching_weights
from bodyposenet.common.model.training.initial_network import starting_network
from bodyposenet.common.model.training.plan import Plan
from bodyposenet.common.model.training.train import make_card, train
from bodyposenet.common.prune.prune import prune_file
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, make_skeleton
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.prune import PruneSpec


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A network of two stages in a file, every weight and statistic of it at random."""
    keras.utils.set_random_seed(11)
    model = build_model(tiny_spec().model, BODYPOSENET_18)
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.uniform(0.01, 0.1, value.shape) for value in model.get_weights()])
    path = tmp_path_factory.mktemp("given") / "model.keras"
    save_model(model, path, make_card(tiny_spec(), BODYPOSENET_18))
    return path


def weights_of(model):
    return {variable.path: value for variable, value in zip(model.variables, model.get_weights(), strict=True)}


def test_a_sixteen_bit_network_keeps_its_outputs_and_variables_in_32_bits():
    model = starting_network(tiny_spec(), BODYPOSENET_18, policy="mixed_bfloat16")
    assert {tensor.dtype for tensor in model.outputs} == {"float32"}
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert model.get_layer("stage2_conv1").compute_dtype == "bfloat16"


def started(spec, folder, caplog):
    """The starting network, the lines and warnings of the log, and the table's rows by layer."""
    with caplog.at_level(logging.INFO):
        model = starting_network(spec, BODYPOSENET_18, folder)
    lines = [record.getMessage() for record in caplog.records]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    table = (folder / "pretrained.txt").read_text().splitlines()
    return model, lines, warned, {row.split()[0]: re.split(r"  +", row)[1:] for row in table[2:]}


def test_pretrained_weights_are_copied_by_name_and_the_others_told(given, tmp_path, caplog):
    spec = tiny_spec(model={"stages": 3}, pretrained_weights=str(given))
    model, lines, warned, rows = started(spec, tmp_path, caplog)
    theirs, ours = weights_of(load_model(given)[0]), weights_of(model)
    assert all((ours[path] == value).all() for path, value in theirs.items() if "_out" not in path)
    filled = {path.split("/")[0] for path in theirs}
    new = {layer.name for layer in model.layers if layer.weights} - filled
    assert len(new) == 6
    assert f"{given}: Keras model: filled {len(filled)} of {len(filled) + 6} layers; 6 not in the file" in lines
    assert warned == [
        f"{given}: the network has stages 3, the file's is 2",
        f"{given}: start from scratch, not in the file: {', '.join(n for n in rows if n in new)}",
    ]
    assert {name for name, row in rows.items() if row[0] == "not in the file"} == new
    assert {name for name, row in rows.items() if row[0] == "filled"} == filled
    assert rows["stage3_conv1"] == ["not in the file", "3x3x73x16, 16", "-"]


def test_layers_of_another_shape_start_from_scratch_and_both_shapes_are_told(given, tmp_path, caplog):
    spec = tiny_spec(model={"stage1_kernel_sizes": [3, 5]}, pretrained_weights=str(given))
    model, lines, warned, rows = started(spec, tmp_path, caplog)
    assert (model.get_layer("stage1_conv2").bias.numpy() == 0).all()
    assert (model.get_layer("stage1_conv1").bias.numpy() != 0).all()
    assert rows["stage1_conv2"] == ["other shape", "5x5x16x16, 16", "3x3x16x16, 16"]
    assert "filled 20 of 21 layers; 1 of another shape in the file" in lines[0]
    assert warned == [
        f"{given}: the network has stage1_kernel_sizes [3, 5], the file's is [3, 3]",
        f"{given}: start from scratch, of another shape in the file: stage1_conv2 (3x3x16x16, 16, here 5x5x16x16, 16)",
    ]


def test_layers_of_the_file_that_the_network_has_not_are_told(given, tmp_path, caplog):
    spec = tiny_spec(model={"stages": 1}, pretrained_weights=str(given))
    _, lines, warned, rows = started(spec, tmp_path, caplog)
    left = {name for name, row in rows.items() if row[0] == "left over"}
    assert left == {"stage2_conv1", "stage2_conv2", "stage2_paf_conv3", "stage2_cmap_conv3", "heatmap_out", "paf_out"}
    assert "6 of the file left over" in lines[0]
    assert warned == []


def test_a_long_list_is_cut_in_the_log_and_whole_in_the_table(given, tmp_path, caplog):
    spec = tiny_spec(model={"stages": 4}, pretrained_weights=str(given))
    _, _, warned, rows = started(spec, tmp_path, caplog)
    assert warned[1].endswith(" and 6 more")
    assert sum(row[0] == "not in the file" for row in rows.values()) == 12


def test_another_width_is_refused_with_both_and_what_to_set():
    spec = tiny_spec(
        model={"backbone_attributes": {"width_multiplier": 0.25}}, pretrained_weights="pretrained:drawn_people"
    )
    with pytest.raises(UserError) as caught:
        starting_network(spec, BODYPOSENET_18)
    assert "the network has width_multiplier 0.25, the file's is 0.375; " in str(caught.value)
    assert "set backbone_attributes.width_multiplier: 0.375" in caught.value.fix


def test_the_weights_of_a_pruned_network_are_to_be_taken_with_its_graph():
    model = build_model(tiny_spec(model={"backbone_attributes": {"width_multiplier": 0.5}}).model, BODYPOSENET_18)
    filters = {"block_1a_conv_1": 48, "block_4a_conv_1": 248, "block_4b_conv_1": 96}
    uneven = {name: (np.zeros((3, 3, 8, count)),) for name, count in filters.items()}
    with pytest.raises(UserError, match="was pruned: set load_graph: true"):
        load_matching_weights(model, Stored(Path("pruned.keras"), "Keras model", uneven))


def test_a_network_that_takes_nothing_is_an_error_that_tells_what_the_file_has():
    model = build_model(tiny_spec().model, BODYPOSENET_18)
    stored = Stored(Path("other.h5"), "Keras 3 weights", {"dense": (np.zeros((2, 3), np.float32),)})
    with pytest.raises(
        UserError, match=r"^other\.h5: no layer takes any weights: .*the file has dense; give the weights"
    ):
        load_matching_weights(model, stored)


def test_shipped_weights_fill_every_layer_of_the_network_they_were_trained_for():
    stored = read_weights(weights_path("pretrained:drawn_people"))
    model = load_model(weights_path("pretrained:drawn_people"))[0]
    assert {layer.name for layer in model.layers if layer.weights} == set(stored.layers)
    for name, arrays in stored.layers.items():
        for one, two in zip(model.get_layer(name).get_weights(), arrays, strict=True):
            assert (one == two).all()


def test_a_network_whose_layers_have_other_names_is_taken_by_their_places(given, tmp_path, caplog):
    theirs, card = load_model(given)
    names = {
        layer.name: f"conv_{n}" for n, layer in enumerate(theirs.layers) if layer.name not in ("heatmap_out", "paf_out")
    }

    def renamed(layer):
        return type(layer).from_config(layer.get_config() | {"name": names.get(layer.name, layer.name)})

    foreign = keras.models.clone_model(theirs, clone_function=renamed)
    foreign.set_weights(theirs.get_weights())
    save_model(foreign, tmp_path / "foreign.keras", card)
    spec = tiny_spec(pretrained_weights=str(tmp_path / "foreign.keras"))
    with caplog.at_level(logging.INFO):
        model = starting_network(spec, BODYPOSENET_18)
    assert "filled 17 convolutions by their places in the graph" in caplog.text
    image = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    for ours, wanted in zip(model(image), theirs(image), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5)
    other = tiny_spec(pretrained_weights=spec.pretrained_weights, model={"stage1_kernel_sizes": [5, 3]})
    with pytest.raises(
        UserError, match=r"foreign\.keras: is another network: stage1_conv1 is a Conv2D of 5x5.*load_graph"
    ):
        starting_network(other, BODYPOSENET_18)


def test_what_a_network_was_adopted_from_stays_in_the_cards_of_those_that_begin_with_it(given, tmp_path):
    model, card = load_model(given)
    save_model(model, tmp_path / "adopted.keras", replace(card, made_from="theirs.onnx, Apache-2.0"))

    def made_from(weights):
        spec = tiny_spec(pretrained_weights=weights)
        return Plan(spec, BODYPOSENET_18, Dots(4), None, InferenceSpec()).card.made_from

    assert made_from(str(tmp_path / "adopted.keras")) == "theirs.onnx, Apache-2.0"
    assert [made_from(weights) for weights in (str(given), None, "nowhere.keras", "auto")] == [""] * 4


def test_what_was_tuned_for_a_network_stays_with_what_is_trained_of_it_but_for_another_size(given, tmp_path):
    model, card = load_model(given)
    tuned = {"decoding": {"input_shape": [368, 368], "min_parts": 5}, "trained_on": {"ab" * 32: "seen.jpg"}}
    spec = tiny_spec(pretrained_weights=str(tmp_path / "tuned.keras"))
    size = make_card(spec, BODYPOSENET_18).input_size

    def train_on(input_size):
        save_model(model, tmp_path / "tuned.keras", replace(card, input_size=input_size, **tuned))
        return Plan(spec, BODYPOSENET_18, Dots(4), None, InferenceSpec()).card

    assert train_on(size).decoding == {"input_shape": [368, 368], "min_parts": 5}
    assert train_on((8, 8)).decoding == {"input_shape": list(size), "min_parts": 5}
    assert train_on(size).trained_on == {"ab" * 32: "seen.jpg"}
    other = make_skeleton("other", BODYPOSENET_18.joints[:3], ((0, 1), (1, 2)))
    assert Plan(spec, other, Dots(4), None, InferenceSpec()).card.decoding == {}, "thresholds of 18 joints, of which 5"


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
    with pytest.raises(UserError, match=r"has 2 stages, the spec 3; set model\.stages: 2"):
        starting_network(spec, BODYPOSENET_18)


def test_a_results_folder_that_takes_no_table_is_told_and_nothing_is_left_in_it(given, tmp_path):
    spec = tiny_spec(pretrained_weights=str(given))
    (tmp_path / "pretrained.txt").mkdir()
    with pytest.raises(UserError, match=r"pretrained\.txt: this is a folder"):
        starting_network(spec, BODYPOSENET_18, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pretrained.txt"]
