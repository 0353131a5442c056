"""Champion: which version a new network has to beat, what "nothing new" means, and how a network comes back."""

import json

import pytest
from support.local_server import free_port
from support.person_net import BRIGHT, assert_the_person, write_network

from bodyposenet.common.errors import UserError
from bodyposenet.common.tracking import fetch, find_champion, find_registered, find_version, promote, register_model
from bodyposenet.common.tracking.pyfunc import RegisteredPoseModel

DOWN = "http://me:secret@127.0.0.1:{}"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "person.onnx")


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def store(tracked_at, uri):
    return tracked_at(uri)


@pytest.fixture
def down(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DOWN.format(free_port()))


@pytest.fixture
def made(network, store):
    """Registers a network made from some inputs."""

    def register(name, inputs, ap=0.5):
        return register_model(network, metrics={"ap": ap}, name=name, tags={"inputs": inputs, "network_sha256": "n"})

    return register


def test_the_first_network_has_nobody_to_beat_and_the_next_has_the_first(made):
    assert find_champion("fresh") is None
    first = made("fresh", "a", ap=0.123456789)
    assert find_champion("fresh", inputs="a") is None, "a candidate is no champion"
    promote("fresh", first)
    found = find_champion("fresh", inputs="b")
    assert (found.version, found.ap, found.tags["inputs"], found.tags["beat"]) == (first, 0.123456789, "a", "")
    assert found.tags["skeleton"] == "bpnet_18_joints"
    assert len(found.tags["spec_sha256"]) == 64


def test_a_network_is_not_held_against_itself_but_against_the_one_that_it_beat(made):
    old, new = made("again", "a"), made("again", "b")
    promote("again", old)
    promote("again", new, over=old)
    assert find_champion("again", inputs="b").version == old
    assert find_champion("again", inputs="c").version == find_champion("again").version == new
    once_more = made("again", "b")
    promote("again", once_more, over=new)
    assert find_champion("again", inputs="b").version == old


def test_the_first_champion_made_from_the_same_inputs_has_nobody_to_beat(made):
    promote("alone", made("alone", "a"))
    assert find_champion("alone", inputs="a") is None


def test_a_champion_that_was_put_back_does_not_go_round_in_circles(made):
    one, two = made("circle", "a"), made("circle", "a")
    promote("circle", two, over=one)
    promote("circle", one, over=two)
    assert find_champion("circle", inputs="a") is None


def test_a_version_that_was_deleted_is_none(made, store):
    from mlflow import MlflowClient

    one, two = made("gone", "a"), made("gone", "b")
    promote("gone", two, over=one)
    MlflowClient(tracking_uri=store).delete_model_version("gone", one)
    assert find_champion("gone", inputs="b") is None
    with pytest.raises(UserError, match=r"gone: there is no version '1'; name a registered version"):
        promote("gone", one)


def test_what_was_registered_before_is_known_by_its_inputs(made):
    assert find_registered("known", "a", "n") == ""
    made("known", "a")
    made("known", "b")
    assert find_registered("known", "a", "n") == "1"
    assert find_registered("known", "a", "another") == ""
    assert find_registered("known", "c", "n") == ""
    assert find_registered("unknown", "a", "n") == ""


def test_a_network_comes_back_with_its_settings_by_version_and_by_alias(network, store, tmp_path):
    settings = {"input_shape": [128, 128], "heatmap_threshold": 0.2}
    version = register_model(network, metrics={"ap": 0.5}, name="back", settings=settings)
    for asked in (version, "candidate"):
        file = fetch("back", asked, tmp_path / asked / "new")
        assert file.read_bytes() == network.read_bytes()
        assert json.loads((file.parent / "inference_spec.json").read_text()) == settings
        assert sorted(path.name for path in file.parent.iterdir()) == ["inference_spec.json", "model.onnx"]
    assert_the_person(RegisteredPoseModel(file, settings).predict(BRIGHT))


def test_what_is_not_there_is_said_before_anything_is_downloaded(network, store, tmp_path):
    register_model(network, metrics={}, name="there")
    for name, asked in (("there", "champion"), ("there", "7"), ("nowhere", "champion")):
        assert find_version(name, asked) is None
        with pytest.raises(UserError, match=f"{name}: has no version or alias '{asked}'; register a network first"):
            fetch(name, asked, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_somebody_else_s_model_is_refused(store, tmp_path, network):
    from mlflow import MlflowClient, pyfunc

    pyfunc.save_model(str(tmp_path / "other"), loader_module="json", data_path=str(network), pip_requirements=[])
    client = MlflowClient(tracking_uri=store)
    client.create_registered_model("other")
    client.create_model_version("other", str(tmp_path / "other"))
    with pytest.raises(UserError, match="other/1: is no network that bpnet registered"):
        fetch("other", "1", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("down")
def test_a_store_that_is_down_is_not_taken_for_one_without_a_champion(tmp_path):
    for ask in (
        lambda: find_champion("any"),
        lambda: find_registered("any", "a", "n"),
        lambda: find_version("any", "1"),
        lambda: fetch("any", "1", tmp_path),
        lambda: promote("any", "1"),
    ):
        with pytest.raises(UserError, match=r"does not tell of it .*; check MLFLOW_TRACKING_URI") as problem:
            ask()
        assert "secret" not in str(problem.value)


def test_where_nothing_is_tracked_there_is_no_champion_and_one_line_says_so(monkeypatch, caplog, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    caplog.set_level("INFO")
    assert find_champion("any") is None
    assert find_registered("any", "a", "n") == ""
    promote("any", "")
    assert [record.message for record in caplog.records] == [
        "MLFLOW_TRACKING_URI is not set: there is no champion of any",
        "MLFLOW_TRACKING_URI is not set: nothing is promoted",
    ]
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI is not set; set it"):
        fetch("any", "champion", tmp_path)
