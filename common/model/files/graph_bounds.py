"""Graph bounds: how large the layers of a Keras graph and their maps may be, before Keras takes memory for them."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bodyposenet.common.bounds import (
    GRAPH_CELLS,
    GRAPH_CHANNELS,
    MAP_HIDDEN,
    MAP_NUMBERS,
    MAP_PICTURES,
    MAP_SIDE,
    WEIGHTS_BYTES,
)
from bodyposenet.common.errors import UserError

MOST = {  # of a number of a layer's configuration, or of each in a list of them
    **dict.fromkeys(("filters", "units", "input_dim", "output_dim"), GRAPH_CHANNELS),
    **dict.fromkeys(
        ("kernel_size", "pool_size", "strides", "dilation_rate", "depth_multiplier", "padding", "cropping", "size"),
        GRAPH_CELLS,
    ),
}
FLOAT_BYTES = 4
FEW = 2**16  # weights that a file may lack: seeds, and what an older Keras did not store
FIX = "give a file that `bpnet train` or `bpnet prune` wrote"


def hold_graph(config: Any, where: str) -> None:
    """Refuse a graph whose layers are larger than any of a pose network.

    Args:
        config: What a ``.keras`` file tells of its network, of whatever form.
        where: The file.

    Raises:
        UserError: A layer is, or all are together.
    """
    layers = list(_list_layers(config))
    for layer in layers:
        for key, most in MOST.items():
            wrong = next((number for number in _list_numbers(layer.get(key)) if abs(number) > most), None)
            if wrong is not None:
                raise _refuse(f"layer {layer.get('name')!r} has {key} {wrong:g}; {most} are taken at most", where)
    widest = max((_count(layer) for layer in layers), default=1)
    cells = sum(_count(layer) * widest * _count_cells(layer) for layer in layers)
    if cells * FLOAT_BYTES > WEIGHTS_BYTES:
        raise _refuse(f"its layers would have {cells:,} weights", where)


@contextlib.contextmanager
def holding_weights(held: int, where: str) -> Iterator[None]:
    """Build layers in the block without memory for their weights, and refuse them if they have more than a file holds.

    What is built has its weights at the end, with the values that they begin with.

    Args:
        held: Numbers in the file's arrays.
        where: The file.

    Raises:
        UserError: The layers have more.
    """
    import keras
    from keras.src.backend.common import global_state

    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
        built = global_state.get_global_attribute("uninitialized_variables", [])
        numbers = sum(math.prod(variable.shape) for variable in built)
        if numbers > held + FEW:
            raise _refuse(f"its layers have {numbers:,} weights, of which the file holds {held:,}", where)
    except BaseException:
        global_state.set_global_attribute("uninitialized_variables", [])  # else the next scope's end makes them
        raise
    with keras.StatelessScope():  # whose end makes them
        pass


def hold_maps(model: Any, where: str, *, stride: int = 1, fix: str = FIX) -> None:
    """Refuse a network that makes more numbers on the way than memory is for; its shapes tell, and nothing is run.

    Args:
        model: A ``keras.Model`` of layers and of networks of such. Where its input has any size, it is judged by a
            picture of 256 x 256 pixels.
        where: The file.
        stride: Pixels of which the picture's sides are to be a multiple.
        fix: What to do about it.

    Raises:
        UserError: A layer makes more, or may hide that it does.
    """
    import keras

    def watch(operation: Any) -> Callable[..., Any]:
        def make(*args: Any, **kwargs: Any) -> Any:
            if inner := _find_graph(operation):
                return inner._run_through_graph(args, operation_fn=watch)
            if isinstance(operation, keras.Layer) and operation._layers:
                raise UserError(f"layer {operation.name!r} holds layers of its own", where=where, fix=fix)
            made = operation.compute_output_spec(*args, **kwargs)
            hidden = _count_hidden(operation, keras.tree.flatten((args, kwargs)))
            given = ((math.prod(each.shape), most) for each in keras.tree.flatten(made))
            for numbers, limit in ((hidden, MAP_HIDDEN * most), *given):
                if numbers > limit:
                    problem = f"{operation.name} makes {numbers:,} numbers of a picture of {sides} pixels"
                    raise UserError(problem, where=where, fix=fix)
            return made

        return make

    side = -(-MAP_SIDE // stride) * stride
    shapes = [tuple(side if each is None else each for each in given.shape[1:]) for given in model.inputs]
    sides = " x ".join(map(str, shapes[0][:2]))
    most = count_most(math.prod(shapes[0][:2]))
    pictures = [keras.KerasTensor((1, *shape)) for shape in shapes]
    _find_graph(model)._run_through_graph(pictures, operation_fn=watch)


def count_most(pixels: int) -> int:
    """Count the numbers that a layer may make of pictures of so many pixels together."""
    return int(MAP_NUMBERS * min(max(1, pixels / MAP_SIDE**2), MAP_PICTURES))


def _count_hidden(operation: Any, inputs: Sequence[Any]) -> int:
    """Count the numbers that an operation makes for itself, and that no shape of what it gives tells.

    Args:
        operation: A layer, or a function of ``keras.ops`` in a graph.
        inputs: What it is given, maps among them: ``(B, Tq, D)`` and ``(B, Tv, D)`` to look up one in the other.
    """
    kind, given = type(operation).__name__, [each.shape for each in inputs if len(getattr(each, "shape", ())) > 2]
    if kind == "DotProductAttention":  # (B, Tq, N, D) and (B, Tv, N, D), of N heads
        return int(math.prod(given[0][:3]) * given[1][1])
    if kind in ("Attention", "AdditiveAttention"):
        each = given[0][-1] if kind == "AdditiveAttention" else 1
        return int(math.prod(given[0][:-1]) * given[1][-2] * each)
    if kind.startswith("Conv") and kind.endswith("Transpose"):  # its kernel's cells for each cell of the map
        return int(math.prod(given[0][:-1]) * operation.filters * math.prod(operation.kernel_size))
    if kind.startswith("SeparableConv"):  # the channels between its two convolutions
        return int(math.prod(given[0]) * operation.depth_multiplier)
    return 0


def _find_graph(operation: Any) -> Any:
    """The graph of a network that is one, and of a ``Sequential``, which has one; None of any other layer."""
    graph = getattr(operation, "_functional", None) or operation
    return graph if hasattr(graph, "_run_through_graph") else None


def _refuse(problem: str, where: str) -> UserError:
    return UserError(problem, where=where, fix=FIX)


def _list_layers(config: Any) -> Iterator[Mapping[str, Any]]:
    """List every mapping in a configuration: those of layers are somewhere among them."""
    todo = [config]
    while todo:
        found = todo.pop()
        if isinstance(found, Mapping):
            yield found
        todo += list(found.values()) if isinstance(found, Mapping) else found if isinstance(found, list) else []


def _list_numbers(value: Any) -> Iterator[float]:
    todo = [value]
    while todo:
        found = todo.pop()
        if isinstance(found, int | float) and not isinstance(found, bool):
            yield found
        todo += found if isinstance(found, list) else []


def _count(layer: Mapping[str, Any]) -> int:
    """Count the channels that a layer makes, as far as it tells."""
    return max((int(number) for key in ("filters", "units") for number in _list_numbers(layer.get(key))), default=1)


def _count_cells(layer: Mapping[str, Any]) -> int:
    cells = 1
    for number in _list_numbers(layer.get("kernel_size")):
        cells *= max(1, int(number))
    return cells if "filters" in layer or "units" in layer else 0
