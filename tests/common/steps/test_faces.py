"""Both faces of a step, the verb and the task, on the same input: what they log is the same."""

import json
import shutil
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner
from support import rounds_run

from bodyposenet.common import tasks
from bodyposenet.common.cli.main import main
from bodyposenet.common.data.photo_set import make_dataset_spec, photos_in, spec_in
from bodyposenet.common.tasks.training import train_spec_for

FACES = ("spec.model", "spec.checkpoint_dir")  # what a face calls the network, and where it puts it
TIMES = ("images_per_second", "seconds")
PRUNE = {"pruning_threshold": 0.9, "min_num_filters": 2, "pruning_granularity": 1}
INFERENCE = {"input_shape": [64, 64], "heatmap_threshold": 0.05}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Drawn photos, a dataset of them as ``dataset_join`` leaves it, and a network as ``train`` does."""
    folder = tmp_path_factory.mktemp("faces")
    rounds_run.prepare(folder)
    (folder / "base").mkdir()
    shutil.move(folder / "base.keras", folder / "base" / "model.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        paths = [str(folder / name) for name in ("photos", "part", "part.json", "part.html", "dataset", "join.json")]
        tasks.gather_photos("synthetic:6,4,0", paths[0])
        tasks.convert(paths[0], {}, "0/1", *paths[1:4])
        tasks.join(paths[0], {}, [paths[1]], *paths[4:])
    return folder


@pytest.fixture
def store(tracked_at, tmp_path):
    """The address of an empty store, to which everything is logged."""
    return tracked_at(f"sqlite:///{tmp_path}/mlflow.db")


def verb(*args):
    """Run a verb of the command line, to a good end."""
    done = CliRunner().invoke(main, [str(arg) for arg in args])
    assert done.exit_code == 0, done.output


def list_files(client, run_id, path=None):
    """Paths of a run's files."""
    for each in client.list_artifacts(run_id, path):
        if each.is_dir:
            yield from list_files(client, run_id, each.path)
        else:
            yield each.path


def records(store):
    """What each run of the store holds, oldest first."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store)
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, order_by=["attributes.start_time ASC"])
    return [
        SimpleNamespace(
            name=run.info.run_name,
            params={name: value for name, value in run.data.params.items() if name not in FACES},
            metrics={
                name: value
                for name, value in run.data.metrics.items()
                if not name.startswith("system/") and name not in TIMES
            },
            files=sorted(list_files(client, run.info.run_id)),
            datasets=sorted((used.tags[0].value, used.dataset.digest) for used in run.inputs.dataset_inputs),
        )
        for run in runs
    ]


def same(task, command):
    """Whether two runs hold the same, whatever they are called."""
    return vars(task) | {"name": ""} == vars(command) | {"name": ""}


def write_spec(path, settings):
    path.write_text(yaml.safe_dump(settings))
    return path


def write_dataset_spec(data, path):
    """The dataset's spec as a file that the command line reads."""
    return write_spec(path, spec_in(data / "dataset").model_dump(mode="json", by_alias=True, exclude_none=True))


def test_prune_logs_the_same_from_both_faces(data, store, tmp_path):
    made = [str(tmp_path / name) for name in ("task", "metrics.json", "summary.md", "pruned.html")]
    tasks.prune(str(data / "base"), PRUNE, *made)
    flags = ["-pth", "0.9", "-nf", "2", "-pg", "1"]
    verb("prune", "-m", data / "base" / "model.keras", "-o", tmp_path / "verb" / "model.keras", *flags)
    task, command = records(store)
    assert same(task, command)
    assert task.metrics["params"] < task.metrics["params_before"]
    assert task.files == ["model/model.keras", "report/pruned.html"]
    assert not list((tmp_path / "verb").glob("*.html"))


def test_evaluate_logs_the_same_from_both_faces(data, store, tmp_path):
    tasks.evaluate(
        str(data / "base"), str(data / "dataset"), INFERENCE, "base", str(tmp_path / "task"), str(tmp_path / "m.json")
    )
    spec = write_spec(tmp_path / "infer.yaml", INFERENCE)
    truth = write_dataset_spec(data, tmp_path / "coco.yaml")
    verb("evaluate", "-i", spec, "-d", truth, "-m", data / "base" / "model.keras", "-r", tmp_path / "verb")
    task, command = records(store)
    assert same(task, command)
    assert [use for use, _ in task.datasets] == ["evaluation"]
    assert task.metrics["people_labelled"] > 0
    most = task.metrics["people_found"] / len(json.loads((tmp_path / "task/detections.json").read_text())["images"])
    assert 0 <= task.metrics["false_positives_per_photo"] <= most


