"""Runners: how fast the form of a network is that is chosen at load, and what it costs in AP.

All that was tried goes to ``runners.md``, with the processor and its instruction sets.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from benchmarks.int8 import quantized
from benchmarks.pruning import SIZE, THREADS, write_network

if TYPE_CHECKING:
    from bodyposenet.common.deploy.runtime.runner_choice import Choice
    from bodyposenet.common.deploy.runtime.runners import OnnxRunner as Runner
    from bodyposenet.common.machine.processor import Processor

HERE = Path(__file__).parent
PHOTOS = 200  # to calibrate with
WITHOUT = ("avx_vnni", "avx512_vnni", "amx_int8")  # what the chooser is told that there is not
ROWS = {
    "runner_speedup": (
        "8-bit form chosen at load on a processor with VNNI, time of float in ONNX Runtime over its; full width, "
        "288 x 384, two threads",
        "≥ 3.0",
    ),
    "runner_speedup_demo": ("the same of the network of drawn people, 192 x 256", "≥ 2.5"),
    "runner_speedup_narrow": ("the same, the chooser told that there is no VNNI; full width", "≥ 1.0"),
    "runner_speedup_narrow_demo": ("the same of the network of drawn people", "≥ 1.0"),
    "runner_ap_drop": ("AP of float less that of the form chosen; 200 pictures of drawn people", "≤ 0.01"),
    "runner_ap_drop_narrow": ("the same, the chooser told that there is no VNNI", "≤ 0.01"),
}
NEEDS_VNNI = ("runner_speedup", "runner_speedup_demo")


def measure() -> dict[str, float]:
    """All of ``ROWS`` that this processor can be asked for."""
    from bodyposenet.common.machine.processor import read_processor

    here = read_processor()
    told = {"": here, "_narrow": replace(here, flags=here.flags - set(WITHOUT))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["BODYPOSENET_CACHE"] = str(folder / "cache")  # nothing that was chosen before counts
        files = {"": write_whole(folder), "_demo": write_demo(folder)}
        sizes = {"": SIZE, "_demo": (192, 256)}
        found, lines = {}, [f"# {here.name}: {', '.join(here.instruction_sets)}", ""]
        for way, processor in told.items():
            for network, file in files.items():
                runner = choose(file, sizes[network], processor)
                found[f"runner_speedup{way}{network}"] = runner.choice.speed_up
                lines += tell(f"{file.name}{', told that there is no VNNI' if way else ''}", runner.choice)
        aps = measure_aps(folder, files["_demo"], told["_narrow"])
    lines += ["Who is told that there is no VNNI still runs kernels that use it where it is: such times flatter.", ""]
    lines += ["## AP", "", *(f"- {form}: {ap:.4f}" for form, ap in aps.items()), ""]
    (HERE / "runners.md").write_text("\n".join(lines), encoding="utf-8")
    for way in told:
        found[f"runner_ap_drop{way}"] = aps["float"] - aps[f"chosen{way}"]
    return {key: value for key, value in found.items() if here.has_vnni or key not in NEEDS_VNNI}


def write_whole(folder: Path) -> Path:
    """The full-width network in 8 bits."""
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx

    write_network(folder / "whole.keras")
    return quantized(export_onnx(folder / "whole.keras", folder / "whole.onnx").path)


def write_demo(folder: Path) -> Path:
    """The network of drawn people in 8 bits, calibrated with pictures that it is not scored on."""
    from bodyposenet.common.data.synthetic.dataset import synthesize
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
    from bodyposenet.common.deploy.quantization.calibration_images import Fitting, from_folder
    from bodyposenet.common.deploy.quantization.quantize import quantize_int8
    from bodyposenet.common.model.files.bundled import weights_path
    from bodyposenet.common.model.files.model_file import read_card

    trained = weights_path("pretrained:drawn_people")
    synthesize(folder / "others", train=PHOTOS, val=1, seed=1)
    exported = export_onnx(trained, folder / "demo.onnx").path
    fitting = Fitting((192, 256), read_card(trained), "adjust_network_input")
    return quantize_int8(exported, from_folder(folder / "others" / "images", fitting), exported).cpu_path


def choose(file: Path, size: tuple[int, int], processor: "Processor") -> "Runner":
    """Open a network, and let its form be chosen."""
    from bodyposenet.common.deploy.runtime.runners import open_runner

    runner = open_runner(file, threads=THREADS, runner="auto", processor=processor)
    runner(np.zeros((1, *size, 3), np.float32))
    return runner


def tell(heading: str, choice: "Choice") -> list[str]:
    """A table of what was tried."""
    lines = [f"## {heading}", "", "| form | ms | error of the maps | |", "|---|---|---|---|"]
    for trial in choice.trials:
        time = "" if trial.milliseconds is None else f"{trial.milliseconds:.1f}"
        error = "" if trial.error is None else f"{trial.error:.4f}"
        lines.append(
            f"| {trial.form} | {time} | {error} | {'**chosen**' if trial.form == choice.form else trial.reason} |"
        )
    return [*lines, "", choice.describe(), ""]


def measure_aps(folder: Path, file: Path, without_vnni: "Processor") -> Mapping[str, float]:
    """AP of every form of the network of drawn people, on 200 pictures."""
    from bodyposenet.common.data.photo_set import make_dataset_spec
    from bodyposenet.common.data.synthetic.dataset import synthesize
    from bodyposenet.common.deploy.runtime.runners import open_runner
    from bodyposenet.common.evaluation.evaluate import evaluate
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.pipelines.specs import default

    spec = parse_spec(default("inference"), InferenceSpec)
    synthesize(folder / "photos")
    dataset = make_dataset_spec(folder / "photos", default("dataset"))
    runners = {
        "float": open_runner(folder / "demo.onnx", runner="exact"),
        "exact": open_runner(file, runner="exact"),
        "chosen": open_runner(file, threads=THREADS, runner="auto"),
        "chosen_narrow": open_runner(file, threads=THREADS, runner="auto", processor=without_vnni),
        "openvino of the float file": open_runner(folder / "demo.onnx", runner="openvino"),
        "onnxruntime, no VNNI": open_runner(file, runner="onnxruntime", processor=without_vnni),
    }
    return {
        name: evaluate(runner, spec, dataset, folder / f"ap-{place}", progress=False).ap
        for place, (name, runner) in enumerate(runners.items())
    }
