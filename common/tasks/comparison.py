"""Comparison: base, pruned, retrained and INT8 network, measured side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.runner import Runner
from bodyposenet.common.deploy.runtime.latency import compare_latency
from bodyposenet.common.deploy.runtime.runner_choice import EXACT
from bodyposenet.common.deploy.runtime.runners import OnnxRunner, open_runner
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.network.flops import flops
from bodyposenet.common.report.channels import widths
from bodyposenet.common.report.comparison_table import Stage
from bodyposenet.common.spec.words import RunnerName
from bodyposenet.common.storage.locking import scratch_folder

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


@dataclass(frozen=True)
class Comparison:
    """What was measured.

    Attributes:
        stages: ``base``, ``pruned``, ``retrained`` and ``int8``.
        ran: What ran the 8-bit network, and on which instruction set.
        speed_up: Times as fast as the retrained network in float.
    """

    stages: list[Stage]
    ran: str
    speed_up: float

    def describe(self) -> str:
        """Say in one line what ran the 8-bit network, and how fast."""
        return f"{self.ran}, {self.speed_up:.1f} times as fast as the float network in ONNX Runtime"

    def list_figures(self) -> dict[str, float | None]:
        """Return every number of every stage, as ``base.ap``."""
        return {
            f"{stage.name}.{key}": value for stage in self.stages for key, value in vars(stage).items() if key != "name"
        }


def compare(networks: Networks, aps: Mapping[str, float | None], *, runner: RunnerName | None = None) -> Comparison:
    """Measure the networks of a run.

    Sizes are those of the ONNX files. Latencies are medians on the CPU, for one picture of the size that the network
    was trained at, taken in turns: of ONNX Runtime, and for the 8-bit network of what is to run it.

    Args:
        networks: Where they are.
        aps: AP of ``base``, ``pruned``, ``retrained`` and ``int8``; None where nothing could be measured.
        runner: What runs the 8-bit network; see :func:`open_runner`.
    """
    with scratch_folder() as folder:
        files = {
            name: export_onnx(keras, Path(folder) / f"{name}.onnx").path
            for name, keras in (("base", networks.base), ("pruned", networks.pruned))
        }
        files |= {"retrained": networks.onnx, "int8": networks.int8}
        loaded = {name: load_model(getattr(networks, name)) for name in ("base", "pruned", "retrained")}
        size = loaded["base"][1].input_size
        runners: dict[str, Runner] = {
            name: open_runner(path, threads=THREADS, runner=EXACT) for name, path in files.items()
        }
        runners["int8"] = eight = OnnxRunner(networks.int8, threads=THREADS, runner=runner)
        times = compare_latency(runners, size, repeats=REPEATS)
        sizes = {name: path.stat().st_size for name, path in files.items()}
    stages = [
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
    return Comparison(stages, eight.choice.name(), times["retrained"] / times["int8"])


def channels_between(before: Path, after: Path) -> dict[str, tuple[int, int]]:
    """For each layer with filters how many of them a smaller network has, and how many the first had.

    Args:
        before: Model file of the network that was pruned.
        after: Model file of what came of it.
    """
    had, has = (widths(load_model(path)[0]) for path in (before, after))
    return {name: (has[name], of) for name, of in had.items() if name in has}
