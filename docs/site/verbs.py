"""Verbs: the reference of the command line, from click."""

import inspect
import re
from collections.abc import Iterator

import click

from bodyposenet.common.cli.devices import LAUNCH_FLAGS
from bodyposenet.common.cli.launcher import Verb
from bodyposenet.common.cli.main import main
from docs.site.markup import escape, format_block, format_term

LAUNCHER = "Flags of the launcher"
HEAD = f"""# Verbs and flags

All verbs of `bpnet` with all of their flags, as `bpnet VERB --help` prints them. Exit codes, completion and progress:
[the command line](../command-line.md). What stands in spec files: [spec files](../specs.md).

## {LAUNCHER}

Verbs that work on models and data take these, too. They may stand before the verb, as with TAO's launcher.

"""
FACTS = re.compile(r"  \[(.+?)\](?=$|  )")


def list_verbs(command: click.Command = main, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """List every verb with its command, those of groups as ``spec check``."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for part in command.list_commands(context):
        inner = command.get_command(context, part)
        assert inner is not None
        yield from list_verbs(inner, f"{name} {part}".strip())


def list_options(command: click.Command) -> list[click.Option]:
    """List the options that a verb has for itself and shows."""
    return [
        each
        for each in command.params
        if isinstance(each, click.Option) and not each.hidden and not _is_shared(command, each)
    ]


def list_launch_options() -> list[click.Option]:
    """List the options that the launcher has and shows."""
    return [option for option in (make() for make in LAUNCH_FLAGS.values()) if not option.hidden]


def write_verbs() -> str:
    """Write the page: each verb's usage, help, options and example."""
    context = click.Context(main)
    shared = [_write_option(option, context) for option in list_launch_options()]
    return "\n".join([HEAD + "\n".join(shared), *(_write_verb(name, command) for name, command in list_verbs())])


def _write_verb(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"bpnet {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    options = [_write_option(each, context) for each in list_options(command)]
    more = ["The [launcher's flags](#flags-of-the-launcher) go, too.\n"] if isinstance(command, Verb) else []
    parts = [f"## {name}\n", format_block(usage, "text"), *_write_help(command.help or ""), *options, *more]
    if command.epilog:
        parts.append(format_block(inspect.cleandoc(command.epilog.partition("Example:\n")[2]), "sh"))
    return "\n".join(parts)


def _write_help(text: str) -> Iterator[str]:
    """Write a help text by its paragraphs; those that are not to be wrapped as they stand."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield format_block(paragraph.removeprefix("\b\n"), "text")
        else:
            yield f"{escape(' '.join(paragraph.split()))}\n"


def _write_option(option: click.Option, context: click.Context) -> str:
    names, said = option.get_help_record(context) or ("", "")
    facts = [escape(fact) for fact in FACTS.findall(said)]
    told = escape(FACTS.sub("", said).strip())
    return format_term(names, [f"{told} *{'; '.join(facts)}*" if facts else told])


def _is_shared(command: click.Command, option: click.Option) -> bool:
    return isinstance(command, Verb) and option.name in LAUNCH_FLAGS
