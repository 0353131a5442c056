"""Tasks for deployment: a network as ONNX, in 8 bits, and compiled for GPUs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bodyposenet.common.data.photo_set import spec_in
from bodyposenet.common.errors import UserError
from bodyposenet.common.pages.markdown import keep_underscores
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.together import Together
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import (
    ENGINE,
    FP16,
    INT8,
    ONNX,
    Settings,
    find_calibration,
    find_dataset,
    find_for_gpus,
    find_keras,
    find_onnx,
    note,
    read_spec,
)
from bodyposenet.common.tracking import task_run

if TYPE_CHECKING:
    from bodyposenet.common.spec.words import CalibrationMethod, DataType


@report_failures
def export(
    model: str, onnx: str, metrics: str, *, data_type: str = "fp32", interface: Settings | None = None
) -> dict[str, float]:
    """Export a network to ONNX.

    Args:
        model: Folder of the trained network.
        onnx: Gets the exported one.
        metrics: Gets the numbers.
        data_type: ``fp32``, or ``fp16`` for one more file in half precision.
        interface: Keys of :class:`Interface`; nothing leaves inputs and outputs as they are, which is what
            quantization and evaluation take.

    Returns:
        The numbers.

    Raises:
        UserError: There is no such data type, or the network cannot be exported.
    """
    from bodyposenet.common.deploy.export.interface import Interface
    from bodyposenet.common.model.files.model_file import read_card
    from bodyposenet.common.steps.export import run_export

    if data_type not in ("fp32", "fp16"):
        raise UserError(f"no data type {data_type!r}", where="data_type", fix="give fp32 or fp16; calibrate makes int8")
    source = find_keras(model)
    with Together(Path(onnx) / ONNX) as files, task_run("export", buffer=Path(onnx)) as run:
        wanted = Interface(size=read_card(source).input_size, **(interface or {}))
        done = run_export(run, source, files, interface=wanted, half=data_type == "fp16")
    return note(done.numbers, metrics)


@report_failures
def calibrate(
    onnx: str, photos: str, inference_spec: Settings, int8: str, metrics: str, summary: str, *,
    method: str = "entropy", keep: Sequence[str] = (), max_drop: float = 0.02, dataset: str | None = None,
) -> tuple[list[str], dict[str, float]]:  # fmt: skip
    """Quantize an exported network with calibration photos; returns the convolutions that stay float, and the numbers.

    ``keep`` names them, or is ``auto``: the fewest with which no more than ``max_drop`` is lost, of AP on the dataset's
    held-out photos, or, without a dataset, of the maps.
    """
    from bodyposenet.common.deploy.onnx_file import card_of_model, read_model
    from bodyposenet.common.deploy.quantization.calibration_images import Fitting
    from bodyposenet.common.deploy.quantization.ranges_source import find_ranges
    from bodyposenet.common.steps.calibrate import Calibration, run_calibrate

    Path(int8).mkdir(parents=True, exist_ok=True)
    spec = read_spec(inference_spec, InferenceSpec, "inference_spec")
    source = find_onnx(onnx)
    card, mode = card_of_model(read_model(source), source), spec.keep_aspect_ratio_mode
    fitting = Fitting(spec.input_shape, card, mode, spec.decode_whole)
    ranges = find_ranges(fitting, folder=find_calibration(photos))
    judges = (spec, spec_in(find_dataset(dataset))) if dataset else None
    how = Calibration(ranges, cast("CalibrationMethod", method), keep, max_drop, judges)
    with task_run("calibrate", buffer=Path(int8)) as run:
        done, budget, numbers = run_calibrate(run, source, Path(int8) / INT8, how)
        run.log_metrics(numbers)
        for path in (done.path, done.cpu_path, done.cache):
            run.log_artifact(path, "model")
    Path(summary).write_text(keep_underscores(budget.markdown(done.kept)) if budget else "", encoding="utf-8")
    return list(done.kept), note(numbers, metrics)


@report_failures
def bundle(onnx: str, files: str, *, server: str, name: str, batch_size: int, peaks: int) -> list[Path]:
    """Write an exported network with the files that its server wants.

    Args:
        onnx: Folder of the network.
        files: Folder to write to.
        server: ``deepstream`` or ``triton``.
        name: Of the model, in Triton's repository.
        batch_size: Most pictures of a batch.
        peaks: Also put out so many peaks of each joint; 0 puts out none.

    Returns:
        What was written.

    Raises:
        UserError: There is no such server, or the network cannot be served so.
    """
    from bodyposenet.common.deploy.export.serving_bundle import deepstream_bundle, triton_bundle

    source, folder = find_for_gpus(onnx), Path(files)
    if server not in ("deepstream", "triton"):
        raise UserError(f"no server {server!r}", where="server", fix="give deepstream or triton")
    with task_run("bundle", buffer=folder) as run:
        run.log_params({"server": server, "batch_size": batch_size, "peaks": peaks}, prefix="spec")
        if server == "deepstream":
            return deepstream_bundle(source, folder, batch_size=batch_size, peaks=peaks)
        return triton_bundle(source, folder, name, batch_size=batch_size, peaks=peaks)


@report_failures
def build_engine(
    onnx: str,
    inference_spec: Settings,
    engine: str,
    metrics: str,
    *,
    gpus: Sequence[str] = (),
    data_type: str | None = None,
    max_batch: int = 1,
) -> dict[str, float]:
    """Compile a network: for the kinds of GPU that are named, or for the GPU at hand.

    A quantized network's form for TensorRT is taken; a float one is halved first if ``data_type`` is fp16.
    """
    from bodyposenet.common.deploy.export.fp16 import export_half
    from bodyposenet.common.deploy.tensorrt.engine import EngineOptions
    from bodyposenet.common.deploy.tensorrt.engine import build_engine as build

    spec = read_spec(inference_spec, InferenceSpec, "inference_spec")
    source = find_for_gpus(onnx)
    folder = Path(engine)
    folder.mkdir(parents=True, exist_ok=True)
    with task_run("build_engine", buffer=folder) as run:
        if data_type == "fp16" and source.name != INT8:
            source = export_half(source, folder / FP16).path
        precision = cast("DataType | None", data_type or None)
        options = EngineOptions(size=spec.input_shape, max_batch=max_batch, gpus=tuple(gpus), data_type=precision)
        done = build(source, folder / ENGINE, options)
        run.log_params({"precision": done.card.precision, "gpus": list(done.card.gpus)}, prefix="engine")
        numbers = {"bytes": float(done.bytes), "seconds": done.seconds}
        run.log_metrics(numbers)
        for path in (done.path, done.card_path):
            run.log_artifact(path, "engine")
    return note(numbers, metrics)
