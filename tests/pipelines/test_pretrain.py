"""Pretrain: how the start weights are packed, and that what is shipped is what its recipe says."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pose_net import CARD, pose_net

from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.network import ModelSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.pipelines import pretrain
from bodyposenet.pipelines.specs import default

FLOATS = st.floats(-(2.0**126), 2.0**126, width=32, allow_subnormal=False)
# Halfway between two values of bfloat16, just below and just above that; the greatest carry; zeros.
CORNERS = [1 + 2**-8, 1 + 2**-8 - 2**-23, 1 + 2**-8 + 2**-23, 2 - 2**-9, 0.0, -0.0, -3.5]


@given(st.lists(FLOATS, min_size=1))
def test_weights_are_rounded_to_the_nearest_bfloat16(values):
    weights = np.array([*values, *CORNERS], np.float32)
    kept = pretrain.round_weights(weights)
    assert kept.dtype == np.float32
    assert np.array_equal(kept, kept.astype(ml_dtypes.bfloat16).astype(np.float32)), "bfloat16 holds them exactly"
    nearest = weights.astype(ml_dtypes.bfloat16).astype(np.float32)  # ties go to even there, away from zero here
    assert np.array_equal(np.abs(np.float64(kept) - weights), np.abs(np.float64(nearest) - weights))


def test_rounding_keeps_shapes_and_does_not_touch_what_it_is_given():
    weights = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    before = weights.copy()
    turned = pretrain.round_weights(weights.transpose())
    assert np.array_equal(turned, pretrain.round_weights(weights).transpose())
    assert np.array_equal(weights, before)
    assert pretrain.round_weights(np.float32([])).shape == (0,)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A network's file as it is saved, and packed."""
    folder = tmp_path_factory.mktemp("packed")
    loose, small = folder / "loose.keras", folder / "small.keras"
    save_model(pose_net(width=24), loose, CARD)
    pretrain.pack(loose, small)
    return loose, small


def test_a_packed_file_has_at_most_three_fifths_of_the_size(packed):
    loose, small = packed
    assert small.stat().st_size <= 0.6 * loose.stat().st_size


def test_a_packed_network_is_the_same_but_for_the_last_digits(packed):
    (loose, card), (small, kept_card) = map(load_model, packed)
    assert kept_card == card == CARD
    assert small.get_config() == loose.get_config()
    for before, after in zip(loose.get_weights(), small.get_weights(), strict=True):
        assert np.array_equal(after, pretrain.round_weights(before))
        assert np.allclose(after, before, rtol=2**-8, atol=0)


def test_packing_again_changes_nothing(packed, tmp_path):
    _, small = packed
    pretrain.pack(small, tmp_path / "again.keras")
    before, after = (load_model(path)[0].get_weights() for path in (small, tmp_path / "again.keras"))
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert (tmp_path / "again.keras").stat().st_size == pytest.approx(small.stat().st_size, rel=0.01)


def test_the_recipe_makes_the_network_that_the_pipeline_trains():
    recipe = load_spec(pretrain.SHIPPED / f"{pretrain.NAME}.yaml", TrainSpec)
    shipped, card = load_model(pretrain.SHIPPED / f"{pretrain.NAME}.keras")
    assert card.input_size == recipe.dataloader.image_config.image_dims.size
    wanted = ModelSpec.model_validate(default("train")["model"])
    for spec in (recipe.model, wanted):
        made = build_model(spec, card.skeleton)
        assert [weights.shape for weights in made.get_weights()] == [w.shape for w in shipped.get_weights()]


def test_the_shipped_weights_are_small_and_their_log_says_how_good_they_are():
    folder = Path(pretrain.SHIPPED)
    weights = folder / f"{pretrain.NAME}.keras"
    log = json.loads((folder / f"{pretrain.NAME}.json").read_text())
    assert weights.stat().st_size == log["bytes"] <= 3_000_000
    assert log["pictures"] >= 200
    assert 0.6 <= log["ap"] / log["ceiling_ap"] <= 1
    for part, recipe in (("narrow", f"{pretrain.NAME}.narrow.yaml"), ("wide", f"{pretrain.NAME}.yaml")):
        epochs = load_spec(folder / recipe, TrainSpec).num_epoch
        assert [row["epoch"] for row in log["epochs"][part]] == list(range(1, epochs + 1))
        assert log["epochs"][part][-1]["loss"] < log["epochs"][part][0]["loss"]
    minutes = sum(row["seconds"] for part in log["epochs"].values() for row in part) / 60
    assert minutes <= 90
