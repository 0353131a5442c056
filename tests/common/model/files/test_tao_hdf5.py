"""TAO's .hdf5 files: every array under its layer's name, wrapped or not, and the network itself rebuilt."""

import logging

import h5py
import numpy as np
import pytest
from support.tao_files import age, edit_config, tao_network, values_of, wrapped, write_hdf5
from support.tiny_training import MOMENTUM, Dots, tiny_spec, vgg_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.files.tao_hdf5 import read_network
from bodyposenet.common.model.files.weights_file import read_weights
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.training.initial_network import starting_network
from bodyposenet.common.model.training.train import train
from bodyposenet.common.prune.prune import prune_file
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.prune import PruneSpec

PICTURE = np.random.default_rng(4).uniform(-0.5, 0.5, (1, 32, 48, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One network in every form that TAO writes, and its arrays and maps as tf-keras has them."""
    folder = tmp_path_factory.mktemp("tao")
    model = tao_network()
    values, maps = values_of(model), [np.asarray(output) for output in model(PICTURE)]
    write_hdf5(model, folder / "whole.hdf5")
    write_hdf5(model, folder / "weights.hdf5", weights_only=True)
    outer = wrapped(model)
    write_hdf5(outer, folder / "wrapped.hdf5")
    write_hdf5(outer, folder / "wrapped-weights.hdf5", weights_only=True)
    for name in ("whole", "weights", "wrapped", "wrapped-weights"):
        aged = folder / f"old-{name}.hdf5"
        aged.write_bytes((folder / f"{name}.hdf5").read_bytes())
        age(aged)
    return folder, values, maps


FORMS = [age + form for form in ("whole", "weights", "wrapped", "wrapped-weights") for age in ("", "old-")]


def same(one, two):
    return len(one) == len(two) and all((a == b).all() for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_every_layer_of_a_network_takes_tao_s_arrays(files, form, caplog):
    folder, values, _ = files
    with caplog.at_level(logging.INFO):
        model = starting_network(vgg_spec(pretrained_weights=str(folder / f"{form}.hdf5")), BODYPOSENET_18)
    for layer in model.layers:
        if layer.weights:
            assert same(layer.get_weights(), values[layer.name]), layer.name
    assert f"filled {len(values)} of {len(values)} layers" in caplog.text
    assert "WARNING" not in caplog.text


def test_numbers_that_tensorflow_1_appends_to_names_it_saw_before_are_taken_off(files, tmp_path):
    folder, values, _ = files
    path = tmp_path / "numbered.hdf5"
    path.write_bytes((folder / "wrapped.hdf5").read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["model_weights/model_1"]
        split = [name.rsplit("/", 1) for name in group.attrs["weight_names"]]
        for scope in {scope for scope, _ in split if scope != "paf_out"}:
            group.move(scope, f"{scope}_3")
        group.attrs["weight_names"] = [f"{s}/{v}" if s == "paf_out" else f"{s}_3/{v}" for s, v in split]
    read = read_weights(path).layers
    assert read.keys() == values.keys()
    assert all(same(read[name], values[name]) for name in values)


def test_lists_of_names_too_long_for_one_attribute_are_read_from_their_pieces(files, tmp_path):
    folder, values, _ = files
    path = tmp_path / "pieces.hdf5"
    path.write_bytes((folder / "weights.hdf5").read_bytes())
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        for number, start in enumerate(range(0, len(names), 10)):
            file.attrs[f"layer_names{number}"] = names[start : start + 10]
    read = read_weights(path).layers
    assert read.keys() == values.keys()


@pytest.mark.parametrize("form", ["whole", "wrapped", "old-whole", "old-wrapped"])
def test_a_rebuilt_network_draws_what_tao_s_draws(files, form):
    folder, _, maps = files
    model = read_network(folder / f"{form}.hdf5")
    drawn = model(PICTURE)
    assert [output.shape for output in drawn] == [output.shape for output in maps]
    for ours, theirs in zip(drawn, maps, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    assert [tensor._keras_history.operation.name for tensor in model.outputs] == [
        "stage1_heat_branch_out", "heatmap_out", "stage1_paf_branch_out", "paf_out"
    ]  # fmt: skip


def test_a_rebuilt_network_takes_pictures_of_any_size_whatever_batches_it_was_trained_on(files, tmp_path):
    path = tmp_path / "fixed.hdf5"
    path.write_bytes((files[0] / "whole.hdf5").read_bytes())
    edit_config(path, replace_setting("InputLayer", batch_input_shape=[10, 256, 256, 3]))
    for ours, theirs in zip(read_network(path)(PICTURE), files[2], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_gates_of_self_attention_are_rebuilt(tmp_path):
    theirs = tao_network(attention=True, seed=3)
    model = read_network(write_hdf5(theirs, tmp_path / "gated.hdf5"))
    for one, two in zip(model(PICTURE), theirs(PICTURE), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5 * np.abs(two).max())


def test_outputs_come_in_the_wrapper_s_order(tmp_path):
    import tf_keras

    inner = tao_network()
    inner._name = "model_1"
    image = tf_keras.Input((None, None, 3), name="input_1")
    heat, heat2, paf, paf2 = inner(image)
    path = write_hdf5(tf_keras.Model(image, [paf2, heat, heat2, paf]), tmp_path / "turned.hdf5")
    names = [tensor._keras_history.operation.name for tensor in read_network(path).outputs]
    assert names == ["paf_out", "stage1_heat_branch_out", "heatmap_out", "stage1_paf_branch_out"]


def test_a_pruned_network_of_tao_is_trained_as_it_is(tmp_path):
    theirs = tao_network(trunk=11, wide=23, seed=5)
    path = write_hdf5(wrapped(theirs), tmp_path / "pruned.hdf5")
    spec = tiny_spec(pretrained_weights=str(path), load_graph=True, num_epoch=1, optimizer=MOMENTUM)
    start = starting_network(spec, BODYPOSENET_18)
    assert start.count_params() == theirs.count_params() != build_model(spec.model, BODYPOSENET_18).count_params()
    assert start.losses == []
    done = train(spec, tmp_path / "results", source=Dots(8))
    trained, _ = load_model(done.model)
    assert [layer.name for layer in trained.layers] == [layer.name for layer in start.layers]
    moved = [(one != two).any() for one, two in zip(start.get_weights(), trained.get_weights(), strict=True)]
    assert np.mean(moved) > 0.9


def test_a_graph_with_other_maps_than_the_skeleton_s_is_an_error(tmp_path):
    path = write_hdf5(tao_network(channels=(15, 28)), tmp_path / "other.hdf5")
    with pytest.raises(UserError, match="needs 19 and 38"):
        starting_network(tiny_spec(pretrained_weights=str(path), load_graph=True), BODYPOSENET_18)
    with pytest.raises(UserError, match="not TAO's skeleton of 18 joints"):
        load_model(path)


def test_a_graph_cannot_come_from_weights_alone(files):
    path = files[0] / "weights.hdf5"
    with pytest.raises(UserError, match="has weights but no network; set load_graph to false"):
        starting_network(tiny_spec(pretrained_weights=str(path), load_graph=True), BODYPOSENET_18)


def test_a_network_of_tao_is_loaded_and_pruned_like_any_other(files, tmp_path):
    folder, values, _ = files
    _, card = load_model(folder / "wrapped.hdf5")
    assert card.skeleton == BODYPOSENET_18
    assert (card.image_scale, card.image_offset, card.stride) == ((256,) * 3, (0.5,) * 3, 8)
    outcome = prune_file(folder / "wrapped.hdf5", tmp_path / "small.keras", PruneSpec(pruning_threshold=0.95))
    assert outcome.params_after < outcome.params_before == sum(a.size for arrays in values.values() for a in arrays)


def first(config, kind):
    return next(layer for layer in config["config"]["layers"] if layer["class_name"] == kind)


def replace_layer(kind, **entry):
    return lambda config: first(config, kind).update(entry)


def replace_setting(kind, **settings):
    return lambda config: first(config, kind)["config"].update(settings)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (replace_layer("Activation", class_name="Lambda"), "layer 'block_1a_relu': a Lambda layer is not rebuilt here"),
        (replace_layer("Concatenate", class_name="Thing"), "layer 'stage2/in': a Thing layer is not rebuilt here"),
        (replace_setting("Conv2D", data_format="channels_first"), "data_format 'channels_first' is not rebuilt here"),
        (replace_setting("Conv2D", groups=2), "groups 2 is not rebuilt here"),
        (replace_setting("Activation", activation="os>system"), "activation 'os>system' is not rebuilt here"),
        (replace_setting("Conv2D", filters=10**9), "do not fit its 1000000000 filters"),
        (replace_layer("Concatenate", inbound_nodes=[[["gone", 0, 0, {}]]]), "reads what no layer makes"),
        (replace_setting("Conv2D", padding="sideways"), "this file is damaged"),
        (lambda config: config["config"].pop("output_layers"), "this file is damaged"),
        (lambda config: config.update(class_name="Sequential"), "this file is damaged"),
    ],
)  # fmt: skip
def test_what_cannot_be_rebuilt_is_refused_by_its_name(files, tmp_path, change, told):
    path = tmp_path / "changed.hdf5"
    path.write_bytes((files[0] / "whole.hdf5").read_bytes())
    edit_config(path, change)
    with pytest.raises(UserError) as caught:
        read_network(path)
    assert told in str(caught.value)
    assert str(path) in caught.value.where
