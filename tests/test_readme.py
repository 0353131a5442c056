"""Readme: what the documentation tells a reader to type or to open is there."""

import ast
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from support.command_words import parse_words

from bodyposenet.common.cli.main import main
from docs.site.links import FENCE, find_dead_links
from docs.site.pages import list_pages

ROOT = Path(__file__).parents[1]
PAGES = list_pages()


def named(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, *languages):
    return [text for language, text in FENCE.findall(page.read_text()) if language in languages]


def shell_lines(page):
    """Commands of a page's shell blocks, continued lines joined."""
    text = "\n".join(blocks(page, "sh", "bash", "console")).replace("\\\n", " ")
    return [line.strip().removeprefix("$ ") for line in text.splitlines() if line.strip()]


def bpnet_lines():
    """Page and arguments of every ``bpnet`` command in a shell block."""
    lines = [(named(page), part) for page in PAGES for line in shell_lines(page) for part in line.split("&&")]
    words = [(page, shlex.split(line, comments=True)) for page, line in lines]
    return [(page, given[given.index("bpnet") + 1 :]) for page, given in words if "bpnet" in given[:2]]


@pytest.fixture(scope="module")
def targets():
    """What ``make help`` lists."""
    said = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return {line.split()[0] for line in said.splitlines()}


def test_make_help_lists_every_target(targets):
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert targets == set(phony)
    assert {"demo", "test", "lint"} <= targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_command_is_one_that_make_help_lists(page, targets):
    text = page.read_text()
    typed = [words for line in shell_lines(page) for words in re.findall(r"\bmake((?: +[\w./=-]+)+)", line)]
    typed += re.findall(r"`make((?: +[\w./=-]+)+)`", text)
    words = {word for each in typed for word in each.split() if "=" not in word and not word.startswith(("-", "."))}
    assert words <= targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(page):
    assert list(find_dead_links(page)) == []


def verbs(group, before=""):
    """Names of all commands below a group, as they are typed."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield from verbs(command, f"{name} ") if isinstance(command, click.Group) else [before + name]


def test_the_page_of_the_command_line_names_every_verb():
    text = (ROOT / "docs/command-line.md").read_text()
    assert [verb for verb in verbs(main) if f"`{verb}`" not in text] == []


@pytest.mark.parametrize(("page", "words"), bpnet_lines())
def test_every_bpnet_command_is_understood(page, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if words != ["--version"]:
        parse_words(main, words)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_and_yaml_blocks_can_be_read(page):
    for text in blocks(page, "python"):
        ast.parse(text)
    for text in blocks(page, "yaml"):
        list(yaml.safe_load_all(text))
