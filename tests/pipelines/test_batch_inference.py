"""batch_inference as it is compiled for Kubeflow, run here with the champion of a registry, on real photos."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from kfp import components, local
from support.local_run import without_words_of_kfp
from support.page import Page
from support.person_net import write_network

from bodyposenet.common import tasks
from bodyposenet.common.kubeflow.yaml_text import load_documents
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.tracking import promote, register_model
from bodyposenet.common.tracking.mlflow_store import quiet_mlflow
from bodyposenet.components.infer_batch import infer_batch
from bodyposenet.pipelines.compile import COMPILED

SETTINGS = {"input_shape": [128, 128], "keep_aspect_ratio_mode": "pad_image_input"}
CUT = "000000000086.jpg"
pytestmark = pytest.mark.usefixtures("quick_tasks")


@pytest.fixture
def registry(tracked_at, tmp_path):
    """A registry with a champion, whose address is in the environment."""
    uri = tracked_at(f"sqlite:///{tmp_path}/mlflow.db")
    network = write_network(tmp_path / "person.onnx")
    promote("bodyposenet", register_model(network, metrics={"ap": 0.5}, settings=SETTINGS))
    return uri


@pytest.fixture
def photos(data_folder, tmp_path):
    """A folder with real photos, one of them cut off."""
    folder = tmp_path / "photos"
    shutil.copytree(data_folder / "coco_sample" / "images", folder, copy_function=shutil.copyfile)
    (folder / CUT).write_bytes((folder / CUT).read_bytes()[:9000])
    return folder


def run(folder, **arguments):
    """Run the committed YAML; gives what it returned, and the folder of the task's artifacts."""
    pipeline, platform = load_documents((COMPILED / "batch_inference.yaml").read_text())
    (task,) = pipeline["root"]["dag"]["tasks"].values()
    task["retryPolicy"] = {"maxRetryCount": 0}  # what fails here fails again, half a minute later
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "run"), raise_on_error=True)
    with without_words_of_kfp():
        said = components.load_component_from_text(yaml.safe_dump_all([pipeline, platform]))(**arguments).output
    return said, next((folder / "run").glob("*/infer-batch"))


@pytest.mark.slow
@pytest.mark.data
def test_the_champion_looks_at_a_bucket_s_photos_and_leaves_results_and_a_page(registry, photos, bucket, tmp_path):
    for path in photos.iterdir():
        with whole_file(f"{bucket}/in/{path.name}") as file:
            file.write(path.read_bytes())
    said, folder = run(tmp_path, source=f"{bucket}/in", inference_spec={"heatmap_threshold": 0.2}, work=f"{bucket}/w")
    document = json.loads((folder / "detections/detections.json").read_text())
    images = {entry["image_meta"]["file_name"]: entry for entry in document["images"]}
    assert sorted(images) == sorted(path.name for path in photos.iterdir())
    assert f"{bucket}/in/{CUT}: is no readable image" in images[CUT]["problem"]
    assert document["model"] == {"name": "bodyposenet", "version": "1"}
    assert document["inference_spec"]["input_shape"] == [128, 128], "as it was registered with"
    assert document["inference_spec"]["heatmap_threshold"] == 0.2, "as it was asked for"
    people = sum(len(entry.get("scores", ())) for entry in images.values())
    assert people > 0
    assert len(json.loads((folder / "detections/detections_coco_format.json").read_text())) == people
    numbers = json.loads((folder / "metrics").read_text())
    assert (numbers["photos"], numbers["people"], numbers["unreadable"]) == (len(images), people, 1)
    assert said.startswith(f"{people} people found in {len(images)} photos")
    look_at(folder / "gallery")
    tracked(registry, numbers, f"{bucket}/in")


def look_at(file):
    page = Page(file.read_text())
    assert 100_000 < file.stat().st_size <= 2_000_000
    assert len(page.all("img")) == 24
    assert any(CUT in text and "is no readable image" in text for text in page.text)


def tracked(registry, numbers, source):
    """That the task's run has its numbers, its network, its photos' digest and the page."""
    with quiet_mlflow():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=registry)
        experiments = [each.experiment_id for each in client.search_experiments()]
        (found,) = client.search_runs(experiments, "attributes.run_name = 'infer_batch'")
        assert [each.path for each in client.list_artifacts(found.info.run_id, "report")] == ["report/gallery"]
    assert found.info.status == "FINISHED"
    assert found.data.metrics == numbers
    assert (found.data.params["data.version"], found.data.params["data.source"]) == ("1", source)
    (used,) = found.inputs.dataset_inputs
    assert len(used.dataset.digest) == 36
    assert json.loads(used.dataset.profile)["images"] == numbers["photos"]


@pytest.mark.slow
def test_without_a_source_it_draws_people_so_that_a_first_run_shows_something(registry, tmp_path):
    said, folder = run(tmp_path, draw=3, pictures=2)
    assert "in 3 photos" in said
    assert len(Page((folder / "gallery").read_text()).all("img")) == 2


@pytest.mark.slow
def test_a_run_of_kubeflow_s_own_mlflow_plugin_is_joined_and_both_can_log_to_it(registry, tmp_path, monkeypatch):
    """The launcher logs a task's inputs as parameters and its scalar metrics when the task has ended."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(tracking_uri=registry)
    made = client.create_run(client.create_experiment("Kubeflow's own")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    said, folder = run(tmp_path, draw=2)
    numbers = json.loads((folder / "metrics").read_text())
    inputs = {name: '"as JSON"' for name in infer_batch.component_spec.inputs}
    metrics = [Metric(name, value, 1, 0) for name, value in numbers.items()]
    client.log_batch(made, metrics, [Param(*each) for each in inputs.items()])
    found = client.get_run(made)
    assert "in 2 photos" in said
    assert found.data.metrics == numbers
    assert inputs.items() < found.data.params.items()
    assert found.data.params["data.model"] == "bodyposenet"
    assert len(found.inputs.dataset_inputs) == 1


@pytest.mark.slow
def test_a_run_without_a_champion_fails_and_its_log_says_why(registry, tmp_path, capfd):
    with pytest.raises(RuntimeError, match="'infer-batch'"):
        run(tmp_path, model_name="unknown")
    said = "infer_batch failed: registered model unknown: has no version or alias 'champion'; run prune_retrain"
    assert said in "".join(capfd.readouterr())


def fail(capsys, source, name="bodyposenet", alias="champion", **more):
    """What the task says before it ends the process, which it does as the command line would."""
    with pytest.raises(SystemExit) as end:
        tasks.infer_batch(source, name, alias, {}, *(str(Path(source) / one) for one in "abc"), **more)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_what_is_not_there_is_told_with_exit_code_2(registry, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    empty = str(tmp_path / "empty")
    assert "registered model other: has no version or alias 'champion'; run prune_retrain" in fail(
        capsys, empty, name="other"
    )
    assert "has no version or alias '7'" in fail(capsys, empty, alias="7")
    assert f"{empty}: has no photos (JPEG, PNG, BMP, WebP or TIFF); name the folder" in fail(capsys, empty)
    assert "pictures: a gallery of 61 pictures; take 0 to 60" in fail(capsys, empty, pictures=61)


def test_without_a_registry_the_variable_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "bodyposenet: MLFLOW_TRACKING_URI is not set; set it" in fail(capsys, str(tmp_path))
