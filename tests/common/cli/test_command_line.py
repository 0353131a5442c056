"""The command line as docs/command-line.md tells of it: exit codes, and words that a shell completes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from support.command_words import parse_words, read_examples
from support.verb_cases import list_verbs

from bodyposenet.common.cli.launcher import RemainsError
from bodyposenet.common.cli.main import main
from bodyposenet.common.exits import BUG, INTERRUPTED, USER
from bodyposenet.common.model.training.preemption import StoppedError
from bodyposenet.common.model.training.strategy import LostWorkerError
from bodyposenet.pipelines.cli.schedule import DIFFERS

PAGE = Path(__file__).parents[3] / "docs/command-line.md"
BPNET = Path(sys.executable).with_name("bpnet")


def test_the_page_has_every_exit_code():
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)}
    errors = {error.exit_code for error in (RemainsError, StoppedError, LostWorkerError)}
    assert told == {0, BUG, DIFFERS, USER, INTERRUPTED, *errors}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("bpnet inf", ["inference"]),
        ("bpnet evaluate --sus", ["--suspects", "--suspects_format"]),
        ("bpnet spec init tr", ["train"]),
        ("bpnet pipeline comp", ["compile"]),
        ("bpnet export --cal_method ent", ["entropy"]),
    ],
)
def test_a_shell_completes_verbs_flags_and_choices(typed, offered):
    asked = {"_BPNET_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run([BPNET], env=os.environ | asked, stdout=subprocess.PIPE, text=True, check=True)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == offered


def test_the_page_s_line_is_what_bash_takes():
    (line,) = re.findall(r"^eval .*$", PAGE.read_text(), re.MULTILINE)
    words = f"PATH={BPNET.parent}:$PATH; {line} && complete -p bpnet"
    done = subprocess.run(["bash", "-c", words], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "complete -o nosort -F _bpnet_completion bpnet\n"


def find_verb(words):
    command = main
    for word in words.split():
        command = command.get_command(click.Context(command), word)
    return command


@pytest.mark.parametrize("verb", list_verbs())
def test_a_help_text_ends_with_examples_that_click_understands(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = read_examples(find_verb(verb))
    assert examples
    assert [(words[0], parse_words(main, words[1:])) for words in examples] == [("bpnet", verb)] * len(examples)


@pytest.mark.parametrize("verb", list_verbs())
def test_a_help_text_is_made_of_sentences(verb):
    command = find_verb(verb)
    first = command.help.splitlines()[0]
    told = [first, *(param.help or "" for param in command.params if isinstance(param, click.Option))]
    assert [text for text in told if text and not re.match(r"[A-Z].*[.)\]]$", text.strip())] == []
    assert "``" not in command.help, "a terminal shows them as they are"


@pytest.mark.parametrize("verb", list_verbs())
def test_a_help_text_tells_one_default_of_a_flag_and_none_that_is_nothing(verb):
    command = find_verb(verb)
    shown = [param.get_help_record(click.Context(command)) for param in command.params]
    told = [text for _, text in filter(None, shown)]
    assert [text for text in told if text.count("default: ") > 1 or 'default: ""' in text] == []


def test_an_example_with_a_flag_that_is_not_there_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.UsageError, match="--treshold"):
        parse_words(main, ["prune", "-m", "model.keras", "--treshold", "0.2"])
