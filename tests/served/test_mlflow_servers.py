"""Servers of MLflow 2 and 3, each in an environment of its own: a network is tracked, registered, fetched, served."""

import json
import urllib.error
import urllib.request

import pytest
from support.mlflow_server import LOGGED_MODELS, NO_SUCH_PLACE, serving, tracking_server
from support.person_net import write_network
from support.registry import assert_the_way

from bodyposenet.common.tracking import promote, register_model

pytestmark = pytest.mark.served

# What each was made for: MLflow 2.16 does not know the newer SQLAlchemy, nor a setuptools without pkg_resources
RELEASES = {
    "2.16": ("mlflow==2.16.*", "sqlalchemy<2.1", "setuptools<81"),
    "3.10": ("mlflow==3.10.*",),
    "newest 3": ("mlflow>=3,<4",),
}


@pytest.fixture(scope="module", params=RELEASES)
def server(request, make_environment, tmp_path_factory):
    """A release and its address."""
    python = make_environment(*RELEASES[request.param])
    with tracking_server(tmp_path_factory.mktemp("server"), python) as url:
        yield request.param, url


def test_a_network_goes_all_the_way_on_it(
    server, tracked_at, drawn_network, assert_the_same_people, foreign_home, tmp_path
):
    _, url = server
    tracked_at(url)
    assert_the_way(write_network(tmp_path / "person.onnx"), "person", tmp_path / "fetched")
    promote("people", register_model(drawn_network, metrics={"ap": 0.5}, name="people"))
    where = foreign_home | {"MLFLOW_TRACKING_URI": url}
    command = ("models", "serve", "-m", "models:/people@champion", "--env-manager", "local")
    with serving(tmp_path, *command, path="/ping", env=where) as served:
        assert_the_same_people(served)


def test_what_the_tests_server_of_mlflow_2_answers_is_what_it_answers(server):
    release, url = server
    body = json.dumps({"experiment_id": "0"}).encode()
    asked = urllib.request.Request(f"{url}{LOGGED_MODELS}", body, {"Content-Type": "application/json"}, method="POST")
    if release != "2.16":
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert "model" in json.load(answer)
        return
    with pytest.raises(urllib.error.HTTPError) as told, urllib.request.urlopen(asked, timeout=60):
        pass
    assert (told.value.code, told.value.headers["Content-Type"], told.value.read()) == (404, *NO_SUCH_PLACE)
