"""Exits: what a process ends with when something went wrong: a code and words."""

import errno
import os
import re
import tempfile
import traceback

from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.common.plain_text import escape_line
from bodyposenet.common.storage.errors import TOLD

USER, BUG, INTERRUPTED = 2, 1, 130
NO_MEMORY = re.compile("MemoryError|failed to map segment|cannot allocate memory", re.IGNORECASE)
EXTRAS = {
    "train": {"tensorflow", "keras"},
    "gcs": {"gcsfs", "upath"},
    "s3": {"s3fs", "botocore", "aiobotocore"},
    "azure": {"adlfs", "azure"},
    "crypto": {"cryptography", "pyrage"},
    "deploy": {"onnx", "onnxruntime", "tf2onnx"},
    "openvino": {"openvino"},
    "pipelines": {"kfp", "kfp_server_api", "mlflow"},
}


def tell(error: BaseException) -> tuple[int, str]:
    """Exit code and message of an error: users' errors in a line, anything else with its traceback."""
    if isinstance(error, UserError):
        return getattr(error, "exit_code", USER), str(error) if isinstance(error, SpecError) else f"error: {error}"
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    if isinstance(error, ModuleNotFoundError) and (extra := _extra(error.name)):
        return USER, f"error: {error.name} is not installed; pip install 'bodyposenet[{extra}]'"
    if isinstance(error, OSError) and error.errno in TOLD and error.errno != errno.ENOENT:
        return USER, f"error: {escape_line(str(error.filename or error.strerror))}: {'; '.join(TOLD[error.errno])}"
    if isinstance(error, MemoryError | ImportError) and NO_MEMORY.search(f"{type(error).__name__}: {error}"):
        return USER, f"error: {'; '.join(TOLD[errno.ENOMEM])}"
    if isinstance(error, FileNotFoundError) and (problem := _find_lost_folder()):
        return USER, f"error: {problem}"
    return BUG, "".join(traceback.format_exception(error)).rstrip()


def _find_lost_folder() -> str:
    """Say which of the folders that every process has is not there; nothing where they are."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the folder that this was started in is not there any more; change to another one"
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return "there is no folder for temporary files that can be written to; name one with TMPDIR"
    return ""


def _extra(module: str | None) -> str | None:
    top = (module or "").partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if top in modules), None)
