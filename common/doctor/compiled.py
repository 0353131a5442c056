"""Compiled: whether the functions that numba compiles are there already, and where they are kept."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bodyposenet.common.doctor.line import Line
from bodyposenet.common.machine.compiled_folder import REMEDY
from bodyposenet.common.storage.digests import digest_bytes

State = Literal["warm", "in part", "cold", "unkept", "off"]
TEXTS: dict[State, str] = {
    "warm": "all there",
    "in part": f"in part, so that the first use of the rest waits; {REMEDY}",
    "cold": f"not there yet, so that the first use waits; {REMEDY}",
    "unkept": "at every start, as no folder can be written to keep it; name one in BODYPOSENET_CACHE",
    "off": "never, as NUMBA_DISABLE_JIT is set: all runs as plain Python, which is slow; unset it",
}


@dataclass(frozen=True)
class Compiled:
    """What numba has compiled.

    Attributes:
        state: ``warm``: all of it, for this processor; ``in part``: what was used, or for another processor; ``cold``:
            nothing; ``unkept``: no folder can be written; ``off``: nothing is to be compiled.
        folder: Where it is kept; another one for every state of the sources.
        functions: How many are there.
    """

    state: State
    folder: str | None
    functions: int


def examine_compiled() -> Compiled:
    """Look for what is compiled for this processor."""
    from bodyposenet.common.machine.compiled_folder import find_compiled_folder
    from bodyposenet.common.machine.compiling import SETTINGS

    if SETTINGS.DISABLE_JIT:
        return Compiled("off", None, 0)
    folder = find_compiled_folder()
    return Compiled("unkept", None, 0) if folder is None else look_into(folder, name_processor())


def look_into(folder: Path, processor: str) -> Compiled:
    """Tell what a folder has.

    Args:
        folder: For one state of the sources.
        processor: Whose code is asked for, of :func:`name_processor`.
    """
    functions = sum(1 for _ in folder.rglob("*.nbi"))
    state: State = "in part" if functions else "cold"
    return Compiled("warm" if functions and _mark(folder, processor).exists() else state, str(folder), functions)


def describe_compiled(compiled: Compiled) -> Iterator[Line]:
    """Tell whether the first use has to wait."""
    yield Line("state", TEXTS[compiled.state], is_problem=compiled.state != "warm")
    if compiled.folder:
        yield Line("folder", compiled.folder)


def mark_warm(folder: Path, processor: str) -> None:
    """Note that everything is compiled for a processor."""
    _mark(folder, processor).touch()


def name_processor() -> str:
    """Name what numba compiles for: versions, processor and its instruction sets, 16 hexadecimal digits."""
    import numba
    from numba.core.registry import cpu_target

    target = cpu_target.target_context.codegen().magic_tuple()
    return digest_bytes(repr((platform.python_version_tuple()[:2], numba.__version__, target)))[:16]


def _mark(folder: Path, processor: str) -> Path:
    return folder / f"warm-{processor}"
