"""Backup: what docs/tracking.md says brings a server's runs, networks and files to another place, byte for byte."""

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from support.documents import SHELL, blocks_of
from support.mlflow_server import tracking_server
from support.person_net import write_network
from support.registry import assert_the_way

from bodyposenet.common.tracking import fetch, find_champion, task_run

pytestmark = pytest.mark.slow

PAGE = "docs/tracking.md"


def run_block(word, server, backup):
    """Run the one block of the page that has a word, with folders of the test's own."""
    (text,) = (block.text for block in blocks_of(PAGE, SHELL) if word in block.text)
    text = text.replace("/srv", str(server)).replace("/backup", str(backup))
    subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True, timeout=60)


def tell(uri, folder):
    """All that a store has: runs, versions, aliases, and the bytes of every file, as clients get them."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiments = client.search_experiments()
    runs = {run.info.run_id: run for run in client.search_runs([each.experiment_id for each in experiments])}
    files = {}
    for number in runs:
        (folder / number).mkdir(parents=True)
        client.download_artifacts(number, "", str(folder / number))
        files |= {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        "experiments": sorted(each.name for each in experiments),
        "runs": {number: describe(run) for number, run in runs.items()},
        "files": files,
        "models": {
            model.name: (sorted(map(describe_version, list_versions(client, model.name))), dict(model.aliases))
            for model in client.search_registered_models()
        },
    }


def describe(run):
    return run.info.status, run.info.run_name, run.data.params, run.data.metrics, run.data.tags


def list_versions(client, name):
    return client.search_model_versions(f"name='{name}'")


def describe_version(version):
    return version.version, version.run_id, version.source, sorted(version.tags.items())


def work_on(stop):
    """Log runs with files for as long as the copy is made."""
    number = 0
    while not stop.is_set():
        number += 1
        with task_run(f"meanwhile {number}") as run:
            run.log_metrics({"number": number})
            run.log_artifact(Path(__file__), "files")


def test_a_store_that_is_backed_up_at_work_and_restored_elsewhere_is_the_same(tmp_path, tracked_at):
    first, second, backup = (tmp_path / name for name in ("first", "second", "backup"))
    first.mkdir(), second.mkdir()
    network = write_network(tmp_path / "person.onnx")
    with tracking_server(first) as url:
        tracked_at(url)
        version = assert_the_way(network, "kept", tmp_path / "fetched")
        before = tell(url, tmp_path / "before")
        stop = threading.Event()
        others = threading.Thread(target=work_on, args=(stop,))
        others.start()
        try:
            run_block("VACUUM INTO", first, backup)
        finally:
            stop.set()
            others.join()
    shutil.rmtree(first)
    run_block("tail -n 1", second, backup)
    with tracking_server(second) as url:
        tracked_at(url)
        after = tell(url, tmp_path / "after")
        assert before["experiments"] == after["experiments"]
        assert before["models"] == after["models"]
        assert before["runs"].items() <= after["runs"].items()
        assert before["files"]
        assert before["files"].items() <= after["files"].items()
        champion = find_champion("kept")
        assert (champion.version, champion.ap) == (version, 0.5)
        assert fetch("kept", "champion", tmp_path / "again").read_bytes() == network.read_bytes()
        with task_run("goes on") as run:
            run.log_metrics({"one": 1})


def test_a_copy_that_was_cut_off_is_not_restored(tmp_path):
    backup = tmp_path / "backup"
    for name, marks in (("20260101T000000Z", ("mlflow.db", "complete")), ("20260102T000000Z", ("mlflow.db",))):
        (backup / name / "artifacts").mkdir(parents=True)
        for mark in marks:
            (backup / name / mark).write_text(name)
    run_block("tail -n 1", tmp_path / "server", backup)
    assert (tmp_path / "server/mlflow.db").read_text() == "20260101T000000Z"
