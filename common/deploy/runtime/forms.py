"""Forms: the ways in which one exported network can be run on a processor, and what each of them takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS
from bodyposenet.common.deploy.runtime.runner_choice import EXACT
from bodyposenet.common.machine.processor import Processor
from bodyposenet.common.spec.words import RunnerName

if TYPE_CHECKING:
    from onnx import ModelProto

Library = Literal["onnxruntime", "openvino"]
Change = Literal["", "narrow", "float"]
Maps = tuple[np.ndarray, np.ndarray]
Compute = Callable[[np.ndarray], Maps]

QUANTIZED = b"DequantizeLinear"
LIBRARIES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
INT8_SETS = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "asimddp", "asimd")  # the first that is there
HALF_SETS = ("amx_bf16", "avx512_bf16", "bf16")
FLOAT_SETS = ("avx512f", "avx2", "asimd")
PRECISIONS = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}


@dataclass(frozen=True)
class Form:
    """One way to run a network.

    Attributes:
        name: As choices are kept by.
        library: What runs it.
        change: What is done to the network before, in memory.
    """

    name: str
    library: Library
    change: Change = ""


ONNXRUNTIME_EXACT = Form(EXACT, "onnxruntime")
ONNXRUNTIME_NARROW = Form("onnxruntime-narrow", "onnxruntime", "narrow")
ONNXRUNTIME_FLOAT = Form("onnxruntime-float", "onnxruntime", "float")
OPENVINO = Form("openvino", "openvino")
OPENVINO_NARROW = Form("openvino-narrow", "openvino", "narrow")
OPENVINO_FLOAT = Form("openvino-float", "openvino", "float")
FORMS = (ONNXRUNTIME_EXACT, ONNXRUNTIME_NARROW, ONNXRUNTIME_FLOAT, OPENVINO, OPENVINO_NARROW, OPENVINO_FLOAT)


def is_quantized(content: bytes) -> bool:
    """Whether an ONNX file holds 8-bit numbers; asked of its bytes, as serving needs no package ``onnx``."""
    return QUANTIZED in content


def list_forms(quantized: bool, processor: Processor) -> list[Form]:
    """List the forms that can be right, the exact one first.

    Args:
        quantized: Whether the network computes in 8 bits.
        processor: Where it is to run. Where pairs of products are added in 16 bits, only kernels that fit are fast
            and right, in either library.
    """
    if not quantized:
        return [ONNXRUNTIME_EXACT, OPENVINO]
    if processor.adds_exactly:
        return [ONNXRUNTIME_EXACT, ONNXRUNTIME_FLOAT, OPENVINO, OPENVINO_FLOAT]
    return [ONNXRUNTIME_EXACT, ONNXRUNTIME_NARROW, ONNXRUNTIME_FLOAT, OPENVINO_NARROW, OPENVINO_FLOAT]


def is_allowed(form: Form, runner: RunnerName) -> bool:
    """Whether a form is one of those that somebody asked for."""
    return runner == "auto" or runner in (form.name, form.library)


def change_network(content: bytes, change: Change) -> bytes:
    """Return a network as a form takes it."""
    if not change:
        return content
    import onnx

    model: ModelProto = onnx.load_from_string(content)
    if change == "narrow":
        from bodyposenet.common.deploy.runtime.narrow_weights import narrow_weights

        return bytes(narrow_weights(model).model.SerializeToString())
    from bodyposenet.common.deploy.runtime.dequantize import dequantize

    return bytes(dequantize(model).SerializeToString())


def open_form(
    form: Form, content: bytes, threads: int | None, processor: Processor, at_once: int = 1
) -> tuple[Compute, str]:
    """Open a network in a form.

    Args:
        form: Which.
        content: The network as its file holds it.
        threads: As many as there are cores if None.
        processor: What to suppose.
        at_once: Calls that will come at the same time, see :func:`share_threads`; OpenVINO shares its threads itself.

    Returns:
        What computes its maps, and the precision in which it computes what is not in 8 bits.
    """
    given = change_network(content, form.change)
    if form.library == "openvino":
        from bodyposenet.common.deploy.runtime.openvino_session import OpenVinoSession

        compiled = OpenVinoSession(given, threads)
        return compiled, compiled.precision
    from bodyposenet.common.deploy.runtime.sessions import open_session, share_threads

    share = share_threads(threads, at_once)
    session = open_session(given, share, exact=form.change == "", processor=processor)
    return bind_session(session), "f32"


def bind_session(session: Any) -> Compute:
    """Return what computes a network's maps in a session of ONNX Runtime."""
    return lambda images: tuple(session.run(list(OUTPUTS), {INPUT: images}))


def word_form(form: Form, quantized: bool, precision: str) -> str:
    """Say which library runs a form, in which numbers."""
    library = LIBRARIES[form.library]
    if not quantized or form.change == "float":
        return f"{library}, {PRECISIONS.get(precision, precision)}"
    weights = ", weights rescaled for 16-bit sums" if form.change == "narrow" else ""
    return f"{library}, 8 bits{weights}"


def name_instruction_set(form: Form, quantized: bool, precision: str, processor: Processor) -> str:
    """Name the instruction set that a form's convolutions use; nothing where the system does not say."""
    from bodyposenet.common.machine.processor import INSTRUCTION_SETS

    whole = not quantized or form.change == "float"
    sets = INT8_SETS if not whole else (HALF_SETS if precision != "f32" else FLOAT_SETS)
    return next((INSTRUCTION_SETS[flag] for flag in sets if flag in processor.flags), "")
