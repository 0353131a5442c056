"""Pipeline runs: one tree a run in MLflow, with its name, its page, and its state, whoever makes the runs."""

import pytest
from support.kubeflow_fake import kubeflow
from support.tiny_pipeline import compiled

from bodyposenet.common import tasks
from bodyposenet.common.tracking import send_buffered, task_run
from bodyposenet.common.tracking.history import find_pages, task_rows
from bodyposenet.common.tracking.pipeline_runs import read_pod
from bodyposenet.pipelines.package import find_package

PARENT = "mlflow.parentRunId"
KFP_ID, KFP_URL, NOTE = "kfp.pipeline_run_id", "kfp.pipeline_run_url", "mlflow.note.content"
POD = "tiny-x7k2p-retry-system-container-impl-"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return find_package(str(compiled(tmp_path_factory.mktemp("tiny"))))


@pytest.fixture
def store(tracked_at, database, monkeypatch):
    """Reads the runs of the test's experiment; nothing of a cluster is in the environment yet."""
    for name in ("BODYPOSENET_KUBEFLOW_PAGE", "BODYPOSENET_MLFLOW_PAGE", "ML_PIPELINE_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    return Reader(tracked_at(f"sqlite:///{database}"))


class Reader:
    """Reads one experiment through MLflow's own client."""

    def __init__(self, uri):
        from mlflow import MlflowClient

        with task_run("opens the store") as run:
            self.client = MlflowClient(tracking_uri=uri)
        self.experiment = self.client.get_run(run.id).info.experiment_id
        self.client.delete_run(run.id)

    def runs(self):
        return self.client.search_runs([self.experiment])

    def top(self):
        (run,) = [run for run in self.runs() if PARENT not in run.data.tags]
        return run

    def state(self):
        return self.top().info.status


@pytest.fixture
def pod(monkeypatch):
    """Called with a number, it makes this a pod of a run on Kubeflow."""

    def enter(number=1, run="run-7"):
        monkeypatch.setenv("KFP_RUN_ID", run)
        monkeypatch.setenv("HOSTNAME", f"{POD}{number}")

    return enter


@pytest.fixture
def cluster(monkeypatch):
    """A Kubeflow whose API the pods find, as Kubernetes tells them."""
    with kubeflow() as fake:
        host, port = fake.url.removeprefix("http://").split(":")
        monkeypatch.setenv("ML_PIPELINE_SERVICE_HOST", host)
        monkeypatch.setenv("ML_PIPELINE_SERVICE_PORT", port)
        yield fake


def start(fake, package, name):
    run = {"display_name": name, "pipeline_spec": package.documents()}
    return fake.add_run({}, {**run, "runtime_config": {"parameters": {"reference": 0.5}}})["run_id"]


@pytest.mark.parametrize(("given", "named"), [
    ("night 3", "tiny: night 3"), ("tiny 2026-11-29", "tiny 2026-11-29"), ("Größe 50%", "tiny: Größe 50%"),
])  # fmt: skip
def test_the_top_of_a_run_on_kubeflow_has_the_pipeline_s_and_the_run_s_name(store, pod, cluster, package, given, named):
    pod(run=start(cluster, package, given))
    with task_run("train"):
        pass
    assert store.top().info.run_name == named


def test_a_run_by_the_clock_has_the_name_of_the_pipeline_that_it_refers_to(store, pod, cluster, package):
    pipeline = cluster.add_pipeline({}, {"display_name": "tiny"})["pipeline_id"]
    version = cluster.add_version({"name": "1", "pipelineid": pipeline}, package.text())["pipeline_version_id"]
    reference = {"pipeline_id": pipeline, "pipeline_version_id": version}
    experiment = cluster.find_default()["experiment_id"]
    schedule = {"display_name": "nightly", "experiment_id": experiment, "mode": "ENABLE", "max_concurrency": "1"}
    schedule |= {"trigger": {"cron_schedule": {"cron": "0 0 2 * * *"}}, "pipeline_version_reference": reference}
    schedule |= {"runtime_config": {"parameters": {"reference": 0.5}}}
    made = cluster.run_by_clock(cluster.add_recurring({}, schedule)["recurring_run_id"])
    pod(run=made["run_id"])
    with task_run("train"):
        pass
    assert store.top().info.run_name == f"tiny: {made['display_name']}"


@pytest.mark.parametrize("away", ["no address", "no server"])
def test_where_kubeflow_cannot_be_asked_the_top_has_the_workflow_s_name(store, pod, monkeypatch, away):
    if away == "no server":
        monkeypatch.setenv("ML_PIPELINE_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("ML_PIPELINE_SERVICE_PORT", "9")
    pod()
    with task_run("train"):
        pass
    assert store.top().info.run_name == "tiny-x7k2p"


def test_elsewhere_the_top_has_the_name_that_the_environment_gives_and_no_page(store, monkeypatch):
    monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", "demo-1")
    with task_run("train"):
        pass
    top = store.top()
    assert top.info.run_name == "demo-1"
    assert not {KFP_ID, KFP_URL, NOTE} & set(top.data.tags)


def test_the_top_links_to_kubeflow_s_page_where_its_address_is_known(store, pod, monkeypatch):
    pod(run="without")
    with task_run("train"):
        pass
    tags = store.top().data.tags
    assert (tags[KFP_ID], tags[KFP_URL], tags.get(NOTE)) == ("without", "/#/runs/details/without", None)
    store.client.delete_run(store.top().info.run_id)
    monkeypatch.setenv("BODYPOSENET_KUBEFLOW_PAGE", "https://kubeflow.example.com/pipeline/")
    pod(run="with")
    with task_run("train"):
        pass
    url = "https://kubeflow.example.com/pipeline/#/runs/details/with"
    tops = {run.data.tags[KFP_ID]: run.data.tags for run in store.runs() if KFP_ID in run.data.tags}
    assert (tops["with"][KFP_URL], tops["with"][NOTE]) == (url, f"[This run on Kubeflow]({url})")


def test_the_summary_on_kubeflow_s_page_links_to_mlflow_where_browsers_find_it(store, pod, monkeypatch, tmp_path):
    pod()
    with task_run("train"):
        pass
    tasks.summary("tiny", "drawn", "COMPLETE", "", str(tmp_path / "without"))
    assert "in MLflow](" not in (tmp_path / "without").read_text()
    monkeypatch.setenv("BODYPOSENET_MLFLOW_PAGE", "https://mlflow.example.com/")
    tasks.summary("tiny", "drawn", "COMPLETE", "", str(tmp_path / "with"))
    page = f"https://mlflow.example.com/#/experiments/{store.experiment}/runs/{store.top().info.run_id}"
    assert f"[This run in MLflow]({page})" in (tmp_path / "with").read_text()


@pytest.mark.parametrize(("ending", "state"), [("FINISHED", "FINISHED"), ("FAILED", "FAILED"), ("KILLED", "KILLED")])
def test_the_top_runs_from_the_first_task_to_the_last_one(store, pod, ending, state):
    pod(1)
    with task_run("fingerprint", first=True):
        assert store.state() == "RUNNING"
    assert store.state() == "RUNNING", "the next task's driver takes ten seconds"
    pod(2)
    with pytest.raises(OSError, match="lost"), task_run("train"):
        raise OSError("lost")
    assert store.state() == "RUNNING", "it is tried again"
    pod(3)
    with task_run("train"):
        pass
    pod(4)
    with task_run("summary", ending=ending):
        assert store.state() == "RUNNING"
    assert store.state() == state


@pytest.mark.parametrize(("fails", "state"), [(False, "FINISHED"), (True, "FAILED")])
def test_a_last_task_that_does_not_know_lets_the_tasks_tell(store, pod, fails, state):
    pod(1)
    with task_run("fingerprint", first=True):
        pass
    if fails:
        with pytest.raises(OSError, match="full"), task_run("train"):
            raise OSError("full")
    with task_run("summary", ending=""):
        pass
    assert store.state() == state


def test_on_this_machine_a_task_that_failed_ends_the_top_for_nothing_comes_after_it(store, monkeypatch):
    monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", "demo-1")
    with task_run("fingerprint", first=True):
        pass
    assert store.state() == "RUNNING"
    with pytest.raises(OSError, match="full"), task_run("train"):
        raise OSError("full")
    assert store.state() == "FAILED"


def test_a_pipeline_without_a_first_task_of_ours_ends_with_the_task_that_runs_last(store, pod):
    pod()
    with task_run("infer_batch"):
        assert store.state() == "RUNNING"
    assert store.state() == "FINISHED"


def test_tasks_that_were_kept_while_the_store_was_away_are_the_same_tree_once_sent(store, pod, monkeypatch, tmp_path):
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        away.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        pod(1)
        with task_run("fingerprint", first=True, buffer=tmp_path / "a"):
            pass
        pod(2)
        with task_run("train", buffer=tmp_path / "b"):
            pass
        pod(3)
        with task_run("summary", ending="KILLED", buffer=tmp_path / "c"):
            pass
    monkeypatch.delenv("KFP_RUN_ID")
    assert len(send_buffered(tmp_path / "a")) == 1
    assert len(send_buffered(tmp_path / "b")) == 1
    assert (store.state(), store.top().info.run_name) == ("RUNNING", "tiny-x7k2p")
    assert len(send_buffered(tmp_path / "c")) == 1
    assert store.state() == "KILLED"
    assert [(row.name, row.pod) for row in task_rows("run-7")] == [
        ("fingerprint", f"{POD}1"), ("train", f"{POD}2"), ("summary", f"{POD}3"),
    ]  # fmt: skip


class Plugin:
    """Makes runs as Kubeflow's own MLflow plugin does: its server one for all, a driver one for each task."""

    def __init__(self, client, name, run, monkeypatch):
        self.client, self.monkeypatch = client, monkeypatch
        self.experiment = client.create_experiment(name)
        tags = {KFP_ID: run, KFP_URL: f"/#/runs/details/{run}"}
        self.top = client.create_run(self.experiment, run_name="night 3", tags=tags).info.run_id

    def drive(self, title):
        """What a task finds in its environment."""
        made = self.client.create_run(self.experiment, run_name=title, tags={PARENT: self.top}).info.run_id
        self.monkeypatch.setenv("MLFLOW_RUN_ID", made)
        self.monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", self.experiment)
        return made

    def leave(self):
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            self.monkeypatch.delenv(name)


def test_with_kubeflow_s_plugin_there_is_one_tree_and_no_run_twice(store, pod, monkeypatch, request):
    plugin = Plugin(store.client, f"plugin of {request.node.name}", "run-7", monkeypatch)
    made = []
    for number, (title, name) in enumerate({"Fingerprint": "fingerprint", "Evaluate base": "evaluate_base"}.items()):
        pod(number)
        made.append(plugin.drive(title))
        with task_run(name, first=name == "fingerprint") as run:
            run.log_metrics({"AP_0.50-0.95_all": 0.5})
            assert run.id == made[-1]
    pod(2)
    made.append(plugin.drive("Summary"))
    with task_run("summary", ending="FINISHED"):
        pass
    assert [row.name for row in task_rows("run-7")] == ["fingerprint", "evaluate_base", "summary"]
    plugin.leave()
    pod(3)
    with monkeypatch.context() as injected:
        injected.setenv("MLFLOW_EXPERIMENT_ID", plugin.experiment)
        with task_run("without an injected run") as run:
            made.append(run.id)
    found = store.client.search_runs([plugin.experiment])
    assert {run.info.run_id for run in found} == {plugin.top, *made}
    assert {run.data.tags.get(PARENT) for run in found} == {None, plugin.top}
    assert store.client.get_run(plugin.top).info.run_name == "night 3"
    assert store.runs() == []


def test_who_follows_a_run_finds_the_tree_of_kubeflow_s_plugin_in_its_experiment(store, pod, monkeypatch, request):
    plugin = Plugin(store.client, f"plugin of {request.node.name}", "run-8", monkeypatch)
    pod(5, run="run-8")
    plugin.drive("Train")
    with task_run("train"):
        pass
    plugin.leave()
    monkeypatch.delenv("KFP_RUN_ID")
    monkeypatch.setenv("BODYPOSENET_MLFLOW_PAGE", "https://mlflow.example.com")
    assert [(row.name, row.pod) for row in task_rows("run-8")] == [("train", f"{POD}5")]
    page = f"https://mlflow.example.com/#/experiments/{plugin.experiment}/runs/{plugin.top}"
    assert find_pages("run-8").run == page


def test_of_attempts_in_one_pod_the_last_counts(store, pod):
    pod(4, run="run-11")
    with pytest.raises(RuntimeError), task_run("challenge"):
        raise RuntimeError("the store is away")
    with task_run("challenge"):
        pass
    pod(5, run="run-11")
    with pytest.raises(RuntimeError), task_run("register"):
        raise RuntimeError("a bug")
    found = [(row.name, row.status, row.pod) for row in task_rows("run-11")]
    assert found == [("challenge", "FINISHED", f"{POD}4"), ("register", "FAILED", f"{POD}5")]


def test_a_pod_has_the_name_that_kubeflow_tells_and_not_the_shorter_one_of_its_host(monkeypatch):
    monkeypatch.delenv("BODYPOSENET_PIPELINE_RUN", raising=False)
    monkeypatch.setenv("KFP_RUN_ID", "run-12")
    monkeypatch.setenv("HOSTNAME", "nightly-1-retry-system-container-impl-12345")
    assert read_pod() == "nightly-1-retry-system-container-impl-12345"
    monkeypatch.setenv("KFP_POD_NAME", "nightly-1-retry-system-container-impl-1234567890")
    assert read_pod() == "nightly-1-retry-system-container-impl-1234567890"


def test_kubeflow_s_own_top_is_left_to_kubeflow_to_end(store, pod, monkeypatch, request):
    plugin = Plugin(store.client, f"plugin of {request.node.name}", "run-9", monkeypatch)
    pod(1, run="run-9")
    plugin.drive("Summary")
    with task_run("summary", ending="FAILED"):
        pass
    assert store.client.get_run(plugin.top).info.status == "RUNNING"
