"""Names: each works and is found again, or is refused before anything is started."""

import pytest
from click.testing import CliRunner
from support.kubeflow_fake import kubeflow
from support.tiny_pipeline import compiled

from bodyposenet.common.cli.main import main
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.pipelines import submit
from bodyposenet.pipelines.names import MOST, check_name
from bodyposenet.pipelines.package import find_package
from bodyposenet.pipelines.server import HOST, Server
from bodyposenet.pipelines.submit import start

WORDS = [
    "a+b", "50% pruned", "50%25", "100%", "%41", "a&b=c", "it's", 'the "best"', "back\\slash", "a/b", "a b", "#1?",
    "{x}", "[1]", "Ünïcode", "日本語", "отчёт", "תמונות", "ก", "e\u0301", "Capitals", "ALL", "tab\tinside", "star*",
    "under_score", "semi;colon", "comma, dot.", "ß", "\u00a0x", "~!@$^", "null", "0", "-", "--flag",
    "a" * 64, "b" * 127, "c" * 128,
]  # fmt: skip
TRIMMED = ["  blanks at both ends  ", "end ", "\tbegin", "\nline\n"]
TOO_LONG = ["d" * 256, "e" * 300, "é" * 256]
STRANGE = ["emoji \U0001f600", "\U00020000", "half \ud83d"]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return find_package(str(compiled(tmp_path_factory.mktemp("tiny"))))


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(submit, "LOOKS", (0.0, 0.0))
    with kubeflow() as running:
        monkeypatch.setenv(HOST, running.url)
        yield running


def begin(fake, package, **names):
    given = {"experiment": "bodyposenet", "name": "a run"} | names
    return start(Server(fake.url), package, {"reference": 1, "candidate": 1}, **given)


@pytest.mark.parametrize("name", [*WORDS, *TRIMMED])
def test_an_experiment_is_found_again_and_a_run_has_its_name(fake, package, name):
    for _ in range(2):
        run_id = begin(fake, package, experiment=name, name=name)
        assert fake.runs[run_id]["display_name"] == name.strip()
    assert [each["display_name"] for each in fake.experiments.values()] == [name.strip()]


@pytest.mark.parametrize("name", ["a+b", "50% pruned", "it's", "日本語", "p" * 128])
def test_a_pipeline_and_its_version_are_found_again(fake, name):
    server = Server(fake.url)
    pipeline = server.new_pipeline(name, "")
    assert server.pipeline(name) == pipeline
    version = server.new_version(pipeline, name[:127], "pipelineInfo: {name: x}\n")
    assert server.version(pipeline, name[:127]) == version
    assert server.version(pipeline, "another") is None


def test_names_that_differ_in_capitals_are_one_as_in_the_server_s_database(fake, package):
    first, second = (begin(fake, package, experiment=name) for name in ("Case Test", "case test"))
    assert fake.runs[first]["experiment_id"] == fake.runs[second]["experiment_id"]


@pytest.mark.parametrize("name", [*TOO_LONG, *STRANGE])
@pytest.mark.parametrize("what", ["--run-name", "--experiment"])
def test_what_cannot_be_stored_is_refused_before_anything_is_sent(fake, tmp_path, what, name):
    words = ["pipeline", "run", str(compiled(tmp_path)), "-p", "reference=1", "-p", "candidate=1", what, name]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 2
    assert "Kubeflow" in done.stderr
    assert fake.requests == []


@pytest.mark.parametrize("what", MOST)
def test_the_limits_are_those_of_the_columns(what):
    most = MOST[what]
    assert check_name(what, f" {'n' * most} ") == "n" * most
    with pytest.raises(UserError, match=f"has {most + 1} characters, of which Kubeflow stores {most}; shorten it"):
        check_name(what, "n" * (most + 1))
    assert check_name(what, "\uffff") == "\uffff"
    if what == "description":
        assert check_name(what, "") == ""
    else:
        with pytest.raises(UserError, match=f"{what}: is empty; give a name"):
            check_name(what, " ")


def test_a_run_that_was_stored_though_its_start_failed_is_the_one(fake, package):
    fake.fail("POST /runs", 500, done=True)
    run_id = begin(fake, package)
    assert list(fake.runs) == [run_id]
    assert fake.changes.count("POST /runs") == 1


def test_a_start_that_failed_is_not_tried_again_and_says_where_to_look(fake, package):
    begin(fake, package)  # of the same name, and another
    fake.fail("POST /runs", 503)
    with pytest.raises(AwayError, match=r"503.*once `kubectl get workflows` shows that none was started"):
        begin(fake, package)
    assert len(fake.runs) == 1
    assert fake.changes.count("POST /runs") == 2


def test_a_mistake_is_the_user_s_whatever_code_the_server_gives_it(fake):
    with pytest.raises(
        UserError, match=r"it refuses this: Pipeline.Name length cannot exceed 128; mend that"
    ) as caught:
        Server(fake.url).new_pipeline("p" * 129, "")
    assert not isinstance(caught.value, AwayError)
