"""Tasks with engines: compile a network for GPUs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.settings import whole
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.task_files import ENGINE, INT8, ONNX, Settings, noted
from bodyposenet.common.tracking import task_run

if TYPE_CHECKING:
    from bodyposenet.common.deploy.engine import Precision


def build_engine(
    onnx: str,
    settings: Settings,
    engine: str,
    metrics: str,
    *,
    gpus: Sequence[str] = (),
    data_type: "Precision | None" = None,
    max_batch: int = 1,
) -> dict[str, float]:
    """Compile a network: for the kinds of GPU that are named, or for the GPU at hand.

    A quantized network's form for TensorRT is taken; a float one is halved first if ``data_type`` is fp16.
    """
    from bodyposenet.common.deploy.engine import EngineOptions
    from bodyposenet.common.deploy.engine import build_engine as build
    from bodyposenet.common.deploy.half import export_half

    spec = parse_spec(whole(settings), InferenceSpec, where="inference_spec")
    source = next((path for name in (INT8, ONNX) if (path := Path(onnx) / name).is_file()), Path(onnx) / ONNX)
    folder = Path(engine)
    folder.mkdir(parents=True, exist_ok=True)
    with task_run("build_engine", buffer=folder) as run:
        if data_type == "fp16" and source.name == ONNX:
            source = export_half(source, folder / "model.fp16.onnx").path
        options = EngineOptions(
            size=spec.input_shape, max_batch=max_batch, gpus=tuple(gpus), data_type=data_type or None
        )
        done = build(source, folder / ENGINE, options)
        run.log_params({"precision": done.card.precision, "gpus": list(done.card.gpus)}, prefix="engine")
        numbers = {"bytes": float(done.bytes), "seconds": done.seconds}
        run.log_metrics(numbers)
        for path in (done.path, done.card_path):
            run.log_artifact(path, "engine")
    return noted(numbers, metrics)
