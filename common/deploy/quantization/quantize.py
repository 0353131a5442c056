"""Quantize: pictures in, 8-bit models out, on the CPU and in the memory of one picture."""

import difflib
import fnmatch
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from bodyposenet.common.deploy.onnx_file import card_of_model, write_model, write_whole
from bodyposenet.common.deploy.quantization.calibration_images import CalibrationImages
from bodyposenet.common.deploy.quantization.float_network import read_float_network
from bodyposenet.common.deploy.quantization.histograms import Histogram, threshold
from bodyposenet.common.deploy.quantization.observer import observe, warn_of_zeros
from bodyposenet.common.deploy.quantization.qdq import Grid, concatenations, convolutions, insert_qdq, list_rounded
from bodyposenet.common.deploy.quantization.tensorrt_cache import LEVELS, cache_text, parse_cache
from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.words import CalibrationMethod
from bodyposenet.common.storage.files import read_bytes

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

Span = tuple[float, float]  # lowest and highest value that a tensor keeps

NOT_NEGATIVE = {"Relu", "Sigmoid", "Softplus"}  # whatever they read
PASSING = {"Concat", "MaxPool", "Transpose", "Identity"}  # no value that they did not read


@dataclass(frozen=True)
class Ranges:
    """The values that a network's tensors keep in 8 bits, by tensor name.

    Attributes:
        signed: Largest magnitude, where numbers are signed and the parts of a concatenation share a scale.
        spans: Lowest and highest value, where they are unsigned.
        images: Pictures that they come from; 0 if from a cache.
    """

    signed: Mapping[str, float]
    spans: Mapping[str, Span]
    images: int = 0


@dataclass(frozen=True)
class Quantized:
    """What a calibration wrote.

    Attributes:
        path: Model for TensorRT: signed 8-bit numbers.
        cpu_path: Model for ONNX Runtime on a CPU: unsigned 8-bit numbers.
        cache: Calibration cache for TensorRT up to version 10.
        images: Pictures that were seen.
        kept: Convolutions that stay float.
    """

    path: Path
    cpu_path: Path
    cache: Path
    images: int
    kept: tuple[str, ...] = ()


Keep = Collection[str] | Callable[["ModelProto", Ranges], Collection[str]]


def quantize_int8(
    onnx: Path,
    images: CalibrationImages | Iterable[np.ndarray],
    output: Path,
    *,
    method: CalibrationMethod = "entropy",
    cache: Path | None = None,
    keep: Keep = (),
) -> Quantized:
    """Calibrate a float model and write its 8-bit forms: ``X.int8.onnx``, ``X.int8.cpu.onnx`` and ``X.int8.cache``.

    With ``CalibrationImages``, what was counted is kept in ``.X.int8.part.npz`` until the forms are written: a
    calibration that was killed goes on from there and writes the same bytes.

    Args:
        onnx: What :func:`export_onnx` wrote.
        images: Normalised pictures ``(B, H, W, 3)``, sizes may differ; read once.
        output: ``X.int8.onnx`` or ``X.onnx``, or with ``.etlt`` for both models; files that are there are replaced.
        method: ``entropy``, ``minmax`` or ``percentile``.
        cache: Where to write the cache, if not beside the models.
        keep: Convolutions that stay float, or what chooses them once the ranges are known.

    Raises:
        UserError: The method is unknown, there is no picture, a picture has an unfit shape, a value is not finite, or
            there is no such convolution.

    Examples:
        >>> from bodyposenet.common.deploy.quantization.calibration_images import Fitting, from_folder
        >>> pictures = from_folder("photos/images", Fitting((192, 256), network.card), batches=4)
        >>> small = bodyposenet.quantize_int8(Path("model.onnx"), pictures, Path("model.int8.onnx"))
        >>> small.cpu_path.name
        'model.int8.cpu.onnx'
    """
    if method not in get_args(CalibrationMethod):
        known = ", ".join(get_args(CalibrationMethod))
        raise UserError(f"unknown calibration method {method!r}", fix=f"choose {known}")
    model = read_float_network(onnx)
    kept = keep if callable(keep) else _match_convolutions(keep, model, onnx)
    path = output_paths(output)[0]
    part = path.with_name(f".{path.stem}.part.npz")
    found = observe(model, images, stride=card_of_model(model, onnx).stride, saved=part)
    warn_of_zeros(found.histograms)
    signed = compute_shared_amax(model.graph, found.histograms, method)
    ranges = Ranges(signed, compute_spans(model.graph, found.histograms, method), found.images)
    done = write_int8(model, ranges, output, cache, keep=kept(model, ranges) if callable(kept) else kept)
    part.unlink(missing_ok=True)
    return done


def _match_convolutions(keep: Collection[str], model: "ModelProto", where: Path) -> tuple[str, ...]:
    """The convolutions that patterns name, in the graph's order."""
    names = convolutions(model.graph)
    for pattern in keep:
        if not fnmatch.filter(names, pattern):
            near = difflib.get_close_matches(pattern, names, n=1)
            fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise UserError(f"there is no convolution {pattern!r}", where=str(where), fix=fix)
    return tuple(name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in keep))


