"""Export verb: the flags of ``bpnet export``."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.calibration import COUNTS, calibrate, form_ending, ranges_source
from bodyposenet.common.cli.launcher import MultiValueOption, RemainsError, Verb, results_dir, task
from bodyposenet.common.cli.options import (
    DiskType,
    common_options,
    example,
    find_model,
    input_size,
    key_option,
    option,
    parse_dims,
    path_map_option,
    warn_of_name,
)
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.model_key import key_in_use
from bodyposenet.common.storage.together import Together, is_unfinished

if TYPE_CHECKING:
    from bodyposenet.common.deploy.export.interface import Interface
    from bodyposenet.common.tracking import TrackedRun

METHODS = ("entropy", "minmax", "percentile")  # of calibration
WITHOUT_EFFECT = {
    "strict_type_constraints": "-s",
    "force_ptq": "--force_ptq",
}
EXAMPLE = example(
    "bpnet export -m model.keras -o model.onnx -d 288,384,3 -t tfonnx --data_type int8 \\",
    "    --cal_image_dir data/train2017 --batches 500",
)


@click.command("export", cls=Verb, epilog=EXAMPLE)
@option("-m", "--model", required=True, type=click.Path(), help="Keras model.")
@option("-o", "--output_file", type=DiskType(), help="ONNX file, .onnx or .etlt.  [default: beside the model]")
@option("-e", "--experiment_spec", type=click.Path(), help="Train spec; only checked, models know what it tells.")
@option("-t", "--backend", default="onnx", type=click.Choice(["onnx", "uff", "tfonnx"]), help="ONNX, either way.")
@option("-d", "--input_dims", default="256,256,3", callback=parse_dims, help="H,W,C in pixels, for calibration.")
@option("-i", "--data_format", default="channels_last", type=click.Choice(["channels_last", "channels_first"]))
@option("--data_type", default="fp32", type=click.Choice(["fp32", "fp16", "int8"]), help="Precision.")
@option("-s", "--strict_type_constraints", is_flag=True, help="Without effect.")
@option("--cal_image_dir", default="", help="Folder of photos, or of record shards, to calibrate int8 with.")
@option("--cal_data_file", default="", help="HDF5 tensorfile to calibrate with; made of the photos if missing.")
@option("--cal_cache_file", default="", help="TensorRT calibration cache; read if it exists.  [default: beside -o]")
@option("--cal_method", default="entropy", type=click.Choice(METHODS), help="How ranges are cut.")
@option("--keep-fp32", cls=MultiValueOption, metavar="NAME...", help="Convolutions that int8 leaves in float; or auto.")
@option("--max-drop", default=0.02, type=click.FloatRange(0), help="Of AP, that auto may cost; see --dataset_spec.")
@option("--dataset_spec", default="", help="Its held-out photos tell the AP.  [default: the maps' relative error]")
@option("--inference_spec", default="", help="How people are found in them.  [default: padded to -d]")
@option("--batches", default=10, type=click.IntRange(1), help="Batches to calibrate with.")
@option("--batch_size", default=1, type=click.IntRange(1), help="Images of a batch.")
@option("--max_batch_size", default=1, type=click.IntRange(1), help="Of the engine.")
@option("--opt_batch_size", default=1, type=click.IntRange(1), help="Of the engine.")
@option("--static_batch_size", default=-1, help="Fix the input to so many pictures of -d; -1 leaves it open.")
@option("--max_workspace_size", default=2 << 30, type=click.IntRange(1), help="Of the engine's builder, in bytes.")
@option("--engine_file", help="TensorRT engine; written on the GPU only: exit 3 says how.")
@option("--force_ptq", is_flag=True, help="Without effect.")
@option("--sdk_compatible_model", is_flag=True, help="For NVIDIA's DeepStream parser: finer PAFs, TAO's names.")
@option("-u", "--upsample_ratio", default=4, type=click.IntRange(1, 8), help="How much finer.")
@option("--uint8-input", is_flag=True, help="Take RGB pixels; the network normalises them itself.")
@option("-v", "--verbose", is_flag=True, help="Print more.")
@path_map_option
@key_option
@common_options
def export(model: str, output_file: str | None, **options: Any) -> None:
    """Write the network as ONNX; with int8 calibrate it and write Q/DQ models and a TensorRT cache, too."""
    source = find_model(model)
    output = output_path(source, output_file)
    warn_of_name(output)
    folder = results_dir(options["results_dir"], output.parent)
    size = input_size(options["input_dims"], options["data_format"])
    check_flags(options)
    cache = [Path(options["cal_cache_file"])] if options["cal_cache_file"] else []
    with Together(output, elsewhere=cache, keep=[COUNTS]) as files:
        network = write_forms(source, files, size, options, folder)
    if options["engine_file"]:
        command = engine_command(output.with_name(network.name), size, options)
        raise RemainsError(
            "no engine can be built here", where=options["engine_file"], fix=f"run on the GPU: {command}"
        )


def write_forms(source: Path, files: Together, size: tuple[int, int], options: dict[str, Any], folder: Path) -> Path:
    """Write the network in all forms that the flags want, and let them appear; what the engine is to be built of."""
    from bodyposenet.common.deploy.export.interface import change_interface
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
    from bodyposenet.common.model.files.model_file import read_card

    source_of_ranges = (
        ranges_source(options, size, read_card(source), files) if options["data_type"] == "int8" else None
    )
    with task("export", folder) as run:
        done = export_onnx(source, files.stage(files.output))
        run.log_metrics({"bytes": done.bytes, "max_relative_error": done.max_relative_error})
        click.echo(f"wrote {files.output}: {done.bytes:,} bytes, within {done.max_relative_error:.1e} of Keras")
        written = [done.path]
        if options["data_type"] == "fp16":
            written.append(halve(done.path, files, run))
        elif source_of_ranges:
            quantized = calibrate(done.path, source_of_ranges, files, options)
            run.log_params({"kept_in_float": list(quantized.kept)}, prefix="data")
            written += [quantized.cpu_path, quantized.path]
        for path in written:
            change_interface(path, read_interface(options, size))
        files.publish()
    return written[-1]


def read_interface(options: dict[str, Any], size: tuple[int, int]) -> "Interface":
    """What the flags want of the networks' inputs and outputs."""
    from bodyposenet.common.deploy.export.interface import Interface

    return Interface(
        pixels=options["uint8_input"],
        batch=max(0, options["static_batch_size"]),
        size=size,
        sdk_ratio=options["upsample_ratio"] if options["sdk_compatible_model"] else 0,
    )


