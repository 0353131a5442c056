"""Engine runner: a network compiled by TensorRT or TensorRT-RTX, on the GPU that it was built for."""

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.deploy.input_sizes import InputSizes, in_batches
from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS, require_outputs
from bodyposenet.common.deploy.runner import Maps, require_images
from bodyposenet.common.deploy.tensorrt.cuda import Stream, find_gpu
from bodyposenet.common.deploy.tensorrt.engine_file import EngineCard, read_engine
from bodyposenet.common.deploy.tensorrt.engine_library import ANY_RTX, Library, logger
from bodyposenet.common.errors import UserError

AMPERE = 80


class EngineRunner:
    """An engine and the card beside it.

    Args:
        path: What ``bpnet build_engine`` wrote.

    Raises:
        UserError: The engine or its card is missing or damaged, there is no GPU or another kind of GPU, or the library
            is not installed or another version.
    """

    library = "TensorRT"

    def __init__(self, path: Path) -> None:
        content, self.engine_card = read_engine(path)
        self.card = self.engine_card.model
        self.sizes = sizes_in(self.engine_card)
        self._where = str(path)
        library = Library(self.engine_card.library)
        self.gpu = find_gpu("run the engine where its GPU is; the ONNX model runs here")
        require_kind(self.engine_card, self.gpu.kind, path)
        self._trt = library.trt
        self._runtime = library.trt.Runtime(logger(library.name))  # it must outlive the engine
        self._engine = self._deserialize(library, content)
        self._outputs = _outputs(self._trt, self._engine)
        require_outputs(self._outputs, path)
        self._context = self._engine.create_execution_context()
        self._stream = Stream()
        self._one = threading.Lock()

    def _deserialize(self, library: Library, content: bytes) -> Any:
        said, card = logger(library.name), self.engine_card
        said.problems.clear()
        engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            versions = f"it was built with {card.library} {card.version}, here is {library.version}"
            problem = f"cannot be loaded: {'; '.join(said.problems) or 'the library does not say why'} ({versions})"
            raise UserError(problem, where=self._where, fix="build it here from the ONNX model: bpnet build_engine")
        return engine

    def __call__(self, images: np.ndarray) -> Maps:
        """See :class:`Runner`."""
        require_images(images, self.card.stride)
        self.sizes.require((images.shape[1], images.shape[2]), where=self._where)
        with self._one:  # thread at a time: there is one stream
            self._stream.enter()
            return in_batches(self._run, np.asarray(images, np.float32), self.sizes)

    def _run(self, images: np.ndarray) -> Maps:
        """Run as many pictures as the engine takes at once."""
        context, stream = self._context, self._stream
        if not context.set_input_shape(INPUT, images.shape):
            raise UserError(f"the engine refuses inputs of shape {images.shape}", where=self._where)
        context.set_tensor_address(INPUT, stream.put(INPUT, images))
        maps = {name: self._room(name) for name in OUTPUTS}
        if not context.execute_async_v3(stream.handle):
            raise UserError("the engine failed", where=self._where, fix="run with -l DEBUG for the library's log")
        heatmaps, pafs = (stream.take(name, array).astype(np.float32, copy=False) for name, array in maps.items())
        return heatmaps, pafs

    def _room(self, name: str) -> np.ndarray:
        """An array for an output, and as much memory on the GPU."""
        array = np.empty(
            tuple(self._context.get_tensor_shape(name)), self._trt.nptype(self._engine.get_tensor_dtype(name))
        )
        self._context.set_tensor_address(name, self._stream.buffer(name, array.nbytes))
        return array


def sizes_in(card: EngineCard) -> InputSizes:
    """The inputs that an engine takes."""
    smallest, largest = card.shapes["min"], card.shapes["max"]
    return InputSizes((smallest[1], smallest[2]), (largest[1], largest[2]), smallest[0], largest[0])


def require_kind(card: EngineCard, kind: str, path: Path) -> None:
    """Refuse a GPU that an engine was not built for.

    Raises:
        UserError: Its kind is another.
    """
    number = int("".join(re.findall(r"\d", kind)) or 0)
    if kind in card.gpus or (ANY_RTX in card.gpus and number >= AMPERE):
        return
    problem = f"the engine was built for {', '.join(card.gpus)}, and the GPU here is {kind}"
    raise UserError(problem, where=str(path), fix="build it here from the ONNX model: bpnet build_engine")


def _outputs(trt: Any, engine: Any) -> list[str]:
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]
