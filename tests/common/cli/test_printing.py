"""Printing: what a verb says in numbers is, with ``--json``, one document, and nothing else on standard output."""

import ast
import json
import re
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from support.verb_cases import CASES, draw_given, list_verbs, make_given

from bodyposenet.common.cli.launcher import ErrorHandlingCommand, RemainsError
from bodyposenet.common.cli.main import main
from bodyposenet.common.cli.options import find_model
from bodyposenet.common.cli.printing import json_option, make_plain, note, say
from bodyposenet.common.errors import UserError

PAGE = Path(__file__).parents[3] / "docs/command-line.md"
NO_NUMBERS = {
    "bundle": "names the files that it wrote",
    "component list": "names, and what each is for",
    "component show": "a page about a component, whose file --yaml prints",
    "pipeline stop": "says that a run is being ended",
    "pipeline upload": "says whether a version is new",
    "spec init": "writes a spec",
    "spec schema": "writes JSON as it is",
}
SERVED = ("pipeline list", "pipeline run", "pipeline schedule", "pipeline wait", "schedule apply", "schedule diff")
ELSEWHERE = {"build_engine": "needs NVIDIA's libraries", "demo": "trains for minutes; prints its summary.json"}
LIGHT = ("clean", "dataset_convert split", "sample_calibration", "skeleton fit", "synthesize")
PRINTED = {
    "spec check": "spec check {given}/train.yaml {given}/coco.json",
    "spec diff": "spec diff {given}/train.yaml {given}/infer.yaml",
    "spec explain": "spec explain num_epoch",
}
NUMBER = re.compile(r"(?<![\w.-])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w-])")
SCALES = (1, 100, 1e-3, 1e-6, 1e-9, 1 / 60, 1 / 3600, 1 / 86400)  # percent, kB, MB, GB, minutes, hours, days


def find_command(words):
    command = main
    for word in words.split():
        command = command.get_command(click.Context(command), word)
    return command


def takes_json(verb):
    return any("--json" in param.opts for param in find_command(verb).params)


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def list_leaves(value):
    """What a document says in numbers: they themselves, those in texts, and how many there are in lists and sums."""
    if isinstance(value, dict | list):
        items = list(value.values()) if isinstance(value, dict) else value
        yield len(items)
        if items and all(isinstance(item, int | float) for item in items):
            yield sum(items)
        for item in items:
            yield from list_leaves(item)
    elif isinstance(value, str):
        yield from (float(text.replace(",", "")) for text in NUMBER.findall(value))
    elif value is not None:
        yield value


