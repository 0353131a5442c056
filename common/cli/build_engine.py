"""Build-engine verb: an exported network compiled by TensorRT or TensorRT-RTX."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.devices import MultiValueOption
from bodyposenet.common.cli.launcher import Verb, results_dir, task
from bodyposenet.common.cli.options import (
    SIZE,
    DiskType,
    F,
    WordType,
    common_options,
    example,
    find_model,
    key_option,
    option,
    warn_of_plain,
)
from bodyposenet.common.cli.printing import say
from bodyposenet.common.spec.words import DataType, EngineLibrary

if TYPE_CHECKING:
    from bodyposenet.common.deploy.tensorrt.engine import Engine, EngineOptions

EXAMPLE = example(
    "bpnet build_engine -m model.int8.onnx -o model.engine --input_size 288,384 --max_batch_size 4",
    "bpnet build_engine -m model.fp16.onnx -o model.engine --engine_for sm86 sm89",
)


def _size(name: str, text: str) -> Callable[[F], F]:
    return option(name, type=SIZE, metavar="HEIGHT,WIDTH", help=text)


@click.command("build_engine", cls=Verb, epilog=EXAMPLE)
@option("-m", "--model", required=True, type=click.Path(), help="ONNX model that bpnet export wrote.")
@option("-o", "--engine_file", type=DiskType(), help="Engine; its card goes beside it.  [default: beside the model]")
@_size("--input_size", "Input that it is fastest at.  [default: the size of training]")
@_size("--min_input_size", "Smallest input.  [default: --input_size]")
@_size("--max_input_size", "Largest input.  [default: --input_size]")
@option("--min_batch_size", default=1, type=click.IntRange(1), help="Fewest pictures at once.")
@option("--opt_batch_size", default=1, type=click.IntRange(1), help="Pictures at once that it is fastest at.")
@option("--max_batch_size", default=1, type=click.IntRange(1), help="Most pictures at once.")
@option("--max_workspace_size", default=2 << 30, type=click.IntRange(1), help="Memory of the layers, in bytes.")
@option("--data_type", type=WordType(DataType), help="Refuse a model of another precision; the engine has the model's.")
@option("--library", type=WordType(EngineLibrary), help="What builds.  [default: what is installed]")
@option(
    "--engine_for",
    cls=MultiValueOption,
    metavar="KIND...",
    help="GPUs to build for without one: sm86; TensorRT-RTX only.",
)
@option("--timing_cache", type=DiskType(), help="File of measured times, to build faster again; TensorRT only.")
@option("-v", "--verbose", is_flag=True, help="Print more.")
@key_option
@common_options
def build_engine(model: str, engine_file: Path | None, **options: Any) -> None:
    """Compile an ONNX model for the GPU at hand, or for GPUs that are named."""
    source = find_model(model)
    output = engine_file or source.with_suffix(".engine")
    folder = results_dir(options["results_dir"], output.parent)
    warn_of_plain(source, output)
    from bodyposenet.common.deploy.tensorrt.engine import EngineOptions

    wanted = EngineOptions(
        size=options["input_size"],
        min_size=options["min_input_size"],
        max_size=options["max_input_size"],
        batch=options["opt_batch_size"],
        min_batch=options["min_batch_size"],
        max_batch=options["max_batch_size"],
        workspace=options["max_workspace_size"],
        data_type=options["data_type"],
        library=options["library"],
        gpus=tuple(name.lower() for name in options["engine_for"]),
        timing_cache=options["timing_cache"],
    )
    build(source, output, wanted, folder)


def build(source: Path, output: Path, options: "EngineOptions", folder: Path) -> "Engine":
    """Build an engine and tell of it.

    Args:
        source: ONNX model.
        output: Engine.
        options: How it is to be.
        folder: For status.json.
    """
    from bodyposenet.common.deploy.tensorrt.engine import build_engine as build

    with task("build_engine", folder) as run:
        done = build(source, output, options)
        card = done.card
        run.log_params({"precision": card.precision, "gpus": list(card.gpus), "library": card.library}, prefix="engine")
        run.log_metrics({"bytes": done.bytes, "seconds": done.seconds})
    smallest, best, largest = ("x".join(map(str, card.shapes[name])) for name in ("min", "opt", "max"))
    shapes = best if smallest == largest else f"{smallest} to {largest}, fastest at {best}"
    what = f"{card.precision} for {', '.join(card.gpus)}, inputs {shapes}"
    say(
        f"wrote {done.path}: {done.bytes:,} bytes, {what} ({card.library} {card.version}, {done.seconds:.1f} s)",
        engine=done.path, bytes=done.bytes, seconds=done.seconds, precision=card.precision, gpus=card.gpus,
        input_shapes=card.shapes, library=card.library, library_version=card.version,
    )  # fmt: skip
    say(f"wrote {done.card_path}", card=done.card_path)
    return done
