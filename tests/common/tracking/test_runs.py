"""Tracking: what reaches the store, below which run, and what happens when the store is away."""

import http.server
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage import locking
from bodyposenet.common.tracking import Dataset, offline_buffer, send_buffered, task_run
from bodyposenet.common.tracking.datasets import describe_photos
from bodyposenet.common.tracking.events import flat
from bodyposenet.common.tracking.mlflow_store import Store

PARENT = "mlflow.parentRunId"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture
def store(database, monkeypatch, request):
    """A sqlite store with an experiment of the test's own; the answer reads it."""
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "BODYPOSENET_PIPELINE_RUN", "KFP_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    return Reader(f"sqlite:///{database}", request.node.name, database)


class Reader:
    """Reads one experiment through MLflow's own client."""

    def __init__(self, uri, experiment, database):
        self.uri, self.experiment, self.database = uri, experiment, database

    @property
    def client(self):
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def runs(self):
        found = self.client.get_experiment_by_name(self.experiment)
        return self.client.search_runs([found.experiment_id]) if found else []

    def only(self):
        (run,) = self.runs()
        return run

    def named(self, name):
        return [run for run in self.runs() if run.info.run_name == name]

    def curve(self, run_id, key):
        return [(point.step, point.value) for point in self.client.get_metric_history(run_id, key)]

    def text(self, run_id, path, tmp_path):
        from pathlib import Path

        (tmp_path / "down").mkdir(exist_ok=True)
        return Path(self.client.download_artifacts(run_id, path, str(tmp_path / "down"))).read_text()

    def rename(self, table, to):
        """Takes a table away from the store, as the outage of a database would, or brings it back."""
        connection = sqlite3.connect(self.database)
        with connection:
            connection.execute("PRAGMA legacy_alter_table=ON")
            connection.execute(f"ALTER TABLE {table} RENAME TO {to}")
        connection.close()


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def down(store, monkeypatch):
    """The store's address is one where nobody listens; called, it gives the store back."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{closed_port()}")
    return lambda: monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)


def test_without_a_store_one_line_is_logged_and_mlflow_is_not_imported():
    code = (
        "import logging, sys; logging.basicConfig(level='INFO', stream=sys.stdout, format='%(message)s')\n"
        "from bodyposenet.common.tracking import task_run\n"
        "with task_run('train') as run:\n"
        "    run.log_params({'a': 1}, prefix='spec'); run.log_metrics({'b': 2}); print([run.id, run.url])\n"
        "print([name for name in ('mlflow', 'pandas') if name in sys.modules])"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    lines = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert lines.splitlines() == ["MLFLOW_TRACKING_URI is not set: train is not tracked", "['', '']", "[]"]


def test_settings_arrive_flat_prefixed_and_the_long_ones_also_whole(store, tmp_path):
    with task_run("train") as run:
        run.log_params({"lr": 0.1, "model": {"stages": 3, "note": "x" * 600}, "odd key?": None}, prefix="spec")
    logged = store.only().data.params
    assert logged == {
        "spec.lr": "0.1",
        "spec.model.stages": "3",
        "spec.model.note": "x" * 499 + "…",
        "spec.odd key_": "null",
    }
    assert store.text(run.id, "params/spec.model.note.txt", tmp_path) == "x" * 600


def test_more_settings_than_one_request_takes_all_arrive(store):
    with task_run("train") as run:
        run.log_params({f"p{n}": n for n in range(230)}, prefix="spec")
    assert store.only().data.params == {f"spec.p{n}": str(n) for n in range(230)}


def test_an_empty_or_nested_setting_has_one_name_each():
    assert flat({"a": {"b": {"c": 1}}, "d": {}, "e": [1, {"f": 2}]}, "s") == {
        "s.a.b.c": 1,
        "s.d": {},
        "s.e": [1, {"f": 2}],
    }


def test_numbers_arrive_at_their_step_and_what_is_no_number_does_not(store):
    with task_run("evaluate") as run:
        run.log_metrics({"AP": 0.5, "model": "base.onnx", "absent": None}, step=3)
    assert store.only().data.metrics == {"AP": 0.5}
    assert store.curve(run.id, "AP") == [(3, 0.5)]


def test_a_history_becomes_curves_over_its_epochs(store):
    with task_run("train") as run:
        run.log_curves([{"epoch": 5, "loss": 9.0, "lr": 0.1}, {"epoch": 6, "loss": 4.0, "lr": 0.2}])
        run.log_curves([{"val": 1.0}, {"val": 2.0}])
    assert store.curve(run.id, "loss") == [(5, 9.0), (6, 4.0)]
    assert store.curve(run.id, "lr") == [(5, 0.1), (6, 0.2)]
    assert store.curve(run.id, "val") == [(1, 1.0), (2, 2.0)]
    assert "epoch" not in store.only().data.metrics


def test_files_and_folders_arrive_where_they_were_sent_and_stand_beside_the_database(store, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    with task_run("evaluate") as run:
        run.log_artifact(folder / "a.txt", "tables")
        run.log_artifact(folder, "all")
        run.log_artifact(folder / "absent.txt")
    assert store.text(run.id, "tables/a.txt", tmp_path) == store.text(run.id, "all/pictures/a.txt", tmp_path) == "a"
    assert store.only().info.artifact_uri.startswith(f"file://{store.database.parent}/mlartifacts/")


def test_a_task_that_raises_ends_its_run_as_failed_and_raises(store):
    with pytest.raises(ZeroDivisionError), task_run("train") as run:
        run.log_metrics({"loss": 1 / 0})
    assert store.only().info.status == "FAILED"
    with task_run("again"):
        pass
    assert store.named("again")[0].info.status == "FINISHED"


def test_tasks_of_one_pipeline_run_lie_below_one_run_which_ends_as_they_do(store, monkeypatch):
    monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", "night 12 o'clock")
    with task_run("train"):
        pass
    with pytest.raises(ValueError, match="RUNNING"), task_run("prune") as prune:
        raise ValueError(store.named("night 12 oclock")[0].info.status)
    (parent,) = store.named("night 12 oclock")
    assert parent.info.status == "FAILED"
    assert {run.data.tags.get(PARENT) for run in store.runs() if run.info.run_id != parent.info.run_id} == {
        parent.info.run_id
    }
    with task_run("prune") as retried:
        assert retried.id != prune.id
    assert store.named("night 12 oclock")[0].info.status == "FINISHED"


def test_another_pipeline_run_has_another_parent(store, monkeypatch):
    parents = set()
    for pipeline in ("one", "two"):
        monkeypatch.setenv("KFP_RUN_ID", pipeline)
        with task_run("train") as run:
            parents.add(store.client.get_run(run.id).data.tags[PARENT])
    assert len(parents) == 2


def test_tasks_that_start_together_end_up_with_one_parent(store, monkeypatch):
    monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", "race")
    with task_run("warm up"):  # the database and the experiment exist
        pass
    monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", "race for real")
    start, ids = threading.Barrier(4), []

    def task():
        start.wait()
        with task_run("task") as run:
            ids.append(run.id)

    threads = [threading.Thread(target=task) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (parent,) = store.named("race for real")
    assert len(set(ids)) == 4
    assert {store.client.get_run(run).data.tags[PARENT] for run in ids} == {parent.info.run_id}


def test_the_run_that_kubeflow_made_is_joined_and_left_for_it_to_end(store, monkeypatch):
    with task_run("made by another") as made:
        monkeypatch.setenv("MLFLOW_RUN_ID", made.id)
        monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", "ignored then")
        with task_run("train") as run:
            run.log_metrics({"loss": 1.0})
        assert run.id == made.id
        assert store.only().info.status == "RUNNING"
        with pytest.raises(KeyError), task_run("train"):
            raise KeyError("x")
        assert store.only().info.status == "FAILED"
    assert store.only().data.metrics == {"loss": 1.0}


def test_a_setting_logged_before_with_another_value_costs_only_itself(store, caplog):
    with task_run("train") as run:
        run.log_params({"epochs": 10}, prefix="spec")
        run.log_params({"epochs": 20, "seed": 1}, prefix="spec")
        run.log_metrics({"loss": 1.0})
    assert store.only().data.params == {"spec.epochs": "10", "spec.seed": "1"}
    assert store.only().data.metrics == {"loss": 1.0}
    assert [record.levelno for record in caplog.records if "epochs" in record.message] == [logging.WARNING]


DRAWN = Dataset("drawn", "f" * 64, "/data/drawn", {"images": 3}, "training")


def test_a_dataset_is_kept_with_the_run_while_the_store_is_away(store, down, tmp_path):
    with task_run("train", buffer=tmp_path) as run:
        run.log_dataset(lambda: DRAWN)
    down()
    send_buffered(tmp_path)
    (used,) = store.only().inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest, used.tags[0].value) == ("drawn", "f" * 36, "training")


def test_a_digest_is_computed_only_where_it_is_tracked(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with task_run("train") as run:
        run.log_dataset(lambda: pytest.fail("nobody wants it"))


def test_a_dataset_that_cannot_be_read_costs_a_warning(store, caplog, tmp_path):
    with task_run("train") as run:
        run.log_dataset(lambda: describe_photos(tmp_path / "absent", "drawn"))
        run.log_metrics({"loss": 1.0})
    assert "the dataset is not tracked" in caplog.text
    assert store.only().data.metrics == {"loss": 1.0}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "often"),
        ("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false"),
        ("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "3600"),
    ],
)
def test_a_task_neither_fails_nor_waits_for_the_watch_on_its_machine(store, monkeypatch, setting, value):
    monkeypatch.setenv(setting, value)
    began = time.time()
    with task_run("train") as run, run.system_metrics():
        run.log_metrics({"loss": 1.0})
    assert time.time() - began < 600
    assert store.only().data.metrics == {"loss": 1.0}
    assert not [thread for thread in threading.enumerate() if thread.name == "system metrics"]


def test_a_page_exists_on_a_server_and_shows_no_password():
    assert Store(None, "https://me:secret@host:5000/", "3").page("r1") == "https://host:5000/#/experiments/3/runs/r1"
    assert Store(None, "sqlite:///x.db", "3").page("r1") == ""


def test_a_store_that_is_down_costs_a_moment_and_the_run_is_sent_later(store, down, tmp_path, caplog):
    model, began = tmp_path / "model.txt", time.time()
    model.write_text("weights")
    with task_run("train", buffer=tmp_path) as run:
        run.log_params({"long": "y" * 700}, prefix="spec")
        run.log_curves([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": float("nan")}])
        run.log_artifact(model, "models")
    assert time.time() - began < 30  # MLflow alone retries for two minutes
    assert "bpnet tracking send" in caplog.text
    assert "secret" not in caplog.text
    model.unlink()
    down()
    assert store.runs() == []
    (sent,) = send_buffered(tmp_path)
    arrived = store.only()
    assert arrived.info.run_id == sent
    assert arrived.info.status == "FINISHED"
    assert abs(arrived.info.start_time / 1000 - began) < 5
    assert arrived.data.params == {"spec.long": "y" * 499 + "…"}
    assert store.text(sent, "params/spec.long.txt", tmp_path) == "y" * 700
    assert str(store.curve(sent, "loss")) == "[(1, 2.0), (2, nan)]"
    assert store.text(sent, "models/model.txt", tmp_path) == "weights"
    assert send_buffered(tmp_path) == []


def test_kept_tasks_of_a_pipeline_run_lie_below_one_run_once_sent(store, down, monkeypatch, tmp_path):
    monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", "kept")
    with task_run("train", buffer=tmp_path / "a"):
        pass
    with pytest.raises(OSError, match="disk"), task_run("prune", buffer=tmp_path / "b"):
        raise OSError("disk")
    down()
    monkeypatch.delenv("BODYPOSENET_PIPELINE_RUN")
    assert len(send_buffered(tmp_path)) == 2
    (parent,) = store.named("kept")
    assert [run.data.tags[PARENT] for run in store.named("train") + store.named("prune")] == [parent.info.run_id] * 2
    assert (store.named("prune")[0].info.status, parent.info.status) == ("FAILED", "FAILED")


def test_a_store_lost_on_the_way_gets_the_rest_of_the_same_run_later(store, tmp_path):
    with task_run("train", buffer=tmp_path) as run:
        run.log_metrics({"loss": 3.0}, step=1)
        store.rename("metrics", "metrics_away")
        run.log_metrics({"loss": 2.0}, step=2)
        run.log_metrics({"loss": 1.0}, step=3)
    store.rename("metrics_away", "metrics")
    assert store.curve(run.id, "loss") == [(1, 3.0)]
    assert send_buffered(tmp_path) == [run.id]
    assert store.curve(run.id, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert store.only().info.status == "FINISHED"


def test_sending_goes_on_where_it_stopped(store, down, tmp_path):
    with task_run("train", buffer=tmp_path) as run:
        run.log_params({"seed": 1}, prefix="spec")
        run.log_metrics({"loss": 1.0})
    down()
    store.runs()
    store.rename("metrics", "metrics_away")
    with pytest.raises(UserError, match="send again later"):
        send_buffered(tmp_path)
    store.rename("metrics_away", "metrics")
    send_buffered(tmp_path)
    assert store.only().data.params == {"spec.seed": "1"}
    assert store.only().data.metrics == {"loss": 1.0}


@pytest.mark.usefixtures("store")
def test_a_run_cut_short_with_its_process_is_sent_as_failed(store, down, tmp_path):
    with task_run("train", buffer=tmp_path) as run:
        run.log_metrics({"loss": 1.0})
    (kept,) = tmp_path.rglob("run.jsonl")
    lines = kept.read_text().splitlines()
    kept.write_text("\n".join([*lines[:-1], '{"op": "metr']))
    down()
    send_buffered(tmp_path)
    assert store.only().info.status == "FAILED"
    assert store.only().data.metrics == {"loss": 1.0}


def test_a_run_that_goes_on_is_not_sent_before_its_end(store, down, tmp_path, monkeypatch, caplog):
    """It would arrive as one that failed, and its folder would be gone."""
    monkeypatch.setattr(locking, "PATIENCE", 0.1)
    with task_run("train", buffer=tmp_path) as run:
        run.log_metrics({"loss": 2.0}, step=1)
        down()
        assert send_buffered(tmp_path) == []
        assert f"another run is at work here: process {os.getpid()} of " in caplog.text
        run.log_metrics({"loss": 1.0}, step=2)
    (sent,) = send_buffered(tmp_path)
    assert store.only().info.status == "FINISHED"
    assert store.curve(sent, "loss") == [(1, 2.0), (2, 1.0)]
    assert not [*(tmp_path / "tracking_buffer").iterdir()]


def test_a_run_is_sent_once_by_two_who_send_at_once(store, down, tmp_path, monkeypatch, caplog):
    with task_run("train", buffer=tmp_path) as run:
        run.log_metrics({"loss": 1.0}, step=1)
    down()
    monkeypatch.setattr(locking, "PATIENCE", 0.1)
    tell, others = offline_buffer.tell, []

    def tell_while_another_sends(*event):
        others.append(send_buffered(tmp_path))
        return tell(*event)

    monkeypatch.setattr(offline_buffer, "tell", tell_while_another_sends)
    (sent,) = send_buffered(tmp_path)
    assert others == [[]]
    assert "another run is at work here" in caplog.text
    assert store.only().info.run_id == sent
    assert store.curve(sent, "loss") == [(1, 1.0)]


@pytest.mark.usefixtures("store")
def test_nothing_is_open_in_a_kept_run_when_it_is_removed(down, tmp_path, monkeypatch):
    """NFS keeps a file that is open under another name, and the folder with it: the removal would fail."""
    with task_run("train", buffer=tmp_path) as run:
        run.log_metrics({"loss": 1.0})
    down()
    remove, seen = shutil.rmtree, []

    def remove_seen(folder, **options):
        links = (os.path.join("/proc/self/fd", each) for each in os.listdir("/proc/self/fd"))
        seen.append([os.readlink(link) for link in links if os.path.islink(link)])
        remove(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", remove_seen)
    send_buffered(tmp_path)
    assert seen
    assert not [path for path in seen[-1] if path.startswith(str(tmp_path / "tracking_buffer"))]
    assert not [*(tmp_path / "tracking_buffer").iterdir()]


class Unwell(http.server.BaseHTTPRequestHandler):
    """A server that answers every question with 503."""

    def do_GET(self):
        self.send_error(503)

    do_POST = do_PATCH = do_GET  # noqa: N815 - the names are http.server's

    def log_message(self, *args):
        pass


def test_a_server_that_answers_5xx_does_not_fail_the_task(store, monkeypatch, tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unwell) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        began = time.time()
        with task_run("train", buffer=tmp_path) as run:
            run.log_metrics({"loss": 1.0})
        server.shutdown()
    assert time.time() - began < 30
    assert len(list(tmp_path.rglob("run.jsonl"))) == 1


def test_a_server_that_never_answers_does_not_hang_the_task(store, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # of the user's own: it wins over ours
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.time()
        with task_run("train", buffer=tmp_path) as run:
            for step in range(100):
                run.log_metrics({"loss": 1.0}, step=step)
    assert time.time() - began < 30  # every call that waited would cost a second or more
    assert len(next(tmp_path.rglob("run.jsonl")).read_text().splitlines()) == 102


@pytest.mark.usefixtures("down")
def test_without_a_folder_to_keep_it_in_the_run_is_lost_with_a_warning_and_the_task_lives(caplog):
    with task_run("train") as run:
        run.log_metrics({"loss": 1.0})
    assert "tracking stops" in caplog.text


@pytest.mark.usefixtures("down")
def test_sending_to_a_store_that_is_still_down_loses_nothing(tmp_path):
    with task_run("train", buffer=tmp_path):
        pass
    with pytest.raises(UserError, match="send again later") as problem:
        send_buffered(tmp_path)
    assert "secret" not in str(problem.value)
    assert len(list(tmp_path.rglob("run.jsonl"))) == 1


def test_sending_needs_a_folder_and_a_store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match="no such folder"):
        send_buffered(tmp_path / "absent")
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        send_buffered(tmp_path)
