"""Log file: log lines on standard error, and all that is printed in the file that is named, too."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from bodyposenet.common.plain_text import clean_message


class _Tee:
    """A text stream that also goes to a file."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream, self._file = stream, file

    def write(self, text: str) -> int:
        self._file.write(text)
        self._file.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _PlainFormatter(logging.Formatter):
    """Writes lines without control characters and secrets that names and addresses may hold."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        return clean_message(super().format(record))


@contextlib.contextmanager
def logging_to(log_file: str | None, level: str | None) -> Iterator[None]:
    """Our log lines on stderr, from ``level`` on; stdout and stderr appended to ``log_file`` too."""
    with contextlib.ExitStack() as stack:
        if log_file:
            file = stack.enter_context(_appending(Path(log_file)))
            stack.enter_context(contextlib.redirect_stdout(_Tee(sys.stdout, file)))
            stack.enter_context(contextlib.redirect_stderr(_Tee(sys.stderr, file)))
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        log = logging.getLogger("bodyposenet")
        old = log.level
        log.addHandler(handler)
        log.setLevel(level or "INFO")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's own greetings
        stack.callback(log.setLevel, old)
        stack.callback(log.removeHandler, handler)
        yield


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[TextIO]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--log_file {path}: {error.strerror}") from None
    with file:
        yield file
