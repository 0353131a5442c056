"""OpenVINO: a network's bytes in OpenVINO's own runtime, on the processor."""

import importlib
import threading
from typing import Any

import numpy as np

from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS
from bodyposenet.common.machine.imports import import_without
from bodyposenet.common.machine.processor import count_cores

TELEMETRY = "openvino_telemetry"

Maps = tuple[np.ndarray, np.ndarray]


class OpenVinoSession:
    """A network compiled for the processor; takes pictures of any size that the network takes, from any thread.

    Args:
        content: An ONNX model.
        threads: As many as there are cores if None.

    Raises:
        RuntimeError: OpenVINO cannot compile it here.
    """

    def __init__(self, content: bytes, threads: int | None = None) -> None:
        core = import_openvino().Core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or count_cores(),
            "ENABLE_CPU_PINNING": False,  # others compute on these cores, too
        }
        self._compiled = core.compile_model(core.read_model(content), "CPU", settings)
        self._own = threading.local()  # a request holds one picture at a time

    @property
    def precision(self) -> str:
        """The type in which it computes what is not in 8 bits, such as ``bf16``."""
        found = self._compiled.get_property("INFERENCE_PRECISION_HINT")
        return str(found.get_type_name())

    def __call__(self, given: np.ndarray) -> Maps:
        """Compute the maps of pictures as the network takes them."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        request = self._own.request
        request.infer({INPUT: given}, share_inputs=True)
        heatmaps, pafs = (np.array(request.get_tensor(name).data, np.float32) for name in OUTPUTS)
        return heatmaps, pafs


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which reports the import to its maker."""
    return import_without([TELEMETRY], lambda: importlib.import_module("openvino"))
