"""Calibration cache: a network's ranges in the text form that TensorRT up to version 10 reads."""

import struct
from collections.abc import Mapping

HEADER = "TRT-1000-EntropyCalibration2"  # TensorRT 10.0; it reads the caches of other versions with a warning


def cache_text(ranges: Mapping[str, float]) -> str:
    """Write ranges as TensorRT does: per tensor its scale as the eight hex digits of a big-endian float32.

    Args:
        ranges: Largest magnitude ``amax`` by tensor name; the scale of signed 8-bit numbers is ``amax / 127``.
    """
    lines = [f"{name}: {struct.pack('>f', amax / 127).hex()}" for name, amax in ranges.items()]
    return "\n".join([HEADER, *lines, ""])
