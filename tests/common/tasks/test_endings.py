"""Endings: what a run's own tasks note decides how it ended, whatever Kubeflow tells its exit task."""

import pytest

from bodyposenet.common import tasks
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.tracking import task_run
from bodyposenet.pipelines.blocks import DEFAULTS

NAMES = list(restore_ints(DEFAULTS))


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture
def run(database, monkeypatch, request, tmp_path):
    """Enters a run of the pipeline, in an experiment of the test's own; the answer does its first and last task."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "KFP_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return lambda name: Pipeline(name, tmp_path, monkeypatch)


class Pipeline:
    def __init__(self, name, folder, monkeypatch):
        monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", name)
        self.folder = folder / name
        self.folder.mkdir()

    def look(self, *, only_if_new=False, salt="", bound=0.0):
        """The fingerprint; whether there is something to do, and why."""
        news = tasks.fingerprint(
            dict.fromkeys(NAMES, ""), DEFAULTS, {"reason": str(self.folder / "reason")}, data="synthetic:8,4",
            start_weights="", model_name="m", only_if_new=only_if_new, salt=salt, bound=bound,
        )  # fmt: skip
        return news, (self.folder / "reason").read_text()

    def end(self, state):
        """The exit task; the page's title and the rest of it."""
        tasks.summary("prune-retrain", "synthetic:8,4", state, "", str(self.folder / "page"))
        title, _, rest = (self.folder / "page").read_text().partition("\n")
        return title.removeprefix("# prune-retrain: "), rest


def fail(name, reason):
    with pytest.raises(ValueError, match=reason), task_run(name):
        raise ValueError(reason)


def work(kind):
    """What happens between the first and the last task of a run."""
    if kind in ("fresh", "refused", "tried again"):
        with task_run("train"):
            pass
    if kind == "tried again":
        fail("export", "a lost pod")
        with task_run("export"):
            pass
    if kind == "failed":
        fail("train", "out of memory")
    if kind in ("fresh", "cached", "refused", "tried again"):  # nothing of a cached one is executed but its end
        tasks.finish()


@pytest.mark.parametrize(("kind", "state", "title", "trains"), [
    ("fresh", "COMPLETE", "SUCCEEDED", False), ("cached", "RUNNING", "SUCCEEDED", False),
    ("refused", "COMPLETE", "SUCCEEDED", False), ("tried again", "RUNNING", "SUCCEEDED", False),
    ("failed", "RUNNING", "FAILED", True), ("ended", "RUNNING", "STOPPED", True),
    ("failed", "COMPLETE", "FAILED", True), ("ended", "COMPLETE", "STOPPED", True),
])  # fmt: skip
def test_the_next_unchanged_run_has_nothing_to_do_after_a_good_end_alone(run, kind, state, title, trains):
    first = run("first")
    assert first.look() == (True, "new inputs")
    work(kind)
    told, page = first.end(state)
    assert told == title
    assert ("**train failed**: ValueError: out of memory" in page) == (kind == "failed")
    assert ("a lost pod" in page) is False
    second = run("second")
    wanted = "new inputs" if trains else "nothing new: run first had the same photos, weights and specs"
    assert second.look(only_if_new=True) == (trains, wanted)
    assert second.end(state)[0] == ("STOPPED" if trains else "NOTHING NEW")
    if not trains:
        assert run("third").look(only_if_new=True) == (trains, wanted)


def test_a_run_of_which_no_task_could_be_started_is_told_as_stopped_and_not_remembered(run):
    assert run("lost").end("RUNNING")[0] == "STOPPED"
    assert run("next").look(only_if_new=True)[0]


def test_other_inputs_and_another_bound_are_news_after_a_good_end(run):
    first = run("first")
    first.look(only_if_new=True)
    tasks.finish()
    assert run("salted").look(only_if_new=True, salt="x")[0]
    assert run("bound").look(only_if_new=True, bound=0.5)[0]
    assert not run("same").look(only_if_new=True)[0]


@pytest.mark.parametrize(("state", "title"), [
    ("COMPLETE", "ENDED"), ("RUNNING", "ENDED"), ("SUCCEEDED", "SUCCEEDED"), ("FAILED", "FAILED"),
])  # fmt: skip
def test_without_a_store_nobody_remembers_and_the_title_claims_no_more_than_is_known(run, monkeypatch, state, title):
    first = run("first")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    first.look()
    tasks.finish()
    assert first.end(state)[0] == title
    assert run("second").look(only_if_new=True) == (True, "new inputs")
