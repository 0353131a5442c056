"""Engine: an exported network compiled for GPUs by TensorRT or TensorRT-RTX."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.deploy.onnx_file import INPUT, card_of_model, read_model
from bodyposenet.common.deploy.tensorrt.engine_file import EngineCard, beside, write_engine
from bodyposenet.common.deploy.tensorrt.engine_library import Shape, Shapes, choose_library
from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.words import DataType, EngineLibrary
from bodyposenet.common.storage.digests import digest_bytes, digest_file

if TYPE_CHECKING:
    from onnx import ModelProto

log = logging.getLogger(__name__)

Size = tuple[int, int]


@dataclass(frozen=True)
class EngineOptions:
    """How an engine is to be.

    Attributes:
        size: ``(height, width)`` of the input that it is to be fast at; what the network was trained at if None.
        min_size: Smallest input; ``size`` if None. An engine whose sizes are one pads photos to it.
        max_size: Largest input; ``size`` if None.
        batch: Pictures at once that it is to be fast at.
        min_batch: Fewest pictures at once.
        max_batch: Most pictures at once.
        workspace: Bytes that layers may use at once.
        data_type: Precision that the model must be in; any if None.
        library: What builds; chosen by what is installed if None.
        gpus: Kinds of GPU to build for without having one, such as ``sm86``; TensorRT-RTX only.
        timing_cache: File of measured times, read and written; TensorRT only.
    """

    size: Size | None = None
    min_size: Size | None = None
    max_size: Size | None = None
    batch: int = 1
    min_batch: int = 1
    max_batch: int = 1
    workspace: int = 2 << 30
    data_type: DataType | None = None
    library: EngineLibrary | None = None
    gpus: tuple[str, ...] = ()
    timing_cache: Path | None = None


@dataclass(frozen=True)
class Engine:
    """What was built.

    Attributes:
        path: The engine; its card is beside it.
        card: What it is.
        bytes: Its size.
        seconds: How long the library took.
    """

    path: Path
    card: EngineCard
    bytes: int
    seconds: float

    @property
    def card_path(self) -> Path:
        """Where the card is."""
        return beside(self.path)


def build_engine(onnx: Path, engine_file: Path, options: EngineOptions | None = None) -> Engine:
    """Compile an ONNX model for GPUs.

    Args:
        onnx: What ``bpnet export`` wrote: float, half precision, or 8 bits in the form for TensorRT.
        engine_file: Where the engine goes; one that is there is replaced. Its card goes to ``<engine_file>.json``.
        options: Shapes, precision, library.

    Raises:
        UserError: The model or the options do not fit, no library or no GPU is there, or the library cannot build it.
    """
    options = options or EngineOptions()
    model = read_model(onnx)
    card = card_of_model(model, onnx)
    precision = require_precision(model, options.data_type, onnx)
    shapes = plan_shapes(model, options, card.input_size, card.stride, onnx)
    library = choose_library(options.library, options.gpus)
    gpus = library.gpus(options.gpus)
    log.info("%s %s builds %s for %s in %s", library.name, library.version, engine_file, ", ".join(gpus), precision)
    started = time.monotonic()
    content = library.build(
        model.SerializeToString(),
        {INPUT: shapes},
        gpus=gpus,
        workspace=options.workspace,
        timing_cache=options.timing_cache,
    )
    seconds = time.monotonic() - started
    told = EngineCard(
        library=library.name,
        version=library.version,
        gpus=gpus,
        precision=precision,
        shapes=dict(zip(("min", "opt", "max"), shapes, strict=True)),
        workspace=options.workspace,
        onnx={"name": onnx.name, "sha256": digest_file(onnx)},
        sha256=digest_bytes(content),
        model=card,
    )
    write_engine(engine_file, content, told)
    return Engine(engine_file, told, len(content), seconds)


def find_precision(model: "ModelProto") -> DataType:
    """The narrowest type that a model's convolutions compute in."""
    from onnx import TensorProto

    if any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        return "int8"
    halves = any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "fp16" if halves else "fp32"


def require_precision(model: "ModelProto", wanted: DataType | None, where: Path) -> DataType:
    """The model's precision, which is the engine's.

    Raises:
        UserError: It is not the one that is wanted, or its 8 bits are those for processors.
    """
    from onnx import TensorProto

    found = find_precision(model)
    if found == "int8" and any(tensor.data_type == TensorProto.UINT8 for tensor in model.graph.initializer):
        fix = "give the other one that export wrote, without .cpu in its name"
        raise UserError("this 8-bit model is the one for processors", where=str(where), fix=fix)
    if wanted not in (None, found):
        problem = f"the model is in {found}, not {wanted}; an engine computes in the types of its model"
        raise UserError(problem, where=str(where), fix=f"give what `bpnet export --data_type {wanted}` writes")
    return found


def plan_shapes(model: "ModelProto", options: EngineOptions, size: Size, stride: int, where: Path) -> Shapes:
    """The smallest, the typical and the largest shape of an engine's input.

    Args:
        model: Where its input has fixed dimensions, so has the engine.
        options: Sizes and batches; sides that they leave open are those of the model or of ``size``.
        size: ``(height, width)`` that the network was trained at.
        stride: What heights and widths are multiples of.
        where: The model's file.

    Raises:
        UserError: They are no multiples of the stride, are out of order, or contradict the model's own.
    """
    fixed = read_shape(model)
    typical = options.size or (fixed[1] or size[0], fixed[2] or size[1])
    sizes = (options.min_size or typical, typical, options.max_size or typical)
    often = max(options.batch, options.min_batch)
    batches = (fixed[0],) * 3 if fixed[0] else (options.min_batch, often, max(options.max_batch, often))
    smallest, best, largest = ((batch, *side, 3) for batch, side in zip(batches, sizes, strict=True))
    _require_order((smallest, best, largest), where)
    for height, width in sizes:
        if height % stride or width % stride:
            fix = f"use multiples of {stride}"
            raise UserError(f"the network's grid does not fit {height}x{width}", where=str(where), fix=fix)
        if (fixed[1] or height, fixed[2] or width) != (height, width):
            fix = "leave the size out, or export a model of open size"
            raise UserError(
                f"the model takes {fixed[1]}x{fixed[2]} only, not {height}x{width}", where=str(where), fix=fix
            )
    return smallest, best, largest


def read_shape(model: "ModelProto") -> tuple[int, int, int, int]:
    """The input's shape; 0 where it is open."""
    dims = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    return (dims[0], dims[1], dims[2], dims[3])


def _require_order(shapes: tuple[Shape, Shape, Shape], where: Path) -> None:
    for name, values in zip(("batch", "height", "width"), list(zip(*shapes, strict=True))[:3], strict=True):
        if not 0 < values[0] <= values[1] <= values[2]:
            told = " <= ".join(map(str, values))
            raise UserError(
                f"{name}: {told} does not hold", where=str(where), fix="give min <= opt <= max, all positive"
            )
