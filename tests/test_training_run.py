"""Training runs: they learn, stop and go on, keep what the spec says, and start from other networks."""

import json
import logging
import shutil

import keras
import numpy as np
import pytest
import yaml
from support.tiny_training import ADAM, MOMENTUM, Dots, tiny_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.bpnet import build_model
from bodyposenet.common.model.checkpoints import checkpoints_in, load_checkpoint
from bodyposenet.common.model.files import load_model, save_model
from bodyposenet.common.model.start import fill, starting_network, weights_path
from bodyposenet.common.model.train import train
from bodyposenet.common.prune.prune import prune_file
from bodyposenet.common.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec

LONG = {"num_epoch": 8, "checkpoint_n_epoch": 2, "max_ckpt_to_keep": 2, "optimizer": ADAM}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Eight epochs of eight steps, undisturbed: folder, spec and outcome."""
    folder = tmp_path_factory.mktemp("trained")
    spec = tiny_spec(**LONG)
    return folder, spec, train(spec, folder, source=Dots(32))


@pytest.fixture(scope="module")
def went_on(tmp_path_factory):
    """The same, but the disk failed in the fifth epoch and the command was given again."""
    folder = tmp_path_factory.mktemp("went_on")
    with pytest.raises(OSError, match="the disk is gone"):
        train(tiny_spec(**LONG), folder, source=Dots(32, fails_at=5))
    left = [epoch for epoch, _ in checkpoints_in(folder)]
    return folder, left, train(tiny_spec(**LONG), folder, source=Dots(32))


def weights_of(path):
    model, _ = load_model(path)
    return {variable.path: value for variable, value in zip(model.variables, model.get_weights(), strict=True)}


def same(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]


def test_the_loss_falls(trained):
    _, _, done = trained
    losses = [epoch["loss"] for epoch in done.history]
    assert len(losses) == 8
    assert losses[-1] < 0.5 * losses[0]
    assert all(np.isfinite(list(epoch.values())).all() for epoch in done.history)


def test_an_epochs_entry_holds_every_stages_losses_and_they_add_up(trained):
    _, _, done = trained
    for epoch in done.history:
        parts = [epoch[f"{kind}_loss_stage{stage}"] for kind in ("heatmap", "paf") for stage in (1, 2)]
        assert epoch["loss"] == pytest.approx(sum(parts) + epoch["regularization"], rel=1e-4)
        assert epoch["images_per_second"] == pytest.approx(32 / epoch["seconds"], rel=1e-6)
    assert [epoch["epoch"] for epoch in done.history] == list(range(1, 9))


def test_the_history_is_written_beside_the_network(trained):
    folder, _, done = trained
    assert json.loads((folder / "history.json").read_text()) == done.history
    assert done.model == folder / "bpnet_model.keras"
    assert done.params == load_model(done.model)[0].count_params()


def test_checkpoints_come_and_go_as_the_spec_says(trained):
    folder, _, done = trained
    assert [epoch for epoch, _ in checkpoints_in(folder)] == [6, 8]
    assert same(weights_of(checkpoints_in(folder)[-1][1]), weights_of(done.model))
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_resolved_spec_is_written_and_loads_back_equal(trained):
    folder, spec, _ = trained
    assert load_spec(folder / "experiment_spec.yaml", TrainSpec) == spec
    assert yaml.safe_load((folder / "experiment_spec.yaml").read_text())["num_epoch"] == 8


def test_the_status_file_tells_start_every_epoch_and_end(trained):
    folder, _, done = trained
    lines = lines_of(folder)
    assert [line["status"] for line in lines] == ["STARTED", *["RUNNING"] * 8, "SUCCESS"]
    for number, (line, epoch) in enumerate(zip(lines[1:-1], done.history, strict=True), 1):
        assert (line["epoch"], line["max_epoch"]) == (number, 8)
        assert line["graphical"] == {"loss": epoch["loss"], "learning_rate": epoch["learning_rate"]}
        assert {"time_per_epoch", "eta", "date", "time", "verbosity"} <= line.keys()


def test_the_card_says_how_the_network_was_trained(tmp_path):
    loader = tiny_spec().model_dump(mode="json", by_alias=True)["dataloader"]
    loader["normalization_params"] |= {"image_scale": [255.0, 254.0, 253.0], "image_offset": [0.1, 0.2, 0.3]}
    loader["label_processor_config"]["heatmap_gaussian_sigma"] = 5.0
    _, card = load_model(train(tiny_spec(num_epoch=1, dataloader=loader), tmp_path, source=Dots(4)).model)
    assert (card.image_scale, card.image_offset) == ((255.0, 254.0, 253.0), (0.1, 0.2, 0.3))
    assert (card.stride, card.input_size, card.sigma) == (8, (64, 64), 5.0)
    assert card.skeleton == BODYPOSENET_18


def test_an_interrupted_training_goes_on_to_the_same_weights(trained, went_on):
    _, _, undisturbed = trained
    _, left, resumed = went_on
    assert left == [2, 4]
    assert same(weights_of(resumed.model), weights_of(undisturbed.model))


def test_an_interrupted_training_goes_on_with_the_same_curves_and_optimizer(trained, went_on):
    folder, _, undisturbed = trained
    other, _, resumed = went_on
    clocked = {"seconds", "images_per_second"}
    for one, two in zip(undisturbed.history, resumed.history, strict=True):
        assert {k: v for k, v in one.items() if k not in clocked} == {k: v for k, v in two.items() if k not in clocked}
    _, wanted, _ = load_checkpoint(folder / "model.epoch-8.keras")
    _, found, _ = load_checkpoint(other / "model.epoch-8.keras")
    assert all((one == two).all() for one, two in zip(wanted, found, strict=True))


def test_a_finished_training_is_not_trained_again(trained, tmp_path):
    folder, spec, done = trained
    shutil.copytree(folder, tmp_path / "again")
    again = train(spec, tmp_path / "again", source=Dots(32, fails_at=0))
    assert again.history == done.history
    assert same(weights_of(again.model), weights_of(done.model))


def test_a_damaged_checkpoint_is_an_error_that_says_to_delete_it(trained, tmp_path):
    folder, spec, _ = trained
    damaged = tmp_path / "model.epoch-8.keras"
    damaged.write_bytes((folder / "model.epoch-8.keras").read_bytes()[:20_000])
    with pytest.raises(UserError) as caught:
        train(spec, tmp_path, source=Dots(32))
    assert str(damaged) in str(caught.value)


def test_what_is_measured_after_an_epoch_joins_its_history(tmp_path):
    def measured(epoch, model, card):
        assert model.dtype_policy.name == "float32"
        assert card.input_size == (64, 64)
        return {"ap": epoch / 10}

    done = train(tiny_spec(optimizer=MOMENTUM), tmp_path, source=Dots(8), after_epoch=measured)
    assert [epoch["ap"] for epoch in done.history] == [0.1, 0.2]


def test_sixteen_bit_training_learns_and_saves_a_32_bit_network(trained, tmp_path):
    done = train(tiny_spec(num_epoch=4, mixed_precision=True), tmp_path, source=Dots(32))
    model, card = load_model(done.model)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert {np.dtype(weight.dtype).name for weight in model.get_weights()} == {"float32"}
    assert card == load_model(trained[2].model)[1]
    losses = [epoch["loss"] for epoch in done.history]
    assert losses[-1] < 0.7 * losses[0]
    assert losses[0] == pytest.approx(trained[2].history[0]["loss"], rel=0.1)


def test_a_sixteen_bit_network_keeps_its_outputs_and_variables_in_32_bits():
    model = starting_network(tiny_spec(mixed_precision=True), BODYPOSENET_18)
    assert {tensor.dtype for tensor in model.outputs} == {"float32"}
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert model.get_layer("stage2_conv1").compute_dtype == "bfloat16"


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_step(tmp_path):
    with pytest.raises(UserError, match=r"the loss is nan at step [12] of 2") as caught:
        train(tiny_spec(), tmp_path, source=Dots(8, poison=5))
    assert caught.value.where == "epoch 1"
    assert checkpoints_in(tmp_path) == []
    assert lines_of(tmp_path)[-1]["status"] != "SUCCESS"


def test_channels_that_do_not_fit_the_skeleton_are_an_error(tmp_path):
    with pytest.raises(UserError, match="needs 19 and 38") as caught:
        train(tiny_spec(model={"heat_channels": 18}), tmp_path, source=Dots())
    assert "heat_channels" in str(caught.value.where)


def test_too_few_samples_are_an_error(tmp_path):
    with pytest.raises(UserError):
        train(tiny_spec(), tmp_path, source=Dots(3))


# Starting from other networks


def test_pretrained_weights_are_copied_by_name_and_the_others_reported(trained, caplog):
    _, _, done = trained
    spec = tiny_spec(model={"stages": 3}, pretrained_weights=str(done.model))
    with caplog.at_level(logging.INFO):
        model = starting_network(spec, BODYPOSENET_18)
    given, ours = weights_of(done.model), {v.path: v.numpy() for v in model.variables}
    for path, value in given.items():
        if not path.startswith(("heatmap_out", "paf_out")):
            assert (ours[path] == value).all()
    assert (ours["heatmap_out/kernel"] == given["heatmap_out/kernel"]).all()  # the last stage keeps its name
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    new = {layer.name for layer in model.layers if layer.weights} - {path.split("/")[0] for path in given}
    assert {name for name in new if any(f"layer {name} " in line for line in warned)} == new


def test_layers_of_another_shape_start_from_scratch(trained):
    _, _, done = trained
    model = build_model(tiny_spec(model={"stage1_kernel_sizes": [3, 5, 3]}).model, BODYPOSENET_18)
    before = model.get_layer("stage1_conv2").kernel.numpy()
    filled = fill(model, load_model(done.model)[0].layers)
    assert list(filled.left) == ["stage1_conv2"]
    assert "do not fit" in filled.left["stage1_conv2"]
    assert (model.get_layer("stage1_conv2").kernel.numpy() == before).all()
    assert "stage1_conv1" in filled.layers


def test_weights_that_are_not_shipped_are_an_error_that_lists_those_that_are():
    with pytest.raises(UserError, match="no weights named 'pretrained:nothing' are shipped"):
        weights_path("pretrained:nothing")


@pytest.fixture(scope="module")
def pruned(trained, tmp_path_factory):
    """The trained network without its weaker filters."""
    path = tmp_path_factory.mktemp("pruned") / "model.keras"
    prune_file(trained[2].model, path, PruneSpec(pruning_threshold=0.9, min_num_filters=8))
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
    from dataclasses import replace

    model, card = load_model(pruned)
    other = replace(card, skeleton=replace(card.skeleton, name="other", joints=card.skeleton.joints[::-1]))
    save_model(model, tmp_path / "other.keras", other)
    spec = tiny_spec(pretrained_weights=str(tmp_path / "other.keras"), load_graph=True)
    with pytest.raises(UserError, match="draws skeleton 'other'"):
        starting_network(spec, BODYPOSENET_18)
