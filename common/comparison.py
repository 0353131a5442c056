"""Comparison: base, pruned, retrained and INT8 network, measured side by side."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bodyposenet.common.deploy.latency import compare_latency
from bodyposenet.common.deploy.onnx import export_onnx
from bodyposenet.common.deploy.runners import open_runner
from bodyposenet.common.model.files import load_model
from bodyposenet.common.model.flops import flops
from bodyposenet.common.report.channels import widths
from bodyposenet.common.report.stages import Stage

REPEATS = 40
THREADS = 2


@dataclass(frozen=True)
class Networks:
    """Files of one pipeline run."""

    base: Path
    pruned: Path
    retrained: Path
    onnx: Path
    int8: Path


def compare(networks: Networks, aps: Mapping[str, float | None]) -> list[Stage]:
    """Measure the networks of a run.

    Sizes are those of the ONNX files. Latencies are medians of ONNX Runtime on the CPU, for one picture of the size
    that the network was trained at, taken in turns.

    Args:
        networks: Where they are.
        aps: AP of ``base``, ``pruned``, ``retrained`` and ``int8``; None where nothing could be measured.

    Returns:
        A stage each, in that order.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: export_onnx(keras, Path(folder) / f"{name}.onnx").path
            for name, keras in (("base", networks.base), ("pruned", networks.pruned))
        }
        files |= {"retrained": networks.onnx, "int8": networks.int8}
        loaded = {name: load_model(getattr(networks, name)) for name in ("base", "pruned", "retrained")}
        size = loaded["base"][1].input_size
        runners = {name: open_runner(path, threads=THREADS) for name, path in files.items()}
        times = compare_latency(runners, size, repeats=REPEATS)
        sizes = {name: path.stat().st_size for name, path in files.items()}
    return [
        Stage(
            name=name,
            ap=aps.get(name),
            params=loaded[keras][0].count_params(),
            gflops=flops(loaded[keras][0], size) / 1e9,
            bytes=sizes[name],
            latency_ms=times[name],
        )
        for name, keras in (("base", "base"), ("pruned", "pruned"), ("retrained", "retrained"), ("int8", "retrained"))
    ]


def channels_between(before: Path, after: Path) -> dict[str, tuple[int, int]]:
    """For each layer with filters how many of them a smaller network has, and how many the first had.

    Args:
        before: Model file of the network that was pruned.
        after: Model file of what came of it.
    """
    had, has = (widths(load_model(path)[0]) for path in (before, after))
    return {name: (has[name], of) for name, of in had.items() if name in has}
