"""Demo: the pipeline that is compiled for Kubeflow runs here, and leaves a summary, a page and tracked runs."""

import json
import math
import warnings

import pytest

from bodyposenet.common.tracking.store import quiet_mlflow
from bodyposenet.pipelines.demo import demo, show
from bodyposenet.pipelines.specs import default

FIGURES = {"ap", "params", "gflops", "bytes", "latency_ms"}
STAGES = ("base", "pruned", "retrained", "int8")
FEW = {
    "data": "synthetic:8,4",
    "deploy_spec": {"calibration_images": 2, "max_int8_drop": 1.0},
    "prune_spec": {**default("prune"), "rounds": 2},
    "model_name": "tiny",
}
# A process on this machine takes no resources and no image; kfp.local says so of every task.
SAID_BY_KFP = (
    "Task '.*': settings .* have no effect in the current local runner",
    "You may be attemping to run a task",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a demo on a few pictures, what it returned, and what is printed of that."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "KFP_RUN_ID"):
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("BODYPOSENET_PIPELINE_RUN", "set anew by the demo")
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
        with warnings.catch_warnings():
            for message in SAID_BY_KFP:
                warnings.filterwarnings("ignore", message)
            summary = demo(folder / "out", epochs=1, changes=FEW)
        yield folder, summary, show(summary, folder / "out")


@pytest.mark.slow
def test_the_summary_has_the_figures_of_every_stage(ran):
    folder, summary, _ = ran
    assert json.loads((folder / "out" / "summary.json").read_text()) == summary
    assert set(summary) == {"ceiling_ap", "start_ap", *STAGES, "seconds"}
    for stage in STAGES:
        assert set(summary[stage]) == FIGURES
        assert all(math.isfinite(value) for value in summary[stage].values())
        assert 0 <= summary[stage]["ap"] <= 1
    assert 0 <= summary["start_ap"] <= summary["ceiling_ap"] <= 1
    assert summary["ceiling_ap"] > 0.3
    assert summary["seconds"] > 0


@pytest.mark.slow
def test_the_stages_differ_as_they_should(ran):
    _, summary, _ = ran
    params = [summary[stage]["params"] for stage in STAGES]
    assert params[0] > params[1] == params[2] == params[3]
    assert summary["base"]["gflops"] > summary["retrained"]["gflops"]
    assert summary["base"]["bytes"] > summary["retrained"]["bytes"] > summary["int8"]["bytes"]


@pytest.mark.slow
def test_the_table_names_the_stages_and_where_to_look_further(ran):
    folder, summary, text = ran
    lines = text.strip().splitlines()
    assert [line.split()[0] for line in lines[1:5]] == list(STAGES)
    assert all(f"{summary[stage]['ap']:.3f}" in line for stage, line in zip(STAGES, lines[1:5], strict=True))
    for place in ("out/report.html", "out/summary.json", "mlflow.db"):
        assert str(folder / place) in text


@pytest.mark.slow
def test_the_page_is_there_and_the_runs_are_tracked(ran):
    folder, summary, _ = ran
    page = (folder / "out" / "report.html").read_text()
    assert all(name in page for name in STAGES)
    with quiet_mlflow():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        found = client.search_runs([client.get_experiment_by_name("bodyposenet").experiment_id])
        version = client.get_model_version_by_alias("tiny", "champion")
    runs = {run.info.run_name: run for run in found}
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert parent.data.tags["bodyposenet.pipeline_run"].startswith("demo-")
    assert {run.info.status for run in found} == {"FINISHED"}
    evaluations = {f"evaluate_{name}" for name in STAGES}
    others = {"photos", "dataset_convert", "dataset_join", "train", "prune", "retrain", "export", "register", "report"}
    others |= {"sample_calibration", "calibrate", "prune_rounds", "fingerprint", "gate", "finish", "summary"}
    assert set(runs) == {parent.info.run_name} | evaluations | others
    assert runs["report"].data.metrics["ceiling_ap"] == pytest.approx(summary["ceiling_ap"])
    assert version.run_id == runs["register"].info.run_id
