"""Bundled: the files that a train spec names weights by, found without Keras."""

from pathlib import Path

from bodyposenet.common.errors import UserError

PRETRAINED = "pretrained:"  # names weights that are shipped with the package


def weights_path(name: str, *, where: str = "pretrained_weights") -> Path:
    """The file of a spec's key: a path, or ``pretrained:NAME`` for weights shipped with the package.

    Args:
        name: What the spec says.
        where: The key that says it.

    Raises:
        UserError: No such weights are shipped.
    """
    if not name.startswith(PRETRAINED):
        return Path(name)
    folder = Path(__file__).parent / "pretrained"
    path = folder / f"{name.removeprefix(PRETRAINED)}.keras"
    if not path.is_file():
        shipped = ", ".join(sorted(f"{PRETRAINED}{file.stem}" for file in folder.glob("*.keras"))) or "none"
        raise UserError(f"no weights named {name!r} are shipped", where=where, fix=f"shipped: {shipped}")
    return path
