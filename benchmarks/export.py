"""Export: the memory that it takes, and how near to Keras it stays."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from benchmarks.pruning import memory, write_network

SIZES, WIDTH = 20, 0.25
ATTENTION = {"__class_name__": "BpNetModel", "use_self_attention": True}
MOBILENET = {"architecture": "mobilenet_v1"}
SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"backbone_attributes": {"architecture": "helnet", "nlayers": 10, "mtype": "s8_3rdblock_wdilation"}},
    {"backbone_attributes": {"architecture": "resnet", "nlayers": 18}},
    {"backbone_attributes": {"architecture": "resnet", "nlayers": 50}},
    {"backbone_attributes": {"architecture": "mobilenet_v2"}},
    {"backbone_attributes": MOBILENET},
    ATTENTION,
    {"__class_name__": "LightweightOpenPoseModel", "backbone_attributes": MOBILENET},
)
ROWS = {
    "export_memory": ("peak memory of exporting the full-width network, libraries included, in GB (10^9 bytes)", "≤ 2"),
    "export_error": (
        f"greatest difference of ONNX Runtime's maps from Keras', by their range; {len(SPECS)} kinds of network, "
        f"width {WIDTH:g}, {SIZES} sizes each",
        "≤ 0.0001",
    ),
}


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    return {"export_memory": peak(), "export_error": max(error for spec in SPECS for error in errors(spec))}


def peak() -> float:
    """Gigabytes of a process that does nothing but export, from file to file."""
    with tempfile.TemporaryDirectory() as folder:
        write_network(Path(folder) / "model.keras")
        command = [sys.executable, "-m", "benchmarks.export", f"{folder}/model.keras", f"{folder}/model.onnx"]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def errors(spec: dict[str, Any]) -> Iterator[float]:
    """The difference at each size, of a network with shaken batch statistics."""
    import keras
    from onnxruntime import InferenceSession

    from bodyposenet.common.deploy.export.keras_to_onnx import convert
    from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS
    from bodyposenet.common.model.network.bpnet import build_model
    from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.train import ModelSpec

    keras.utils.set_random_seed(0)
    backbone = {"width_multiplier": WIDTH} | spec.get("backbone_attributes", {})
    lively = {"kernel_initializer": "he_normal"}  # maps that change with the picture
    model = build_model(parse_spec(spec | lively | {"backbone_attributes": backbone}, ModelSpec), BODYPOSENET_18)
    random = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) == 1:
            least = 0.5 if weight.name in ("gamma", "moving_variance") else -0.5
            weight.assign(random.uniform(least, least + 1, weight.shape))
    last = keras.Model(model.inputs[0], [model.outputs[len(model.outputs) // 2 - 1], model.outputs[-1]])
    session = InferenceSession(convert(last).SerializeToString(), providers=["CPUExecutionProvider"])
    for height, width in 8 * random.integers(1, 32, (SIZES, 2)):
        images = random.uniform(-0.5, 0.5, (1, height, width, 3)).astype(np.float32)
        drawn = session.run(list(OUTPUTS), {INPUT: images})
        for found, wanted in zip(drawn, map(np.asarray, last(images, training=False)), strict=True):
            yield float(np.abs(found - wanted).max() / np.ptp(wanted))


def main(source: str, output: str) -> None:
    """Export; print the peak."""
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx

    export_onnx(Path(source), Path(output))
    print(memory("VmHWM") / 1e9)


if __name__ == "__main__":
    main(*sys.argv[1:])
