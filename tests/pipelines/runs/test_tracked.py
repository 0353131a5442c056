"""Tracked: what is said of a run out of MLflow, by a real server of it, and what if that is away."""

import socket

import pytest
from click.testing import CliRunner
from support.kubeflow_fake import kubeflow
from support.tiny_pipeline import compiled

from bodyposenet.common.cli.main import main
from bodyposenet.common.tracking import task_run
from bodyposenet.common.tracking.history import RunPages, TaskRow, find_pages, task_rows
from bodyposenet.pipelines.runs.tracked import Tracked, list_aps
from bodyposenet.pipelines.server.access import HOST, NAMESPACE


def row(name, **metrics):
    return TaskRow(name, "FINISHED", 1.0, "", metrics)


def test_the_ap_of_each_network_is_listed_by_its_name_and_none_where_nobody_is_labelled():
    evaluated = [row(f"evaluate_{name}", **{"AP_0.50-0.95_all": ap}) for name, ap in (("base", 0.6), ("int8", -1.0))]
    assert list_aps([row("train", val_ap=0.3), *evaluated]) == {"base": 0.6}
    assert list_aps([row("report", **{"base.ap": 0.61, "int8.ap": 0.58, "int8.params": 4.0})]) == {
        "base": 0.61, "int8": 0.58,
    }  # fmt: skip
    assert list_aps([row("choose_smallest", base_ap=0.6, ap=0.55)]) == {"base": 0.6, "chosen": 0.55}


def test_a_store_that_is_away_is_told_once_and_left_alone_for_a_while(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        told = []
        tracked = Tracked("some-run", told.append)
        assert tracked.ask(task_rows, []) == []
        assert tracked.ask(find_pages, RunPages()) == RunPages()
    (line,) = told
    assert line.startswith("MLflow does not tell of the tasks: ")


def test_without_a_store_nothing_is_asked(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Tracked("some-run", pytest.fail).ask(task_rows, []) == []


@pytest.mark.slow
def test_at_the_end_of_a_run_stand_its_aps_its_report_and_its_page_in_mlflow(
    tracked_at, mlflow_url, monkeypatch, tmp_path
):
    tracked_at(mlflow_url)
    monkeypatch.delenv(NAMESPACE, raising=False)
    (tmp_path / "report.html").write_text("<html>")
    with kubeflow(states=["SUCCEEDED"]) as fake:
        monkeypatch.setenv(HOST, fake.url)
        command = ["pipeline", "run", str(compiled(tmp_path)), "-p", "reference=1"]
        CliRunner().invoke(main, command, catch_exceptions=False)
        (key,) = fake.runs
        with monkeypatch.context() as pod:
            pod.setenv("KFP_RUN_ID", key)
            pod.setenv("HOSTNAME", "tiny-abcde-retry-system-container-impl-12")
            with task_run("report") as run:
                run.log_metrics({"base.ap": 0.614, "int8.ap": 0.6})
                run.log_artifact(tmp_path / "report.html", "report")
        told = CliRunner().invoke(main, ["pipeline", "wait", key], catch_exceptions=False).stdout.splitlines()
    assert [row.pod for row in task_rows(key)] == ["tiny-abcde-retry-system-container-impl-12"]
    experiment = run.url.split("/")[-3]
    assert "AP      base 0.614, int8 0.600" in told
    assert f"report  {run.url}/artifacts/report/report.html" in told
    assert f"MLflow  {mlflow_url}/#/experiments/{experiment}/runs/" in told[-1]
    assert run.id not in told[-1]
