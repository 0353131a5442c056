"""First photos: a few are looked at by the decoder as plain Python where compiling it first would take far longer."""

import logging
import os
import sys
from pathlib import Path

from bodyposenet.common.machine.compiled_folder import REMEDY, find_compiled_folder, has_compiled
from bodyposenet.common.machine.imports import import_numba

log = logging.getLogger(__name__)

FEW = 12  # photos: were there 50 people in each, plain Python would take half the time that compiling takes
DECODER = "decoder._decode"  # calls all that finds people in maps, so that it is the last of it to be compiled
GAIN = "and many photos take half the time then"
GIVEN = "NUMBA_DISABLE_JIT"  # whoever sets it has decided


def import_for_photos(count: int | None) -> None:
    """Import numba; for a few photos without its compiler if the decoder is not compiled yet, which one line says.

    Args:
        count: Photos that are to be looked at; None if they are many, or were not counted.
    """
    compiles = count is None or not is_plain_sooner(count)
    import_numba(compiles=compiles)
    if not compiles:
        log.log(*describe_plain(find_compiled_folder()))


def is_plain_sooner(count: int) -> bool:
    """Tell whether so many photos are looked at sooner if nothing is compiled, and nobody has decided that before."""
    if count > FEW or GIVEN in os.environ or "numba" in sys.modules:
        return False
    folder = find_compiled_folder()
    return folder is None or not has_compiled(folder, DECODER)


def describe_plain(folder: Path | None) -> tuple[int, str]:
    """Return the level and the text of the line that tells what plain Python costs, and what makes it unnecessary."""
    if folder is None:
        why = "as no folder can be written to keep it compiled; name one in BODYPOSENET_CACHE"
        return logging.WARNING, f"the decoder runs as plain Python, {why}"
    return logging.INFO, f"the decoder runs as plain Python, as it is not compiled yet; {REMEDY}, {GAIN}"
