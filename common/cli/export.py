"""Export verb: the flags of ``bpnet export``."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.devices import MultiValueOption
from bodyposenet.common.cli.dry_run import dry_run_option, say_plan
from bodyposenet.common.cli.launcher import RemainsError, Verb, task
from bodyposenet.common.cli.launcher import results_dir as make_results_dir
from bodyposenet.common.cli.options import (
    DIMS,
    DiskType,
    WordType,
    common_options,
    example,
    find_model,
    input_size,
    key_option,
    option,
    path_map_option,
    results_folder,
    warn_of_name,
)
from bodyposenet.common.cli.printing import note, say
from bodyposenet.common.errors import UserError
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.spec.words import CalibrationMethod, DataFormat, DataType
from bodyposenet.common.storage.model_key import key_in_use

if TYPE_CHECKING:
    from bodyposenet.common.cli.calibration import ExportFlags
    from bodyposenet.common.steps.export import ExportForms
    from bodyposenet.common.storage.together import Together

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
@option("-t", "--backend", default="onnx", type=click.Choice(["onnx", "uff", "tfonnx"]), help="ONNX; uff is gone.")
@option("-d", "--input_dims", default="256,256,3", type=DIMS, help="H,W,C in pixels, for calibration.")
@option("--opset", default=17, type=click.IntRange(13, 21), help="Version of ONNX's operators.")
@option("-i", "--data_format", default="channels_last", type=WordType(DataFormat), help="Order of the numbers of -d.")
@option("--data_type", default="fp32", type=WordType(DataType), help="Precision.")
@option("-s", "--strict_type_constraints", is_flag=True, help="TAO's; without effect.")
@option("--cal_image_dir", default="", help="Folder of photos, or of record shards, to calibrate int8 with.")
@option("--cal_data_file", default="", help="HDF5 tensorfile to calibrate with; made of the photos if missing.")
@option("--cal_cache_file", default="", help="TensorRT calibration cache; read if it exists.  [default: beside -o]")
@option("--cal_method", default="entropy", type=WordType(CalibrationMethod), help="How ranges are cut.")
@option("--keep-fp32", cls=MultiValueOption, metavar="NAME...", help="Convolutions that int8 leaves in float; or auto.")
@option("--max-drop", default=0.02, type=click.FloatRange(0), help="Of AP, that auto may cost; see --dataset_spec.")
@option("--dataset_spec", default="", help="Its held-out photos tell the AP.  [default: the maps' relative error]")
@option("--inference_spec", default="", help="How people are found in them.  [default: padded to -d]")
@option("--batches", default=10, type=click.IntRange(1), help="Batches to calibrate with.")
@option("--batch_size", default=1, type=click.IntRange(1), help="Images of a batch.")
@option("--max_batch_size", default=1, type=click.IntRange(1), help="Most pictures at once in the engine.")
@option("--opt_batch_size", default=1, type=click.IntRange(1), help="At so many the engine is fastest.")
@option("--static_batch_size", default=-1, help="Fix the input to so many pictures of -d; -1 leaves it open.")
@option("--max_workspace_size", default=2 << 30, type=click.IntRange(1), help="Of the engine's builder, in bytes.")
@option("--engine_file", help="TensorRT engine; written on the GPU only: exit 3 says how.")
@option("--force_ptq", is_flag=True, help="TAO's; without effect.")
@option("--sdk_compatible_model", is_flag=True, help="For NVIDIA's DeepStream parser: finer PAFs, TAO's names.")
@option("-u", "--upsample_ratio", default=4, type=click.IntRange(1, 8), help="How much finer these PAFs are.")
@option("--uint8-input", is_flag=True, help="Take RGB pixels; the network normalises them itself.")
@option("-v", "--verbose", is_flag=True, help="Print more.")
@dry_run_option
@path_map_option
@key_option
@common_options
def export(model: str, output_file: str | None, results_dir: str | None, dry_run: bool, **options: Any) -> None:
    """Write the network as ONNX; with int8 calibrate it and write Q/DQ models and a TensorRT cache, too."""
    from bodyposenet.common.cli.calibration import COUNTS, ExportFlags
    from bodyposenet.common.storage.together import Together

    flags = ExportFlags.take(options)
    source = find_model(model)
    output = output_path(source, output_file)
    warn_of_name(output)
    folder = output.parent if dry_run else make_results_dir(results_dir, output.parent)
    size = input_size(flags.input_dims, flags.data_format)
    check_flags(flags)
    if dry_run:
        _preview(source, output, size, flags)
        return
    cache = [Path(flags.cal_cache_file)] if flags.cal_cache_file else []
    with Together(output, elsewhere=cache, keep=[COUNTS]) as files:
        done = _export(source, files, size, flags, folder)
    _describe(done, flags)
    if flags.engine_file:
        command = engine_command(done.networks[-1], size, flags)
        raise RemainsError("no engine can be built here", where=flags.engine_file, fix=f"run on the GPU: {command}")


def _preview(source: Path, output: Path, size: tuple[int, int], flags: "ExportFlags") -> None:
    """Read the network's card, and say which forms would be written and with which pictures.

    Raises:
        UserError: The network or what it is to be calibrated with cannot be used.
    """
    from bodyposenet.common.cli.calibration import preview_calibration
    from bodyposenet.common.model.files.model_file import model_file, read_card

    card = read_card(model_file(source))
    joints = len(card.skeleton.joints)
    what, numbers = [f"export {source.name}, a network of {pluralize(joints, 'joint')}"], {"joints": joints}
    files = [output.name]
    if flags.data_type == "fp16":
        files.append(output.with_suffix(f".fp16{output.suffix}").name)
    if flags.data_type == "int8":
        told, pictures = preview_calibration(card, size, flags)
        what.append(told)
        numbers["calibration_batches"] = pictures
        files += [output.with_suffix(f".int8{ending}").name for ending in (output.suffix, f".cpu{output.suffix}")]
    if flags.engine_file:
        what.append("leave the engine to the machine with its GPU, and end with exit code 3")
    say_plan(what, output.parent, files, **numbers)


def _export(
    source: Path, files: "Together", size: tuple[int, int], flags: "ExportFlags", folder: Path
) -> "ExportForms":
    """Write the network in all forms that the flags want."""
    from bodyposenet.common.cli.calibration import read_calibration
    from bodyposenet.common.deploy.export.interface import Interface
    from bodyposenet.common.steps.export import run_export

    interface = Interface(
        pixels=flags.uint8_input,
        batch=max(0, flags.static_batch_size),
        size=size,
        sdk_ratio=flags.upsample_ratio if flags.sdk_compatible_model else 0,
    )
    calibration = read_calibration(source, files, size, flags) if flags.data_type == "int8" else None
    with task("export", folder) as run:
        return run_export(
            run, source, files, interface=interface, half=flags.data_type == "fp16", calibration=calibration,
            opset=flags.opset,
        )  # fmt: skip


def _describe(done: "ExportForms", flags: "ExportFlags") -> None:
    """Print what was written."""
    single = done.single
    say(
        f"wrote {single.path}: {single.bytes:,} bytes, within {single.max_relative_error:.1e} of Keras",
        onnx=single.path, bytes=single.bytes, max_relative_error=single.max_relative_error,
    )  # fmt: skip
    if half := done.half:
        say(
            f"wrote {half.path}: {half.bytes:,} bytes, within {half.max_relative_error:.1e} of 32 bits",
            fp16=half.path, fp16_bytes=half.bytes, fp16_max_relative_error=half.max_relative_error,
        )  # fmt: skip
    if done.quantized:
        from bodyposenet.common.cli.calibration import describe_calibration

        describe_calibration(done.quantized, done.reasons, flags)


def output_path(model: Path, output: str | None) -> Path:
    """Where the ONNX file goes: beside the model, or as named, with an ending that says what it is.

    Raises:
        UserError: The file exists, and no export that was killed left it.
    """
    from bodyposenet.common.storage.together import refuse_existing

    ending = ".onnx" if key_in_use() is None else ".etlt"
    beside = model / "model" if model.is_dir() else results_folder(model) / model.name
    path = Path(output) if output else beside.with_suffix(ending)
    if path.suffix not in (".onnx", ".etlt"):
        path = path.with_name(path.name + ending)
    refuse_existing(path)
    return path


def check_flags(flags: "ExportFlags") -> None:
    """Warn once of the flags that have no effect, and check the spec if one is named.

    Raises:
        UserError: The backend is gone, or the spec cannot be used.
    """
    if flags.backend == "uff":
        raise UserError("UFF is gone since TensorRT 9", where="--backend", fix="use -t tfonnx")
    if flags.experiment_spec:
        from bodyposenet.common.spec.base import load_spec
        from bodyposenet.common.spec.train import TrainSpec

        load_spec(flags.experiment_spec, TrainSpec, path_map=flags.path_map)
    idle = [text for name, text in WITHOUT_EFFECT.items() if getattr(flags, name)]
    if flags.data_format == "channels_first":
        idle.append("-i channels_first beyond the order of -d (networks are channels_last)")
    if idle:
        note(f"warning: without effect: {', '.join(idle)}")


def engine_command(network: Path, size: tuple[int, int], flags: "ExportFlags") -> str:
    """The command that builds the engine on the machine with the GPU; of an encrypted model ``bpnet``'s own."""
    static = flags.static_batch_size
    most = max(flags.batch_size, flags.max_batch_size)
    batches = (static,) * 3 if static > 0 else (1, min(flags.opt_batch_size, most), most)
    if key_in_use() is not None:
        counts = " ".join(
            f"--{name}_batch_size {count}" for name, count in zip(("min", "opt", "max"), batches, strict=True)
        )
        files = f"-m {quote(str(network))} -o {quote(str(flags.engine_file))} -k KEY"
        memory = f"--max_workspace_size {flags.max_workspace_size}"
        return f"bpnet build_engine {files} --input_size {size[0]},{size[1]} {counts} {memory}"
    precision = "" if flags.data_type == "fp32" else " --stronglyTyped"
    shapes = " ".join(
        f"--{name}Shapes=input_1:{batch}x{size[0]}x{size[1]}x3"
        for name, batch in zip(("min", "opt", "max"), batches, strict=True)
    )
    memory = f"--memPoolSize=workspace:{max(1, flags.max_workspace_size >> 20)}M"
    engine = quote(str(flags.engine_file))
    return f"trtexec --onnx={quote(str(network))} --saveEngine={engine}{precision} {shapes} {memory}"
