"""Task files: what the artifacts that tasks hand on hold, and where a task's numbers are kept."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bodyposenet.common.data.photo_set import DATASET_SPEC
from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.spec.base import Strict, validate
from bodyposenet.common.spec.document import read_settings
from bodyposenet.common.storage.digests import digest_settings
from bodyposenet.common.storage.files import whole_file

Settings = Mapping[str, Any]
AnySpec = TypeVar("AnySpec", bound=Strict)

MODEL, ONNX, INT8, INT8_CPU = "model.keras", "model.onnx", "model.int8.onnx", "model.int8.cpu.onnx"
FP16, ENGINE = "model.fp16.onnx", "model.engine"
CALIBRATION_IMAGES = "images"  # folder of a calibration artifact
DETECTIONS = "detections.json"
MOST_NAMES = 5  # of what is in a place, told to whoever has connected it
NOBODY = -1.0  # COCO's AP of a set without labelled people


def find_keras(model: str) -> Path:
    """Find the Keras network of an artifact: our own, or what an importer or somebody else's component made."""
    return _find_network(model, "Keras network", (MODEL,))


def find_onnx(onnx: str) -> Path:
    """Find the float network of an exported one."""
    return _find_network(onnx, "exported network", (ONNX,))


def find_for_gpus(onnx: str) -> Path:
    """Find the file of an exported network that NVIDIA's libraries take: of a quantized one the form for TensorRT."""
    return _find_network(onnx, "exported network", (INT8, ONNX))


def find_runnable(model: str) -> Path:
    """Find the file to run of any network; of a quantized one that for the CPU."""
    return _find_network(model, "network", (INT8_CPU, ONNX, MODEL))


def _find_network(artifact: str, what: str, names: Sequence[str]) -> Path:
    """Find a file by the names that our tasks give, or else the only one that ends so: the artifact, or a file in it.

    Raises:
        UserError: There is none, or it cannot be told which.
    """
    place, endings = Path(artifact), {Path(name).suffix for name in names}
    inside = [path for name in names if (path := place / name).is_file()]
    alike = inside[:1] or [path for path in (place, *_list(place)) if path.is_file() and path.suffix in endings]
    if len(alike) == 1:
        return alike[0]
    fix = f"give a folder with {' or '.join(reversed(names))}, or one file that ends in {' or '.join(sorted(endings))}"
    raise UserError(f"is not one {what}: {_describe(place)}", where=artifact or "model", fix=fix)


def find_dataset(dataset: str) -> Path:
    """Find a converted dataset: the folder with its records, and with the photos that it is evaluated on.

    Raises:
        UserError: The artifact is something else.
    """
    place = Path(dataset)
    if (place / DATASET_SPEC).is_file():
        return place
    fix = f"give what dataset_join wrote, a folder with {DATASET_SPEC}; of photos dataset_convert and it make that"
    raise UserError(f"is no converted dataset: {_describe(place)}", where=dataset, fix=fix)


def find_calibration(photos: str) -> Path:
    """Find the photos of a calibration: those in ``images/``, or else the folder's own.

    Raises:
        UserError: The artifact is no folder.
    """
    place = Path(photos)
    if not place.is_dir():
        fix = f"give a folder of photos, or one with {CALIBRATION_IMAGES}/"
        raise UserError(f"has no photos to calibrate with: {_describe(place)}", where=photos, fix=fix)
    inside = place / CALIBRATION_IMAGES
    return inside if inside.is_dir() else place


def find_detections(found: str) -> Path:
    """Find the folder of people that an evaluation found.

    Raises:
        UserError: The artifact is something else.
    """
    place = Path(found)
    if (place / DETECTIONS).is_file():
        return place
    fix = f"give what evaluate wrote, a folder with {DETECTIONS}"
    raise UserError(f"holds no people found: {_describe(place)}", where=found, fix=fix)


def _describe(place: Path) -> str:
    """Say what is in a place, for somebody who has wired another output there."""
    if place.is_file():
        return "it is a single file"
    names = [path.name for path in _list(place)]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"it holds {', '.join(names[:MOST_NAMES])}{more}" if names else "nothing is there"


def _list(place: Path) -> list[Path]:
    return sorted(place.iterdir()) if str(place) != "." and place.is_dir() else []


def compute_digest(value: Any) -> str:
    """A short digest of settings: equal ones have the same."""
    return digest_settings(value)[:16]


def read_spec(given: Settings, model: type[AnySpec], where: str) -> AnySpec:
    """Validate a spec as a task gets it: its keys, or ``{"from": PLACE}``, whose file has them.

    Raises:
        SpecError: With every problem.
    """
    return validate(read_settings(restore_ints(given), where), model)


def note(numbers: dict[str, float], metrics: str) -> dict[str, float]:
    """Write numbers where a Metrics artifact is: kfp.local caches only tasks whose artifacts have files."""
    Path(metrics).parent.mkdir(parents=True, exist_ok=True)
    Path(metrics).write_text(json.dumps(numbers), encoding="utf-8")
    return numbers


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; its folder is made."""
    with source.open("rb") as read, whole_file(target) as written:
        shutil.copyfileobj(read, written)
