"""Container images: what those are called that components run in, here and in component files from elsewhere."""

import os
import re
from collections.abc import Mapping

from bodyposenet import __version__
from bodyposenet.common.errors import UserError

IN_A_REGISTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*/?")


def end_registry(text: str) -> str:
    """Return a registry as it stands before the names of images: with its slash, or empty.

    Raises:
        UserError: It is none, such as an address that begins with https://.
    """
    name = text.strip()
    if name and not IN_A_REGISTRY.fullmatch(name):
        problem = f"should be a registry, such as registry.example.com/vision/ (got {name!r})"
        raise UserError(problem, where="BODYPOSENET_REGISTRY", fix="mend or unset it")
    return f"{name.rstrip('/')}/" if name else ""


REGISTRY = end_registry(os.environ.get("BODYPOSENET_REGISTRY", ""))
TRAIN_IMAGE = os.environ.get("BODYPOSENET_TRAIN_IMAGE", f"{REGISTRY}bodyposenet-train:{__version__}")
DEPLOY_IMAGE = os.environ.get("BODYPOSENET_DEPLOY_IMAGE", f"{REGISTRY}bodyposenet-deploy:{__version__}")
KIND = re.compile(r"bodyposenet-(train|deploy)[:@]")


def rename_image(image: str, environment: Mapping[str, str]) -> str:
    """Give an image of a component file the name that the environment gives it.

    Args:
        image: As a file names it, which may have been compiled elsewhere.
        environment: May name a registry, or each image whole, as for this package's own pipelines.

    Returns:
        The one that is named whole, or that of the registry with the file's own tag; else, or where it is no image of
        this project, the image as it is.
    """
    plain = image.rsplit("/", 1)[-1]
    kind = KIND.match(plain)
    registry = end_registry(environment.get("BODYPOSENET_REGISTRY", ""))
    if not kind:
        return image
    return environment.get(f"BODYPOSENET_{kind[1].upper()}_IMAGE") or (f"{registry}{plain}" if registry else image)
