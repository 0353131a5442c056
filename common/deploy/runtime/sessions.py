"""Sessions: a network's bytes in ONNX Runtime."""

from pathlib import Path
from typing import Any

from bodyposenet.common.deploy.runtime.providers import providers_for, require_provider
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.processor import Processor, count_cores, read_processor
from bodyposenet.common.spec.words import Device
from bodyposenet.common.storage.encryption import is_encrypted
from bodyposenet.common.storage.model_key import foreign, read_onnx_file, refuse_plain


def open_session(
    model: Path | bytes,
    threads: int | None = None,
    device: Device = "cpu",
    *,
    exact: bool = True,
    processor: Processor | None = None,
) -> Any:
    """Open an ONNX Runtime session.

    Args:
        model: The file, or its bytes.
        threads: As many as there are cores if None.
        device: What to compute on.
        exact: Let 8-bit products be right whatever the processor. An x86 without VNNI adds pairs of them in 16 bits,
            which overflows, unless told to go a slower way that a processor with VNNI should be spared: it takes three
            times as long there. Where nobody knows, right goes before fast.
        processor: What to suppose; the one at hand if None.

    Raises:
        UserError: ONNX Runtime cannot run the model, or not on the device.
    """
    import onnxruntime as ort

    providers = providers_for(device, ort.get_available_providers())
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it raises says the same, in a line
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    if exact and not (processor or read_processor()).adds_exactly:
        options.add_session_config_entry("session.x64quantprecision", "1")
    where = "the model" if isinstance(model, bytes) else str(model)
    given = _give(model)
    try:
        session = ort.InferenceSession(given, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors share no public class
        if isinstance(model, Path) and type(error).__name__ == "InvalidProtobuf":
            raise foreign(model, "no ONNX model", "give a file that `bpnet export` wrote") from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise UserError(f"not a model that ONNX Runtime can run: {reason}", where=where) from error
    require_provider(device, session.get_providers(), where)
    return session


def share_threads(threads: int | None, at_once: int) -> int | None:
    """Return how many threads a session is to have that is called several times at once.

    A call waits for those that help it, and keeps its core busy meanwhile: where calls have no core to spare, each is
    faster alone.

    Args:
        threads: Of all calls together; as many as there are cores if None.
        at_once: Calls that come at the same time, from a thread each.
    """
    return threads if at_once == 1 else max(1, (threads or count_cores()) // at_once)


def _give(model: Path | bytes) -> bytes | str:
    """Return a model as ONNX Runtime takes it: an encrypted one as its content."""
    if isinstance(model, bytes) or is_encrypted(model):
        return read_content(model)
    refuse_plain(model)
    return str(model)


def read_content(model: Path | bytes) -> bytes:
    """Return a model's bytes, opened with the key if it is encrypted."""
    if isinstance(model, bytes):
        return model
    return read_onnx_file(model)
