"""Calibrate step: a network's 8-bit forms, and what is recorded of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodyposenet.common.deploy.quantization.quantize import Quantized
    from bodyposenet.common.deploy.quantization.ranges_source import RangesSource
    from bodyposenet.common.deploy.quantization.sensitivity import Budget
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.spec.words import CalibrationMethod
    from bodyposenet.common.tracking import TrackedRun

AUTO = ("auto",)  # in place of names: the fewest convolutions with which little enough is lost


@dataclass(frozen=True)
class Calibration:
    """How a network is quantized.

    Attributes:
        source: Where the ranges come from.
        method: How ranges are cut.
        keep: Convolutions that stay float, or ``auto``.
        max_drop: What ``auto`` may cost.
        judges: Specs by which the AP is measured that is lost; without them the maps' relative error counts.
        cache: Gets the TensorRT cache, where it is not to be beside the models.
    """

    source: "RangesSource"
    method: "CalibrationMethod" = "entropy"
    keep: Sequence[str] = ()
    max_drop: float = 0.02
    judges: "tuple[InferenceSpec, DatasetSpec] | None" = None
    cache: Path | None = None


def run_calibrate(
    run: "TrackedRun", network: Path, output: Path, calibration: Calibration
) -> "tuple[Quantized, Budget | None, dict[str, float]]":
    """Write the 8-bit forms of an ONNX file, and log how, and what stays float, to the run.

    Args:
        run: The tracked run.
        network: The float ONNX file.
        output: The form for TensorRT; the others are written beside it.
        calibration: How.

    Returns:
        What was written; what was weighed, where there were pictures; and the numbers, which the caller logs.

    Raises:
        UserError: See :func:`bodyposenet.common.deploy.quantization.quantize.quantize_int8`.
    """
    keep = list(calibration.keep)
    settings = {"method": calibration.method, "keep": keep, "max_drop": calibration.max_drop}
    run.log_params(settings, prefix="spec")
    done, budget = _quantize(network, output, calibration)
    run.log_params({"kept_in_float": list(done.kept)}, prefix="data")
    numbers = {"images": float(done.images), "kept_in_float": float(len(done.kept))}
    numbers |= {"bytes": float(done.path.stat().st_size), "bytes_cpu": float(done.cpu_path.stat().st_size)}
    if budget and budget.choice:
        numbers |= {"drop": budget.choice.drop, "drop_without": budget.choice.drop_without}
    return done, budget, numbers


def _quantize(network: Path, output: Path, calibration: Calibration) -> "tuple[Quantized, Budget | None]":
    """Quantize with a cache's ranges or with pictures."""
    from bodyposenet.common.deploy.quantization.quantize import quantize_int8, quantize_with_cache
    from bodyposenet.common.deploy.quantization.sensitivity import Budget
    from bodyposenet.common.evaluation.ap_drop import ap_drop

    images, cache = calibration.source.images, calibration.source.cache
    if images is None:
        if cache is None:
            raise ValueError("a source of ranges has pictures or a cache")
        return quantize_with_cache(network, cache, output, keep=calibration.keep), None
    drop = ap_drop(network, *calibration.judges) if calibration.judges else None
    budget = Budget(images, calibration.max_drop, drop)
    keep = budget.choose if tuple(calibration.keep) == AUTO else calibration.keep
    done = quantize_int8(network, images, output, method=calibration.method, cache=calibration.cache, keep=keep)
    return done, budget
