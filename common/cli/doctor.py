"""Doctor verb: what this machine and this installation can do."""

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import example
from bodyposenet.common.exits import USER
from bodyposenet.common.pages.numbers import pluralize


@click.command("doctor", cls=ErrorHandlingCommand, epilog=example("bpnet doctor"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.option(
    "--warm", "beforehand", is_flag=True, help="Compile beforehand what the first use would; print that only."
)
def doctor(as_json: bool, beforehand: bool) -> None:
    """Tell what this machine and installation can do, and how to mend the rest.

    Ends with exit code 0 if verbs can run at all, 2 if not.
    """
    if beforehand:
        click.echo(_warm(as_json))
        return
    from bodyposenet.common.doctor.findings import examine, to_json, to_text

    findings = examine()
    click.echo(to_json(findings) if as_json else to_text(findings))
    if not findings.able:
        click.get_current_context().exit(USER)


def _warm(as_json: bool) -> str:
    import json

    from bodyposenet.common.doctor.warm import warm

    done = warm()
    if as_json:
        return json.dumps({"functions": done.functions, "seconds": done.seconds, "folder": str(done.folder)}, indent=2)
    told = (
        f"compiled {pluralize(done.functions, 'function')} in {done.seconds:.0f} s"
        if done.functions
        else "all was compiled"
    )
    return f"{told}: {done.folder}"
