"""Registered network step: a version of a registered model, fetched, with how to find people with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodyposenet.common.errors import UserError

if TYPE_CHECKING:
    from bodyposenet.common.skeleton.skeleton import Skeleton
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.tracking import Registered


@dataclass(frozen=True)
class Network:
    """A registered network, fetched.

    Attributes:
        name: Of the registered model.
        version: Which of its versions.
        file: Where it is.
        skeleton: Its joints.
        spec: How to find people with it.
    """

    name: str
    version: "Registered"
    file: Path
    skeleton: "Skeleton"
    spec: "InferenceSpec"

    @property
    def title(self) -> str:
        """What files and pages call it."""
        return f"{self.name}, version {self.version.version}"


def fetch_network(name: str, alias: str, settings: Mapping[str, Any], folder: Path) -> Network:
    """Fetch a registered network.

    Args:
        name: The registered model.
        alias: Which of its versions: an alias, or a version's number.
        settings: Keys of an inference spec that are to be others than those the network was registered with.
        folder: Gets the files.

    Raises:
        UserError: The store does not answer or has no such version, or a setting is wrong.
    """
    from bodyposenet.common.deploy.onnx_file import card_of_model, read_model
    from bodyposenet.common.tracking import fetch, find_version, settings_in
    from bodyposenet.common.tracking.pyfunc import inference_spec

    version = find_version(name, alias)
    if version is None:
        fix = "run prune_retrain, which registers one and makes the best the champion, or name another version or alias"
        raise UserError(f"has no version or alias {alias!r}", where=f"registered model {name}", fix=fix)
    file = fetch(name, version.version, folder)
    card = card_of_model(read_model(file), file)
    spec = inference_spec(card, {**settings_in(folder), **settings}, where="inference_spec")
    return Network(name, version, file, card.skeleton, spec)
