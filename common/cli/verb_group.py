"""Verb group: the verbs by their names, those that other parts of the package bring among them."""

import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from bodyposenet.common.cli.devices import LAUNCH_FLAGS, spread
from bodyposenet.common.cli.launcher import Verb
from bodyposenet.common.exits import INTERRUPTED
from bodyposenet.common.machine.terminal import open_streams
from bodyposenet.common.plain_text import clean_message

COMMANDS = "bodyposenet.commands"  # entry points of verbs from elsewhere
LONGEST = 1000  # characters of a sentence


@functools.cache
def find_plugins() -> dict[str, EntryPoint]:
    """Verbs that other parts of the package bring, such as ``pipeline``; the library does not know them."""
    return {entry.name: entry for entry in entry_points(group=COMMANDS)}


@contextlib.contextmanager
def _cleaning() -> Iterator[None]:
    """Let no control characters and secrets out that an argument has which click repeats."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = clean_message(error.message)  # click types it as final
        raise


class WholeSentences(click.Group):
    """A group whose help says of each command its whole first sentence, which click cuts at the end of a line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(LONGEST)) for name, command in found if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Verbs(WholeSentences):
    """The verbs; ``dataset-convert`` is ``dataset_convert``, and launcher flags may stand before the verb."""

    command_class = Verb

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [make() for make in LAUNCH_FLAGS.values()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Spread the options of several values that stand before the verb."""
        verb = next((place for place, word in enumerate(args) if self._is_verb(word)), len(args))
        with _cleaning():
            return super().parse_args(ctx, spread(args[:verb], self.params) + args[verb:])

    def _is_verb(self, word: str) -> bool:
        return word.replace("-", "_") in self.commands or word in find_plugins()

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs here and those of the package's other parts."""
        return sorted({*super().list_commands(ctx), *find_plugins()})

    def invoke(self, ctx: click.Context) -> Any:
        """Read the verb's own flags, and run it."""
        with _cleaning():
            return super().invoke(ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """A verb by its name; those of other parts are loaded only now."""
        own = super().get_command(ctx, name)
        return find_plugins()[name].load() if own is None and name in find_plugins() else own

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        """Run the command line; an interrupt before a verb has begun ends quietly too."""
        open_streams()
        try:
            return super().main(args, *rest, **kwargs)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
