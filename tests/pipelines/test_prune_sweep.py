"""The sweep that is compiled for Kubeflow, run here: each cut is pruned, retrained and scored, the smallest kept."""

import json

import pytest
from support.local_run import run_pipeline, short_training

from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.tracking.mlflow_store import quiet_mlflow

CUTS = [{"target_flops": 0.6}, {"pruning_threshold": 0.4}]
NAMES = ("target_flops 0.6", "pruning_threshold 0.4")


@pytest.fixture(scope="module")
def ran(tmp_path_factory, quick_tasks):
    """The folder of a sweep over few pictures, that of its artifacts, and what it returned."""
    folder = tmp_path_factory.mktemp("sweep")
    arguments = {f"{name}_spec": short_training(name) for name in ("train", "retrain")}
    arguments |= {"cuts": CUTS, "data": "synthetic:8,4", "max_ap_drop": 1.0, "model_name": "swept"}
    with pytest.MonkeyPatch.context() as patch:
        done = run_pipeline(folder, "sweep-1", "prune_sweep", patch, **arguments)
        assert done.failure == ""
        yield folder, done.folder, done.said("choose-smallest", "reason")


def metrics(root, task):
    """The metrics of a task in each cut, in the order of the cuts."""
    found = [path for path in sorted(root.rglob("metrics")) if path.parent.name == task]
    return [json.loads(path.read_text()) for path in found]


@pytest.mark.slow
def test_each_cut_prunes_by_what_it_was_asked_for(ran):
    _, root, _ = ran
    by_target, by_threshold = metrics(root, "prune")
    assert by_target["gflops"] <= 0.6 * by_target["gflops_before"]
    assert by_target["gflops"] > 0.5 * by_target["gflops_before"]
    assert by_threshold["threshold"] == 0.4
    assert by_target["params_before"] == by_threshold["params_before"]
    retrained = sorted(path for path in root.rglob("model.keras") if path.parent.name == "model")
    params = {load_model(path)[0].count_params() for path in retrained}
    assert params == {by_target["params_before"], by_target["params"], by_threshold["params"]}


@pytest.mark.slow
def test_the_smallest_is_chosen_and_registered_and_the_page_shows_all(ran):
    folder, root, reason = ran
    prunings = metrics(root, "prune")
    smallest = min(range(2), key=lambda place: prunings[place]["gflops"])
    assert reason.startswith(f"{NAMES[smallest]} is the smallest within the budget")
    chosen = root / "choose-smallest" / "chosen" / "model.onnx"
    (figures,) = metrics(root, "choose-smallest")
    assert figures["gflops"] == prunings[smallest]["gflops"]
    assert figures["bytes"] == chosen.stat().st_size
    page = (root / "choose-smallest" / "page").read_text()
    assert all(f"{name}: AP" in page for name in ("base", *NAMES))
    with quiet_mlflow():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        version = client.get_model_version_by_alias("swept", "candidate")
        held = client.get_run(version.run_id).data
    assert float(version.tags["metric.ap"]) == pytest.approx(figures["ap"], rel=1e-5)
    assert "int8_ap" not in held.metrics
    assert held.metrics["ap"] == pytest.approx(figures["ap"])
