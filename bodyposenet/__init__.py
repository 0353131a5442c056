"""BodyPoseNet: multi-person 2D pose estimation as a library, a command line and Kubeflow components.

What one calls in Python stands here, and is imported when it is first asked for: ``PLACES`` says from where.
"""

import sys
from importlib import import_module

from bodyposenet.common.machine.own_arguments import hide_keys
from bodyposenet.common.machine.telemetry import silence_telemetry

TYPE_CHECKING = False  # as typing has it, whose import would be most of this one's time
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.2.0"

PLACES = {  # name: its module in bodyposenet.common, in the order of a network's way
    "synthesize": "data.synthetic.dataset",
    "load_spec": "spec.base",
    "parse_spec": "spec.base",
    "DatasetSpec": "spec.dataset",
    "TrainSpec": "spec.train",
    "InferenceSpec": "spec.inference",
    "PruneSpec": "spec.prune",
    "convert_dataset": "data.conversion.convert",
    "train": "model.training.train",
    "prune_file": "prune.prune",
    "export_onnx": "deploy.export.keras_to_onnx",
    "open_runner": "deploy.runtime.runners",
    "find_people": "inference.detector",
    "draw_people": "pose.draw",
    "quantize_int8": "deploy.quantization.quantize",
    "evaluate": "evaluation.evaluate",
    "infer": "inference.inference",
    "PoseEstimator": "inference.estimator",
}

silence_telemetry()  # here, so that no part of the package can import one of those libraries before
hide_keys(sys.argv)  # here, so that a list of processes shows them for no longer than Python takes to start


def __getattr__(name: str) -> "Any":
    if name not in PLACES:
        raise AttributeError(f"module 'bodyposenet' has no attribute {name!r}")
    return getattr(import_module(f"bodyposenet.common.{PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES})
