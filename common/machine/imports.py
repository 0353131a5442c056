"""Imports: libraries without what they would load beside themselves and nobody here needs."""

import contextlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from bodyposenet.common.machine.processor import read_processor

ABSENT = object()
# What numba looks for when it is first called: SciPy for linear algebra, cffi for functions of C, and this project's
# compiled functions have neither. SciPy alone takes as long to import as numba.
BESIDE_NUMBA = ("scipy", "cffi")
WHERE_NUMBA_LOOKS = ("numba", "numba.np.arraymath", "numba.core.typing.cffi_utils")


def import_without(names: Sequence[str], load: Callable[[], Any]) -> Any:
    """Load something to which modules seem not to be installed; those that are imported already stay.

    No other thread may import them meanwhile.

    Args:
        names: The modules.
        load: Imports what is wanted.
    """
    before = {name: sys.modules.get(name, ABSENT) for name in names}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # None: Python's own mark of what is not there
    try:
        return load()
    finally:
        for name, module in before.items():
            if module is ABSENT:
                del sys.modules[name]
            else:
                sys.modules[name] = module  # type: ignore[assignment]


def skip_plugins() -> None:
    """Let pydantic look for no plugins: to find some it would read the metadata of every installed package.

    For processes that are ours alone, as what follows; a user's setting stays.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


# Lines that TensorFlow's libraries write while they are loaded, by loggers of their own that read no level
GREETINGS = re.compile(rb"(WARNING: All log messages before absl::InitializeLog\(\)|[IW]\d{4} \d\d:\d\d:\d\d)[^\n]*\n")
NEEDED = {"avx2", "asimd"}  # on processors that have neither, what TensorFlow says as it dies is worth more


class _Quiet(MetaPathFinder):
    """Finds a module as others do, and leaves greetings out of what is written on stderr while it is imported."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find the module, once."""
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _run_quietly(load, module)  # type: ignore[method-assign]
        return spec


def leave_greetings_out(name: str = "tensorflow") -> None:
    """Let a module's libraries say nothing below an error when it is imported, if it ever is.

    TensorFlow's log level does not reach them. For processes that are ours alone; who sets that level to 0 sees all.
    """
    quiet = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") != "0" and read_processor().flags & NEEDED
    if quiet and name not in sys.modules and not any(isinstance(each, _Quiet) for each in sys.meta_path):
        sys.meta_path.insert(0, _Quiet(name))


def _run_quietly(load: Callable[[ModuleType], None], module: ModuleType) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, AttributeError):  # stderr is closed, or this is no Linux
            stack.enter_context(_leaving_greetings_out())
        load(module)


@contextlib.contextmanager
def _leaving_greetings_out() -> Iterator[None]:
    """Hold back what the block writes on stderr, and write it without greetings after it."""
    stderr = os.dup(2)
    said = os.memfd_create("stderr")
    os.dup2(said, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        with contextlib.suppress(OSError):
            os.write(2, GREETINGS.sub(b"", os.pread(said, os.fstat(said).st_size, 0)))
        os.close(said)
        os.close(stderr)


def import_numba(*, compiles: bool = True) -> None:
    """Import numba without SciPy and cffi, unless one of them is imported already.

    In this process numba has no covariances and no functions of C then, which a program that imports this package may
    want: so the command line calls this, and the library does not.

    Args:
        compiles: Something is to be compiled, or to be found compiled. Else functions that are decorated from now on
            stay Python, as with ``NUMBA_DISABLE_JIT=1``, and nothing is kept; processes that this one starts compile.
    """
    if not {"numba", *BESIDE_NUMBA} & sys.modules.keys():
        names = WHERE_NUMBA_LOOKS if compiles else WHERE_NUMBA_LOOKS[:1]
        import_without(BESIDE_NUMBA, lambda: [importlib.import_module(name) for name in names])
    if not compiles:
        importlib.import_module("numba").config.DISABLE_JIT = 1
