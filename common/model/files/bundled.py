"""Bundled: the files that a train spec names weights by, found without Keras."""

from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.processor import Processor, read_processor
from bodyposenet.common.spec.runner_names import resolve_runner
from bodyposenet.common.spec.words import RunnerName
from bodyposenet.common.storage.inside import is_plain

PRETRAINED = "pretrained:"  # names weights that are shipped with the package
REGISTERED, AUTO = "models:/", "auto"  # name a registered network, and whatever there is to start from
PEOPLE = "pretrained:people"  # finds people in photos; what is taken where no network is named
FOLDER = Path(__file__).parent / "pretrained"
FLOAT, QUANTIZED = ".onnx", "_int8.onnx"  # ends of the names of exported forms


def weights_path(name: str, *, where: str = "pretrained_weights") -> Path:
    """The file of a spec's key: a path, or ``pretrained:NAME`` for weights shipped with the package.

    Args:
        name: What the spec says.
        where: The key that says it.

    Raises:
        UserError: No such weights are shipped, or they are still to be fetched from a registry.
    """
    if is_registered(name):
        fix = "train by `bpnet train` or by the component `train`, which fetch it, or give a file"
        raise UserError(f"{name} is no file but a network in a registry", where=where, fix=fix)
    if not name.startswith(PRETRAINED):
        return _as_path(name, where)
    path = FOLDER / f"{name.removeprefix(PRETRAINED)}.keras"
    if not is_plain(path.name) or path.parent != FOLDER or not path.is_file():
        shipped = ", ".join(list_shipped()) or "none"
        raise UserError(f"no weights named {name!r} are shipped", where=where, fix=f"shipped: {shipped}")
    return path


def _as_path(name: str, where: str) -> Path:
    """A path; what can be none is told."""
    if not name or "\0" in name:
        raise UserError(f"{name!r} is no path of a file", where=where, fix="name a file")
    return Path(name)


def runnable_path(name: str, runner: RunnerName | None = None, processor: Processor | None = None) -> Path:
    """The file of shipped weights to find people with: an exported one, which needs no TensorFlow, where there is one.

    In 8 bits where the processor adds their products without loss and the choice is free, else in float.

    Args:
        name: ``pretrained:NAME``.
        runner: What was asked for, see :func:`~bodyposenet.common.spec.runner_names.resolve_runner`.
        processor: What to suppose; the one at hand if None.

    Raises:
        UserError: No such weights are shipped.
    """
    keras = weights_path(name, where="the model")
    if not is_shipped(keras):
        return keras
    freely = resolve_runner(runner) == "auto" and (processor or read_processor()).adds_exactly
    ends = (QUANTIZED, FLOAT) if freely else (FLOAT,)
    made = (keras.with_name(keras.stem + end) for end in ends)
    return next((path for path in made if path.is_file()), keras)


def is_shipped(path: Path) -> bool:
    """Whether a file came with the package: nothing is to be written beside it."""
    return path.parent == FOLDER


def is_registered(name: str) -> bool:
    """Whether a name means weights of a registry, ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, or ``auto``."""
    return name == AUTO or name.startswith(REGISTERED)


def list_shipped() -> list[str]:
    """Names of the weights that are shipped; beside each lies what they come from."""
    return sorted(f"{PRETRAINED}{file.stem}" for file in FOLDER.glob("*.keras"))
