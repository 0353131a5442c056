"""Log file: log lines on standard error, and all that is printed in the file that is named, too."""

import contextlib
import copy
import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import click

from bodyposenet.common.plain_text import clean_message, escape_line


class _Tee:
    """A text stream that also goes to a file, as long as that can be written; a stream that is closed takes nothing."""

    def __init__(self, stream: TextIO | None, file: BinaryIO) -> None:
        self._stream, self._file = stream or io.StringIO(), file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):  # the verb's results matter more than its log
            self._file.write(text.encode(errors="backslashreplace"))
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _PlainFormatter(logging.Formatter):
    """Writes lines without control characters and secrets that names and addresses may hold."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line; a text among what a sentence is given is a name or the like, which makes no line of its own."""
        given = record.args
        if isinstance(given, tuple) and record.msg != "%s":
            record = copy.copy(record)
            texts = [str(each) for each in given]
            record.args = tuple(
                each if text.isprintable() or isinstance(each, BaseException) else escape_line(text)
                for each, text in zip(given, texts, strict=True)
            )
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
def _appending(path: Path) -> Iterator[BinaryIO]:
    """Open a log file to append to, unbuffered, so that nothing is left to write when it is closed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o666)  # a pipe nobody reads
        os.write(made, b"")
    except OSError as error:
        raise click.UsageError(f"--log_file {path}: {error.strerror}") from None
    os.set_blocking(made, True)
    with os.fdopen(made, "ab", buffering=0) as file:
        yield cast("BinaryIO", file)
