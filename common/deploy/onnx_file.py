"""ONNX files: read with the model's card, written whole and the same to the byte for the same model.

Where a key is in use they are encrypted, and then no two files are the same.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.deploy.onnx_bounds import hold_onnx_maps
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.model_key import create_model_file, foreign, read_onnx_file

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

CARD_KEY = "bodyposenet"  # metadata_props key under which the card lies, as JSON
PARITY_KEY = "keras_max_relative_error"  # metadata_props key of what the difference from Keras does not exceed
INPUT = "input_1"
OUTPUTS = ("heatmap_out", "paf_out")
SDK_INPUT = "input_1:0"
SDK_OUTPUTS = ("conv2d_transpose_1/BiasAdd:0", "heatmap_out/BiasAdd:0")  # as TAO names them for NVIDIA's parser
PEAK_OUTPUTS = ("peak_scores", "peak_cells")  # of a model with the peak search inside; see peaks_graph

EXPORT = "name a file that `bpnet export` wrote"
AXES = 4  # of a batch of pictures
CONVOLUTIONS = {"Conv": 0, "ConvTranspose": 1}  # and the axis of their kernels that counts output channels


def read_model(path: Path, *, fix: str = EXPORT, checked: bool = True) -> "ModelProto":
    """Load an ONNX model.

    Args:
        path: The file.
        fix: What to do if it is none.
        checked: Hold it to ONNX's rules, and to what is asked of an input and of maps here; other people's networks may
            be read without.

    Raises:
        UserError: There is no such file, it is locked, or it holds no sound ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise UserError("no such file", where=str(path))
    content = read_onnx_file(path)
    try:
        model: ModelProto = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise foreign(path, "no ONNX model", fix) from error
    if not model.graph.output:
        raise UserError("the ONNX model has no outputs", where=str(path), fix=fix)
    _refuse_external(model, str(path))
    if checked:
        _require_sound(model, str(path), fix)
        _require_input(model, str(path), fix)
        hold_onnx_maps(model.SerializeToString(), str(path))
    return model


def _refuse_external(model: "ModelProto", where: str) -> None:
    """Refuse weights that are said to lie in other files, which may be any."""
    functions = (node for each in model.functions for node in each.node)
    tensors = chain(_list_held(model.graph), _list_attributes(functions))
    if any(tensor.data_location == tensor.EXTERNAL for tensor in tensors):
        fix = "save it as one file: onnx.save(onnx.load(FILE), ONE_FILE)"
        raise UserError("its weights lie in another file", where=where, fix=fix)


def _list_held(graph: "GraphProto") -> Iterator["TensorProto"]:
    """List the tensors that a graph holds, and those of graphs in it; protobuf reads no more than a hundred levels."""
    yield from graph.initializer
    yield from _list_sparse(graph.sparse_initializer)
    yield from _list_attributes(graph.node)


def _list_attributes(nodes: Iterable["NodeProto"]) -> Iterator["TensorProto"]:
    for attribute in chain.from_iterable(node.attribute for node in nodes):
        yield from (attribute.t, *attribute.tensors)
        yield from _list_sparse((attribute.sparse_tensor, *attribute.sparse_tensors))
        if attribute.HasField("g") or attribute.graphs:
            yield from chain.from_iterable(map(_list_held, (attribute.g, *attribute.graphs)))


def _list_sparse(tensors: Iterable["SparseTensorProto"]) -> Iterator["TensorProto"]:
    for tensor in tensors:
        yield from (tensor.values, tensor.indices)


def _require_sound(model: "ModelProto", where: str, fix: str, *, whole: bool = False) -> None:
    """Refuse a model that breaks ONNX's rules."""
    import onnx

    broken = (onnx.checker.ValidationError, onnx.shape_inference.InferenceError)
    try:
        onnx.checker.check_model(model, full_check=whole)
    except (*broken, ValueError, TypeError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"is no sound ONNX model: {reason}", where=where, fix=fix) from None


def _require_input(model: "ModelProto", where: str, fix: str) -> None:
    """Refuse a model whose first input is no picture, or no batch of them."""
    kind = model.graph.input[0].type if model.graph.input else None
    if kind is None or not kind.HasField("tensor_type") or len(kind.tensor_type.shape.dim) != AXES:
        raise UserError("the ONNX model takes no pictures", where=where, fix=fix)


def write_model(model: "ModelProto", path: Path, *, openly: bool = False) -> None:
    """Check a model and write it, whole or not at all.

    Args:
        model: What to write.
        path: Where; its folder is made.
        openly: Write it open though a key is in use, for readers that know no key.

    Raises:
        UserError: What it was made of was no sound network, or it cannot be written.
    """
    _require_sound(model, str(path), EXPORT, whole=True)
    content = model.SerializeToString(deterministic=True)
    if openly:
        write_whole(path, content)
        return
    with create_model_file(path) as file:
        file.write(content)


def write_whole(path: Path, content: bytes) -> None:
    """Make ``content`` the file's content in one step; folders appear as needed."""
    with whole_file(path) as file:
        file.write(content)


def put_card(model: "ModelProto", card: Card, **more: str) -> None:
    """Store the card, and more if given, as the model's metadata."""
    from onnx import helper

    helper.set_model_props(model, {CARD_KEY: json.dumps(card.to_dict(), sort_keys=True), **more})


def forget_parity(model: "ModelProto") -> None:
    """Take away what the metadata tell of the difference from Keras: the model's numbers are about to be rounded."""
    kept = [entry for entry in model.metadata_props if entry.key != PARITY_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)


def read_card(metadata: dict[str, str], where: Path) -> Card:
    """The card among a model's metadata.

    Raises:
        UserError: There is none, or it cannot be read.
    """
    if CARD_KEY not in metadata:
        fix = "export the Keras model again with `bpnet export`"
        raise UserError("the ONNX model does not say what it was made for", where=str(where), fix=fix)
    try:
        return Card.from_json(metadata[CARD_KEY])
    except ValueError as error:
        raise UserError(f"the model's {CARD_KEY} metadata cannot be read: {error}", where=str(where)) from error


def card_of_model(model: "ModelProto", where: Path) -> Card:
    """The card of a model in memory; as for :func:`read_card`."""
    return read_card({entry.key: entry.value for entry in model.metadata_props}, where)


def require_outputs(names: list[str], where: Path) -> None:
    """Refuse a model whose outputs are not a pose network's.

    Raises:
        UserError: The outputs are called otherwise.
    """
    if set(names) == set(SDK_OUTPUTS):
        fix = "give the one that was exported without --sdk_compatible_model"
        raise UserError("this is the form for NVIDIA's parser, whose maps differ in size", where=str(where), fix=fix)
    if set(names) - set(PEAK_OUTPUTS) != set(OUTPUTS):
        found = ", ".join(names)
        raise UserError(f"the model's outputs are {found}, not {' and '.join(OUTPUTS)}", where=str(where))
