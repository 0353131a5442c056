"""Own arguments: secrets on the command line, taken out of what lists of processes show of this one."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

KEY_FLAGS = ("-k", "--key", "--tao_key", "--tao-key")  # whose values are secrets
PROGRAMS = ("bpnet", "-m")  # what the first argument is called where the rest are this project's own
ARG_START = 48  # of the fields of /proc/PID/stat, counted from 1: proc(5)
HIDDEN = b"*"


def hide_keys(arguments: Sequence[str], process: Path = Path("/proc/self")) -> None:
    """Write asterisks over the keys among the arguments, where the system keeps them; Python's own copies stay.

    It runs with the package's own import, before anything that takes time. Where there is no such memory to be written
    to, nothing happens: a verb warns of ``-k`` anyway.

    Args:
        arguments: ``sys.argv``.
        process: The process' folder of Linux.
    """
    if not arguments or Path(arguments[0]).name not in PROGRAMS or not any(_find_secrets(arguments)):
        return
    with contextlib.suppress(OSError, ValueError, IndexError):
        shown = (process / "cmdline").read_bytes()
        start = _read_start(process)
        with (process / "mem").open("r+b", buffering=0) as memory:
            for place, length in _find_secrets_in(shown):
                memory.seek(start + place)
                memory.write(HIDDEN * length)


def _find_secrets(arguments: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Find where in which argument a key begins: ``-k KEY``, ``-vk KEY``, ``-kKEY``, ``--key KEY`` or ``--key=KEY``."""
    follows = False
    for number, argument in enumerate(arguments):
        name, equals, _ = argument.partition("=")
        if follows:
            yield number, 0
        elif equals and name in KEY_FLAGS[1:]:
            yield number, len(name) + 1
        elif argument.startswith("-k") and len(argument) > 2:
            yield number, 2
        follows = not follows and (argument in KEY_FLAGS or re.fullmatch("-[a-z]+k", argument) is not None)


def _find_secrets_in(shown: bytes) -> Iterator[tuple[int, int]]:
    """Find place and length of each key in what the system shows: arguments with a zero after each."""
    arguments = [part.decode("latin-1") for part in shown.split(b"\0")]  # a character a byte
    starts = [sum(len(part) + 1 for part in arguments[:number]) for number in range(len(arguments))]
    for number, begin in _find_secrets(arguments):
        yield starts[number] + begin, len(arguments[number]) - begin


def _read_start(process: Path) -> int:
    """Read where in the process' memory the arguments begin."""
    told = (process / "stat").read_text(encoding="latin-1")  # a character a byte
    behind_name = told.rpartition(")")[2].split()  # the name may hold blanks and brackets
    return int(behind_name[ARG_START - 3])
