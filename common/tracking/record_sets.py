"""Record sets: shards as datasets that MLflow shows; a module of its own, as a registered network needs none of it."""

from collections.abc import Sequence
from pathlib import Path

from bodyposenet.common.storage.digests import digest_bytes, digest_content
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.tracking.datasets import Dataset


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
