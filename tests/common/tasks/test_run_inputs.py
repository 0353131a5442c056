"""Inputs: what a run is given as text, read, checked and digested."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.local_server import free_port

from bodyposenet.common.data.synthetic.dataset import synthesize
from bodyposenet.common.errors import PassingError, SpecError, UserError
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.spec.document import read_settings
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.tasks.run_inputs import (
    MOST_PARTS,
    PHOTOS_PER_PART,
    parse_synthetic,
    parts_for,
    read_inputs,
    weights_digest,
)
from bodyposenet.common.tasks.training import fetch_weights
from bodyposenet.pipelines.blocks import DEFAULTS, FOR_PHOTOS

DEFAULT = restore_ints(DEFAULTS)
BY_DATA = restore_ints({**DEFAULTS, "photos": FOR_PHOTOS})
NAMES = list(DEFAULT)


def read(data="synthetic:8,4", **specs):
    more = {name: specs.pop(name) for name in ("start_weights", "salt", "more") if name in specs}
    return read_inputs({name: specs.get(name, {}) for name in NAMES}, BY_DATA, data=data, **more)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    synthesize(folder, train=3, val=2)
    return folder


def test_with_nothing_given_all_specs_are_the_shipped_ones(photos):
    found = read(str(photos))
    assert found.specs == {**DEFAULT, **restore_ints(FOR_PHOTOS)}
    assert found.parts == ["0/1"]
    assert found.specs["train_spec"]["pretrained_weights"] == "pretrained:people"
    drawn = {**DEFAULT, "retrain_spec": {**DEFAULT["retrain_spec"], "distillation": {"enabled": False}}}
    assert read().specs == drawn


def test_a_train_spec_that_is_given_keeps_the_other_specs_of_before_for_photos_too(photos):
    own = {**DEFAULT["train_spec"], "num_epoch": 9}
    assert read(str(photos), train_spec=own).specs == {**DEFAULT, "train_spec": own}
    cut = {**DEFAULT["prune_spec"], "pruning_threshold": 0.5}
    found = read(str(photos), prune_spec=cut).specs
    assert (found["prune_spec"], found["train_spec"]) == (cut, restore_ints(FOR_PHOTOS["train_spec"]))


@pytest.mark.parametrize(
    "given", [{"start_weights": "pretrained:drawn_people"}, {"retrain_spec": DEFAULT["retrain_spec"]}]
)
def test_who_trains_another_network_than_that_for_photos_gets_none_of_its_specs(photos, given):
    specs = read(str(photos), **given).specs
    for name in ("train_spec", "prune_spec", "retrain_spec", "inference_spec"):
        assert specs[name] == DEFAULT[name]


def test_a_teacher_that_nobody_asks_for_by_name_teaches_photos_and_no_drawn_people(photos):
    auto = DEFAULT["retrain_spec"]["distillation"]
    assert auto == {"enabled": "auto"}
    own = {"teacher": "gs://bucket/large.keras", "weight": 0.9}
    for told, drawn in ((auto, {"enabled": False}), ({}, {"enabled": False}), ({"enabled": True}, {"enabled": True}),
                        (own, own)):  # fmt: skip
        spec = {**DEFAULT["retrain_spec"], "distillation": told}
        assert read(str(photos), retrain_spec=spec).specs["retrain_spec"]["distillation"] == told
        assert read(retrain_spec=spec).specs["retrain_spec"]["distillation"] == drawn
    without = {name: value for name, value in DEFAULT["retrain_spec"].items() if name != "distillation"}
    assert read(retrain_spec=without).specs["retrain_spec"] == without
    with pytest.raises(SpecError, match=r"train_spec: distillation\.teacher: missing"):
        read(train_spec={**DEFAULT["train_spec"], "distillation": {"enabled": True}})


def test_a_spec_is_the_same_as_settings_and_as_a_file(tmp_path):
    spec = {**DEFAULT["prune_spec"], "pruning_threshold": 0.5}
    files = [tmp_path / "prune.yaml", tmp_path / "prune.json"]
    files[0].write_text(yaml.safe_dump(spec))
    files[1].write_text(json.dumps(spec))
    found = [read(prune_spec=given) for given in (spec, *({"from": str(file)} for file in files))]
    assert found[0].specs["prune_spec"]["pruning_threshold"] == 0.5
    assert len({each.digest for each in found}) == 1
    assert found[0].digest != read().digest


def test_all_mistakes_of_all_specs_come_together():
    with pytest.raises(SpecError) as caught:
        read(
            inference_spec={"from": "/no/such.yaml"},
            dataset_spec={"from": "/no/such.yaml", "dataset": "mine"},
            train_spec={"num_epochs": 3},
            prune_spec={"pruning_treshold": 0.2},
            deploy_spec={"method": "median"},
        )
    said = str(caught.value)
    assert "did you mean 'num_epoch'" in said
    for place in ("train_spec", "prune_spec", "deploy_spec", "dataset_spec", "/no/such.yaml"):
        assert any(line.startswith(place) for line in said.splitlines()), said


def test_a_bucket_that_is_away_is_no_mistake_in_a_spec(monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(PassingError, match="does not answer"):
        read(prune_spec={"from": "gs://bucket/prune.yaml"})


def test_quantization_counts():
    assert read(deploy_spec={"max_int8_drop": 0.5}).digest != read().digest


@pytest.mark.parametrize("name", ["train_spec", "retrain_spec"])
def test_a_model_key_in_a_spec_is_refused_before_it_is_an_argument(name):
    with pytest.raises(SpecError, match=f"{name}: key: a model key must not stand here; put it into") as caught:
        read(**{name: DEFAULT[name] | {"key": "hunter2"}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("data", "drawn"), [
    ("synthetic:600,200", (600, 200, 0)), (" synthetic:1,2,7 ", (1, 2, 7)), ("/photos", None), ("gs://b/photos", None),
])  # fmt: skip
def test_data_are_drawn_or_a_folder(data, drawn):
    assert parse_synthetic(data) == drawn


@pytest.mark.parametrize(
    "data", ["", " ", "synthetic:", "synthetic:5", "synthetic:0,4", "synthetic:5,5,5,5", "synthetic:a,b"]
)
def test_what_is_neither_is_refused_with_an_example(data):
    with pytest.raises(UserError, match="synthetic:600,200"):
        parse_synthetic(data)


def test_a_folder_without_photos_is_refused_at_once(tmp_path):
    with pytest.raises(UserError, match=r"has no folder images"):
        read(str(tmp_path))


def test_the_digest_goes_by_the_photos_and_not_by_their_place(photos, tmp_path):
    before = read(str(photos))
    (tmp_path / "elsewhere").symlink_to(photos)
    assert read(str(tmp_path / "elsewhere")).photos == before.photos
    extra = photos / "images" / "one_more.jpg"
    extra.write_bytes(next((photos / "images").iterdir()).read_bytes())
    assert read(str(photos)).photos != before.photos
    extra.unlink()
    assert read(str(photos)).digest == before.digest


@given(st.text(min_size=1, max_size=8))
def test_any_salt_makes_everything_run_again(salt):
    assert read(salt=salt).photos != read().photos


def test_cuts_of_a_sweep_are_inputs_and_leave_the_photos_alone():
    one, two = read(more=[{"target_flops": 0.5}]), read(more=[{"target_flops": 0.3}])
    assert one.photos == two.photos
    assert one.digest != two.digest


def test_start_weights_take_the_place_of_the_spec_s_and_count_by_their_content(tmp_path):
    weights = tmp_path / "start.keras"
    weights.write_bytes(b"one")
    first = read(start_weights=str(weights))
    assert first.specs["train_spec"]["pretrained_weights"] == str(weights)
    weights.write_bytes(b"two")
    assert read(start_weights=str(weights)).weights != first.weights
    assert weights_digest("pretrained:drawn_people") == weights_digest("") == ""
    with pytest.raises(UserError, match=r"missing\.keras: .* check start_weights"):
        read(start_weights=str(tmp_path / "missing.keras"))


@given(st.integers(0, 10**6))
def test_parts_are_as_many_as_the_photos_call_for(photos):
    parts = parts_for(photos)
    assert [tuple(map(int, part.split("/"))) for part in parts] == [(i, len(parts)) for i in range(len(parts))]
    assert 1 <= len(parts) <= MOST_PARTS
    assert len(parts) == MOST_PARTS or len(parts) * PHOTOS_PER_PART >= photos > (len(parts) - 1) * PHOTOS_PER_PART - 1


def test_start_weights_and_specs_lie_in_any_store(store):
    for name, content in (("weights.keras", b"weights"), ("train.yaml", b"num_epoch: 3\n")):
        with whole_file(f"{store}/start/{name}") as file:
            file.write(content)
    address = f"{store}/start/weights.keras"
    spec = {"pretrained_weights": address, "distillation": {"teacher": address}}
    with fetch_weights(spec) as local:
        assert Path(local["pretrained_weights"]).read_bytes() == b"weights"
        assert Path(local["distillation"]["teacher"]).read_bytes() == b"weights"
    before = weights_digest(spec["pretrained_weights"])
    with whole_file(spec["pretrained_weights"]) as file:
        file.write(b"others")
    assert weights_digest(spec["pretrained_weights"]) != before
    with pytest.raises(UserError, match=r"none\.keras: there is no such file or folder; check start_weights"):
        weights_digest(f"{store}/start/none.keras")
    assert read_settings({"from": f"{store}/start/train.yaml"}, "train_spec").data == {"num_epoch": 3}
