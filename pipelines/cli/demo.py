"""Command line of the demo: ``bpnet demo``, joined to ``bpnet`` through its entry-point group."""

from pathlib import Path

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import example

OUTPUT = "build/demo"


@click.command(
    "demo",
    cls=ErrorHandlingCommand,
    epilog=example("bpnet demo", "bpnet demo -o build/mine --data /data/mine --epochs 2"),
)
@click.option("-o", "--output", default=OUTPUT, type=click.Path(path_type=Path), help="Folder.", show_default=True)
@click.option("--data", default="", help="Folder with images/ and COCO keypoint files.  [default: drawn people]")
@click.option("--epochs", type=click.IntRange(1), help="Of both trainings.  [default: the specs']")
def demo(output: Path, data: str, epochs: int | None) -> None:
    """Train, prune, retrain, quantize, evaluate and report on this machine; run again, it goes on where it was."""
    from bodyposenet.pipelines.demo import demo as run
    from bodyposenet.pipelines.demo import show

    click.echo(show(run(output, data=data, epochs=epochs), output))