def quantize_with_cache(onnx: Path, cache: Path, output: Path, *, keep: Collection[str] = ()) -> Quantized:
    """Write a float model's 8-bit forms with the ranges of a calibration cache; no pictures are needed.

    The cache tells magnitudes only: of a tensor that may be negative, the unsigned form gives half its numbers to each
    side. The cache stays as it is.

    Args:
        onnx: What :func:`export_onnx` wrote.
        cache: What a calibration of the same network wrote.
        output: As for :func:`quantize_int8`.
        keep: Convolutions that stay float.

    Raises:
        UserError: The file is no cache, or not of this network, or there is no such convolution.
    """
    model = read_float_network(onnx)
    kept = _match_convolutions(keep, model, onnx)
    scales = parse_cache(read_bytes(cache).decode(errors="replace"), where=str(cache))
    wanted = list_rounded(model.graph, kept)
    missing = [name for name in wanted if name not in scales]
    if missing:
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        fix = "remove the file, so that the network is calibrated anew, or name another"
        raise UserError(f"the cache does not tell of {missing[0]}{more}", where=str(cache), fix=fix)
    signed = {name: LEVELS * scales[name] for name in wanted}
    positive = not_negative(model.graph)
    spans = {name: (0.0 if name in positive else -amax, amax) for name, amax in signed.items()}
    return write_int8(model, Ranges(signed, spans), output, cache, keep_cache=True, keep=kept)


def write_int8(
    model: "ModelProto",
    ranges: Ranges,
    output: Path,
    cache: Path | None = None,
    *,
    keep_cache: bool = False,
    keep: Collection[str] = (),
) -> Quantized:
    """Write the 8-bit forms of a float model.

    Args:
        model: The float model.
        ranges: Of all tensors to be rounded.
        output: As for :func:`quantize_int8`.
        cache: As for :func:`quantize_int8`.
        keep_cache: Leave the cache as it is.
        keep: Convolutions that stay float.
    """
    path, cpu_path, beside = output_paths(output)
    write_model(make_signed_form(model, ranges, keep), path)
    write_model(make_unsigned_form(model, ranges, keep), cpu_path)
    if not keep_cache:
        write_whole(cache or beside, cache_text(ranges.signed).encode())
    return Quantized(path, cpu_path, cache or beside, ranges.images, tuple(keep))


def make_signed_form(model: "ModelProto", ranges: Ranges, keep: Collection[str] = ()) -> "ModelProto":
    """The 8-bit form for TensorRT."""
    grids = {name: Grid.make_signed(ranges.signed[name]) for name in list_rounded(model.graph, keep)}
    return insert_qdq(model, grids, round_biases=False, keep=keep)


def make_unsigned_form(model: "ModelProto", ranges: Ranges, keep: Collection[str] = ()) -> "ModelProto":
    """The 8-bit form for ONNX Runtime on a processor."""
    grids = {name: Grid.make_unsigned(*ranges.spans[name]) for name in list_rounded(model.graph, keep)}
    return insert_qdq(model, grids, round_biases=True, keep=keep)


def not_negative(graph: "GraphProto") -> set[str]:
    """The tensors that cannot be negative, by the operations that make them."""
    from onnx import numpy_helper

    ends = {each.name for each in graph.initializer if not each.dims and numpy_helper.to_array(each) >= 0}
    found: set[str] = set()
    for node in graph.node:
        clipped = node.op_type == "Clip" and not ends.isdisjoint(node.input[1:2])
        if clipped or node.op_type in NOT_NEGATIVE or (node.op_type in PASSING and found.issuperset(node.input)):
            found.update(node.output)
    return found


def output_paths(output: Path) -> tuple[Path, Path, Path]:
    """The model for TensorRT, the one for the CPU and the cache."""
    ending = ".etlt" if output.suffix == ".etlt" else ".onnx"
    stem = output.name.removesuffix(ending).removesuffix(".int8")
    endings = (ending, f".cpu{ending}", ".cache")
    first, second, third = (output.with_name(f"{stem}.int8{suffix}") for suffix in endings)
    return first, second, third


def compute_shared_amax(
    graph: "GraphProto", histograms: Mapping[str, Histogram], method: CalibrationMethod
) -> dict[str, float]:
    """The magnitude at which each tensor is clipped to signed 8 bits; all parts of a concatenation share one.

    TensorRT concatenates 8-bit numbers as they are only where they are on one scale.
    """
    amax = {name: threshold(histogram, method, levels=128) for name, histogram in histograms.items()}
    changed = True
    while changed:  # a tensor may take part in several concatenations
        changed = False
        for whole, parts in concatenations(graph):
            largest = max(amax[name] for name in parts)
            changed |= any(amax[name] != largest for name in (whole, *parts))
            amax.update(dict.fromkeys((whole, *parts), largest))
    return amax


def compute_spans(
    graph: "GraphProto", histograms: Mapping[str, Histogram], method: CalibrationMethod
) -> dict[str, Span]:
    """The values that each tensor keeps in unsigned 8 bits; after a ReLU they begin at 0.

    A concatenation spans its parts, and a part that nothing else reads takes its span: it is then rounded once, not
    twice.
    """
    spans = {name: compute_span(histogram, method) for name, histogram in histograms.items()}
    readers = [name for node in graph.node for name in node.input]
    for whole, parts in concatenations(graph):
        spans[whole] = min(spans[name][0] for name in parts), max(spans[name][1] for name in parts)
        spans.update({name: spans[whole] for name in parts if readers.count(name) == 1})
    return spans


def compute_span(histogram: Histogram, method: CalibrationMethod) -> Span:
    """A tensor's values, clipped."""
    levels = 256 if histogram.low >= 0 else 128  # of magnitudes: a signed tensor's two halves share the 256
    limit = threshold(histogram, method, levels=levels)
    return max(histogram.low, -limit), min(histogram.high, limit)
