"""Start weights: the base network goes into the registry with a version and comes out of it for the next training."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from support.local_server import free_port
from support.mlflow_server import MLflow2, relaying
from support.person_net import write_network
from support.tiny_training import VGG, tiny_spec

from bodyposenet.common.errors import PassingError, UserError
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.model.files.weights_file import read_weights
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.training.plan import make_card
from bodyposenet.common.pose import decoder  # noqa: F401 - what registering a network draws in
from bodyposenet.common.tracking import find_version, promote, register_model, task_run
from bodyposenet.common.tracking.attachments import BASE, fetch_attachment, find_attachment
from bodyposenet.common.tracking.start_weights import choose_start, describe_start, fetch_base, find_shipped, keep_base

SPEC = tiny_spec()


@pytest.fixture(scope="module")
def onnx(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "person.onnx")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    skeleton = SPEC.dataloader.pose_config.skeleton()
    path = tmp_path_factory.mktemp("base") / "model.keras"
    save_model(build_model(SPEC.model, skeleton), path, make_card(SPEC, skeleton))
    return path


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def store(tracked_at, uri):
    return tracked_at(uri)


def register(onnx, name, base=None, *, champion=True):
    """A version, with its base network or, as before there was any, without."""
    with task_run("register") as run:
        tags = keep_base(run, base) if base else {}
        version = register_model(onnx, metrics={"ap": 0.5}, name=name, tags=tags)
    if champion:
        promote(name, version)
    return version


def assert_the_base_comes_back(onnx, base, name, folder):
    """That a training starts from the very file that was kept, by alias, by number, and by ``auto``."""
    version = register(onnx, name, base)
    for wish in (f"models:/{name}@champion", f"models:/{name}/{version}", "auto"):
        start = choose_start(wish, SPEC, name=name)
        assert start.weights == f"models:/{name}/{version}"
        assert fetch_base(start, folder).read_bytes() == base.read_bytes()
    held = find_version(name, "champion").tags
    assert int(held["base_bytes"]) == base.stat().st_size
    assert find_attachment(held, BASE).sha256 == start.digest
    return start


def test_a_training_starts_from_the_champion_s_base_network(onnx, base, store, tmp_path):
    start = assert_the_base_comes_back(onnx, base, "there", tmp_path)
    assert describe_start(start) == "starts from models:/there/1: it is the champion of there"
    assert start.model_id, "MLflow 3 has logged models"


@pytest.mark.slow
def test_the_same_on_servers_of_mlflow_3_and_2(onnx, base, mlflow_url, tracked_at, tmp_path):
    tracked_at(mlflow_url)
    assert assert_the_base_comes_back(onnx, base, "served", tmp_path).model_id
    with relaying(MLflow2, mlflow_url) as url:
        tracked_at(url)
        start = assert_the_base_comes_back(onnx, base, "served-older", tmp_path)
        assert start.model_id == ""
        kept = find_attachment(find_version("served-older", "champion").tags, BASE)
        assert fetch_attachment(kept, tmp_path, beside="other.txt") is None
        for gone in (replace(kept, path="base-none/model.keras"), replace(kept, run="0" * 32)):
            assert fetch_attachment(gone, tmp_path) is None


def test_who_serves_the_network_does_not_fetch_its_base(onnx, base, store):
    from mlflow import MlflowClient
    from mlflow.artifacts import list_artifacts

    version = register(onnx, "slim", base)
    served = {file.path for file in list_artifacts(f"models:/slim/{version}")}
    assert "MLmodel" in served
    assert not any(path.endswith(".keras") or path == "base" for path in served)
    run = MlflowClient().get_model_version("slim", version).run_id
    assert [file.path.partition("-")[0] for file in MlflowClient().list_artifacts(run)] == ["base"]


def test_without_a_champion_auto_takes_what_the_spec_says_or_what_is_shipped(onnx, base, store):
    named = choose_start("auto", SPEC, name="nobody", fallback="mine.keras")
    assert describe_start(named) == "starts from mine.keras: there is no champion of nobody"
    assert describe_start(choose_start("auto", SPEC, name="nobody")) == (
        "starts from random weights: there is no champion of nobody"
    )
    register(onnx, "candidate-only", base, champion=False)
    assert choose_start("auto", SPEC, name="candidate-only").weights == ""


def test_a_version_from_before_base_networks_were_kept_is_told_of(onnx, store):
    version = register(onnx, "old")
    start = choose_start("auto", SPEC, name="old", fallback="mine.keras")
    assert (start.weights, start.digest) == ("mine.keras", "")
    assert start.reason == "version 1 of old, the champion, was registered without its base network"
    with pytest.raises(UserError, match=r"models:/old@champion: version 1 was registered without its base network; "):
        choose_start("models:/old@champion", SPEC)
    assert find_version("old", version).tags.get("base") is None


@pytest.mark.parametrize(("change", "said"), [
    ({"model": {"backbone_attributes": {**SPEC.model.backbone_attributes.model_dump(), "width_multiplier": 0.25}}},
     "backbone_attributes.width_multiplier 0.25 is wanted, it has 0.125"),
    ({"model": {"backbone_attributes": VGG}}, "architecture vgg is wanted, it has helnet"),
    ({"model": {"stages": 3}}, "stages 3 is wanted, it has 2"),
])  # fmt: skip
def test_a_champion_of_another_architecture_is_refused_with_both_sides_and_passed_over_by_auto(
    onnx, base, store, change, said
):
    register(onnx, "other", base)
    spec = tiny_spec(**change)
    with pytest.raises(UserError, match=said):
        choose_start("models:/other@champion", spec)
    start = choose_start("auto", spec, name="other", fallback="pretrained:drawn_people")
    assert start.weights == "pretrained:drawn_people"
    assert said in start.reason


def test_a_champion_of_another_skeleton_is_passed_over_by_auto_and_taken_where_it_is_named(onnx, store, tmp_path):
    from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

    other = replace(BODYPOSENET_18, name="swapped", limbs=BODYPOSENET_18.limbs[::-1])
    card = make_card(SPEC, other)
    save_model(build_model(SPEC.model, other), tmp_path / "model.keras", card)
    register(onnx, "skeleton", tmp_path / "model.keras")
    ours = SPEC.dataloader.pose_config.skeleton().name
    start = choose_start("auto", SPEC, name="skeleton", fallback="mine.keras")
    assert start.weights == "mine.keras"
    assert f"skeleton '{ours}' is wanted, it draws 'swapped'" in start.reason
    assert choose_start("models:/skeleton@champion", SPEC).weights == "models:/skeleton/1"


def test_a_wider_version_is_taken_where_the_spec_asks_for_it_to_be_cut(onnx, base, store):
    register(onnx, "wide", base)
    backbone = SPEC.model.backbone_attributes.model_copy(update={"width_multiplier": 0.0625})
    narrow = SPEC.model_copy(update={"model": SPEC.model.model_copy(update={"backbone_attributes": backbone})})
    with pytest.raises(UserError, match="width_multiplier"):
        choose_start("models:/wide/1", narrow)
    cut = narrow.model_copy(update={"fit_width": "prune"})
    assert choose_start("models:/wide/1", cut).weights == "models:/wide/1"


@pytest.mark.parametrize("wish", ["models:/", "models:/name", "models:/a/b", "models:/a@b@c", "models:/a/1/2"])
def test_what_names_no_version_is_refused_with_an_example(store, wish):
    with pytest.raises(UserError, match="models:/NAME@champion"):
        choose_start(wish, SPEC)


def test_a_version_or_alias_that_is_not_there_is_told(onnx, base, store):
    register(onnx, "few", base, champion=False)
    for wish in ("models:/few@champion", "models:/few/7", "models:/nowhere/1"):
        with pytest.raises(UserError, match=f"{wish}: there is no such version"):
            choose_start(wish, SPEC)


def test_a_base_network_that_is_gone_is_told(onnx, base, store, tmp_path):
    import shutil
    from urllib.request import url2pathname

    from mlflow import MlflowClient

    register(onnx, "lost", base)
    start = choose_start("auto", SPEC, name="lost")
    version = MlflowClient().get_model_version("lost", "1")
    place = MlflowClient().get_run(version.run_id).info.artifact_uri
    shutil.rmtree(url2pathname(place.removeprefix("file://")))
    with pytest.raises(UserError, match="models:/lost/1: its base network is there no longer"):
        fetch_base(start, tmp_path)


def test_a_registry_that_is_away_is_waited_for_and_not_taken_for_one_without_a_champion(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    for wish in ("auto", "models:/bodyposenet@champion"):
        with pytest.raises(PassingError, match="does not tell of it"):
            choose_start(wish, SPEC)


def test_where_nothing_is_tracked_auto_says_so(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert choose_start("auto", SPEC, fallback="x.keras").reason == "MLFLOW_TRACKING_URI is not set"
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI is not set; set it"):
        choose_start("models:/bodyposenet@champion", SPEC)


def test_shipped_weights_are_taken_for_a_network_that_takes_all_of_them():
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.train import TrainSpec
    from bodyposenet.pipelines.specs import default

    settings = default("train")
    settings["dataloader"]["dataset_config"] = {
        "train_records_folder_path": "none",
        "train_records_path": ["none"],
    }
    assert find_shipped(parse_spec(settings, TrainSpec)) == "pretrained:drawn_people"
    settings["model"]["stages"] = 3
    assert find_shipped(parse_spec(settings, TrainSpec)) == ""


def test_a_file_that_was_changed_in_the_store_is_refused(onnx, base, store, tmp_path):
    register(onnx, "changed", base)
    kept = find_attachment(find_version("changed", "champion").tags, BASE)
    forged = kept.__class__(kept.run, kept.path, "0" * 64)
    with pytest.raises(UserError, match="is not the file that was kept there"):
        fetch_attachment(forged, tmp_path)


def test_without_a_store_nothing_is_kept(base, monkeypatch, caplog):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    caplog.set_level(logging.INFO)
    with task_run("register") as run:
        assert keep_base(run, base) == {}


def test_the_network_of_the_start_has_the_champion_s_weights(onnx, base, store, tmp_path):
    from bodyposenet.common.model.training.initial_network import starting_network

    register(onnx, "whole", base)
    file = fetch_base(choose_start("auto", SPEC, name="whole"), tmp_path)
    spec = SPEC.model_copy(update={"pretrained_weights": str(file)})
    model = starting_network(spec, spec.dataloader.pose_config.skeleton())
    stored = read_weights(base).layers
    for layer in model.layers:
        for ours, theirs in zip(layer.get_weights(), stored.get(layer.name, ()), strict=True):
            np.testing.assert_array_equal(ours, theirs)
