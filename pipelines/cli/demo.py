"""Command line of the demo: ``bpnet demo``, joined to ``bpnet`` through its entry-point group."""

from pathlib import Path

import click

from bodyposenet.common.cli.dry_run import dry_run_option, say_plan
from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import example
from bodyposenet.common.cli.printing import json_option, say

OUTPUT = "build/demo"


@click.command(
    "demo",
    cls=ErrorHandlingCommand,
    epilog=example("bpnet demo", "bpnet demo -o build/mine --data /data/mine --epochs 2"),
)
@click.option("-o", "--output", default=OUTPUT, type=click.Path(path_type=Path), help="Folder.", show_default=True)
@click.option("--data", default="", help="Folder with images/ and COCO keypoint files.  [default: drawn people]")
@click.option("--epochs", type=click.IntRange(1), help="Of both trainings.  [default: the specs']")
@dry_run_option
@json_option
def demo(output: Path, data: str, epochs: int | None, dry_run: bool) -> None:
    """Train, prune, retrain, quantize, evaluate and report on this machine; run again, it goes on where it was."""
    if dry_run:
        say_run(output, data, epochs)
        return
    from bodyposenet.pipelines.demo import demo as run
    from bodyposenet.pipelines.demo import show

    summary = run(output, data=data, epochs=epochs)
    say(show(summary, output), **summary, output=output)


def say_run(output: Path, data: str, epochs: int | None) -> None:
    """Say what a run on this machine would do.

    Raises:
        UserError: The data cannot be used, or another run is at work in the folder.
    """
    from bodyposenet.pipelines.demo import preview

    tasks = preview(data)
    told = f"{epochs} epochs of each training" if epochs else "the specs' epochs"
    what = f"run {len(tasks)} tasks on {data or 'drawn people'} with {told}: {', '.join(tasks)}"
    files = ["report.html", "summary.json"]
    say_plan([what], output, files, tasks=tasks, data=data or None, epochs=epochs)
