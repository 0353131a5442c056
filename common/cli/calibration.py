"""Calibration for the command line: where ``bpnet export`` takes the ranges of its 8-bit forms from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.model_key import key_in_use
from bodyposenet.common.storage.together import Together

if TYPE_CHECKING:
    from bodyposenet.common.deploy.quantization.calibration_images import CalibrationImages
    from bodyposenet.common.deploy.quantization.quantize import Quantized
    from bodyposenet.common.deploy.quantization.sensitivity import Drop
    from bodyposenet.common.skeleton.card import Card

AUTO = ("auto",)  # of --keep-fp32
COUNTS = ".*.part.npz"  # what a calibration has counted so far, for the next if it is killed
NEEDED = "name photos with --cal_image_dir, or a tensorfile with --cal_data_file"


def ranges_source(
    options: Mapping[str, Any], size: tuple[int, int], card: "Card", files: Together
) -> "CalibrationImages | Path":
    """What the flags name: a calibration cache that exists, else a tensorfile that exists, else a folder.

    Pictures of a folder are kept in the tensorfile that the flags name, if they do, and read from there.

    Args:
        options: Of ``bpnet export``.
        size: ``(height, width)`` of the pictures.
        card: The network's.
        files: The export's outputs: a cache that one that was killed left is no input.

    Raises:
        UserError: None is named, or what is named cannot be used.
    """
    from bodyposenet.common.deploy.quantization.calibration_images import Fitting, from_folder, from_tensorfile
    from bodyposenet.common.deploy.quantization.tensorfile import write_tensorfile

    cache, stored = options["cal_cache_file"], options["cal_data_file"]
    if cache and Path(cache).is_file() and not files.is_leftover(Path(cache)):
        if options["keep_fp32"] == AUTO:
            fix = "remove the file, or name the convolutions"
            raise UserError("--keep-fp32 auto compares pictures, and a cache has none", where=str(cache), fix=fix)
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


def calibrate(
    network: Path, source: "CalibrationImages | Path", files: Together, options: Mapping[str, Any]
) -> "Quantized":
    """Write the 8-bit forms of an ONNX file.

    Args:
        network: What was exported, where the outputs wait.
        source: From :func:`ranges_source`.
        files: The outputs.
        options: Of ``bpnet export``.

    Returns:
        What was written.
    """
    from bodyposenet.common.deploy.onnx_file import write_whole
    from bodyposenet.common.deploy.quantization.quantize import quantize_int8, quantize_with_cache
    from bodyposenet.common.deploy.quantization.sensitivity import Budget

    output = network.with_suffix(f".int8{form_ending(network)}")
    if isinstance(source, Path):
        done = quantize_with_cache(network, source, output, keep=options["keep_fp32"])
        told = f"with the ranges of {source}"
    else:
        named = Path(options["cal_cache_file"]) if options["cal_cache_file"] else None
        cache = files.stage(named) if named else None
        budget = Budget(source, options["max_drop"], measure_drop(network, options))
        keep = budget.choose if options["keep_fp32"] == AUTO else options["keep_fp32"]
        done = quantize_int8(network, source, output, method=options["cal_method"], cache=cache, keep=keep)
        told = f"and {named or files.output.with_name(done.cache.name)}: calibrated with {done.images} photos"
        if budget.choice:
            reasons = output.with_suffix(".kept.json")
            write_whole(reasons, json.dumps(budget.to_dict(), indent=1).encode())
            click.echo(f"wrote {files.output.with_name(reasons.name)}: why convolutions stay in float")
    forms = ", ".join(str(files.output.with_name(path.name)) for path in (done.path, done.cpu_path))
    click.echo(f"wrote {forms} {told}")
    if options["keep_fp32"]:
        click.echo(f"{len(done.kept)} convolutions stay in float{': ' if done.kept else ''}{', '.join(done.kept)}")
    return done


def measure_drop(network: Path, options: Mapping[str, Any]) -> "Drop | None":
    """AP lost on the held-out photos of the dataset that the flags name, if they do."""
    if not options["dataset_spec"]:
        return None
    from bodyposenet.common.cli.options import input_size
    from bodyposenet.common.evaluation.ap_drop import ap_drop
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.inference import InferenceSpec

    dataset = load_spec(options["dataset_spec"], DatasetSpec, path_map=options["path_map"])
    if options["inference_spec"]:
        return ap_drop(
            network, load_spec(options["inference_spec"], InferenceSpec, path_map=options["path_map"]), dataset
        )
    size = input_size(options["input_dims"], options["data_format"])
    return ap_drop(network, InferenceSpec(input_shape=size, keep_aspect_ratio_mode="pad_image_input"), dataset)


def form_ending(network: Path) -> str:
    """The ending of the further forms of an ONNX file: its own where they are encrypted as it is."""
    return ".onnx" if key_in_use() is None else network.suffix
