"""Pruning: how much faster a network gets, over how many FLOPs it loses; what pruning itself takes."""

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from numpy.typing import NDArray

SIZE = (288, 384)
SHARES = (0.5, 0.25)  # of the FLOPs
THREADS = 2
RUNS = 15
SMALL = "small.keras"
STAGES = 3  # of TAO's samples: 16.8 million parameters
ROWS = {
    "prune_speedup_over_flops": (
        "speed of ONNX FP32 after pruning over before, by FLOPs before over after; the worse of .5 and .25 kept; "
        "filters in multiples of 16",
        "≥ 0.90",
    ),
    "prune_speedup_over_flops_8": ("for comparison: filters in multiples of 8, the default", ""),
    "prune_seconds": ("pruning the network of 16.8 million parameters, from file to file, in seconds", "≤ 10"),
    "prune_memory": ("peak memory of it over the model's, the libraries' share aside", "≤ 3"),
}


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.keras"
        write_network(source)
        write_network(source.with_name(SMALL), width=0.125)
        found = {key: speedup(source, granularity) for key, granularity in (
            ("prune_speedup_over_flops", 16), ("prune_speedup_over_flops_8", 8),
        )}  # fmt: skip
        seconds, memory = pruned_alone(source)
    return {**found, "prune_seconds": seconds, "prune_memory": memory}


def write_network(path: Path, *, width: float = 1.0) -> None:
    """The default network with seeded weights."""
    import keras

    from bodyposenet.common.model.files.model_file import save_model
    from bodyposenet.common.model.network.bpnet import build_model
    from bodyposenet.common.skeleton.card import Card
    from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.train import ModelSpec

    keras.utils.set_random_seed(0)
    model = build_model(
        parse_spec({"stages": STAGES, "backbone_attributes": {"width_multiplier": width}}, ModelSpec), BODYPOSENET_18
    )
    save_model(model, path, Card(BODYPOSENET_18, input_size=SIZE))


def speedup(source: Path, granularity: int) -> float:
    """The worst over ``SHARES`` of time saved by FLOPs saved, of exported networks run in turn."""
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
    from bodyposenet.common.prune.prune import prune_file
    from bodyposenet.common.spec.prune import PruneSpec

    folder = source.parent
    files, flops = [export_onnx(source, folder / "whole.onnx", overwrite=True).path], []
    for share in SHARES:
        spec = PruneSpec(target_flops=share, pruning_granularity=granularity)
        done = prune_file(source, folder / "pruned.keras", spec)
        files.append(export_onnx(done.path, folder / f"pruned{share}.onnx", overwrite=True).path)
        flops.append(done.gflops_before / done.gflops_after)
    whole, *pruned = in_turn([session(file) for file in files])
    return min(whole / seconds / saved for seconds, saved in zip(pruned, flops, strict=True))


def session(file: Path) -> Callable[[], object]:
    """A run of an ONNX file on one picture."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.force_spinning_stop", "1")  # else its threads disturb the next one's run
    runner = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = runner.get_inputs()[0].name
    picture: NDArray[np.float32] = np.random.default_rng(0).uniform(-0.5, 0.5, (1, *SIZE, 3)).astype(np.float32)
    return lambda: runner.run(None, {name: picture})


def in_turn(runs: list[Callable[[], object]]) -> list[float]:
    """Median seconds of each, after one run to warm up."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(RUNS + 1):
        for run, times in zip(runs, seconds, strict=True):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
    return [median(times[1:]) for times in seconds]


def pruned_alone(source: Path) -> tuple[float, float]:
    """Seconds and memory of pruning in a process of its own, half the FLOPs."""
    command = [sys.executable, "-m", "benchmarks.pruning", str(source), str(source.with_name("alone.keras"))]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory = found.stdout.split()[-2:]
    return float(seconds), float(memory)


def main(source: str, output: str) -> None:
    """Prune once, with everything loaded that takes memory of its own; print seconds and memory."""
    from bodyposenet.common.prune.prune import prune_file
    from bodyposenet.common.spec.prune import PruneSpec

    prune_file(Path(source).with_name(SMALL), output, PruneSpec(target_flops=SHARES[0], min_num_filters=8))
    gc.collect()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    begin = time.perf_counter()
    done = prune_file(source, output, PruneSpec(target_flops=SHARES[0]))
    seconds = time.perf_counter() - begin
    print(seconds, (memory("VmHWM") - before) / (4 * done.params_before))


def memory(key: str) -> int:
    """Bytes of this process, as the kernel counts them."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
