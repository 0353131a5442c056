"""A GPU that is none: the driver's functions on the host's memory, and engines that ONNX Runtime runs.

This is the edge where the project ends and NVIDIA's libraries begin. Builder and parser are TensorRT-RTX's own.
"""

import ctypes
import types
from ctypes import CFUNCTYPE, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p

import numpy as np
import onnxruntime

OUT_OF_MEMORY = 2


def written(address, kind, value):
    kind.from_address(address).value = value
    return 0


class HostDriver:
    """Stands for libcuda: compute capability 8.6, and as much memory as it is given."""

    def __init__(self, memory=1 << 24, gpus=1):
        self.free, self.buffers, self.log = memory, {}, []
        ok = lambda *arguments: 0  # noqa: E731
        self.cuInit = CFUNCTYPE(c_int, c_uint)(ok)
        self.cuDeviceGetCount = CFUNCTYPE(c_int, c_void_p)(lambda out: written(out, c_int, gpus))
        self.cuDeviceGet = CFUNCTYPE(c_int, c_void_p, c_int)(lambda out, index: written(out, c_int, 7 + index))
        self.cuDeviceGetName = CFUNCTYPE(c_int, c_void_p, c_int, c_int)(self.name)
        self.cuDeviceGetAttribute = CFUNCTYPE(c_int, c_void_p, c_int, c_int)(self.attribute)
        self.cuDevicePrimaryCtxRetain = CFUNCTYPE(c_int, c_void_p, c_int)(lambda out, _: written(out, c_void_p, 77))
        self.cuCtxSetCurrent = CFUNCTYPE(c_int, c_void_p)(ok)
        self.cuMemAlloc_v2 = CFUNCTYPE(c_int, c_void_p, c_size_t)(self.allocate)
        self.cuMemFree_v2 = CFUNCTYPE(c_int, c_uint64)(self.release)
        self.cuMemcpyHtoD_v2 = CFUNCTYPE(c_int, c_uint64, c_void_p, c_size_t)(self.copy)
        self.cuMemcpyDtoH_v2 = CFUNCTYPE(c_int, c_void_p, c_uint64, c_size_t)(self.copy)
        self.cuStreamCreate = CFUNCTYPE(c_int, c_void_p, c_uint)(lambda out, _: written(out, c_void_p, 88))
        self.cuStreamSynchronize = CFUNCTYPE(c_int, c_void_p)(self.synchronise)
        self.text = ctypes.create_string_buffer(b"out of memory")
        self.cuGetErrorString = CFUNCTYPE(c_int, c_int, c_void_p)(
            lambda _, out: written(out, c_void_p, ctypes.addressof(self.text))
        )
        self.cuDeviceGetName.argtypes = (c_char_p, c_int, c_int)

    def name(self, out, size, device):
        ctypes.memmove(out, b"Host 3000\0", 10)
        return 0

    def attribute(self, out, which, device):
        assert device == 7
        return written(out, c_int, {75: 8, 76: 6}[which])

    def allocate(self, out, size):
        if size > self.free:
            return OUT_OF_MEMORY
        self.free -= size
        buffer = ctypes.create_string_buffer(size)
        self.buffers[ctypes.addressof(buffer)] = buffer
        return written(out, c_uint64, ctypes.addressof(buffer))

    def release(self, address):
        self.free += len(self.buffers.pop(address))
        return 0

    def copy(self, target, source, size):
        (held,) = [len(self.buffers[place]) for place in (target, source) if place in self.buffers]
        assert size <= held
        ctypes.memmove(target, source, size)
        return 0

    def synchronise(self, stream):
        assert stream == 88
        self.log.append("synchronise")
        return 0


class HostEngine:
    """An engine whose maps ONNX Runtime computes."""

    def __init__(self, trt, model, smallest, largest):
        self.trt, self.smallest, self.largest = trt, smallest, largest
        self.session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self.names = ["input_1", *(value.name for value in self.session.get_outputs())]
        self.num_io_tensors = len(self.names)
        self.batches = []

    def get_tensor_name(self, index):
        return self.names[index]

    def get_tensor_mode(self, name):
        return self.trt.TensorIOMode.INPUT if name == "input_1" else self.trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        return self.trt.DataType.FLOAT

    def create_execution_context(self):
        return HostContext(self)


class HostContext:
    def __init__(self, engine):
        self.engine, self.addresses, self.shape = engine, {}, None

    def set_input_shape(self, name, shape):
        self.shape = tuple(shape)
        return all(a <= b <= c for a, b, c in zip(self.engine.smallest, shape, self.engine.largest, strict=True))

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def get_tensor_shape(self, name):
        channels = {value.name: value.shape[3] for value in self.engine.session.get_outputs()}[name]
        return (self.shape[0], self.shape[1] // 8, self.shape[2] // 8, channels)

    def execute_async_v3(self, stream):
        assert stream == 88
        self.engine.batches.append(self.shape[0])
        floats = (ctypes.c_float * int(np.prod(self.shape))).from_address(self.addresses["input_1"])
        names = self.engine.names[1:]
        found = self.engine.session.run(names, {"input_1": np.array(floats, np.float32).reshape(self.shape)})
        for name, maps in zip(names, found, strict=True):
            ctypes.memmove(self.addresses[name], np.ascontiguousarray(maps).ctypes.data, maps.nbytes)
        return True


def library(engines):
    """TensorRT-RTX's module, but that its runtime opens ``engines``: their bytes -> a HostEngine or None."""
    import tensorrt_rtx

    class Runtime:
        def __init__(self, logger):
            self.logger = logger

        def deserialize_cuda_engine(self, content):
            found = engines.get(content)
            if found is None:
                self.logger.log(tensorrt_rtx.ILogger.Severity.ERROR, "engine plan file is of another version")
            return found

    module = types.ModuleType("tensorrt")
    module.__dict__.update({name: value for name, value in vars(tensorrt_rtx).items() if name != "Runtime"})
    module.Runtime = Runtime
    return module
