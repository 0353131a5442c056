"""TensorRT cache: a network's calibrated ranges in the text form that versions up to 10 read."""

import re
import struct
from collections.abc import Mapping

from bodyposenet.common.errors import UserError

HEADER = "TRT-8501-EntropyCalibration2"  # TensorRT 8.5.1; later ones up to 10 read it with a warning
ANY_HEADER = re.compile(r"TRT-\d+-\w+Calibration2?")
LINE = re.compile(r"(.+): ([0-9a-f]{1,8})", re.IGNORECASE)
LEVELS = 127  # of a signed 8-bit number: the scale is the largest magnitude over it


def cache_text(ranges: Mapping[str, float]) -> str:
    """Write ranges as TensorRT does: per tensor its scale as the eight hex digits of a big-endian float32.

    Args:
        ranges: Largest magnitude ``amax`` by tensor name; the scale of signed 8-bit numbers is ``amax / 127``.
    """
    lines = [f"{name}: {struct.pack('>f', amax / LEVELS).hex()}" for name, amax in ranges.items()]
    return "\n".join([HEADER, *lines, ""])


def parse_cache(text: str, *, where: str = "calibration cache") -> dict[str, float]:
    """Read a cache that this project or TensorRT wrote.

    Args:
        text: The file's content.
        where: What messages call it.

    Returns:
        Scale by tensor name; the largest magnitude is 127 times as much.

    Raises:
        UserError: The first line is not a cache's, or a line is no tensor with its scale.
    """
    first, *lines = text.splitlines() or [""]
    fix = "remove the file, so that it is written anew, or name another"
    if not ANY_HEADER.fullmatch(first.strip()):
        raise UserError(f"begins with {first[:40]!r}, not with TRT-<version>-EntropyCalibration2", where=where, fix=fix)
    scales = {}
    for number, line in enumerate(lines, 2):
        found = LINE.fullmatch(line.strip())
        if found:
            scales[found[1]] = float(struct.unpack(">f", bytes.fromhex(found[2].zfill(8)))[0])
        elif line.strip():
            raise UserError(f"{line[:60]!r} is no tensor with its scale", where=f"{where}:{number}", fix=fix)
    return scales
