"""System metrics: what a machine is busy with during a training, sampled by a thread that nothing depends on."""

import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

PREFIX = "system/"  # by which MLflow's page tells them from others
INTERVAL, SECONDS = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", 10.0  # between samples

OnSample = Callable[..., None]


@contextmanager
def sampling(on_sample: OnSample, *, wanted: bool = True) -> Iterator[None]:
    """Within it processor, memory, disk, network and GPUs are sampled, as MLflow itself does in runs of its own making.

    GPUs need ``nvidia-ml-py``. ``MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false`` turns it off.

    Args:
        on_sample: Called with the numbers by name, and ``step``, from a thread; never after the block.
        wanted: Whether to sample at all.
    """
    if not wanted or os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "").lower() in ("false", "0"):
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_sample, args=(on_sample, ended), name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _sample(on_sample: OnSample, ended: threading.Event) -> None:
    try:
        seconds, monitors = float(os.environ.get(INTERVAL) or SECONDS), _monitors()
        for step in itertools.count():
            if ended.wait(seconds):
                return
            on_sample(_numbers(monitors), step=step)
    except Exception as error:  # whatever is wrong with sampling, the training goes on
        log.warning("system metrics are not tracked: %s", error)


def _monitors() -> list[Any]:
    """MLflow's monitors of what is here."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    found = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    try:
        found.append(GPUMonitor())
    except Exception as error:  # no nvidia-ml-py, no driver or no GPU
        log.debug("GPUs are not sampled: %s", error)
    _numbers(found)  # the processor's first sample is since the process began
    return found


def _numbers(monitors: list[Any]) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        found |= {PREFIX + name: float(value) for name, value in monitor.aggregate_metrics().items()}
        monitor.clear_metrics()
    return found
