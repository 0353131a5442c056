"""Datasets: what a task worked on, told by a digest, so that two runs can be seen to have had the same data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.storage.digests import fingerprint
from bodyposenet.common.storage.location import Location


@dataclass(frozen=True)
class Dataset:
    """A dataset as MLflow's page of a run shows it.

    Attributes:
        name: What it is called.
        digest: SHA-256 of its content, in hexadecimal.
        source: Where it is.
        profile: What is in it, in numbers.
        context: What it was used for: ``conversion``, ``training``, ``validation``, ``evaluation``, ``inference``.
    """

    name: str
    digest: str
    source: str
    profile: Mapping[str, Any]
    context: str


def describe_photos(folder: Path | Location, name: str, digest: str = "") -> Dataset:
    """Describe a photo set that a conversion reads; its digest is computed if it is not known."""
    return Dataset(name, digest or fingerprint(folder), str(folder), {}, "conversion")