def halve(network: Path, files: Together, run: "TrackedRun") -> Path:
    """Write an ONNX file in half precision beside itself."""
    from bodyposenet.common.deploy.export.fp16 import export_half

    done = export_half(network, network.with_suffix(f".fp16{form_ending(network)}"))
    run.log_metrics({"fp16_bytes": done.bytes, "fp16_max_relative_error": done.max_relative_error})
    final = files.output.with_name(done.path.name)
    click.echo(f"wrote {final}: {done.bytes:,} bytes, within {done.max_relative_error:.1e} of 32 bits")
    return done.path


def output_path(model: Path, output: str | None) -> Path:
    """Where the ONNX file goes: beside the model, or as named, with an ending that says what it is.

    Raises:
        UserError: The file exists, and no export that was killed left it.
    """
    ending = ".onnx" if key_in_use() is None else ".etlt"
    path = Path(output) if output else (model / "model" if model.is_dir() else model).with_suffix(ending)
    if path.suffix not in (".onnx", ".etlt"):
        path = path.with_name(path.name + ending)
    if path.exists() and not is_unfinished(path):
        raise UserError("the file exists", where=str(path), fix="name another with -o, or remove it")
    return path


def check_flags(options: dict[str, Any]) -> None:
    """Warn once of the flags that have no effect, and check the spec if one is named.

    Raises:
        UserError: The backend is gone, or the spec cannot be used.
    """
    if options["backend"] == "uff":
        raise UserError("UFF is gone since TensorRT 9", where="--backend", fix="use -t tfonnx")
    if options["experiment_spec"]:
        from bodyposenet.common.spec.base import load_spec
        from bodyposenet.common.spec.train import TrainSpec

        load_spec(options["experiment_spec"], TrainSpec, path_map=options["path_map"])
    idle = [text for name, text in WITHOUT_EFFECT.items() if options[name]]
    if options["data_format"] == "channels_first":
        idle.append("-i channels_first beyond the order of -d (networks are channels_last)")
    if idle:
        click.echo(f"warning: without effect: {', '.join(idle)}", err=True)


def engine_command(network: Path, size: tuple[int, int], options: dict[str, Any]) -> str:
    """The command that builds the engine on the machine with the GPU; of an encrypted model ``bpnet``'s own."""
    static = options["static_batch_size"]
    most = max(options["batch_size"], options["max_batch_size"])
    batches = (static,) * 3 if static > 0 else (1, min(options["opt_batch_size"], most), most)
    if key_in_use() is not None:
        counts = " ".join(
            f"--{name}_batch_size {count}" for name, count in zip(("min", "opt", "max"), batches, strict=True)
        )
        files = f"-m {quote(str(network))} -o {quote(options['engine_file'])} -k KEY"
        memory = f"--max_workspace_size {options['max_workspace_size']}"
        return f"bpnet build_engine {files} --input_size {size[0]},{size[1]} {counts} {memory}"
    precision = "" if options["data_type"] == "fp32" else " --stronglyTyped"
    shapes = " ".join(
        f"--{name}Shapes=input_1:{batch}x{size[0]}x{size[1]}x3"
        for name, batch in zip(("min", "opt", "max"), batches, strict=True)
    )
    memory = f"--memPoolSize=workspace:{max(1, options['max_workspace_size'] >> 20)}M"
    engine = quote(options["engine_file"])
    return f"trtexec --onnx={quote(str(network))} --saveEngine={engine}{precision} {shapes} {memory}"
