"""Endings: what a run's own tasks note decides how it ended, whatever Kubeflow tells its exit task."""

import json

import pytest
from support.person_net import write_network

from bodyposenet.common import tasks
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.tracking import promote, register_model, task_run
from bodyposenet.common.tracking.start_weights import keep_base
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
        self.model = folder.name
        monkeypatch.setenv("BODYPOSENET_PIPELINE_RUN", name)
        self.folder = folder / name
        self.folder.mkdir()

    def look(self, *, only_if_new=False, salt="", bound=0.0, start="", data="synthetic:8,4"):
        """The fingerprint; whether there is something to do, and why."""
        outputs = {name: str(self.folder / name) for name in ("reason", "train_spec", "weights", "inputs", "hold_out")}
        news = tasks.fingerprint(
            dict.fromkeys(NAMES, ""), DEFAULTS, outputs, data=data, start_weights=start, model_name=self.model,
            only_if_new=only_if_new, salt=salt, bound=bound,
        )  # fmt: skip
        return news, self.read("reason")

    def read(self, output):
        return (self.folder / output).read_text()

    def weights(self):
        """What the first training starts from."""
        return json.loads(self.read("train_spec"))["pretrained_weights"]

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


def test_an_ap_in_percent_ends_a_run_before_anything_is_trained(run, capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        run("percent").look(bound=55.0)
    said = "min_ap or max_ap_drop: an AP, and a loss of it, is from 0 to 1 (got 55); write 0.55 for 55 %"
    assert said in capsys.readouterr().err


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


@pytest.fixture
def model(tmp_path):
    """Name of a registered model of the test's own."""
    return tmp_path.name


@pytest.fixture
def crown(tmp_path):
    """Makes a network the champion of a registered model, with a base network that the shipped train spec fits."""
    onnx = write_network(tmp_path / "person.onnx")

    def make(name, **tags):
        with task_run("register") as run:
            tags |= keep_base(run, weights_path("pretrained:drawn_people"))
            version = register_model(onnx, metrics={"ap": 0.5}, name=name, tags=tags)
        promote(name, version)
        return version

    return make


@pytest.mark.parametrize("start", ["auto", "models:/{}@champion"])
def test_a_new_champion_alone_is_no_news_to_the_next_night(run, crown, model, start):
    start = start.format(model)
    crown(model)
    first = run("night 1")
    assert first.look(start=start, only_if_new=True)[0]
    assert first.weights() == f"models:/{model}/1"
    tasks.finish()
    crown(model)
    second = run("night 2")
    assert second.look(start=start, only_if_new=True) == (
        False, "nothing new: run night 1 had the same photos, weights and specs",
    )  # fmt: skip
    assert second.weights() == f"models:/{model}/2"
    assert second.read("inputs") != first.read("inputs"), "it would be another network"
    third = run("night 3")
    assert third.look(start=start, only_if_new=True, data="synthetic:9,4")[0], "a photo more"


def test_the_first_champion_is_no_news_either(run, crown, model):
    first = run("night 1")
    assert first.look(start="auto", only_if_new=True)[0]
    assert first.weights() == "pretrained:drawn_people", "as the train spec says"
    tasks.finish()
    crown(model)
    assert not run("night 2").look(start="auto", only_if_new=True)[0]


def test_other_weights_and_another_model_s_new_champion_are_news(run, crown):
    crown("other")
    first = run("first")
    first.look(start="models:/other@champion")
    assert first.weights() == "models:/other/1"
    tasks.finish()
    assert not run("same").look(start="models:/other@champion", only_if_new=True)[0]
    assert run("auto").look(start="auto", only_if_new=True)[0]
    assert run("none").look(only_if_new=True)[0]
    with task_run("register") as tracked:
        tags = keep_base(tracked, weights_path("pretrained:drawn_people"))
        tags["base"] = tags["base"][:-1] + ("0" if tags["base"][-1] != "0" else "1")  # as if it were another file
        version = register_model(first.folder.parent / "person.onnx", metrics={}, name="other", tags=tags)
    promote("other", version)
    assert run("another").look(start="models:/other@champion", only_if_new=True)[0]


def test_a_champion_that_fits_gives_its_digest_and_where_its_photos_are(run, crown, model):
    place = f"runs:/0123/hold_out-a/photos.json#{'a' * 64}"
    crown(model, hold_out=place)
    here = run("here")
    here.look(start="auto")
    assert (len(here.read("weights")), here.read("hold_out")) == (64, place)
    without = run("without")
    without.look()
    assert (without.read("weights"), without.weights()) == ("", "pretrained:drawn_people")


def test_a_champion_that_does_not_fit_ends_the_run_at_once_where_it_was_asked_for(run, crown, model, capfd):
    crown(model)
    spec = restore_ints(DEFAULTS)["train_spec"]
    other = {**spec, "model": {**spec["model"], "stages": 3}}
    given = {**dict.fromkeys(NAMES, ""), "train_spec": other}
    rest = {"data": "synthetic:8,4", "model_name": model, "only_if_new": False, "salt": ""}
    with pytest.raises(SystemExit, match=r"^2$"):
        tasks.fingerprint(given, DEFAULTS, {}, start_weights=f"models:/{model}@champion", **rest)
    assert (
        f"models:/{model}@champion: version 1 has another network: stages 3 is wanted, it has 2"
        in capfd.readouterr().err
    )
