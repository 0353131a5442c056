"""Exits: what a process ends with when something went wrong: a code and words."""

import errno
import traceback

from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.common.storage.errors import TOLD

USER, BUG, INTERRUPTED = 2, 1, 130
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
        return USER, f"error: {error.filename or error.strerror}: {'; '.join(TOLD[error.errno])}"
    return BUG, "".join(traceback.format_exception(error)).rstrip()


def _extra(module: str | None) -> str | None:
    top = (module or "").partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if top in modules), None)
