"""Bundled: the files that a train spec names weights by, found without Keras."""

from pathlib import Path

from bodyposenet.common.errors import UserError

PRETRAINED = "pretrained:"  # names weights that are shipped with the package
REGISTERED, AUTO = "models:/", "auto"  # name a registered network, and whatever there is to start from
FOLDER = Path(__file__).parent / "pretrained"


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
        return Path(name)
    path = FOLDER / f"{name.removeprefix(PRETRAINED)}.keras"
    if not path.is_file():
        shipped = ", ".join(list_shipped()) or "none"
        raise UserError(f"no weights named {name!r} are shipped", where=where, fix=f"shipped: {shipped}")
    return path


def is_registered(name: str) -> bool:
    """Whether a name means weights of a registry, ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, or ``auto``."""
    return name == AUTO or name.startswith(REGISTERED)


def list_shipped() -> list[str]:
    """Names of the weights that are shipped; beside each lies the train spec that they come from."""
    return sorted(f"{PRETRAINED}{file.stem}" for file in FOLDER.glob("*.keras"))