def test_train_logs_the_same_from_both_faces(data, store, tmp_path):
    settings = rounds_run.retraining_of(data, epochs=1).model_dump(mode="json", by_alias=True, exclude_none=True)
    settings |= {"deterministic": True, "random_seed": 1}
    made = [str(tmp_path / name) for name in ("task", "metrics.json", "training.html")]
    tasks.train(str(data / "dataset"), settings, None, *made)
    located = train_spec_for(settings, str(data / "dataset")).model_dump(mode="json", by_alias=True, exclude_none=True)
    spec = write_spec(tmp_path / "train.yaml", located)
    verb("train", "-e", spec, "-r", tmp_path / "verb")
    task, command = records(store)
    assert same(task, command)
    assert [use for use, _ in task.datasets] == ["training", "validation"]
    assert {"loss", "params"} <= task.metrics.keys()
    assert task.files == ["model/model.keras", "report/training.html"]


def test_export_logs_the_same_from_both_faces(data, store, tmp_path):
    tasks.export(str(data / "base"), str(tmp_path / "onnx"), str(tmp_path / "metrics.json"), data_type="fp16")
    flags = ["-d", "64,64,3", "--data_type", "fp16"]
    verb("export", "-m", data / "base" / "model.keras", "-o", tmp_path / "verb" / "model.onnx", *flags)
    task, command = records(store)
    assert task == command
    assert task.metrics["bytes"] > task.metrics["fp16_bytes"]
    assert task.files == ["model/model.fp16.onnx", "model/model.onnx"]


def test_an_export_in_8_bits_logs_what_export_and_calibrate_log(data, store, tmp_path):
    photos = tmp_path / "few"
    shutil.copytree(data / "drawn" / "images", photos / "images")
    count = len(list((photos / "images").iterdir()))
    made = [str(tmp_path / name) for name in ("onnx", "export.json", "int8", "calibrate.json", "calibration.md")]
    tasks.export(str(data / "base"), *made[:2])
    settings = INFERENCE | {"keep_aspect_ratio_mode": "pad_image_input"}
    tasks.calibrate(made[0], str(photos), settings, *made[2:], method="minmax")
    flags = ["-d", "64,64,3", "--data_type", "int8", "--cal_method", "minmax", "--cal_image_dir", photos / "images"]
    flags += ["--batches", count]
    verb("export", "-m", data / "base" / "model.keras", "-o", tmp_path / "verb" / "model.onnx", *flags)
    export, calibrate, command = records(store)
    assert command.params == export.params | calibrate.params
    assert command.metrics == export.metrics | {f"int8_{name}": value for name, value in calibrate.metrics.items()}
    assert command.files == sorted(export.files + calibrate.files)
    assert calibrate.metrics["images"] == count


def test_convert_logs_the_same_from_both_faces(data, store, tmp_path):
    made = [str(tmp_path / name) for name in ("task", "metrics.json", "dataset_report.html")]
    tasks.convert(str(data / "photos"), {}, "0/1", *made)
    source = make_dataset_spec(photos_in(data / "photos")).model_dump(mode="json", by_alias=True, exclude_none=True)
    spec = write_spec(tmp_path / "coco.yaml", source)
    for mode, name in (("train", "train"), ("test", "val")):
        verb("dataset_convert", "-d", spec, "-o", tmp_path / "verb" / name / "shards", "-m", mode, "--check_files")
    task, *halves = records(store)
    assert [half.params for half in halves] == [task.params, task.params]
    assert halves[0].metrics | halves[1].metrics == task.metrics
    assert halves[0].files == halves[1].files == task.files
    assert [use for run in (task, *halves) for use, _ in run.datasets] == ["conversion"] * 3
    assert halves[0].datasets != halves[1].datasets
    assert task.metrics["train_images"] == 6
