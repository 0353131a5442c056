"""Graph bounds: how large the layers of a Keras graph may be, before Keras takes memory for their weights."""

from collections.abc import Iterator, Mapping
from typing import Any

from bodyposenet.common.bounds import GRAPH_CELLS, GRAPH_CHANNELS, WEIGHTS_BYTES
from bodyposenet.common.errors import UserError

MOST = {  # of a number of a layer's configuration, or of each in a list of them
    **dict.fromkeys(("filters", "units", "input_dim", "output_dim"), GRAPH_CHANNELS),
    **dict.fromkeys(
        ("kernel_size", "pool_size", "strides", "dilation_rate", "depth_multiplier", "padding", "cropping", "size"),
        GRAPH_CELLS,
    ),
}
FLOAT_BYTES = 4


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


def _refuse(problem: str, where: str) -> UserError:
    return UserError(problem, where=where, fix="give a file that `bpnet train` or `bpnet prune` wrote")


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
