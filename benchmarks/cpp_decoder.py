"""C++ decoder: the one that bundles hand out, compiled and called from Python."""

import ctypes
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.pose import People

ROOT = Path(__file__).parents[1]
HEADERS = ROOT / "common/deploy/export/decoders"
SOURCE = ROOT / "benchmarks/cpp_decoder.cpp"
FAST = ("-O3", "-march=native", "-fno-math-errno")  # as the header recommends
ROOM = 2048  # people, and letters of a message


def compile_decoder(folder: Path, *flags: str) -> Path:
    """Compile the decoder as a library for ctypes, warnings being errors."""
    library = folder / "cpp_decoder.so"
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC", *flags]
    subprocess.run([*command, f"-I{HEADERS}", str(SOURCE), "-o", str(library)], check=True)
    return library


class CppDecoder:
    """A decoder for one network.

    Args:
        library: What :func:`compile_decoder` made.
        sheet: What skeleton.json says of the network, or its text.

    Raises:
        ValueError: The decoder does not take the sheet.
    """

    def __init__(self, library: Path, sheet: Mapping[str, Any] | str) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.open_decoder.restype = ctypes.c_void_p
        self._library.close_decoder.argtypes = [ctypes.c_void_p]
        self._library.count_joints.argtypes = [ctypes.c_void_p]
        self._library.decode_maps.argtypes = [ctypes.c_void_p] * 6 + [ctypes.c_int]
        text = sheet if isinstance(sheet, str) else json.dumps(sheet)
        problem = ctypes.create_string_buffer(ROOM)
        self._decoder = self._library.open_decoder(text.encode(), problem, ROOM)
        if not self._decoder:
            raise ValueError(problem.value.decode())

    def __del__(self) -> None:
        if getattr(self, "_decoder", None):
            self._library.close_decoder(self._decoder)

    def decode(self, heatmaps: np.ndarray, pafs: np.ndarray, *, channels_first: bool = False) -> People:
        """Find people in maps ``(H, W, C)``, which the decoder gets as they are or with their channels first.

        Raises:
            ValueError: The decoder does not take the maps.
        """
        call, people = self.prepare(heatmaps, pafs, channels_first=channels_first)
        count = call()
        if count < 0:
            raise ValueError("the decoder does not take the maps")
        return people.keep(np.arange(ROOM) < count)

    def prepare(
        self, heatmaps: np.ndarray, pafs: np.ndarray, *, channels_first: bool = False
    ) -> tuple[Callable[[], int], People]:
        """Return the call that decodes and tells how many people it finds, and the ``ROOM`` people that it fills."""
        order = (2, 0, 1) if channels_first else (0, 1, 2)
        maps = [np.ascontiguousarray(each.transpose(order), np.float32) for each in (heatmaps, pafs)]
        shape = np.array([*heatmaps.shape, pafs.shape[2], channels_first], np.int32)
        joints = self._library.count_joints(self._decoder)
        people = People(np.zeros((ROOM, joints, 3), np.float32), np.zeros(ROOM, np.float32))
        arrays = [*maps, shape, people.scores, people.keypoints]
        given = [array.ctypes.data for array in arrays]

        def call(_: object = arrays) -> int:  # which are kept as long as the call
            count: int = self._library.decode_maps(self._decoder, *given, ROOM)
            return count

        return call, people
