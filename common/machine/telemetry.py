"""Telemetry: libraries that would call their makers are told not to, before any of them is imported."""

import os

QUIET = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime's wheel for Linux has Microsoft's client on
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",  # https://consoledonottrack.com: whoever else heeds it
}


def silence_telemetry() -> None:
    """Turn off what the libraries below send home, in this process and those that it starts.

    Each reads its variable when it is imported, so this runs with the package's own import. A user's settings stay.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
