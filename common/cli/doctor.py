"""Doctor verb: what this machine and this installation can do."""

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import example
from bodyposenet.common.cli.printing import json_option, say
from bodyposenet.common.exits import USER
from bodyposenet.common.machine.compiled_folder import WAIT
from bodyposenet.common.pages.numbers import pluralize


@click.command("doctor", cls=ErrorHandlingCommand, epilog=example("bpnet doctor", "bpnet doctor --warm"))
@json_option
@click.option(
    "--warm", "beforehand", is_flag=True, help=f"Compile beforehand what the first use would, {WAIT}; print that only."
)
def doctor(beforehand: bool) -> None:
    """Tell what this machine and installation can do, and how to mend the rest.

    Ends with exit code 0 if verbs can run at all, 2 if not.
    """
    if beforehand:
        _warm()
        return
    from dataclasses import asdict

    from bodyposenet.common.doctor.findings import examine, to_text

    findings = examine()
    say(to_text(findings), **asdict(findings))
    if not findings.able:
        click.get_current_context().exit(USER)


def _warm() -> None:
    """Compile what the first use would."""
    from bodyposenet.common.doctor.warm import warm

    done = warm()
    told = (
        f"compiled {pluralize(done.functions, 'function')} in {done.seconds:.0f} s"
        if done.functions
        else "all was compiled"
    )
    say(f"{told}: {done.folder}", functions=done.functions, seconds=done.seconds, folder=done.folder)
