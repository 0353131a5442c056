"""Clean verb: what may go of that which runs have left."""

import math
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import DiskType, example, log_level_option, option
from bodyposenet.common.cli.printing import json_option, say
from bodyposenet.common.errors import UserError
from bodyposenet.common.pages.numbers import pluralize, size

if TYPE_CHECKING:
    from bodyposenet.common.retention.leftovers import Leftover

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}  # seconds
EXAMPLES = ("bpnet clean results build/demo", "bpnet clean results build/demo --older_than 30d --keep 1 --delete")


class DurationType(click.ParamType):  # type: ignore[type-arg]  # only a type in click's annotations
    """A length of time such as ``14d``, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the text; a number stays."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smhdw])", value)
        seconds = float(found[1]) * UNITS[found[2]] if found else math.nan
        if math.isnan(seconds):
            self.fail(f"{value!r} is no time such as 14d; it ends with s, m, h, d or w", param, ctx)
        return seconds


@click.command("clean", cls=ErrorHandlingCommand, epilog=example(*EXAMPLES))
@click.argument("folders", metavar="[PATH]...", nargs=-1, type=DiskType())
@option("--older_than", type=DurationType(), default="14d", help="Only what has not changed for so long.")
@option("--keep", type=click.IntRange(1), default=3, help="So many of a training's checkpoints, and good runs, stay.")
@option("--any_machine", is_flag=True, help="What other machines left, too; make sure that they do not run any more.")
@option("--delete", is_flag=True, help="Remove it; without this flag it is only told.")
@json_option
@log_level_option
def clean(folders: tuple[Path, ...], older_than: float, keep: int, any_machine: bool, delete: bool, **_: Any) -> None:
    """Tell what may go in and below folders, and remove it with --delete.

    Without PATH: in this folder, and this user's temporary folders. What runs that were killed have left, old
    checkpoints, and outputs that no good run of a pipeline here needs; never what somebody works on, runs that are not
    sent to MLflow yet, the newest of anything, or files that are not this package's.
    """
    from bodyposenet.common.retention.clean import find_leftovers, find_scratch, format_found
    from bodyposenet.common.retention.leftovers import Limits

    limits = Limits(older_than, keep, any_machine)
    found = find_leftovers(folders or (Path(),), limits)
    if not folders:
        found += find_scratch(Path(tempfile.gettempdir()), limits)
    going = [each for each in found if not each.stays]
    say(
        "\n".join(format_found(found)),
        leftovers=[_describe(each) for each in found], may_go=len(going), may_go_bytes=sum(each.size for each in going),
    )  # fmt: skip
    if delete:
        _remove(going)
    elif going:
        say("nothing was removed; --delete does that", removed=0, removed_bytes=0)


def _describe(each: "Leftover") -> dict[str, object]:
    """What there is to say of a leftover, by the names of --json."""
    return {
        "path": each.path, "kind": each.kind, "why": each.why, "stays": each.stays, "bytes": each.size,
        "age_seconds": round(each.age),
    }  # fmt: skip


def _remove(going: "list[Leftover]") -> None:
    """Remove what may go, and say how much is gone.

    Raises:
        UserError: Something could not be removed.
    """
    from bodyposenet.common.retention.clean import remove_all

    tried = list(remove_all(going))
    done = [left.size for left, problem in tried if not problem]
    failed = [(left, problem) for left, problem in tried if problem]
    gone = f"removed {pluralize(len(done), 'leftover')}, {size(sum(done))}"
    say(gone, removed=len(done), removed_bytes=sum(done))
    if failed:
        left, problem = failed[0]
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        raise UserError(f"stays: {problem}{more}", where=str(left.path), fix="see to it, and run this again")
