"""Publish: what the manifest says of a set, and the step that makes the set appear."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.conversion.jobs import PieceResult
from bodyposenet.common.data.conversion.shard_plan import Options, ShardPlan, is_shard
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.staging import READY, Staging
from bodyposenet.common.data.records.manifest import add_set, read_manifest
from bodyposenet.common.plain_text import hide_secrets
from bodyposenet.common.storage.digests import digest_bytes, digest_settings
from bodyposenet.common.storage.inside import remove_inside
from bodyposenet.common.storage.location import Location


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote.

    Attributes:
        images: Photos in the shards.
        people: People with keypoints in these photos.
        samples: People of interest: what a training epoch counts.
        negatives: Photos without any annotation that are in the shards.
        shards: The files.
        skipped: Photos with people of interest that were left out, and why.
        manifest: The file that describes the shards.
        problems: Everything that is wrong with the dataset, these photos among it.
        refused: Photos that the annotation file describes wrongly: they were left out, too.
        report: The page that shows what is in the dataset, if one was asked for.
    """

    images: int
    people: int
    samples: int
    shards: list[Location]
    skipped: list[str]
    manifest: Location
    problems: tuple[Problem, ...] = ()
    refused: int = 0
    report: Location | None = None
    negatives: int = 0

    @classmethod
    def read(
        cls, document: dict[str, Any], folder: Location, manifest: Location, problems: Sequence[Problem] = ()
    ) -> "Conversion":
        """What a manifest says of a set."""
        return cls(
            images=document["images"],
            people=document["people"],
            samples=document["samples"],
            shards=[folder / shard["file"] for shard in document["shards"]],
            skipped=document["skipped"],
            manifest=manifest,
            problems=tuple(problems),
            negatives=sum(len(shard.get("negatives", ())) for shard in document["shards"]),
        )


@dataclass(frozen=True)
class Described:
    """A set.

    Attributes:
        document: As the manifest has it.
        problems: What was found wrong while it was made.
    """

    document: dict[str, Any]
    problems: list[Problem]


def open_staging(prefix: Location, key: str) -> Staging:
    """Make the staging folder of a conversion, which :class:`Staging` has the arguments of."""
    if not prefix.remote:
        return Staging(prefix, key)
    from bodyposenet.common.data.conversion.staging_remote import RemoteStaging

    return RemoteStaging(prefix, key)


def describe_set(
    source: DatasetSplit, options: Options, planned: Sequence[ShardPlan], made: Mapping[str, PieceResult]
) -> Described:
    """Describe a set of which every piece is made."""
    spec = json.loads(hide_secrets(source.spec.model_dump_json(by_alias=True)))  # an address may be signed
    pieces = {shard.file: [made[name] for name, _ in shard.pieces()] for shard in planned}
    skipped = {file: _list_skipped(parts) for file, parts in pieces.items()}
    document = {
        "dataset": source.spec.dataset,
        "dataset_spec": spec,
        "spec_sha256": digest_settings(spec),
        "joints": list(source.coco.joints),
        "shards": [_shard(file, parts) for file, parts in pieces.items()],
    }
    if options.part is not None:
        index, of = options.part
        same = digest_bytes(f"{source.digest} {options.mode} {options.check_files}")
        document["part"] = {"of_set": options.prefix.name, "index": index, "of": of, "source": same, "skipped": skipped}
    problems = [problem for name in sorted(made) for problem in made[name].problems]
    return Described(total(document, skipped), problems)


def total(document: dict[str, Any], skipped: Mapping[str, list[str]]) -> dict[str, Any]:
    """A set's description with the sums of its shards.

    Args:
        document: The description, its shards in order.
        skipped: For each shard, the photos that it lacks, and why.
    """
    shards = document["shards"]
    return document | {
        "images": sum(shard["records"] for shard in shards),
        "people": sum(shard["people"] for shard in shards),
        "samples": sum(shard["samples"] for shard in shards),
        "skipped": [reason for shard in shards for reason in skipped[shard["file"]]],
    }


def publish_set(staging: Staging, name: str, document: dict[str, Any], *, without: Collection[str] = ()) -> Location:
    """Let a set appear: its shards, then the manifest; then remove the shards that it had before and has no more.

    Args:
        staging: Has the shards.
        name: Of the set.
        document: What the manifest says of it.
        without: Sets of the manifest that it takes the place of.

    Returns:
        The manifest's path.
    """
    folder = staging.folder.parent
    before = read_manifest(folder)["sets"].get(name, {"shards": []})
    kept = {shard["file"] for shard in document["shards"]}
    replaced = staging.ready(shard["file"] for shard in before["shards"] if shard["file"] not in kept)
    staging.publish()
    manifest = add_set(folder, name, document, without=without)
    for file in replaced:
        if is_shard(file, document_base(name, document)):  # whatever else it is, no conversion to this set wrote it
            remove_inside(folder, file, where=str(staging.folder / READY))
    return manifest


def document_base(name: str, document: Mapping[str, Any]) -> str:
    """The base name of a set's shards: a part's are called after the whole set."""
    return str(document["part"]["of_set"]) if "part" in document else name


def _list_skipped(pieces: Sequence[PieceResult]) -> list[str]:
    problems = (problem for piece in pieces for problem in piece.problems if not problem.kept)
    return [f"{problem.where}: {problem.text}" for problem in problems]


def _shard(file: str, pieces: Sequence[PieceResult]) -> dict[str, Any]:
    """A shard that is the pieces one after another."""
    offsets: list[int] = []
    size = 0
    for piece in pieces:
        offsets += [size + offset for offset in piece.offsets]
        size += piece.size
    mains = [mains for piece in pieces for mains in piece.mains]
    negatives = [number for number, some in enumerate(mains) if not some]  # a photo with people has one of interest
    return {
        "file": file,
        "bytes": size,
        "records": len(offsets),
        "people": sum(piece.people for piece in pieces),
        "samples": sum(map(len, mains)),
        "offsets": offsets,
        "mains": mains,
        **({"negatives": negatives} if negatives else {}),
    }
