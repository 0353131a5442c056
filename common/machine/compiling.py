"""Compiling: numba's compiler, with a place for its results that this user has, and a word before it takes long."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba.core import event
from numba.core.runtime.nrt import rtsys

from bodyposenet.common.machine.compiled_folder import WAIT, find_compiled_folder, find_source

log = logging.getLogger(__name__)

# The beginnings of modules' names, the longest first: what is compiled, and how long that takes.
TRAINING_DATA = "what makes training data, a few seconds"
SUBJECTS = {
    "bodyposenet.common.pose.encoder": TRAINING_DATA,
    "bodyposenet.common.imaging.": TRAINING_DATA,
    "bodyposenet.common.data.": TRAINING_DATA,
    "bodyposenet.common.pose.": f"the decoder, {WAIT}",
}
SETTINGS: Any = numba.config  # which makes its names when it is imported
_deciding = threading.Lock()


def njit(*, cache: bool = True, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function when it is first called, and keep that where :func:`find_compiled_folder` says.

    Where nothing can be written it is compiled in every process; numba's own decorator would raise.

    Args:
        cache: Keep what was compiled.
        **options: Those of ``numba.njit``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        folder = find_compiled_folder() if cache and not SETTINGS.DISABLE_JIT else None
        if folder is not None:
            source = find_source(Path(function.__code__.co_filename), folder)
            function.__code__ = function.__code__.replace(co_filename=str(source))
        dispatcher = numba.njit(**options)(function)
        if folder is not None:
            with _keeping_in(folder):
                dispatcher.enable_caching()
            _load_alone(dispatcher._cache)
        return dispatcher

    return decorate


@contextmanager
def _keeping_in(folder: Path) -> Iterator[None]:
    """Within it numba chooses this folder; whoever else uses numba in this process keeps its own."""
    with _deciding:
        before = SETTINGS.CACHE_DIR
        SETTINGS.CACHE_DIR = str(folder)
        try:
            yield
        finally:
            SETTINGS.CACHE_DIR = before


def _load_alone(kept: Any) -> None:
    """Let a function that is found compiled be loaded without all that numba compiles with, which takes longer.

    numba fetches that whenever it compiles, too, so what is not found, or calls this function, has it nevertheless.
    What compiled code itself calls beside Python's and C's functions is the part that is started here, which counts
    arrays' references. numba's lock of its compiler is held meanwhile.

    Args:
        kept: Where a function's dispatcher looks for it, a ``FunctionCache``.
    """
    load = kept.load_overload

    def load_overload(signature: Any, context: Any) -> Any:
        context.refresh = partial(rtsys.initialize, context)
        try:
            return load(signature, context)
        finally:
            del context.refresh

    kept.load_overload = load_overload


class Announcer(event.Listener):
    """Tells once a subject that something is compiled that was not found.

    Attributes:
        count: Functions compiled so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._told: set[str] = set()

    def on_start(self, begun: Any) -> None:
        """Tell, before the first function of a subject is compiled."""
        subject = find_subject(begun.data["dispatcher"].py_func.__module__)
        self.count += subject is not None
        if subject is not None and subject not in self._told:
            self._told.add(subject)
            log.log(*describe_wait(subject, find_compiled_folder()))

    def on_end(self, ended: Any) -> None:
        """Leave it at that."""


def find_subject(module: str) -> str | None:
    """Return what is compiled with a function of a module; None if it is not one of the project's."""
    return next((subject for beginning, subject in SUBJECTS.items() if module.startswith(beginning)), None)


def describe_wait(subject: str, folder: Path | None) -> tuple[int, str]:
    """Return the level and the text of the line that tells what is compiled, and for how long that holds."""
    if folder is not None:
        return logging.INFO, f"compiling {subject}, once; kept in {folder.parent}"
    remedy = "as no folder can be written to keep it; name one in BODYPOSENET_CACHE"
    return logging.WARNING, f"compiling {subject}, at every start, {remedy}"


announcer = Announcer()
event.register("numba:compile", announcer)
