"""Imports: libraries without what they would load beside themselves and nobody here needs."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

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
