"""Calibration for the command line: what the flags of ``bpnet export`` say of its 8-bit forms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bodyposenet.common.cli.printing import note, say
from bodyposenet.common.spec.words import CalibrationMethod

if TYPE_CHECKING:
    from bodyposenet.common.deploy.quantization.quantize import Quantized
    from bodyposenet.common.skeleton.card import Card
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.steps.calibrate import Calibration
    from bodyposenet.common.storage.together import Together

COUNTS = ".*.part.npz"  # what a calibration has counted so far, for the next if it is killed


@dataclass(frozen=True)
class ExportFlags:
    """The flags of ``bpnet export``, by the names that the command line gives them."""

    experiment_spec: str | None
    backend: str
    input_dims: tuple[int, int, int]
    data_format: str
    data_type: str
    opset: int
    strict_type_constraints: bool
    cal_image_dir: str
    cal_data_file: str
    cal_cache_file: str
    cal_method: CalibrationMethod
    keep_fp32: Sequence[str]
    max_drop: float
    dataset_spec: str
    inference_spec: str
    batches: int
    batch_size: int
    max_batch_size: int
    opt_batch_size: int
    static_batch_size: int
    max_workspace_size: int
    engine_file: str | None
    force_ptq: bool
    sdk_compatible_model: bool
    upsample_ratio: int
    uint8_input: bool
    path_map: "PathMap"

    @classmethod
    def take(cls, given: Mapping[str, Any]) -> Self:
        """Take the flags out of everything that click gives."""
        return cls(**{field.name: given[field.name] for field in fields(cls)})


def read_calibration(source: Path, files: "Together", size: tuple[int, int], flags: ExportFlags) -> "Calibration":
    """Say how the flags want a network quantized, and where its ranges come from.

    Args:
        source: The Keras network.
        files: The export's outputs: a cache that one that was killed left is no input.
        size: ``(height, width)`` of the pictures.
        flags: Of ``bpnet export``.

    Raises:
        UserError: See :func:`bodyposenet.common.deploy.quantization.ranges_source.find_ranges`.
    """
    from bodyposenet.common.deploy.quantization.calibration_images import Fitting
    from bodyposenet.common.deploy.quantization.ranges_source import find_ranges
    from bodyposenet.common.model.files.model_file import read_card
    from bodyposenet.common.steps.calibrate import AUTO, Calibration

    cache = Path(flags.cal_cache_file) if flags.cal_cache_file else None
    found = find_ranges(
        Fitting(size, read_card(source)),
        cache=None if cache and files.is_leftover(cache) else cache,
        tensorfile=Path(flags.cal_data_file) if flags.cal_data_file else None,
        folder=flags.cal_image_dir,
        batches=flags.batches,
        batch_size=flags.batch_size,
        compares=tuple(flags.keep_fp32) == AUTO,
    )
    if found.cache:
        note(f"warning: {found.cache} exists: its ranges are taken, and no picture is looked at")
    if found.stored:
        say(f"wrote {flags.cal_data_file}: {found.stored} batches", stored_batches=found.stored)
    judges = _read_judges(size, flags)
    return Calibration(found, flags.cal_method, flags.keep_fp32, flags.max_drop, judges, cache)


def preview_calibration(card: "Card", size: tuple[int, int], flags: ExportFlags) -> tuple[str, int]:
    """Find what a calibration would look at: a sentence and the number of batches; no tensorfile is made.

    Raises:
        UserError: See :func:`bodyposenet.common.deploy.quantization.ranges_source.find_ranges`.
    """
    from bodyposenet.common.deploy.quantization.calibration_images import Fitting
    from bodyposenet.common.deploy.quantization.ranges_source import find_ranges
    from bodyposenet.common.steps.calibrate import AUTO

    _read_judges(size, flags)
    stored = Path(flags.cal_data_file) if flags.cal_data_file else None
    found = find_ranges(
        Fitting(size, card),
        cache=Path(flags.cal_cache_file) if flags.cal_cache_file else None,
        tensorfile=stored if stored and stored.is_file() else None,
        folder=flags.cal_image_dir,
        batches=flags.batches,
        batch_size=flags.batch_size,
        compares=tuple(flags.keep_fp32) == AUTO,
    )
    if found.images is None:
        return f"take the ranges of {found.cache}, and look at no picture", 0
    return f"calibrate with {len(found.images)} batches of {flags.batch_size} at {size[0]}x{size[1]} pixels", len(
        found.images
    )


def _read_judges(size: tuple[int, int], flags: ExportFlags) -> "tuple[InferenceSpec, DatasetSpec] | None":
    """Read the specs by which the AP is measured, if the flags name a dataset."""
    if not flags.dataset_spec:
        return None
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.inference import InferenceSpec

    dataset_spec = load_spec(flags.dataset_spec, DatasetSpec, path_map=flags.path_map)
    if flags.inference_spec:
        return load_spec(flags.inference_spec, InferenceSpec, path_map=flags.path_map), dataset_spec
    return InferenceSpec(input_shape=size, keep_aspect_ratio_mode="pad_image_input"), dataset_spec


def describe_calibration(done: "Quantized", reasons: Path | None, flags: ExportFlags) -> None:
    """Print which 8-bit forms were written, with which ranges, and what stays in float."""
    if reasons:
        say(f"wrote {reasons}: why convolutions stay in float", reasons=reasons)
    ranges = (
        f"and {done.cache}: calibrated with {done.images} photos" if done.images else f"with the ranges of {done.cache}"
    )
    say(
        f"wrote {done.path}, {done.cpu_path} {ranges}",
        int8=done.path, int8_cpu=done.cpu_path, cache=done.cache, calibration_photos=done.images,
    )  # fmt: skip
    if flags.keep_fp32:
        named = f"{': ' if done.kept else ''}{', '.join(done.kept)}"
        say(f"{len(done.kept)} convolutions stay in float{named}", kept_in_float=done.kept)
