"""Observer: what the tensors of a float network hold over calibration pictures.

One picture is in memory at a time, histograms merge exactly, and what was counted is saved now and then: a calibration
that was killed goes on where it was and ends with the same bytes.
"""

import io
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.deploy.export.interface import require_float_input
from bodyposenet.common.deploy.onnx_file import INPUT
from bodyposenet.common.deploy.quantization.calibration_images import CalibrationImages
from bodyposenet.common.deploy.quantization.histograms import Histogram
from bodyposenet.common.deploy.quantization.qdq import list_rounded
from bodyposenet.common.deploy.runner import require_images
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.storage.digests import digest_bytes
from bodyposenet.common.storage.model_key import create_model_file, open_model_file
from bodyposenet.common.storage.unpacking import BROKEN_ZIP

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

EVERY = 8  # batches between two savings

log = logging.getLogger(__name__)


@dataclass
class Observation:
    """What was counted so far.

    Attributes:
        histograms: By tensor name.
        batches: That were looked at, those that could not be read included.
        images: Pictures that were counted.
    """

    histograms: dict[str, Histogram] = field(default_factory=dict)
    batches: int = 0
    images: int = 0

    def add(self, name: str, histogram: Histogram) -> None:
        """Count a tensor's values of one more batch."""
        known = self.histograms.get(name)
        self.histograms[name] = histogram if known is None else known.merge(histogram)


@dataclass(frozen=True)
class Saved:
    """Where a calibration's counts are kept while it goes on.

    Attributes:
        path: The file.
        key: Of the network and the pictures; counts of others are not gone on with.
    """

    path: Path
    key: str

    @classmethod
    def load(cls, path: Path, model: "ModelProto", images: CalibrationImages) -> "Saved":
        """The file for a network and pictures."""
        network = digest_bytes(model.SerializeToString(deterministic=True))
        return cls(path, json.dumps({"network": network, "images": images.digest, "batches": len(images)}))

    def write(self, found: Observation) -> None:
        """Keep what was counted, whole or not at all."""
        rows, content = list(found.histograms.values()), io.BytesIO()
        np.savez(
            content,
            key=np.array(self.key),
            names=np.array(list(found.histograms)),
            counts=np.array([row.counts for row in rows]),
            exponents=np.array([row.exponent for row in rows]),
            ends=np.array([(row.low, row.high) for row in rows]),
            done=np.array([found.batches, found.images]),
        )
        with create_model_file(self.path) as file:  # encrypted as the network is: they tell much of it
            file.write(content.getbuffer())

    def read(self) -> Observation:
        """What an earlier attempt counted; nothing where there was none, or another network's or pictures'."""
        try:
            with open_model_file(self.path) as file, np.load(file, allow_pickle=False) as kept:
                if str(kept["key"]) != self.key:
                    return Observation()
                rows = zip(kept["names"], kept["counts"], kept["exponents"], kept["ends"], strict=True)
                histograms = {
                    str(name): Histogram.take(counts, int(exponent), float(low), float(high))
                    for name, counts, exponent, (low, high) in rows
                }
                batches, images = map(int, kept["done"])
                if min(batches, images) < 0:
                    raise ValueError("less than no batch was counted")
        except FileNotFoundError:
            return Observation()
        except (OSError, MemoryError, AttributeError, SyntaxError, TokenError, *BROKEN_ZIP):  # NumPy parses a header
            log.warning("%s cannot be read: calibration begins anew", self.path)
            return Observation()
        log.info("%s: calibration goes on after %d batches", self.path, batches)
        return Observation(histograms, batches, images)


def observe(
    model: "ModelProto", images: CalibrationImages | Iterable[np.ndarray], *, stride: int, saved: Path | None = None
) -> Observation:
    """Run a model over pictures and count what its tensors hold.

    Args:
        model: Float ONNX model.
        images: Normalised pictures ``(B, H, W, 3)``.
        stride: What heights and widths must be multiples of.
        saved: Where to keep what was counted, every few batches, if ``images`` are ``CalibrationImages``: another call
            goes on from there. Removing it is left to the caller.

    Returns:
        Histograms for the tensors to be rounded and the model's input and outputs.

    Raises:
        UserError: There is no picture, a picture has an unfit shape, or a value is not finite.
    """
    require_float_input(model, "calibration")
    planned = images if isinstance(images, CalibrationImages) else None
    kept = Saved.load(saved, model, planned) if saved and planned else None
    found = kept.read() if kept else Observation()
    names = list_observed(model.graph)
    session = _open_tapped(model, names)
    total = len(planned) if planned else 0
    with Bar(total=total, initial=found.batches, desc="calibrate", unit="batch") as progress:
        if kept:
            kept.write(found)
        for batch in planned.after(found.batches) if planned else images:
            if batch is not None:
                _count(found, names, session, batch, stride)
            found.batches += 1
            progress.update()
            if kept and found.batches % EVERY == 0:
                kept.write(found)
    if not found.images:
        raise UserError("there are no pictures to calibrate with", fix="name a folder with some hundred typical photos")
    return found


def list_observed(graph: "GraphProto") -> list[str]:
    """The model's input, the tensors to be rounded and the outputs, each once."""
    return list(dict.fromkeys([INPUT, *list_rounded(graph), *(value.name for value in graph.output)]))


def warn_of_zeros(histograms: Mapping[str, Histogram]) -> None:
    """Tell of tensors that held nothing but zeros."""
    for name, histogram in histograms.items():
        if not histogram.amax:
            log.warning("tensor %s is zero in every calibration picture: what flows through it will be lost", name)


def _count(found: Observation, names: list[str], session: Any, batch: np.ndarray, stride: int) -> None:
    """Run a batch and count its tensors' values."""
    where = f"calibration picture {found.batches}"
    require_images(batch, stride, where=where)
    values = session.run(names[1:], {INPUT: batch.astype(np.float32)})
    for name, value in zip(names, [batch, *values], strict=True):
        try:
            found.add(name, Histogram.count(value))
        except UserError as error:
            raise UserError(f"tensor {name} holds NaN or infinity", where=where) from error
    found.images += len(batch)


def _open_tapped(model: "ModelProto", names: list[str]) -> Any:
    """A session that returns any of the named tensors."""
    from onnx import TensorProto, helper
    from onnxruntime import InferenceSession

    tapped = type(model).FromString(model.SerializeToString())
    known = {value.name for value in [*tapped.graph.input, *tapped.graph.output]}
    taps = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in known]
    tapped.graph.output.extend(taps)
    return InferenceSession(tapped.SerializeToString(), providers=["CPUExecutionProvider"])
