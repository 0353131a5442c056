"""CUDA: the GPU at hand and its memory, through the driver's own library: no package is needed but the driver."""

import ctypes
import sys
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from bodyposenet.common.errors import UserError

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
FUNCTIONS: dict[str, Sequence[Any]] = {
    "cuInit": (c_uint,),
    "cuDeviceGetCount": (c_void_p,),
    "cuDeviceGet": (c_void_p, c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (c_void_p, c_int, c_int),
    "cuDevicePrimaryCtxRetain": (c_void_p, c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemAlloc_v2": (c_void_p, c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemcpyHtoD_v2": (c_uint64, c_void_p, c_size_t),
    "cuMemcpyDtoH_v2": (c_void_p, c_uint64, c_size_t),
    "cuStreamCreate": (c_void_p, c_uint),
    "cuStreamSynchronize": (c_void_p,),
    "cuGetErrorString": (c_int, c_void_p),
}


class DriverError(UserError):
    """The driver refused a call."""


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: As its maker calls it.
        kind: Its compute capability, such as ``sm86``.
    """

    name: str
    kind: str


class Driver:
    """The driver's functions that are used here; each raises what goes wrong.

    Args:
        library: The driver's own, loaded.

    Raises:
        DriverError: There is no GPU, or it cannot be used.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        for name, arguments in FUNCTIONS.items():
            getattr(self._library, name).argtypes = arguments
        self.call("cuInit", 0)
        count = c_int()
        self.call("cuDeviceGetCount", byref(count))
        if not count.value:
            raise DriverError("the driver lists no GPU", where=DRIVER)
        self._device, self._context = c_int(), c_void_p()
        self.call("cuDeviceGet", byref(self._device), 0)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises:
            DriverError: It returns an error.
        """
        code = getattr(self._library, name)(*arguments)
        if code:
            text = c_char_p()
            self._library.cuGetErrorString(code, byref(text))
            raise DriverError(f"{name}: {(text.value or b'unknown error').decode()} ({code})", where=DRIVER)

    def gpu(self) -> Gpu:
        """The first GPU that is visible (``CUDA_VISIBLE_DEVICES``)."""
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, len(name), self._device.value)
        numbers = [c_int(), c_int()]
        for number, attribute in zip(numbers, (MAJOR, MINOR), strict=True):
            self.call("cuDeviceGetAttribute", byref(number), attribute, self._device.value)
        return Gpu(name.value.decode(), f"sm{numbers[0].value}{numbers[1].value}")

    def enter(self) -> None:
        """Make the GPU's primary context, which the CUDA runtime uses, too, this thread's."""
        if not self._context:
            self.call("cuDevicePrimaryCtxRetain", byref(self._context), self._device.value)
        self.call("cuCtxSetCurrent", self._context)


@cache
def driver() -> Driver:
    """The driver, loaded once.

    Raises:
        OSError: There is none.
        DriverError: There is no GPU, or it cannot be used.
    """
    return Driver(ctypes.CDLL(DRIVER))


def find_gpu(fix: str) -> Gpu:
    """The GPU at hand.

    Args:
        fix: What to do where there is none.

    Raises:
        UserError: There is none.
    """
    try:
        return driver().gpu()
    except OSError as error:
        raise UserError("there is no NVIDIA driver here, so no GPU", fix=fix) from error
    except DriverError as error:
        raise UserError("no GPU can be used here", where=str(error), fix=fix) from error


class Stream:
    """An order of work on the GPU, and memory for it that grows as needed.

    Raises:
        DriverError: The GPU cannot be used.
    """

    def __init__(self) -> None:
        self._driver = driver()
        self._driver.enter()
        stream = c_void_p()
        self._driver.call("cuStreamCreate", byref(stream), 0)
        self.handle = stream.value or 0
        self._buffers: dict[str, tuple[int, int]] = {}  # address, bytes

    def enter(self) -> None:
        """Let this thread use the GPU, as whoever made the stream does."""
        self._driver.enter()

    def buffer(self, name: str, size: int) -> int:
        """The address of at least ``size`` bytes under a name."""
        address, held = self._buffers.get(name, (0, 0))
        if held >= size:
            return address
        if address:
            self._driver.call("cuMemFree_v2", address)
            del self._buffers[name]
        new = c_uint64()
        self._driver.call("cuMemAlloc_v2", byref(new), size)
        self._buffers[name] = (new.value, size)
        return new.value

    def put(self, name: str, array: np.ndarray) -> int:
        """Copy an array to the GPU; the address."""
        array = np.ascontiguousarray(array)
        address = self.buffer(name, array.nbytes)
        self._driver.call("cuMemcpyHtoD_v2", address, array.ctypes.data, array.nbytes)
        return address

    def take(self, name: str, array: np.ndarray) -> np.ndarray:
        """Fill an array with what lies under a name, when all work is done."""
        self._driver.call("cuStreamSynchronize", self.handle)
        self._driver.call("cuMemcpyDtoH_v2", array.ctypes.data, self._buffers[name][0], array.nbytes)
        return array

    def close(self) -> None:
        """Free the memory."""
        while self._buffers:
            _, (address, _) = self._buffers.popitem()
            self._driver.call("cuMemFree_v2", address)