def is_told(text, leaves):
    """Whether a number of a sentence is one of the document's, as far as its digits go."""
    digits, text = len(text.partition("e")[0].partition(".")[2]), text.replace(",", "")
    form = f".{digits}e" if "e" in text else f".{digits}f"
    near = 10.0**-digits if "e" not in text else 0
    return any(
        f"{leaf * scale:{form}}" == text or abs(leaf * scale - float(text)) < 0.51 * near
        for leaf in leaves
        for scale in SCALES
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    draw_given(folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    make_given(folder)
    return folder


def run_twice(case, given, folder, monkeypatch):
    """Run a case without and with ``--json``, in folders of their own; paths are left out of what is returned."""
    told = []
    for more in ([], ["--json"]):
        out = folder / ("json" if more else "text")
        out.mkdir()
        if case.prepare:
            case.prepare(given, out)
        for name, value in case.variables.items():
            monkeypatch.setenv(name, value.format(out=out))
        done = run(*case.command(given, out), *more)
        assert done.exit_code in (0, 3), done.stderr
        told.append([re.sub(rf"({out}|{given})[^\s,:;\"]*", "PATH", text) for text in (done.stdout, done.stderr)])
    return told


def compare(plain, document, stderr):
    """Every number of the sentences is in the document, and the sentences are on standard error.

    How fast a runner was and what MLflow calls a run differ from run to run.
    """
    leaves = list(list_leaves(json.loads(document)))
    plain, stderr = (re.sub(r"^ran in .*|\b[0-9a-f]{32}\b", "", text, flags=re.MULTILINE) for text in (plain, stderr))
    assert [text for text in NUMBER.findall(plain) if not is_told(text, leaves)] == [], document
    assert [line for line in plain.splitlines() if line not in stderr.splitlines()] == []


def test_every_verb_prints_its_numbers_as_json_or_is_known_to_print_none():
    verbs = list_verbs()
    assert [verb for verb in verbs if takes_json(verb) == (verb in NO_NUMBERS)] == []
    assert NO_NUMBERS.keys() <= set(verbs)


def walk_verbs():
    """All nodes of the modules of verbs, each with its file."""
    folders = [PAGE.parents[1] / place for place in ("common/cli", "pipelines/cli")]
    files = [file for folder in folders for file in sorted(folder.glob("*.py"))]
    return [(file, node) for file in files for node in ast.walk(ast.parse(file.read_text()))]


def test_verbs_print_through_what_escapes_names_unless_it_is_a_whole_text():
    """``say`` and ``note`` escape them; a spec, or a file that others read, is printed as it is, to its end."""
    nodes = [(file.name, node) for file, node in walk_verbs() if file.name != "printing.py"]
    names = ("click.echo", "click.secho", "print")
    printed = [(name, node.lineno) for name, node in nodes if ast.unparse(node) in names]
    whole = [
        (name, node.lineno)
        for name, node in nodes
        if isinstance(node, ast.Call) and [ast.unparse(each) for each in node.keywords] == ["nl=False"]
    ]
    assert printed == whole
    assert len(whole) < 8
    imported = {alias.name for _, node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not {"echo", "secho"} & imported


def test_the_page_has_every_key():
    text = PAGE.read_text()
    calls = [
        node
        for _, node in walk_verbs()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("say", "say_plan")
    ]
    keys = {keyword.arg for call in calls for keyword in call.keywords if keyword.arg} - {"needed"}
    assert len(keys) > 80
    assert sorted(key for key in keys if f"`{key}`" not in text) == []


def test_verbs_with_json_that_no_test_runs_here_ask_a_server_or_train_for_minutes():
    tested = {case.verb for case in CASES} | PRINTED.keys() | {"doctor", "pipeline compile"}
    assert {verb for verb in list_verbs() if takes_json(verb)} - tested == {*SERVED, "demo"}


@pytest.mark.parametrize("name", LIGHT)
def test_json_has_the_numbers_of_the_sentences(name, given, tmp_path, monkeypatch):
    (case,) = [case for case in CASES if case.name == name]
    (plain, _), (document, stderr) = run_twice(case, given, tmp_path, monkeypatch)
    assert NUMBER.findall(plain)
    compare(plain, document, stderr)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name not in LIGHT and takes_json(case.verb) and case.verb not in ELSEWHERE],
    ids=lambda case: case.name,
)
def test_json_has_the_numbers_of_verbs_that_run_networks(case, whole, tmp_path, monkeypatch):
    (plain, _), (document, stderr) = run_twice(case, whole, tmp_path, monkeypatch)
    compare(plain, document, stderr)


@pytest.mark.heavy
def test_dry_runs_have_their_numbers_as_json_too(whole):
    for words in (f"prune -m {whole}/net.keras --dry-run", f"train -e {whole}/train.yaml --dry-run --path-map "
                  f"/workspace={whole}"):  # fmt: skip
        plain, told = run(*words.split()), run(*words.split(), "--json")
        leaves = list(list_leaves(json.loads(told.stdout)))
        lines = [line for line in plain.stdout.splitlines() if "prune" in words or line.startswith("# ")]
        lines = [line for line in lines if not line.startswith("# memory")]  # its parts are told in words
        assert [text for text in NUMBER.findall("\n".join(lines)) if not is_told(text, leaves)] == []


@pytest.mark.parametrize("verb", PRINTED)
def test_verbs_that_print_only_have_it_as_json(verb, given):
    words = PRINTED[verb].format(given=given).split()
    if verb == "spec diff":
        changed = (given / "train.yaml").read_text().replace("num_epoch: 1\n", "num_epoch: 7\n")
        (given / "other.yaml").write_text(changed)
        words[-1] = str(given / "other.yaml")
    plain, told = run(*words), run(*words, "--json")
    assert plain.exit_code == told.exit_code == (verb == "spec diff")
    paths = re.compile(rf"{given}[^\s,:;\"]*")
    compare(*(paths.sub("PATH", text) for text in (plain.stdout, told.stdout, told.stderr)))


def test_a_verb_that_is_known_to_print_no_numbers_prints_none(tmp_path):
    written = run("spec", "init", "train", "-o", tmp_path / "train.yaml").stdout
    schemas = run("spec", "schema", "-o", tmp_path / "schemas").stdout
    assert NUMBER.findall((written + schemas).replace(str(tmp_path), "")) == []


def test_a_mistake_is_one_line_on_standard_error_and_no_document(tmp_path):
    done = run("skeleton", "fit", "-d", tmp_path / "none.json", "-o", tmp_path / "prior.json", "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"{tmp_path / 'none.json'}: there is no such file"]


def stop_with(error):
    """What ``--json`` prints of a verb that says a number, prints a line, and raises an error."""

    @click.command(cls=ErrorHandlingCommand)
    @json_option
    def verb():
        say("five", people=5)
        print("a library talks")
        if error is not None:
            raise error

    return CliRunner().invoke(verb, ["--json"])


@pytest.mark.parametrize("error", [None, RemainsError("no engine"), click.exceptions.Exit(1)])
def test_a_code_that_says_how_things_stand_comes_with_the_document(error):
    done = stop_with(error)
    assert json.loads(done.stdout) == {"people": 5}
    assert done.stderr.splitlines()[:2] == ["five", "a library talks"]


@pytest.mark.parametrize("error", [UserError("wrong"), KeyboardInterrupt(), ValueError("a bug")])
def test_what_fails_prints_no_document(error):
    done = stop_with(error)
    assert (done.exit_code, done.stdout) != (0, "")
    assert done.stdout == ""


def test_without_the_flag_sentences_are_printed_as_they_are():
    @click.command(cls=ErrorHandlingCommand)
    @json_option
    def verb():
        say("five", people=5)
        say(more=1)

    assert CliRunner().invoke(verb).stdout == "five\n"


def test_names_of_files_reach_no_terminal_as_they_are():
    name = "photo\x1b[31m\udcff.jpg"

    @click.command(cls=ErrorHandlingCommand)
    @json_option
    def verb():
        say(f"wrote {name}", photo=Path(name))

    told, done = CliRunner().invoke(verb), CliRunner().invoke(verb, ["--json"])
    assert (told.exit_code, told.stdout) == (0, "wrote photo\\x1b[31m\\udcff.jpg\n")
    assert done.stdout.isascii()
    assert json.loads(done.stdout) == {"photo": name}


def test_notes_are_on_standard_error_with_names_as_no_terminal_takes_them_for_more():
    @click.command(cls=ErrorHandlingCommand)
    @json_option
    def verb():
        note("left out: photo\x1b[31m\udcff\r.jpg:\tno\nphoto")

    told = "left out: photo\\x1b[31m\\udcff\\r.jpg:\tno\nphoto\n"
    for words, document in (([], ""), (["--json"], "{}\n")):
        done = CliRunner().invoke(verb, words)
        assert (done.exit_code, done.stdout, done.stderr) == (0, document, told)


def test_a_model_whose_name_would_colour_the_terminal_is_noted_in_plain_text(tmp_path, capsys):
    beside = tmp_path / "net\x1b[31m.keras"
    beside.touch()
    assert find_model(beside.with_suffix(".tlt")) == beside
    assert capsys.readouterr().err.count("/net\\x1b[31m.") == 2


def test_a_document_has_what_json_has():
    given = {"a": np.float32(0.5), "b": float("nan"), 3: (Path("x"), None, True), "c": np.int64(7), "d": -np.inf}
    plain = {"a": 0.5, "b": None, "3": ["x", None, True], "c": 7, "d": None}
    assert make_plain(given) == plain
    assert json.loads(json.dumps(make_plain(given), allow_nan=False)) == plain
