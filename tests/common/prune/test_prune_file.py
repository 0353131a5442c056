"""Pruning: from a model file to another."""

import keras
import numpy as np
import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.prune.prune import prune_file, prune_model
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.network import BackboneAttributes, ModelSpec
from bodyposenet.common.spec.prune import PruneSpec

CARD = Card(skeleton=BODYPOSENET_18, input_size=(64, 96), image_offset=(0.25, 0.5, 0.75))
SPEC = PruneSpec(pruning_threshold=0.7, pruning_granularity=2, min_num_filters=4)
NETWORK = ModelSpec(stages=2, use_self_attention=True, backbone_attributes=BackboneAttributes(width_multiplier=0.125))
OUTPUTS = ("stage1_heat_branch_out", "heatmap_out", "stage1_paf_branch_out", "paf_out")


@pytest.fixture(scope="module")
def network():
    """A narrow BodyPoseNet whose filters differ as those of a trained one do."""
    keras.utils.set_random_seed(2)
    model, random = build_model(NETWORK, BODYPOSENET_18), np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, *bias = layer.get_weights()
            layer.set_weights([kernel * random.uniform(0.2, 1, kernel.shape[-1]), *bias])
    return model


@pytest.fixture
def source(network, tmp_path):
    save_model(network, tmp_path / "base" / "model.keras", CARD)
    return tmp_path / "base" / "model.keras"


def run(model):
    images = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype(np.float32)
    return [np.asarray(y) for y in model(images, training=False)]


def test_the_file_holds_the_pruned_network_and_the_card(network, source, tmp_path):
    outcome = prune_file(source, tmp_path / "new" / "small.tlt", SPEC)
    assert outcome.path == tmp_path / "new" / "small.tlt"
    model, card = load_model(outcome.path)
    assert card == CARD
    assert [layer.name for layer in model.layers] == [layer.name for layer in network.layers]
    for found, expected in zip(run(model), run(prune_model(network, SPEC).model), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [path.name for path in outcome.path.parent.iterdir()] == ["small.tlt"]


def test_a_bodyposenet_loses_filters_everywhere_but_in_its_maps(network):
    pruned = prune_model(network, SPEC)
    assert [tensor.shape for tensor in pruned.model.outputs] == [tensor.shape for tensor in network.outputs]
    assert [pruned.kept[name] for name in OUTPUTS] == [(19, 19), (19, 19), (38, 38), (38, 38)]
    wide = {name for name, (_, of) in pruned.kept.items() if of > 8} - set(OUTPUTS)
    assert {"block_3a_conv_1", "channel_reduction_conv", "stage1_paf_conv4", "stage2_conv5"} <= wide
    assert all(pruned.kept[name][0] < pruned.kept[name][1] for name in wide)
    for kind in ("paf", "cmap"):
        np.testing.assert_array_equal(
            pruned.filters[f"stage2_{kind}_conv6"], pruned.filters[f"stage2_{kind}_attention_conv"]
        )


def test_the_outcome_tells_what_became_smaller(source, tmp_path):
    outcome = prune_file(source, tmp_path / "small.keras", SPEC)
    model, _ = load_model(outcome.path)
    assert outcome.params_after == sum(weights.size for weights in model.get_weights())
    assert outcome.kept == outcome.params_after / outcome.params_before
    assert 0.1 < outcome.kept < 1
    assert 0 < outcome.gflops_after < outcome.gflops_before
    table = outcome.markdown()
    assert f"| GFLOPs at 64x96 | {outcome.gflops_before:.2f} | {outcome.gflops_after:.2f} |" in table
    assert f"| parameters | {outcome.params_before:,} | {outcome.params_after:,} |" in table
    assert "| paf_out | 38 | 38 | 100.0% |" in table
    count, of = outcome.layers["block_4a_conv_1"]
    assert f"| block_4a_conv_1 | {of} | {count} | {count / of:.1%} |" in table


def test_bare_file_names_are_in_this_folder(source, monkeypatch):
    monkeypatch.chdir(source.parent)
    outcome = prune_file("model.keras", "small.hdf5", SPEC)
    assert (source.parent / outcome.path).is_file()


def test_a_folder_stands_for_the_model_in_it(source, tmp_path):
    (tmp_path / "small").mkdir()
    outcome = prune_file(source.parent, tmp_path / "small", SPEC)
    assert outcome.path == tmp_path / "small" / "model.keras"
    assert outcome.path.is_file()


@pytest.mark.parametrize("name", ["model.keras", "../base/model.keras", "link.keras", "."])
def test_the_source_is_never_overwritten(source, name):
    (source.parent / "link.keras").symlink_to(source)
    before = source.read_bytes()
    with pytest.raises(UserError, match="is the model to prune itself; give another output file"):
        prune_file(source, source.parent / name, SPEC)
    assert source.read_bytes() == before


def test_a_pruning_that_fails_leaves_the_old_file(source, tmp_path):
    old = tmp_path / "small.keras"
    old.write_text("the last one")
    with pytest.raises(UserError, match=r"no layer 'heatmapout'; did you mean 'heatmap_out'"):
        prune_file(source, old, PruneSpec(excluded_layers=("heatmapout",)))
    assert old.read_text() == "the last one"


def test_what_is_pruned_can_be_pruned_again(source, tmp_path):
    once = prune_file(source, tmp_path / "once.keras", SPEC)
    twice = prune_file(
        once.path, tmp_path / "twice.keras", PruneSpec(pruning_threshold=0.99, pruning_granularity=1, min_num_filters=2)
    )
    assert twice.params_before == once.params_after > twice.params_after
    assert {name: of for name, (_, of) in twice.layers.items()} == {
        name: count for name, (count, _) in once.layers.items()
    }
