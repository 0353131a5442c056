"""Calibration: the memory that it takes, and that it does not grow with the pictures."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from benchmarks.pruning import memory, write_network

SIZE = (256, 256)
FEW, MANY = 100, 300  # pictures
ROWS = {
    "calibration_memory": (
        f"peak memory of calibrating the full-width network with {MANY} pictures, 256 x 256, in GB (10^9 bytes)",
        "≤ 2",
    ),
    "calibration_memory_growth": (f"the same over that with {FEW} pictures", "≤ 1.10"),
}


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        write_network(Path(folder) / "model.keras")
        network = export_onnx(Path(folder) / "model.keras", Path(folder) / "model.onnx").path
        few, many = (peak(network, count) for count in (FEW, MANY))
    return {"calibration_memory": max(few, many), "calibration_memory_growth": max(few, many) / min(few, many)}


def peak(network: Path, count: int) -> float:
    """Gigabytes of a process that does nothing but calibrate."""
    command = [sys.executable, "-m", "benchmarks.calibration", str(network), str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main(network: str, count: str) -> None:
    """Calibrate with noise, a picture at a time; print the peak."""
    from bodyposenet.common.deploy.quantization.quantize import quantize_int8

    random = np.random.default_rng(0)
    pictures = (random.uniform(-0.5, 0.5, (1, *SIZE, 3)).astype(np.float32) for _ in range(int(count)))
    quantize_int8(Path(network), pictures, Path(network).with_name(f"{count}.int8.onnx"))
    print(memory("VmHWM") / 1e9)


if __name__ == "__main__":
    main(*sys.argv[1:])
