"""Calibration: pictures in, 8-bit models out, on the CPU and in the memory of one picture."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.deploy.cache import cache_text
from bodyposenet.common.deploy.onnx_file import INPUT, card_of, read_model, write_model, write_whole
from bodyposenet.common.deploy.placement import Grid, concatenations, place, rounded_tensors
from bodyposenet.common.deploy.ranges import METHODS, Histogram, Method, threshold
from bodyposenet.common.deploy.runners import require_images
from bodyposenet.common.errors import UserError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

log = logging.getLogger(__name__)

Span = tuple[float, float]  # lowest and highest value that a tensor keeps


@dataclass(frozen=True)
class Quantized:
    """What a calibration wrote.

    Attributes:
        path: Model for TensorRT: signed 8-bit numbers.
        cpu_path: Model for ONNX Runtime on a CPU: unsigned 8-bit numbers.
        cache: Calibration cache for TensorRT up to version 10.
        images: Pictures that were seen.
    """

    path: Path
    cpu_path: Path
    cache: Path
    images: int


def quantize_int8(onnx: Path, images: Iterable[np.ndarray], output: Path, *, method: Method = "entropy") -> Quantized:
    """Calibrate a float model and write its 8-bit forms: ``X.int8.onnx``, ``X.int8.cpu.onnx`` and ``X.int8.cache``.

    Args:
        onnx: What :func:`export_onnx` wrote.
        images: Normalised pictures ``(B, H, W, 3)``, sizes may differ; read once.
        output: ``X.int8.onnx`` or ``X.onnx``; files that are there are replaced.
        method: ``entropy``, ``minmax`` or ``percentile``.

    Raises:
        UserError: The method is unknown, there is no picture, a picture has an unfit shape, or a value is not finite.
    """
    if method not in METHODS:
        raise UserError(f"unknown calibration method {method!r}", fix=f"choose {', '.join(METHODS)}")
    model = read_model(onnx)
    stride = card_of({entry.key: entry.value for entry in model.metadata_props}, onnx).stride
    histograms, count = observe(model, images, stride=stride)
    _warn_of_zeros(histograms)
    signed = shared_amax(model.graph, histograms, method)
    spans = unsigned_spans(model.graph, histograms, method)
    paths = output_paths(output)
    rounded = rounded_tensors(model.graph)
    write_model(place(model, {name: Grid.signed(signed[name]) for name in rounded}, round_biases=False), paths[0])
    write_model(place(model, {name: Grid.unsigned(*spans[name]) for name in rounded}, round_biases=True), paths[1])
    write_whole(paths[2], cache_text(signed).encode())
    return Quantized(*paths, images=count)


def output_paths(output: Path) -> tuple[Path, Path, Path]:
    """The model for TensorRT, the one for the CPU and the cache."""
    stem = output.name.removesuffix(".onnx").removesuffix(".int8")
    first, second, third = (output.with_name(f"{stem}.int8{suffix}") for suffix in (".onnx", ".cpu.onnx", ".cache"))
    return first, second, third


def observe(model: "ModelProto", images: Iterable[np.ndarray], *, stride: int) -> tuple[dict[str, Histogram], int]:
    """Run a model over pictures and count what its tensors hold.

    Args:
        model: Float ONNX model.
        images: Normalised pictures ``(B, H, W, 3)``.
        stride: What heights and widths must be multiples of.

    Returns:
        Histograms by tensor name, for the tensors to be rounded and the model's input and outputs, and the number of
        pictures.

    Raises:
        UserError: There is no picture, a picture has an unfit shape, or a value is not finite.
    """
    names = observed_tensors(model.graph)
    session = _tapped(model, names)
    histograms: dict[str, Histogram] = {}
    count = 0
    for number, image in enumerate(images):
        require_images(image, stride, where=f"calibration picture {number}")
        values = zip(names, [image, *session.run(names[1:], {INPUT: image.astype(np.float32)})], strict=True)
        for name, value in values:
            histogram = _histogram(name, value, number)
            histograms[name] = histograms[name].merge(histogram) if name in histograms else histogram
        count += len(image)
    if not count:
        raise UserError("there are no pictures to calibrate with", fix="name a folder with some hundred typical photos")
    return histograms, count


def observed_tensors(graph: "GraphProto") -> list[str]:
    """The model's input, the tensors to be rounded and the outputs, each once."""
    return list(dict.fromkeys([INPUT, *rounded_tensors(graph), *(value.name for value in graph.output)]))


def shared_amax(graph: "GraphProto", histograms: Mapping[str, Histogram], method: Method) -> dict[str, float]:
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


def unsigned_spans(graph: "GraphProto", histograms: Mapping[str, Histogram], method: Method) -> dict[str, Span]:
    """The values that each tensor keeps in unsigned 8 bits; after a ReLU they begin at 0.

    A concatenation spans its parts, and a part that nothing else reads takes its span: it is then rounded once, not
    twice.
    """
    spans = {name: unsigned_span(histogram, method) for name, histogram in histograms.items()}
    readers = [name for node in graph.node for name in node.input]
    for whole, parts in concatenations(graph):
        spans[whole] = min(spans[name][0] for name in parts), max(spans[name][1] for name in parts)
        spans.update({name: spans[whole] for name in parts if readers.count(name) == 1})
    return spans


def unsigned_span(histogram: Histogram, method: Method) -> Span:
    """A tensor's values, clipped."""
    levels = 256 if histogram.low >= 0 else 128  # of magnitudes: a signed tensor's two halves share the 256
    limit = threshold(histogram, method, levels=levels)
    return max(histogram.low, -limit), min(histogram.high, limit)


def _tapped(model: "ModelProto", names: list[str]) -> Any:
    """A session that returns any of the named tensors."""
    from onnx import TensorProto, helper
    from onnxruntime import InferenceSession

    tapped = type(model).FromString(model.SerializeToString())
    known = {value.name for value in [*tapped.graph.input, *tapped.graph.output]}
    taps = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in known]
    tapped.graph.output.extend(taps)
    return InferenceSession(tapped.SerializeToString(), providers=["CPUExecutionProvider"])


def _histogram(name: str, values: np.ndarray, number: int) -> Histogram:
    try:
        return Histogram.of(values)
    except UserError as error:
        raise UserError(f"tensor {name} holds NaN or infinity", where=f"calibration picture {number}") from error


def _warn_of_zeros(histograms: Mapping[str, Histogram]) -> None:
    for name, histogram in histograms.items():
        if not histogram.amax:
            log.warning("tensor %s is zero in every calibration picture: what flows through it will be lost", name)
