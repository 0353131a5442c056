"""Transfer: a network's layers take the weights of a file's layers of the same name, and tell which did not."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.weights_file import Stored
from bodyposenet.common.model.network.traits import DEPTH, Difference, compare, is_pruned
from bodyposenet.common.storage.files import whole_file

TABLE = "pretrained.txt"
WIDTH = "backbone_attributes.width_multiplier"
FORMS = ("backbone_attributes.architecture", DEPTH, "__class_name__")  # settings of networks of different layers
NAMED = 6  # layers named in a line of the log; the table names all

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class TransferReport:
    """Which layers of a network took weights, and why the others did not.

    Attributes:
        source: The weights.
        layers: Layers that took theirs, with the shapes.
        missing: Layers of which the file has none of the name, with the network's shapes.
        misfits: Layers of which the file has one of another shape: the file's shapes, the network's.
        left_over: Layers of the file that nothing in the network is named after, with the file's shapes.
    """

    source: Stored
    layers: dict[str, Shapes]
    missing: dict[str, Shapes]
    misfits: dict[str, tuple[Shapes, Shapes]]
    left_over: dict[str, Shapes]

    @property
    def count(self) -> int:
        """Layers of the network that have weights."""
        return len(self.layers) + len(self.missing) + len(self.misfits)

    def summary(self) -> str:
        """How many layers took weights and how many did not, in a line."""
        parts = [f"{self.source.path}: {self.source.kind}: filled {len(self.layers)} of {self.count} layers"]
        parts += [f"{len(self.missing)} not in the file"] if self.missing else []
        parts += [f"{len(self.misfits)} of another shape in the file"] if self.misfits else []
        parts += [f"{len(self.left_over)} of the file left over"] if self.left_over else []
        return "; ".join(parts)

    def warnings(self) -> list[str]:
        """A line for each reason why layers start from scratch, with the first few of them."""
        lines = [f"start from scratch, not in the file: {format_first(self.missing)}"] if self.missing else []
        lines = [*map(str, self.differences()), *lines] if self.missing or self.misfits else []
        if self.misfits:
            shown = [
                f"{name} ({format_shapes(file)}, here {format_shapes(ours)})"
                for name, (file, ours) in self.misfits.items()
            ]
            lines.append(f"start from scratch, of another shape in the file: {format_first(shown)}")
        return lines

    def differences(self) -> list[Difference]:
        """The settings in which the network and the file's differ."""
        taken = self.layers | self.missing
        ours = taken | {name: ours for name, (_, ours) in self.misfits.items()}
        return compare(ours, {name: list_shapes(arrays) for name, arrays in self.source.layers.items()})

    def table(self) -> str:
        """Every layer of the network and every layer left over in the file, as text in columns."""
        rows = [("layer", "weights", "in the network", "in the file")]
        rows += [(name, "filled", format_shapes(shapes), format_shapes(shapes)) for name, shapes in self.layers.items()]
        rows += [
            (name, "other shape", format_shapes(ours), format_shapes(file))
            for name, (file, ours) in self.misfits.items()
        ]
        rows += [(name, "not in the file", format_shapes(shapes), "-") for name, shapes in self.missing.items()]
        rows += [(name, "left over", "-", format_shapes(shapes)) for name, shapes in self.left_over.items()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([self.summary(), *self.source.notes, "", *lines]) + "\n"

    def write(self, folder: Path) -> Path:
        """Write the table as ``pretrained.txt``, whole or not at all."""
        path = folder / TABLE
        with whole_file(path) as file:
            file.write(self.table().encode())
        return path


def load_matching_weights(model: Any, source: Stored) -> TransferReport:
    """Give the layers of ``model`` the weights of the layers of the same name, where the shapes agree.

    Raises:
        UserError: The file's network has other widths, or no layer of the network takes any.
    """
    given = source.layers
    filled, missing, misfits = {}, {}, {}
    network = {layer.name: layer for layer in model.layers if layer.weights}
    for name, layer in network.items():
        ours = tuple(tuple(variable.shape) for variable in layer.weights)
        if name not in given:
            missing[name] = ours
        elif list_shapes(given[name]) != ours:
            misfits[name] = (list_shapes(given[name]), ours)
        else:
            layer.set_weights(given[name])
            filled[name] = ours
    left = {name: list_shapes(arrays) for name, arrays in given.items() if arrays and name not in network}
    done = TransferReport(source, filled, missing, misfits, left)
    if widths := _list_widths(model, done):
        raise _refuse_widths(widths, done)
    if not filled:
        raise UserError("no layer takes any weights: " + describe(done), where=str(source.path), fix=advice(done))
    return done


def _list_widths(model: Any, done: TransferReport) -> dict[str, tuple[int, int]]:
    """The filters in the file and in the network, of each convolution where they differ though the settings agree.

    Layers that draw maps are left out: their filters are the skeleton's matter.
    """
    if any(each.setting in FORMS for each in done.differences()):
        return {}
    maps = {tensor._keras_history.operation.name for tensor in model.outputs}
    found = {}
    for name, (file, ours) in done.misfits.items():
        if name not in maps and isinstance(model.get_layer(name), keras.layers.Conv2D) and file:
            (*size, _, theirs), (*wanted, _, filters) = file[0], ours[0]
            if size == wanted and theirs != filters:
                found[name] = theirs, filters
    return found


def _refuse_widths(widths: dict[str, tuple[int, int]], done: TransferReport) -> UserError:
    name, (file, ours) = next(iter(widths.items()))
    said = [str(each) for each in done.differences() if each.setting == WIDTH]
    more = f", and {len(widths) - 1} more layers have other widths" if len(widths) > 1 else ""
    said.append(f"{name} has {file} filters in the file, {ours} in the spec's network{more}")
    has_graph = done.source.kind.endswith("model")
    cut = has_graph and all(theirs >= filters for theirs, filters in widths.values())
    fix = advice(done) + (", or fit_width: prune, which cuts the file's network to the spec's widths" if cut else "")
    return UserError("; ".join(said), where=str(done.source.path), fix=fix)


def describe(done: TransferReport) -> str:
    """What there was instead of a layer that fits: the settings that differ, or else the layers."""
    if done.differences():
        return "; ".join(map(str, done.differences()))
    lines = [*done.warnings()]
    lines += [f"the file has {format_first(done.left_over)}"] if done.left_over else []
    return "; ".join(lines)


def advice(done: TransferReport) -> str:
    """What to do where nothing fits."""
    if is_pruned({name: list_shapes(arrays) for name, arrays in done.source.layers.items()}):
        return "the file's network was pruned: set load_graph: true, which takes it as it is"
    if remedies := [each.remedy for each in done.differences() if each.remedy]:
        return f"set {', '.join(remedies)}"
    if done.misfits:
        return "set the width_multiplier, biases and kernel sizes that the weights were trained with"
    return "give the weights of such a network, or leave pretrained_weights out"


def list_shapes(arrays: Iterable[Any]) -> Shapes:
    """The shapes of some arrays."""
    return tuple(tuple(values.shape) for values in arrays)


def format_shapes(shapes: Shapes) -> str:
    """Shapes as text: ``3x3x3x64, 64``."""
    return ", ".join("x".join(map(str, shape)) or "1" for shape in shapes) or "none"


def format_first(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    every = list(names)
    return ", ".join(every[:NAMED]) + (f" and {len(every) - NAMED} more" if len(every) > NAMED else "")
