"""INT8: how much faster than float, and how much AP it costs."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from benchmarks.pruning import SIZE, in_turn, session, write_network

KEPT = 0.3  # of the FLOPs
GRANULARITY = 16  # the block of ONNX Runtime's convolutions
PICTURES = 10  # to calibrate with, where only time counts
PHOTOS = 200  # to calibrate with, where AP counts
ROWS = {
    "int8_speedup": (
        "ONNX Runtime, time of float over that of 8 bits; full width, 288 x 384, two threads; asked with VNNI",
        "≥ 3.0",
    ),
    "pruned_int8_speedup": ("the same of the network pruned to .30 of the FLOPs", "≥ 9"),
    "int8_ap_drop": ("AP of float less that of 8 bits, the form for TensorRT; 200 pictures of drawn people", "≤ 0.01"),
    "int8_cpu_ap_drop": ("the same of the form for ONNX Runtime", "≤ 0.01"),
}
NEEDS_VNNI = ("int8_speedup", "pruned_int8_speedup")


def measure() -> dict[str, float]:
    """All of ``ROWS`` that this processor can be asked for."""
    with tempfile.TemporaryDirectory() as folder:
        return {**(speedups(Path(folder)) if has_vnni() else {}), **ap_drops(Path(folder))}


def has_vnni() -> bool:
    """Whether this processor has what the speed of 8 bits in ONNX Runtime comes from."""
    from bodyposenet.common.machine.processor import read_processor

    return read_processor().has_vnni


def speedups(folder: Path) -> dict[str, float]:
    """Times of the float network over those of 8 bits, run in turn."""
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
    from bodyposenet.common.prune.prune import prune_file
    from bodyposenet.common.spec.prune import PruneSpec

    write_network(folder / "whole.keras")
    spec = PruneSpec(target_flops=KEPT, pruning_granularity=GRANULARITY)
    prune_file(folder / "whole.keras", folder / "pruned.keras", spec)
    whole, pruned = (
        export_onnx(folder / f"{name}.keras", folder / f"{name}.onnx").path for name in ("whole", "pruned")
    )
    times = in_turn([session(file) for file in (whole, quantized(whole), quantized(pruned))])
    return {"int8_speedup": times[0] / times[1], "pruned_int8_speedup": times[0] / times[2]}


def quantized(network: Path) -> Path:
    """The 8-bit form for the processor, calibrated with noise."""
    from bodyposenet.common.deploy.quantization.quantize import quantize_int8

    random = np.random.default_rng(0)
    pictures = (random.uniform(-0.5, 0.5, (1, *SIZE, 3)).astype(np.float32) for _ in range(PICTURES))
    return quantize_int8(network, pictures, network).cpu_path


def ap_drops(folder: Path) -> dict[str, float]:
    """AP that the start weights for drawn people lose, on pictures that nobody trained or calibrated with."""
    from bodyposenet.common.data.photo_set import make_dataset_spec
    from bodyposenet.common.data.synthetic.dataset import synthesize
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
    from bodyposenet.common.deploy.quantization.calibration_images import Fitting, from_folder
    from bodyposenet.common.deploy.quantization.quantize import quantize_int8
    from bodyposenet.common.evaluation.evaluate import evaluate
    from bodyposenet.common.model.files.bundled import weights_path
    from bodyposenet.common.model.files.model_file import read_card
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.pipelines.specs import default

    spec = parse_spec(default("inference"), InferenceSpec)
    synthesize(folder / "photos")
    synthesize(folder / "others", train=PHOTOS, val=1, seed=1)
    dataset = make_dataset_spec(folder / "photos", default("dataset"))
    trained = weights_path("pretrained:drawn_people")
    float_file = export_onnx(trained, folder / "float.onnx").path
    fitting = Fitting(spec.input_shape, read_card(trained), spec.keep_aspect_ratio_mode)
    done = quantize_int8(float_file, from_folder(folder / "others" / "images", fitting), float_file)
    files = {"float": float_file, "int8": done.path, "int8_cpu": done.cpu_path}
    aps = {name: evaluate(file, spec, dataset, folder / name, progress=False).ap for name, file in files.items()}
    return {f"{name}_ap_drop": aps["float"] - aps[name] for name in ("int8", "int8_cpu")}
