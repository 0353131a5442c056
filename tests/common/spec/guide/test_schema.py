"""Schema: good specs pass it, bad ones fail where it can tell, and it is never stricter than the check of specs."""

import json

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from support.shipped_specs import list_specs
from support.spec_files import DATASET, INFERENCE, TRAIN, changed

from bodyposenet.common.errors import SpecError
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.document import CLASS_KEY
from bodyposenet.common.spec.guide.keys import list_keys
from bodyposenet.common.spec.guide.schema import find_models, format_schema, locate_schema, make_schema
from bodyposenet.common.spec.guide.template import make_example
from bodyposenet.common.spec.kinds import KINDS

SPECS = {name: (kind, data) for name, kind, data in list_specs()}
VALUES = (None, True, 0, 1, -1, 0.5, 1e9, "", "x", [], {}, [1], [1, 2], [1.0, 2.0, 3.0], ["a"], {"a": 1}, {"a": "b"})


def problems(kind, data):
    return [error.message for error in Draft202012Validator(make_schema(kind)).iter_errors(data)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_that_ships_is_what_the_models_say_now(kind):
    Draft202012Validator.check_schema(make_schema(kind))
    made = format_schema(kind)
    make_schema.cache_clear()
    assert format_schema(kind) == made
    assert locate_schema(kind).read_text(encoding="utf-8") == made, "bpnet spec schema -o common/spec/guide/schemas"


@pytest.mark.parametrize("name", SPECS)
def test_good_specs_pass(name):
    kind, data = SPECS[name]
    parse_spec(data, KINDS[kind])
    assert problems(kind, data) == []


@pytest.mark.parametrize(
    "swap",
    [
        ("batch_size: 10", "batch_sise: 10"),
        ("  batch_size: 10\n", ""),
        ("num_epoch: 100", "num_epoch: 0"),
        ("num_epoch: 100", "num_epoch: many"),
        ("load_graph: False", "load_graph: 'no'"),
        ("stages: 3", "stages: 7"),
        ("momentum: 0.9", "momentum: 1"),
        ("architecture: vgg", "architecture: vggg"),
        ("target_shape: [28, 40]", "target_shape: [28]"),
        ("flip_lr_prob: 0.5", "flip_lr_prob: 1.5"),
        ("WeightedMomentumOptimizer", "WeightedMomentumOptimiser"),
        ("__class_name__: BpNetLoss", "__class_name__: BpNetLos"),
        ("soft_start: 0.05", "soft_start: null"),
        ("train_records_path: [train-fold-000-of-001]", "train_records_path: []"),
    ],
)
def test_bad_specs_fail_as_they_fail_the_check(swap):
    data = yaml.safe_load(changed(TRAIN, swap))
    with pytest.raises(SpecError):
        parse_spec(data, KINDS["train"])
    assert problems("train", data)


def test_what_tao_writes_passes():
    """Null for the usual, class names with their modules, and a rule in place of the second half."""
    text = changed(
        TRAIN,
        ("shuffle_buffer_size: 20000", "shuffle_buffer_size: null"),
        ("AugmentationConfig", "a.b.AugmentationConfig"),
    )
    data = yaml.safe_load(text) | {"finetuning_config": None}
    data["optimizer"][CLASS_KEY] = "nvidia.optimizers.WeightedMomentumOptimizer"
    assert problems("train", data) == []
    assert problems("infer", yaml.safe_load(INFERENCE)) == []
    dataset = json.loads(DATASET)
    del dataset["test_data"]
    assert problems("dataset", dataset)
    assert problems("dataset", dataset | {"split": {"share": 0.1}}) == []


def rejects(model, key, value):
    """Whether the model finds fault with the value of a key, whatever is missing beside it."""
    try:
        model.model_validate({key: value})
    except ValidationError as error:
        return any(item["loc"][:1] == (key,) for item in error.errors())
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_no_value_that_the_check_takes_fails_the_schema(kind):
    whole, stricter = make_schema(kind), []
    for key in list_keys(kind):
        one = Draft202012Validator({**key.schema, "$defs": whole.get("$defs", {})})
        for value in VALUES:
            if not one.is_valid(value) and not rejects(key.model, key.path[-1], value):
                stricter.append((key.name, value))
    assert stricter == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_a_schema_is_described_and_its_default_fits(kind):
    whole = make_schema(kind)
    for name, model in find_models(KINDS[kind]).items():
        part = whole if model is KINDS[kind] else whole["$defs"][name]
        for key, schema in part["properties"].items():
            assert schema["description"], f"{name}.{key}"
            if "default" in schema:
                assert Draft202012Validator({**schema, "$defs": whole.get("$defs", {})}).is_valid(schema["default"])


@pytest.mark.parametrize("kind", KINDS)
def test_what_must_be_given_is_enough(kind):
    assert problems(kind, make_example(KINDS[kind])) == []
