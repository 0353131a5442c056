"""Command words: what a page or a help text tells a reader to type, given to click's parser, and no verb run."""

import shlex
from pathlib import Path

import click


def join_lines(text):
    """The lines of a text, those that a backslash continues joined, without a shell's redirection."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.partition(" > ")[0].strip() for line in lines if line.strip()]


def read_examples(command):
    """The commands at the end of a verb's help, as words."""
    heading, _, text = (command.epilog or "").partition("Example:\n")
    assert heading == "\b\n", command.name
    return [shlex.split(line) for line in join_lines(text)]


def parse_words(main, words):
    """Find the verb that ``bpnet``'s words name, and let click parse the others; what they read is made to be there.

    Files are made in the working folder. Returns the verb's words.

    Raises:
        click.UsageError: There is no such verb, flag or value.
    """
    command, context, named = main, click.Context(main, info_name="bpnet"), []
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        named.append(name)
        context = click.Context(command, info_name=name, parent=context)
    for word in words:
        if Path(word).suffix:
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            Path(word).touch()
    if "--help" not in words:
        command.parse_args(context, list(words))
    return " ".join(named)
