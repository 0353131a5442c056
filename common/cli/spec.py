"""Spec verbs: what spec files are, and what is wrong with them."""

from typing import TYPE_CHECKING

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import example, path_map_option
from bodyposenet.common.errors import SpecError

if TYPE_CHECKING:
    from bodyposenet.common.spec.base import PathMap


@click.group("spec")
def spec_group() -> None:
    """Look at spec files."""


@spec_group.command("check", cls=ErrorHandlingCommand, epilog=example("bpnet spec check train.yaml coco_spec.json"))
@click.argument("files", nargs=-1, required=True, type=click.Path())
@path_map_option
def check(files: tuple[str, ...], path_map: "PathMap") -> None:
    """Say what each spec is, or print every problem of every file and exit 2."""
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.kinds import describe, detect_kind, notes

    problems = []
    for file in files:
        try:
            spec = load_spec(file, detect_kind(file), path_map=path_map)
        except SpecError as error:
            problems.append(str(error))
            continue
        click.echo(f"{file}: {describe(spec)}")
        for note in notes(spec):
            click.echo(f"{file}: note: {note}")
    if problems:
        raise SpecError(problems)
