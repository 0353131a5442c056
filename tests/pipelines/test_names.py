"""Names: each works and is found again, or is refused before anything is started."""

import re
from collections import Counter

import pytest
import yaml
from click.testing import CliRunner
from support.tiny_pipeline import compiled

from bodyposenet.common.cli.main import main
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.pipelines.names import MOST, check_name
from bodyposenet.pipelines.package import find_package
from bodyposenet.pipelines.server.connection import Server
from bodyposenet.pipelines.submit import start

STORED = [
    "a+b", "50% pruned", "50%25", "100%", "%41", "%zz", "+", "a&b=c", "it's", 'the "best"', '"', "back\\slash", "a/b",
    "a b", "a  b", "#1?", "{x}", "[1]", "Capitals", "ALL", "tab\tinside", "two\nlines", "star*", "under_score", "l%_ke",
    "semi;colon", "comma, dot.", "~!@$^", "null", "0", "-", "--flag", "<b>", "`tick`", "x", "xy", "c" * 63, "c" * 64,
    "c" * 127, "c" * 128, "½", "Ünïcode", "日本語", "한국어", "отчёт", "תמונות", "صور", "Ελλάδα", "हिन्दी", "ก", "ß",
    "e\u0301", "\uffff", "\u200bzero width", "é" * 128,
]  # fmt: skip
TRIMMED = [
    "  blanks at both ends  ",
    "end ",
    "\tbegin",
    "\nline\n",
    "\u00a0no break",
    "\u3000wide\u3000",
    f" {'t' * 128} ",
]
STRANGE = ["emoji \U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U00020000", "half \ud83d", "\U0001f600"]
LONG = ["d" * 129, "é" * 129, "d" * 255, "日" * 255]
TOO_LONG = ["d" * 256, "e" * 300, "é" * 256, "日" * 300]
EMPTY = ["", "  ", "\u00a0"]
NAMES = [*STORED, *TRIMMED, *STRANGE, *LONG, *TOO_LONG, *EMPTY]
SHORT_ONLY = [*STRANGE, *LONG, *TOO_LONG]  # what experiments, pipelines and versions cannot be called
PARAMETERS = ("-p", "reference=1", "-p", "candidate=1")


@pytest.fixture(scope="module")
def package(tiny):
    return find_package(str(tiny))


def begin(fake, package, **names):
    given = {"experiment": "bodyposenet", "name": "a run"} | names
    return start(Server(fake.url), package, {"reference": 1, "candidate": 1}, **given)


@pytest.fixture
def rename(tmp_path):
    """Writes the tiny pipeline under another name, and returns its file."""
    document = yaml.safe_load(compiled(tmp_path).read_text())

    def write(name):
        document["pipelineInfo"]["name"] = name
        (tmp_path / "renamed.yaml").write_text(yaml.safe_dump(document))
        return tmp_path / "renamed.yaml"

    return write


def use(fake, *words):
    """Give a command; returns its exit code, and holds it to the promise that 2 means that nothing was sent."""
    before = len(fake.requests)
    done = CliRunner().invoke(main, ["pipeline", *map(str, words)], catch_exceptions=False)
    if done.exit_code:
        assert fake.requests[before:] == []
        assert re.search(
            r"; (shorten it|leave that character out|give a name|write one with .* compile)\n$", done.stderr
        )
        assert len(done.stderr.splitlines()) == 1
        assert len(done.stderr) < 300
    return done


def list_names(rows):
    return Counter(each["display_name"] for each in rows.values())


def test_there_are_sixty_names_of_all_kinds_and_lengths():
    assert len(set(NAMES)) >= 60
    assert {len(name) for name in NAMES} >= {1, 2, 63, 64, 127, 128, 129, 255, 256, 300}


def test_each_experiment_is_found_again_or_refused_before_anything_is_sent(fake, rename):
    file, refused = rename("tiny"), []
    for name in NAMES:
        codes = {use(fake, "run", file, *PARAMETERS, f"--experiment={name}").exit_code for _ in range(2)}
        refused += [name] if codes == {2} else []
    assert refused == [*SHORT_ONLY, *EMPTY]
    assert list_names(fake.experiments) == Counter({name.strip() for name in [*STORED, *TRIMMED]})
    assert len(fake.workflows) == len(fake.runs) == 2 * len([*STORED, *TRIMMED])


def test_each_run_has_its_name_and_is_told_or_is_refused_before_anything_is_sent(fake, rename):
    file, told = rename("tiny"), []
    for name in [*NAMES, *STORED]:
        done = use(fake, "run", file, *PARAMETERS, f"--run-name={name}")
        told += re.findall("run ([0-9a-f-]{36}):", done.stdout)
    assert list(fake.runs) == told
    assert len(fake.workflows) == len(told)
    unnamed = [name for name in list_names(fake.runs) if name.startswith("tiny 20")]  # where the name is left empty
    stored = [*STORED, *STORED, *TRIMMED, *LONG]
    assert list_names(fake.runs) - Counter(unnamed) == Counter(name.strip() for name in stored)


