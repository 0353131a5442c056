"""Command line of the pipelines: ``bpnet pipeline …``, joined to ``bpnet`` through its entry-point group."""

from pathlib import Path

import click

from bodyposenet.common.flags import example
from bodyposenet.common.launcher import Guarded


@click.group("pipeline")
def pipeline() -> None:
    """Compile the Kubeflow pipelines, or run one here."""


@pipeline.command("compile", cls=Guarded, epilog=example("bpnet pipeline compile -o compiled"))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder.  [default: the package's]"
)
def compile_pipelines(output: Path | None) -> None:
    """Compile every pipeline to YAML for Kubeflow Pipelines."""
    from bodyposenet.pipelines.compile import compile_all

    for path in compile_all(output):
        click.echo(f"wrote {path}")


@pipeline.command("run", cls=Guarded, epilog=example("bpnet pipeline run -o build/mine --data /data/mine --epochs 2"))
@click.option("-o", "--output", default="build/demo", type=click.Path(path_type=Path), help="Folder.  [build/demo]")
@click.option("--data", default="", help="Folder with images/ and COCO keypoint files.  [default: drawn people]")
@click.option("--epochs", type=click.IntRange(1), help="Of both trainings.  [default: the specs']")
def run(output: Path, data: str, epochs: int | None) -> None:
    """Train, prune, retrain, quantize and evaluate on this machine, without Kubernetes."""
    from bodyposenet.pipelines.demo import demo, show

    click.echo(show(demo(output, data=data, epochs=epochs), output))
