"""Preemption: an end that somebody asks for, taken where nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from bodyposenet.common.errors import UserError

ENDED = 128 + signal.SIGTERM  # the exit code of a process that SIGTERM ended


class StoppedError(UserError):
    """The training was told to end, and has saved what it did. Exit 143."""

    exit_code = ENDED


class StopAsked(BaseException):
    """SIGTERM, raised where it does no harm; no error: like KeyboardInterrupt, it passes all that catch errors."""


class Interruption:
    """Notes SIGTERM, as a node that is taken away sends it, so that the training ends between two steps.

    Outside the main thread, where Python takes no signals, it notes nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)

    def check(self) -> None:
        """End here if that was asked for.

        Raises:
            StopAsked: It was.
        """
        if self.asked:
            raise StopAsked

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Work that may be left at any moment."""
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._at_once:
            raise StopAsked
