"""Start weights of a training: taken from a registry once, recorded, and the same until the training is done."""

import json

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from support import rounds_run
from support.local_server import free_port
from support.person_net import write_network

from bodyposenet.common.cli.main import main
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.weights_file import read_weights
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.model.training.train import train
from bodyposenet.common.spec.base import dump_yaml
from bodyposenet.common.steps.start_weights import NETWORK, NOTE, WARM_STOPPING, take_start
from bodyposenet.common.tracking import promote, register_model, task_run
from bodyposenet.common.tracking.start_weights import keep_base

CHAMPION = "models:/bodyposenet@champion"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Records of drawn people, and a base network of the spec that trains on them."""
    folder = tmp_path_factory.mktemp("data")
    rounds_run.prepare(folder)
    return folder


@pytest.fixture(scope="module")
def uri(data):
    """A registry whose champion has that base network."""
    address = f"sqlite:///{data}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "KFP_RUN_ID"):
            patch.delenv(name, raising=False)
        register(data)
    return address


def register(data):
    onnx = write_network(data / "person.onnx")
    with task_run("register") as run:
        version = register_model(onnx, metrics={"ap": 0.5}, tags=keep_base(run, data / "base.keras"))
    promote("bodyposenet", version)


@pytest.fixture
def store(tracked_at, uri):
    return tracked_at(uri)


def spec_of(data, weights=CHAMPION, **changes):
    """A train spec, with or without a word on early stopping."""
    spec = rounds_run.retraining_of(data, epochs=changes.pop("num_epoch", 1))
    settings = yaml.safe_load(dump_yaml(spec)) | {"pretrained_weights": weights} | changes
    if "early_stopping" not in changes:
        settings.pop("early_stopping", None)
    return spec.__class__.model_validate(settings)


@pytest.mark.parametrize("weights", ["auto", CHAMPION, "models:/bodyposenet/1"])
def test_a_training_gets_the_file_and_ends_early_unless_its_spec_has_a_word_on_that(data, store, tmp_path, weights):
    with take_start(spec_of(data, weights), tmp_path) as begin:
        assert begin.spec.pretrained_weights == str(tmp_path / NETWORK)
        assert (tmp_path / NETWORK).read_bytes() == (data / "base.keras").read_bytes()
        assert begin.spec.early_stopping == WARM_STOPPING
    for word in (None, {"patience": 7}):
        with take_start(spec_of(data, weights, early_stopping=word), tmp_path) as begin:
            assert begin.spec.early_stopping == (word and WARM_STOPPING.__class__(**word))


def test_what_needs_no_registry_is_left_as_it_is(data, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    for weights in (None, "pretrained:drawn_people", "some/file.keras"):
        spec = spec_of(data, weights)
        with take_start(spec, tmp_path) as begin:
            assert begin.spec == spec
            assert begin.start is None
    assert list(tmp_path.iterdir()) == []


def test_auto_without_a_champion_that_fits_begins_as_if_it_were_not_there(data, store, tmp_path, caplog):
    caplog.set_level("INFO")
    model = {"stages": 2, "backbone_attributes": spec_of(data).model.backbone_attributes.model_dump()}
    with take_start(spec_of(data, "auto", model=model), tmp_path) as begin:
        assert begin.spec.pretrained_weights is None
        assert begin.spec.early_stopping is None
    (line,) = [record.message for record in caplog.records if record.message.startswith("starts from")]
    assert line.startswith("starts from random weights: version 1 of bodyposenet, the champion, has another network: ")
    assert "stages 2 is wanted, it has 1" in line


def test_a_training_that_goes_on_does_so_with_what_it_took_whoever_answers_by_then(data, store, tmp_path, monkeypatch):
    with take_start(spec_of(data), tmp_path):
        pass
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with take_start(spec_of(data), tmp_path) as begin:
        assert begin.start.weights == "models:/bodyposenet/1"
        assert begin.spec.early_stopping == WARM_STOPPING
    with pytest.raises(UserError, match="does not tell of it"), take_start(spec_of(data, "auto"), tmp_path):
        pass


@pytest.mark.heavy
def test_the_verb_trains_from_the_champion_and_its_run_says_so(data, store, tmp_path):
    from mlflow import MlflowClient

    file = tmp_path / "train.yaml"
    file.write_text(dump_yaml(spec_of(data)))
    done = CliRunner().invoke(main, ["train", "-e", str(file), "-r", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out" / NOTE).read_text())["start"]["weights"] == "models:/bodyposenet/1"
    told = (tmp_path / "out" / "pretrained.txt").read_text().splitlines()[0]
    assert "start_weights.keras: Keras model: filled" in told
    client = MlflowClient()
    everywhere = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(everywhere, "tags.`bodyposenet.start` = 'models:/bodyposenet/1'")
    assert run.data.params["training.start"] == "models:/bodyposenet/1"
    assert run.data.params["training.start_reason"] == f"as {CHAMPION} says"
    source = client.get_model_version("bodyposenet", "1").source
    assert [f"models:/{used.model_id}" for used in client.get_run(run.info.run_id).inputs.model_inputs] == [source]


def test_a_network_that_does_not_fit_ends_the_verb_with_both_sides(data, store, tmp_path):
    file = tmp_path / "train.yaml"
    small = {"stages": 2, "backbone_attributes": spec_of(data).model.backbone_attributes.model_dump()}
    file.write_text(dump_yaml(spec_of(data, model=small)))
    done = CliRunner().invoke(main, ["train", "-e", str(file), "-r", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert f"{CHAMPION}: version 1 has another network: stages 2 is wanted, it has 1" in done.output
    assert "Traceback" not in done.output


class AsleepError(Exception):
    """Ends a training in its middle."""


@pytest.mark.slow
@pytest.mark.heavy
def test_a_warm_start_that_was_cut_off_ends_early_at_the_same_epoch_with_the_same_bits(data, store, tmp_path):
    """The count of validations without a better AP goes on where it was."""
    spec = spec_of(data, num_epoch=9, deterministic=True, validation_every_n_epoch=1, max_ckpt_to_keep=1)

    def validate(model, card):
        return {"val_ap": 0.5}

    def sleep(entries):
        if entries[-1]["epoch"] == 2:
            raise AsleepError

    def go(folder, on_epoch=None):
        folder.mkdir(exist_ok=True)
        with take_start(spec, folder) as begin:
            source = make_plan(begin.spec).source
            return train(begin.spec, folder, source=source, validate=validate, on_epoch=on_epoch)

    whole = go(tmp_path / "whole")
    with pytest.raises(AsleepError):
        go(tmp_path / "cut", sleep)
    register(data)  # another champion, which is none of this training's business
    resumed = go(tmp_path / "cut")
    assert len(whole.history) == len(resumed.history) == 1 + WARM_STOPPING.patience
    ours, theirs = (read_weights(done.model).layers for done in (whole, resumed))
    assert ours.keys() == theirs.keys()
    for name, arrays in ours.items():
        for one, other in zip(arrays, theirs[name], strict=True):
            np.testing.assert_array_equal(one, other)
