"""Component files at work: a pipeline of them alone, from drawn photos and an imported network to its AP."""

import shutil

import pytest
from kfp import components, dsl, local
from kfp.compiler import Compiler
from support.local_run import without_words_of_kfp

from bodyposenet.common.kubeflow.parameter_values import to_kfp
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.pipelines.component_pages import FILES
from bodyposenet.pipelines.specs import default

pytestmark = pytest.mark.slow


def load(name):
    return components.load_component_from_file(str(FILES / f"{name}.yaml"))


@dsl.pipeline(name="score")
def score(network: str, inference_spec: dict) -> float:
    """Two parts of a conversion, joined, and a network that came by an importer."""
    drawn = {"photo_set": load("photos")(data="synthetic:2,6", fingerprint="").output, "fingerprint": ""}
    with dsl.ParallelFor(["0/2", "1/2"]) as part:
        converted = load("dataset_convert")(**drawn, dataset_spec={}, part=part)
    dataset = load("dataset_join")(**drawn, dataset_spec={}, parts=dsl.Collected(converted.outputs["dataset"]))
    trained = dsl.importer(artifact_uri=network, artifact_class=dsl.Model)
    onnx = load("export")(model=trained.output).outputs["onnx"]
    held_out = {"dataset": dataset.outputs["dataset"], "inference_spec": inference_spec}
    return load("evaluate")(**held_out, onnx=onnx).outputs["Output"]


@pytest.fixture
def run(quick_tasks, tmp_path):
    """Runs the compiled pipeline on a network of that name; gives the AP."""
    Compiler().compile(score, str(tmp_path / "score.yaml"))
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "run"), raise_on_error=True)

    def on(network):
        with without_words_of_kfp():
            compiled = components.load_component_from_file(str(tmp_path / "score.yaml"))
            return compiled(network=str(network), inference_spec=to_kfp(default("inference"))).output

    return on


def test_an_imported_network_is_exported_and_scored_on_photos_that_were_converted_in_parts(run, tmp_path):
    shutil.copy(weights_path("pretrained:drawn_people"), tmp_path / "mine.keras")
    assert run(tmp_path / "mine.keras") > 0.4, "the shipped weights find drawn people"


def test_a_folder_without_a_network_is_told_by_the_task_that_got_it(run, tmp_path, capfd):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("nothing to see")
    with pytest.raises(RuntimeError, match=r"'export'"):
        run(tmp_path / "mine")
    told = capfd.readouterr()
    assert "mine: is not one Keras network: it holds notes.txt; give a folder with model.keras" in told.out + told.err
