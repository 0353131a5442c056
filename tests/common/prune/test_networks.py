"""Pruning every kind of network there is: additions, depthwise convolutions, towers and gates."""

import numpy as np
import pytest
from support.networks import KINDS, convolutions, pictures, run, trained

from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.model.network.flops import flops
from bodyposenet.common.prune.prune import prune_model
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import make_skeleton
from bodyposenet.common.spec.prune import PruneSpec

FINE = {"pruning_granularity": 1, "min_num_filters": 1}
SILENT = (1, 4, 6)
CARD = Card(skeleton=make_skeleton("stick", ("a", "b"), ((0, 1),)), input_size=(64, 64))

STREAMS = {  # layers whose outputs are added up
    "resnet18": [
        [f"block_{group}{part}" for part in ("a_conv_shortcut", "a_conv_2", "b_conv_2")] for group in (2, 3, 4)
    ],
    "mobilenet_v2": [
        [f"block_{group}{letter}_conv_2" for letter in letters]
        for group, letters in ((2, "ab"), (4, "abcd"), (5, "abc"))
    ],
}


def inner(model):
    """Convolutions whose filters may go: all but those that draw the maps."""
    maps = {tensor._keras_history.operation.name for tensor in model.outputs}
    return {name: layer for name, layer in convolutions(model).items() if name not in maps}


@pytest.mark.parametrize("kind", ["resnet18", "mobilenet_v2", "towers"])
def test_threshold_0_changes_no_bit_of_a_trained_network(kind):
    model = trained(kind)
    pruned = prune_model(model, PruneSpec(pruning_threshold=0, **FINE))
    assert pruned.params_after == pruned.params_before
    for found, expected in zip(run(pruned.model, pictures()), run(model, pictures()), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "vgg"])
def test_channels_that_are_silent_go_everywhere_and_nothing_changes(kind):
    model = trained(kind, silent=SILENT)
    pruned = prune_model(model, PruneSpec(pruning_threshold=0, **FINE))
    for name, layer in inner(model).items():
        assert list(pruned.filters[name]) == [n for n in range(layer.filters) if n not in SILENT], name
    for found, expected in zip(run(pruned.model, pictures()), run(model, pictures()), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", list(STREAMS))
@pytest.mark.parametrize("criterion", ["union", "intersection", "arithmetic_mean", "geometric_mean"])
def test_what_is_added_keeps_the_same_channels(kind, criterion):
    model = trained(kind)
    spec = PruneSpec(pruning_threshold=0.7, normalizer="max", equalization_criterion=criterion, **FINE)
    pruned = prune_model(model, spec)
    for stream in STREAMS[kind]:
        kept = {tuple(pruned.filters[name]) for name in stream}
        norms = np.stack([np.sqrt((np.asarray(model.get_layer(n).kernel) ** 2).sum(axis=(0, 1, 2))) for n in stream])
        norms = norms / norms.max(axis=1, keepdims=True)
        merged = {"union": norms.max(0), "intersection": norms.min(0), "arithmetic_mean": norms.mean(0)}
        scores = merged.get(criterion, np.exp(np.log(norms).mean(0)))
        assert kept == {tuple(np.flatnonzero(scores > 0.7)) or (int(scores.argmax()),)}


@pytest.mark.parametrize("kind", ["mobilenet_v2"])
def test_a_pruned_network_costs_less_and_its_onnx_draws_the_same(kind, tmp_path):
    model = trained(kind)
    smaller = prune_model(model, PruneSpec(pruning_threshold=2.4, normalizer="L2", **FINE)).model
    assert 0 < flops(smaller, (64, 64)) < flops(model, (64, 64))
    save_model(smaller, tmp_path / "small.keras", CARD)
    export = export_onnx(tmp_path / "small.keras", tmp_path / "small.onnx")
    assert export.max_relative_error < 1e-4