def test_each_pipeline_is_found_again_or_refused_before_anything_is_sent(fake, rename):
    refused = []
    for name in [*STORED, *TRIMMED, *SHORT_ONLY]:
        first, again = (use(fake, "upload", rename(name)) for _ in range(2))
        refused += [name] if (first.exit_code, again.exit_code) == (2, 2) else []
        assert ": uploaded\n" in first.stdout or first.exit_code == 2
        assert "is there already, nothing to do" in again.stdout or again.exit_code == 2
    assert refused == SHORT_ONLY
    assert list_names(fake.pipelines) == Counter({name.strip() for name in [*STORED, *TRIMMED]})


def test_each_version_is_found_again_or_refused_by_the_check(fake):
    server = Server(fake.url)
    pipeline = server.new_pipeline("one", "")
    for name in [*STORED, *TRIMMED]:
        if len(name.strip()) < 128:
            kept = check_name("version", name)
            version = server.version(pipeline, kept) or server.new_version(pipeline, kept, "pipelineInfo: {name: x}\n")
            assert server.version(pipeline, kept) == version
    for name in [*SHORT_ONLY, *EMPTY, "c" * 128]:
        with pytest.raises(UserError):
            check_name("version", name)


def test_each_schedule_is_found_again_or_refused_before_anything_is_sent(fake, rename):
    file, made = rename("tiny"), []
    for name in [*NAMES, "nightly", "a-b-1", "n" * 60]:
        words = ("pipeline", "schedule", str(file), *PARAMETERS, "--cron", "@daily", f"--name={name}")
        before = len(fake.requests)
        first, again = (CliRunner().invoke(main, words, catch_exceptions=False) for _ in range(2))
        assert first.exit_code == again.exit_code
        if first.exit_code:
            assert first.exit_code == 2
            assert fake.requests[before:] == []
        else:
            assert f"+ {name}: new" in first.stdout
            assert f"= {name}: unchanged" in again.stdout
            made.append(name)
    assert made == ["null", "0", "x", "xy", "nightly", "a-b-1", "n" * 60]
    assert list_names(fake.recurring) == Counter(made)
    assert len(fake.workflows) == len(made)


def test_each_schedule_s_experiment_is_found_again_or_refused_before_anything_is_sent(fake, rename):
    file = rename("tiny")
    for name in NAMES:
        words = ("schedule", file, *PARAMETERS, "--cron", "@daily", "--name=nightly", f"--experiment={name}")
        before = len(fake.requests)
        done = CliRunner().invoke(main, ["pipeline", *map(str, words)], catch_exceptions=False)
        assert (done.exit_code, len(fake.requests) == before) in ((0, False), (2, True))
    assert list_names(fake.experiments) == Counter({name.strip() for name in [*STORED, *TRIMMED]})
    assert len(fake.recurring) == 1


def test_names_that_differ_in_capitals_are_one_as_in_the_server_s_database(fake, package):
    first, second = (begin(fake, package, experiment=name) for name in ("Case Test", "case test"))
    assert fake.runs[first]["experiment_id"] == fake.runs[second]["experiment_id"]


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


NOBODY = "00000000-0000-0000-0000-000000000000"
VERSION = {"pipeline_id": NOBODY, "pipeline_version_id": NOBODY}


@pytest.mark.parametrize(("ask", "problem"), [
    (lambda server: server.new_pipeline("p" * 129, ""), "Pipeline.Name length cannot exceed 128"),  # 500
    (lambda server: server.experiment("e" * 129), "Experiment.Name length cannot exceed 128"),  # 500
    (lambda server: server.start({"display_name": "a", "pipeline_version_reference": VERSION}),
     f"PipelineVersion {NOBODY} not found"),  # 500
    (lambda server: server.start({"display_name": "a", "experiment_id": NOBODY}), f"Experiment {NOBODY} not found"),
    (lambda server: server.start({"display_name": "a"}),
     "Failed to fetch a template with an empty pipeline spec manifest"),  # 500
    (lambda server: server.run(NOBODY), f"Run {NOBODY} not found"),
    (lambda server: [server.new_pipeline("same", "") for _ in range(2)],
     "Failed to create a new pipeline. The name same already exist. Please specify a new name"),
])  # fmt: skip
def test_a_mistake_is_the_user_s_whatever_code_the_server_gives_it(fake, ask, problem):
    with pytest.raises(UserError) as caught:
        ask(Server(fake.url))
    assert not isinstance(caught.value, AwayError)
    assert str(caught.value) == f"{fake.url}: it refuses this: {problem}; mend that, and run this again"
