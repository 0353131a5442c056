"""Bundle verb: the files by which DeepStream or Triton serves a network."""

from pathlib import Path

import click

from bodyposenet.common.cli.launcher import Verb
from bodyposenet.common.cli.options import (
    DIMS,
    DiskType,
    example,
    find_model,
    key_option,
    log_level_option,
    option,
    warn_of_plain,
)
from bodyposenet.common.cli.printing import say

EXAMPLE = example(
    "bpnet bundle --for deepstream -m model.int8.onnx -o served/deepstream -d 288,384,3 --batch_size 4",
    "bpnet bundle --for triton -m model.onnx -o served/models --name people",
)


@click.command("bundle", cls=Verb, epilog=EXAMPLE)
@option("-m", "--model", required=True, type=click.Path(), help="ONNX model that bpnet export wrote.")
@option("--for", "server", required=True, type=click.Choice(["deepstream", "triton"]), help="What serves it.")
@option("-o", "--output", required=True, type=DiskType(file_okay=False), help="Folder to write to.")
@option("-d", "--input_dims", type=DIMS, help="H,W,C in pixels, of DeepStream.  [default: the model's]")
@option("--batch_size", default=1, type=click.IntRange(1), help="Most pictures of a batch.")
@option("--name", default="bodyposenet", help="Of the model, in Triton's repository.")
@option("--peaks", default=0, type=click.IntRange(0, 1024), help="Also put out so many peaks of each joint.")
@key_option
@log_level_option
def bundle(
    model: str, server: str, output: Path, input_dims: tuple[int, int, int] | None, batch_size: int, name: str,
    peaks: int, **_: object,
) -> None:  # fmt: skip
    """Write a network with the configuration of a server: normalisation, order, names, skeleton."""
    from bodyposenet.common.cli.options import input_size
    from bodyposenet.common.deploy.export.serving_bundle import deepstream_bundle, triton_bundle

    source = find_model(model)
    warn_of_plain(source, output)
    if server == "deepstream":
        size = input_size(input_dims, "channels_last") if input_dims else None
        written = deepstream_bundle(source, output, size, batch_size=batch_size, peaks=peaks)
    else:
        written = triton_bundle(source, output, name, batch_size=batch_size, peaks=peaks)
    for path in written:
        say(f"wrote {path}")
