"""Datasets: what a task worked on, told by a digest, so that two runs can be seen to have had the same data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.storage.digests import digest_bytes, digest_content, fingerprint
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


def describe_photos(folder: Path | Location, name: str, digest: str = "") -> Dataset:
    """Describe a photo set that a conversion reads; its digest is computed if it is not known."""
    return Dataset(name, digest or fingerprint(folder), str(folder), {}, "conversion")


def describe_records(folder: str | Path | Location, names: Sequence[str], context: str) -> Dataset:
    """Describe record shards by their bytes, in the order of their names; sets of a manifest say what is in them.

    Raises:
        UserError: A name is neither a set nor a shard, or a shard is missing or damaged.
    """
    from bodyposenet.common.data.records.manifest import open_shards, read_manifest  # protobuf, which few runs need

    opened = open_shards(folder, names)
    whole = digest_bytes("".join(digest_content(shard.records.path) for shard in opened))
    sets = read_manifest(locate(folder))["sets"]
    counted = [sets[name] for name in names if name in sets]
    counts = {what: sum(described.get(what, 0) for described in counted) for what in ("images", "people")}
    profile = {"samples": sum(map(len, opened))} | (counts if len(counted) == len(names) else {})
    dataset = (
        counted[0].get("dataset", "") if counted else next((shard[0].dataset for shard in opened if len(shard)), "")
    )
    return Dataset(f"{dataset} {', '.join(names)}".strip(), whole, str(folder), profile, context)
