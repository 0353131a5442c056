"""Runner choice: which libraries can run an exported network here, and by which name one asks for them."""

from importlib.metadata import version
from importlib.util import find_spec
from typing import Literal, NamedTuple

from bodyposenet.common.machine.processor import Processor, read_processor

RunnerName = Literal["auto", "exact", "onnxruntime", "openvino"]
RUNNER_NAMES: tuple[RunnerName, ...] = ("auto", "exact", "onnxruntime", "openvino")

WITH_VNNI = "8-bit products are added in 32 bits"
WITHOUT_VNNI = "without VNNI 8-bit networks run in the slow, exact way, with weights of 7 bits, or in float"


class RunnerState(NamedTuple):
    """Whether a library can run exported networks here.

    Attributes:
        name: By which one asks for it.
        available: Whether it is installed.
        reason: Its version and what it does on this processor, or the command that installs it.
    """

    name: RunnerName
    available: bool
    reason: str


def list_runners(processor: Processor | None = None) -> list[RunnerState]:
    """List the libraries that ``auto`` chooses among, without importing them.

    Args:
        processor: What to suppose; the one at hand if None.
    """
    arithmetic = WITH_VNNI if needs_no_care(processor or read_processor()) else WITHOUT_VNNI
    return [_find("onnxruntime", "deploy", arithmetic), _find("openvino", "openvino", arithmetic)]


def needs_no_care(processor: Processor) -> bool:
    """Whether the fast kernels for 8 bits are exact here: only x86 without VNNI adds pairs of products in 16 bits."""
    return processor.has_vnni or processor.architecture.lower() in ("aarch64", "arm64")


def _find(name: RunnerName, extra: str, arithmetic: str) -> RunnerState:
    if find_spec(name) is None:
        return RunnerState(name, False, f"not installed: pip install 'bodyposenet[{extra}]'")
    return RunnerState(name, True, f"{version(name)}: {arithmetic}")
