"""Datasets: what a task worked on, told by a digest, so that two runs can be seen to have had the same data."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.data.records.manifest import read_manifest, shard_path
from bodyposenet.common.storage.digests import digest_file, fingerprint
from bodyposenet.common.storage.location import Location, locate


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


def photo_set(folder: Path | Location, name: str, digest: str = "") -> Dataset:
    """The photos and annotations that a conversion reads; their digest is computed if it is not known."""
    return Dataset(name, digest or fingerprint(folder), str(folder), {}, "conversion")


def shards(folder: Path, name: str, context: str) -> Dataset:
    """A set of a converted dataset: the bytes of its shards."""
    described = read_manifest(folder)["sets"][name]
    whole = hashlib.sha256()
    for shard in described["shards"]:
        whole.update(bytes.fromhex(digest_file(str(shard_path(locate(folder), shard)))))
    counts = {what: described[what] for what in ("images", "people", "samples")}
    return Dataset(f"{described['dataset']} {name}", whole.hexdigest(), str(folder), counts, context)


def find_held_out(folder: Path, name: str, images: int) -> Dataset:
    """The photos and annotations of a converted dataset that evaluations use."""
    return Dataset(f"{name} test", fingerprint(folder), str(folder), {"images": images}, "evaluation")
