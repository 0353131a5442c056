"""Explanations: every key of every spec has one, in the docstring of its class."""

import pytest

from bodyposenet.common.spec.augmentation import AugmentationConfig
from bodyposenet.common.spec.guide.explanations import describe_model, read_explanations
from bodyposenet.common.spec.guide.keys import list_keys
from bodyposenet.common.spec.guide.schema import find_models
from bodyposenet.common.spec.kinds import KINDS
from bodyposenet.common.spec.loader import LabelProcessorConfig
from bodyposenet.common.spec.train import TrainSpec

NUMBERS = ("whole number", "each number", "with number")
MODELS = {name: model for kind in KINDS.values() for name, model in find_models(kind).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_says_what_it_does(kind):
    assert [key.name for key in list_keys(kind) if not key.told.effect] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_has_a_unit_and_nothing_else_has_one(kind):
    def is_number(key):
        return key.type.startswith("number") or any(word in key.type for word in NUMBERS)

    keys = [key for key in list_keys(kind) if key.field != "channels"]  # the choice of one number
    assert [key.name for key in keys if is_number(key) != bool(key.told.unit)] == []


@pytest.mark.parametrize("name", MODELS)
def test_no_docstring_explains_a_key_that_is_not_there(name):
    fields = {"class_name", *MODELS[name].model_fields}
    assert read_explanations(MODELS[name]).keys() <= fields
    assert describe_model(MODELS[name])


def test_the_parts_of_an_explanation_are_told_apart():
    sigma = read_explanations(LabelProcessorConfig)["heatmap_gaussian_sigma"]
    assert (sigma.effect, sigma.unit, sigma.tao, sigma.is_extension) == (
        "Spread of a joint's peak, in pixels of the network input.", "pixels", "", False,
    )  # fmt: skip
    colours = read_explanations(AugmentationConfig)["color_aug_params"]
    assert (colours.effect, colours.tao) == ("How colours vary; null leaves them alone.", "TAO takes none.")
    minutes = read_explanations(TrainSpec)["checkpoint_n_minutes"]
    assert minutes.is_extension
    assert minutes.summary == "Time between checkpoints within an epoch"
