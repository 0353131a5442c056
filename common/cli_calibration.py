"""Calibration for the command line: where ``bpnet export`` takes the ranges of its 8-bit forms from."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.errors import UserError

if TYPE_CHECKING:
    from bodyposenet.common.deploy.calibration_images import CalibrationImages
    from bodyposenet.common.model.files import Card

NEEDED = "name photos with --cal_image_dir, or a tensorfile with --cal_data_file"


def ranges_source(options: Mapping[str, Any], size: tuple[int, int], card: "Card") -> "CalibrationImages | Path":
    """What the flags name: a calibration cache that exists, else a tensorfile that exists, else a folder.

    Pictures of a folder are kept in the tensorfile that the flags name, if they do, and read from there.

    Args:
        options: Of ``bpnet export``.
        size: ``(height, width)`` of the pictures.
        card: The network's.

    Raises:
        UserError: None is named, or what is named cannot be used.
    """
    from bodyposenet.common.deploy.calibration_images import Fitting, from_folder, from_tensorfile
    from bodyposenet.common.deploy.tensorfile import write_tensorfile

    cache, stored = options["cal_cache_file"], options["cal_data_file"]
    if cache and Path(cache).is_file():
        click.echo(f"warning: {cache} exists: its ranges are taken, and no picture is looked at", err=True)
        return Path(cache)
    if stored and Path(stored).is_file():
        return from_tensorfile(Path(stored), size, batches=options["batches"], batch_size=options["batch_size"])
    if not options["cal_image_dir"]:
        raise UserError("int8 needs pictures to calibrate with", where="bpnet export", fix=NEEDED)
    images = from_folder(
        options["cal_image_dir"], Fitting(size, card), batches=options["batches"], batch_size=options["batch_size"]
    )
    if not stored:
        return images
    count = write_tensorfile(Path(stored), images)
    click.echo(f"wrote {stored}: {count} batches")
    return from_tensorfile(Path(stored), size)


def calibrate(network: Path, source: "CalibrationImages | Path", options: Mapping[str, Any]) -> Path:
    """Write the 8-bit forms of an ONNX file.

    Args:
        network: What was exported.
        source: From :func:`ranges_source`.
        options: Of ``bpnet export``.

    Returns:
        The model for TensorRT.
    """
    from bodyposenet.common.deploy.quantize import quantize_int8, quantize_with_cache

    output = network.with_suffix(".int8.onnx")
    if isinstance(source, Path):
        done, told = quantize_with_cache(network, source, output), f"with the ranges of {source}"
    else:
        cache = Path(options["cal_cache_file"]) if options["cal_cache_file"] else None
        done = quantize_int8(network, source, output, method=options["cal_method"], cache=cache)
        told = f"and {done.cache}: calibrated with {done.images} photos"
    click.echo(f"wrote {done.path}, {done.cpu_path} {told}")
    return done.path


def part_of(network: Path) -> Path:
    """What a calibration of an ONNX file keeps beside it until it ends."""
    return network.with_name(f".{network.stem}.int8.part.npz")
