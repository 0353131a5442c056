"""Datasets: what a task worked on, told by a digest, so that two runs can be seen to have had the same data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.data.importers.load import digest_annotations, is_one_file
from bodyposenet.common.data.records.manifest import open_shards, read_manifest
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.storage.digests import digest_bytes, digest_content, digest_settings, fingerprint
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.photo_store import open_photos


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


def describe_half(spec: DatasetSpec, half: str, context: str, profile: Mapping[str, Any] | None = None) -> Dataset:
    """Describe the photos and annotations of a dataset's ``train`` or ``test`` half, wherever they are.

    Of photos in an archive what its directory says of them counts in place of their bytes.

    Raises:
        UserError: They cannot be read.
    """
    its = spec.locate_half(half)
    photos = fingerprint(its.images) if its.images.is_dir() else digest_settings(open_photos(its.images).listing())
    one = is_one_file(its.annotations)
    annotations = digest_content(its.annotations) if one else digest_annotations(its.annotations)
    whole = digest_bytes(annotations + photos)
    return Dataset(f"{spec.dataset} {half}", whole, str(its.images.parent), profile or {}, context)


def describe_records(folder: str | Path | Location, names: Sequence[str], context: str) -> Dataset:
    """Describe record shards by their bytes, in the order of their names; sets of a manifest say what is in them.

    Raises:
        UserError: A name is neither a set nor a shard, or a shard is missing or damaged.
    """
    opened = open_shards(folder, names)
    whole = digest_bytes("".join(digest_content(shard.records.path) for shard in opened))
    sets = read_manifest(locate(folder))["sets"]
    counted = [sets[name] for name in names if name in sets]
    counts = {what: sum(described[what] for described in counted) for what in ("images", "people")}
    profile = {"samples": sum(map(len, opened))} | (counts if len(counted) == len(names) else {})
    dataset = counted[0]["dataset"] if counted else next((shard[0].dataset for shard in opened if len(shard)), "")
    return Dataset(f"{dataset} {', '.join(names)}".strip(), whole, str(folder), profile, context)
