"""Demo: the pipeline that is compiled for Kubeflow runs here, goes on after a kill, and leaves a summary and a page."""

import contextlib
import io
import json
import math
import os
import signal

import pytest
from support.demo_run import DEMO, ELSEWHERE, everyone, run_few, said, start_few, start_loading, still_alive, wait_for

from bodyposenet.common.tracking.mlflow_store import quiet_mlflow
from bodyposenet.pipelines.here.run import FailedError

FIGURES = {"ap", "params", "gflops", "bytes", "latency_ms"}
STAGES = ("base", "pruned", "retrained", "int8")
BEFORE, AFTER = ("Photos", "Convert", "Join"), ("Train", "Prune", "Retrain", "Report", "Start weights")


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Nothing in the environment tells of a tracking store elsewhere, whatever the tests before set there."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ELSEWHERE:
            patch.setenv(name, "")
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of a demo that was killed while it trained, and who of it did not end."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    process = start_few(folder)
    wait_for(folder, "Join ", process)
    running = everyone(process)
    process.kill()
    process.wait()
    return folder, running, still_alive(running)


@pytest.fixture(scope="module")
def ran(killed):
    """The folder, the summary of a second run in it, what is printed of that, and the lines that it printed before."""
    folder, _, _ = killed
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        summary, text = run_few(folder)
    return folder, summary, text, printed.getvalue().splitlines()


def state(lines, stage):
    """What a line says of a stage, from the place where all lines do."""
    (line,) = [line for line in lines if line.startswith(stage + " ")]
    return " ".join(line[len(stage) :].split())


@pytest.mark.slow
def test_nothing_outlives_a_demo_that_is_killed(killed):
    _, running, left = killed
    assert len(running) > 2
    assert left == []


@pytest.mark.slow
def test_a_second_run_takes_up_what_was_done(ran):
    *_, lines = ran
    assert all(state(lines, stage).startswith("done before") for stage in BEFORE)
    assert not any(state(lines, stage).startswith("done before") for stage in AFTER)


@pytest.mark.slow
def test_each_stage_has_a_line_with_its_number_and_nothing_else_is_printed(ran):
    _, summary, text, lines = ran
    assert state(lines, "Join").endswith("8 + 4 photos")
    assert state(lines, "Evaluate base").endswith(f"AP {summary['base']['ap']:.3f}")
    assert state(lines, "Evaluate int8").endswith(f"AP {summary['int8']['ap']:.3f}")
    assert state(lines, "Start weights").endswith(f"AP {summary['start_ap']:.3f}")
    assert state(lines, "Gate").endswith("good enough")
    printed = [*lines, *text.splitlines()]
    assert len(printed) <= 60
    assert not any(word in "\n".join(printed) for word in ("{", "WARNING", "oneDNN", "KFP", "\x1b"))


@pytest.mark.slow
def test_what_the_tasks_print_is_in_the_log(ran):
    folder, _, text, lines = ran
    log = folder / "run.log"
    assert str(log) in lines[0]
    assert str(log) in text
    assert "Got executor_input" in log.read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_demo_that_is_told_to_end_does_so_with_all_its_processes(tmp_path, number, code):
    process, running = start_loading(tmp_path / "out")
    process.send_signal(number)
    assert process.wait() == code
    assert still_alive(running) == []
    assert "run it again" in said(tmp_path / "out").read_text()


def test_a_demo_whose_host_is_killed_says_so(tmp_path):
    process, running = start_loading(tmp_path / "out")
    running[1].kill()
    assert process.wait() == 1
    assert "the run ended with exit code -9" in said(tmp_path / "out").read_text()
    assert still_alive(running) == []


def test_a_demo_started_by_make_ends_with_make(tmp_path):
    process, running = start_loading(tmp_path / "out", "sh", "-c", '"$@" & wait', "make", *DEMO, "--with-parent")
    process.kill()
    process.wait()
    assert still_alive(running) == []


@pytest.mark.slow
def test_a_stage_that_fails_is_named_with_its_own_last_words(tmp_path):
    before = dict(os.environ)
    with pytest.raises(FailedError) as failed, contextlib.redirect_stdout(io.StringIO()) as printed:
        run_few(tmp_path, train_spec={"num_epoch": "many"})
    assert str(failed.value).startswith("Fingerprint failed: ")
    assert "num_epoch" in str(failed.value)
    assert str(tmp_path / "run.log") in str(failed.value)
    assert state(printed.getvalue().splitlines(), "Fingerprint").startswith("failed")
    assert dict(os.environ) == before, "another demo would track in this one's store"


@pytest.mark.slow
def test_the_summary_has_the_figures_of_every_stage(ran):
    folder, summary, *_ = ran
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert set(summary) == {"ceiling_ap", "start_ap", *STAGES, "seconds", "forecast_seconds"}
    for stage in STAGES:
        assert set(summary[stage]) == FIGURES
        assert all(math.isfinite(value) for value in summary[stage].values())
        assert 0 <= summary[stage]["ap"] <= 1
    assert 0 <= summary["start_ap"] <= summary["ceiling_ap"] <= 1
    assert summary["ceiling_ap"] > 0.3
    assert summary["seconds"] > 0


@pytest.mark.slow
def test_the_stages_differ_as_they_should(ran):
    _, summary, *_ = ran
    params = [summary[stage]["params"] for stage in STAGES]
    assert params[0] > params[1] == params[2] == params[3]
    assert summary["base"]["gflops"] > summary["retrained"]["gflops"]
    assert summary["base"]["bytes"] > summary["retrained"]["bytes"] > summary["int8"]["bytes"]


@pytest.mark.slow
def test_the_table_names_the_stages_and_where_to_look_further(ran):
    folder, summary, text, _ = ran
    lines = text.strip().splitlines()
    assert [line.split()[0] for line in lines[1:5]] == list(STAGES)
    assert all(f"{summary[stage]['ap']:.3f}" in line for stage, line in zip(STAGES, lines[1:5], strict=True))
    for place in ("report.html", "summary.json", "mlflow.db"):
        assert str(folder / place) in text


@pytest.mark.slow
def test_the_page_is_there_and_the_runs_are_tracked_below_one_parent(ran):
    folder, summary, *_ = ran
    page = (folder / "report.html").read_text()
    assert all(name in page for name in STAGES)
    with quiet_mlflow():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        found = client.search_runs([client.get_experiment_by_name("bodyposenet").experiment_id])
        version = client.get_model_version_by_alias("tiny", "champion")
    runs = {run.info.run_name: run for run in found if run.info.status == "FINISHED"}
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert parent.data.tags["bodyposenet.pipeline_run"].startswith("demo-")
    evaluations = {f"evaluate_{name}" for name in STAGES}
    others = {"photos", "dataset_convert", "dataset_join", "train", "prune", "retrain", "export", "register", "report"}
    others |= {"sample_calibration", "calibrate", "fingerprint", "gate", "challenge", "finish", "summary"}
    assert parent.info.status == "FINISHED"
    assert set(runs) == {parent.info.run_name} | evaluations | others
    assert runs["report"].data.metrics["ceiling_ap"] == pytest.approx(summary["ceiling_ap"])
    assert version.run_id == runs["register"].info.run_id
