"""Keras to ONNX: a pose network as an ONNX model that gives the same maps."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet import __version__
from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS, PARITY_KEY, put_card, write_model
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.skeleton.card import Card

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17  # TensorRT 8.6 and ONNX Runtime 1.13 on read it
OPSETS = (13, 21)  # the first and the last; before 13 weights have no scale for each channel in 8 bits
TOLERANCE = 1e-4  # of the largest value of a map
Maps = Callable[[np.ndarray], Sequence[np.ndarray]]  # pictures to heatmaps and PAFs

log = logging.getLogger(__name__)

PROBES = ((2, 8, 12), (1, 13, 9))  # batch, rows and columns of grid cells on which both models are compared


@dataclass(frozen=True)
class Export:
    """What an export wrote.

    Attributes:
        path: The ONNX file.
        bytes: Its size.
        max_relative_error: Largest difference from Keras, as a fraction of the largest value of the map.
    """

    path: Path
    bytes: int
    max_relative_error: float


def export_onnx(model: Path, output: Path, *, overwrite: bool = False, opset: int = OPSET) -> Export:
    """Write the last stage of a Keras pose network as ONNX, and hold it against Keras.

    The ONNX model takes ``input_1`` ``(batch, height, width, 3)`` float32, normalised, and returns ``heatmap_out``
    ``(batch, rows, cols, K + 1)`` and ``paf_out`` ``(batch, rows, cols, 2L)``, float32 also where the network was
    trained in mixed precision. The same network always gives the same bytes.

    Args:
        model: A ``.keras`` file or a folder with one.
        output: Where to write.
        overwrite: Replace ``output`` if it is there.
        opset: Of ONNX, 13 to 21.

    Raises:
        UserError: ``output`` exists, the opset is none of these, the model's outputs are not those its card tells of,
            or ONNX Runtime's maps differ from Keras' by more than 1e-4.

    Examples:
        >>> exported = bodyposenet.export_onnx(Path("pruned.keras"), Path("model.onnx"))
        >>> exported.max_relative_error < 1e-4
        True
    """
    from bodyposenet.common.model.network.dtype_policy import FLOAT32, convert_policy, is_mixed

    if output.exists() and not overwrite:
        raise UserError("the file exists", where=str(output), fix="name another output file or remove this one")
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise UserError(f"no opset {opset} is written", where="opset", fix=f"give one of {OPSETS[0]} to {OPSETS[1]}")
    trained, card = load_model(model)
    network = last_stage(trained, card, model)
    if is_mixed(network):
        network = convert_policy(network, FLOAT32)
    exported = convert(network, opset, card.stride)
    error = parity(network, exported.SerializeToString(), card.stride)
    if not error <= TOLERANCE:
        raise UserError(f"ONNX differs from Keras by {error:.1e} of the largest value", where=str(model))
    put_card(exported, card, **{PARITY_KEY: round_up_error(error)})
    write_model(exported, output)
    return Export(output, output.stat().st_size, error)


def last_stage(model: Any, card: Card, where: Path) -> Any:
    """The network cut to its last stage's heatmaps and PAFs.

    Args:
        model: Network whose outputs are ``[heatmaps of stage 1..T, PAFs of stage 1..T]``.
        card: The model's card.
        where: The model's file, for the error.

    Raises:
        UserError: The outputs are not 2T maps with the skeleton's channels.
    """
    import keras

    stages, odd = divmod(len(model.outputs), 2)
    wanted = (card.skeleton.num_joints + 1, 2 * card.skeleton.num_limbs)
    if odd or not stages:
        raise UserError(f"the network has {len(model.outputs)} outputs, not heatmaps and PAFs", where=str(where))
    heatmaps, pafs = model.outputs[stages - 1], model.outputs[-1]
    found = (heatmaps.shape[-1], pafs.shape[-1])
    if found != wanted:
        fix = "give a network trained for the skeleton on its card"
        raise UserError(f"the maps have {found} channels, the skeleton needs {wanted}", where=str(where), fix=fix)
    return keras.Model(model.inputs[0], [heatmaps, pafs])


def convert(network: Any, opset: int, stride: int) -> "ModelProto":
    """Convert a two-output Keras network to a canonical ONNX model, by tf2onnx if it has layers of other kinds.

    Args:
        network: A ``keras.Model`` in float32, channels last.
        opset: Of ONNX.
        stride: It divides height and width of all pictures.

    Raises:
        UserError: tf2onnx must, and does not write that opset.
    """
    from bodyposenet.common.deploy.export.network_graph import write_network
    from bodyposenet.common.deploy.export.node_list import UnknownLayerError

    try:
        exported = write_network(network, opset, stride)
    except UnknownLayerError as error:
        from bodyposenet.common.deploy.export.by_tf2onnx import trace_network

        log.warning("%s is no layer that is written here: tf2onnx converts the network, with far more memory", error)
        exported = trace_network(network, opset)
    exported.producer_name, exported.producer_version, exported.doc_string = "bodyposenet", __version__, ""
    return exported


def parity(network: Any, exported: bytes, stride: int) -> float:
    """Largest difference between Keras' and ONNX Runtime's maps, as a fraction of the map's largest value.

    Args:
        network: Keras network with two outputs.
        exported: The ONNX model's bytes.
        stride: Input pixels per grid cell.
    """
    return _worst(lambda images: [np.asarray(maps) for maps in network(images, training=False)], _run(exported), stride)


def largest_difference(one: bytes, other: bytes, stride: int) -> float:
    """The same between two ONNX models, of the first one's maps."""
    return _worst(_run(one), _run(other), stride)


def _run(exported: bytes) -> Maps:
    from onnxruntime import InferenceSession

    session = InferenceSession(exported, providers=["CPUExecutionProvider"])
    return lambda images: session.run(list(OUTPUTS), {INPUT: images})


def _worst(one: Maps, other: Maps, stride: int) -> float:
    random = np.random.default_rng(0)
    worst = 0.0
    for batch, rows, cols in PROBES:
        images = random.uniform(-0.5, 0.5, (batch, rows * stride, cols * stride, 3)).astype(np.float32)
        worst = max(worst, *(relative_error(a, b) for a, b in zip(one(images), other(images), strict=True)))
    return worst


def round_up_error(error: float) -> str:
    """The power of ten that an error does not exceed: it is the same on every machine where the error itself is not."""
    return f"{10.0 ** np.ceil(np.log10(max(error, float(np.finfo(np.float32).eps)))):.0e}"


def relative_error(reference: np.ndarray, other: np.ndarray) -> float:
    """``max |reference - other| / max |reference|``; infinite where shapes differ or a value is not finite."""
    if reference.shape != other.shape or not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return float("inf")
    scale = float(np.abs(reference).max(initial=0))
    difference = float(np.abs(reference - other).max(initial=0))
    return difference / scale if scale else difference
