"""Publish: what the manifest and the report say of a set, and the step that makes the set appear."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.data.annotations.problems import NearDuplicate, Problem
from bodyposenet.common.data.conversion.jobs import PieceResult
from bodyposenet.common.data.conversion.known_photos import write_columns
from bodyposenet.common.data.conversion.publish_note import READY, PublishNote, remove_unnamed
from bodyposenet.common.data.conversion.renewal import Changes, Renewal
from bodyposenet.common.data.conversion.shard_plan import Options
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.staging import Staging
from bodyposenet.common.data.conversion.standing_records import SETTINGS, describe_settings
from bodyposenet.common.data.records.manifest import add_set, read_manifest
from bodyposenet.common.errors import UserError
from bodyposenet.common.plain_text import hide_secrets
from bodyposenet.common.storage.digests import digest_bytes, digest_settings
from bodyposenet.common.storage.files import write_unsynced
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.locking import scratch_folder

COUNTED = ("records", "people", "samples")  # of a shard, in a manifest


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
        changes: What became of the records of the set as it was; None where all of it was made.
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
    changes: Changes | None = None

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
    return _choose_staging(prefix)(prefix, key)


def find_notes(prefix: Location) -> list[PublishNote]:
    """Find what stopped conversions to a name noted before they let shards appear."""
    return _choose_staging(prefix).find_notes(prefix)


def _choose_staging(prefix: Location) -> type[Staging]:
    if not prefix.remote:
        return Staging
    from bodyposenet.common.data.conversion.staging_remote import RemoteStaging

    return RemoteStaging


def describe_set(
    source: DatasetSplit,
    options: Options,
    renewal: Renewal,
    made: Mapping[str, PieceResult],
    held_out: Mapping[str, int | None],
) -> Described:
    """Describe a set of which every piece is made.

    Args:
        source: What is converted.
        options: How.
        renewal: What stands of the set as it was, and which shards were written.
        made: The pieces.
        held_out: Hash of each photo that was compared with those of the set, by its name.
    """
    spec = json.loads(hide_secrets(source.spec.model_dump_json(by_alias=True)))  # an address may be signed
    pieces = {shard.file: [made[name] for name in shard.names] for shard in renewal.plan}
    skipped = {file: _list_skipped(parts) for file, parts in pieces.items()}
    written = [_shard(file, parts) for file, parts in pieces.items()]
    if renewal.shards:  # one of photos that were left out before, and are again, is none
        written = [shard for shard in written if shard["records"]]
    shards = [shard.entry for shard in renewal.untouched] + written
    document = {
        "dataset": source.spec.dataset,
        "dataset_spec": spec,
        "spec_sha256": digest_settings(spec),
        SETTINGS: describe_settings(source, options),
        "joints": list(source.coco.joints),
        "shards": shards,
        "seen": _list_seen(source, shards),
        "held_out": {name: [*stat, value] for name, value in held_out.items() if (stat := source.find_stat(name))},
    }
    if shards:
        files = [shard["file"] for shard in shards]
        gone = [reason for file in skipped if file not in files for reason in skipped[file]]
        skipped = {file: skipped.get(file, []) for file in files}
        skipped[files[-1]] = skipped[files[-1]] + gone
    if options.part is not None:
        index, of = options.part
        same = digest_bytes(f"{source.digest} {options.mode} {options.check_files}")
        document["part"] = {"of_set": options.prefix.name, "index": index, "of": of, "source": same, "skipped": skipped}
    problems = [problem for piece in made.values() for problem in piece.problems]
    return Described(total(document, skipped), problems)


def _list_seen(source: DatasetSplit, shards: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """List size and version of the photos of all records, by which the next conversion knows them without reading."""
    images = source.coco.images
    ids = {number for shard in shards for number in shard["photos"]["image_id"]}
    names = [name for number, name in zip(images.ids.tolist(), images.file_names, strict=True) if number in ids]
    return {name: [*stat] for name in names if (stat := source.find_stat(name))}


def total(document: dict[str, Any], skipped: Mapping[str, list[str]]) -> dict[str, Any]:
    """A set's description with the sums of its shards.

    Args:
        document: The description, its shards in order.
        skipped: For each shard, the photos that it lacks, and why.

    Raises:
        UserError: A shard's records are not counted, as versions before did not.
    """
    shards = document["shards"]
    if not all(key in shard for shard in shards for key in COUNTED):
        where = f"set {document.get('dataset')!r}"
        raise UserError("its manifest does not count the records of a shard", where=where, fix="convert it again")
    return document | {
        "images": sum(shard["records"] for shard in shards),
        "people": sum(shard["people"] for shard in shards),
        "samples": sum(shard["samples"] for shard in shards),
        "skipped": [reason for shard in shards for reason in skipped.get(shard["file"], ())],
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
    gone = [shard["file"] for shard in before["shards"] if shard["file"] not in kept]
    replaced = staging.ready(gone, digest_settings(document))
    there = {shard["file"] for shard in before["shards"]}
    if SETTINGS in before and any(shard.final.name in there for shard in staging.shards):
        # What is written over is none of what the manifest tells: after a kill nobody may go on from that
        add_set(folder, name, {key: value for key, value in before.items() if key != SETTINGS})
    staging.publish()
    manifest = add_set(folder, name, document, without=without)
    remove_unnamed(folder, replaced, name, staging.folder / READY)
    return manifest


def write_summary(done: Conversion, base: Location, token: str) -> None:
    """Write what a conversion came to as JSON."""
    shown = {name: value for name, value in vars(done).items() if name != "problems"}
    shown["changes"] = done.changes and done.changes.note()
    with write_unsynced(base.with_name(f"{base.name}.conversion.json"), token) as file:
        file.write(json.dumps(shown, indent=1, default=str).encode())


def write_report(
    source: DatasetSplit,
    problems: Sequence[Problem],
    base: Location,
    token: str,
    turns: Mapping[str, int] | None = None,
    pairs: Sequence[NearDuplicate] | None = None,
    changes: Changes | None = None,
) -> Location:
    """The dataset's report; it is made elsewhere, so that a kill leaves no half of it. Returns the page."""
    from bodyposenet.common.data.report.dataset_report import report_dataset

    base.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as made:
        read = source.store.read
        counted = None if changes is None else changes.note()
        page = report_dataset(
            Path(made), source.coco, source.choice, problems, spec=source.spec, read=read, turns=turns, pairs=pairs,
            changes=counted,
        )  # fmt: skip
        for path in sorted(Path(made).iterdir()):
            with write_unsynced(base.with_name(f"{base.name}.{path.name}"), token) as file:
                file.write(path.read_bytes())
    return base.with_name(f"{base.name}.{page.name}")


def _list_skipped(pieces: Sequence[PieceResult]) -> list[str]:
    problems = (problem for piece in pieces for problem in piece.problems if not problem.kept)
    return [hide_secrets(f"{problem.where}: {problem.text}") for problem in problems]


def _shard(file: str, pieces: Sequence[PieceResult]) -> dict[str, Any]:
    """A shard that is the pieces one after another."""
    offsets: list[int] = []
    size = 0
    for piece in pieces:
        offsets += [size + offset for offset in piece.offsets]
        size += piece.size
    mains = [mains for piece in pieces for mains in piece.mains]
    known = [photo for piece in pieces for photo in piece.known]
    negatives = [number for number, some in enumerate(mains) if not some]  # a photo with people has one of interest
    return {
        "file": file,
        "bytes": size,
        "records": len(offsets),
        "people": sum(photo.people for photo in known),
        "samples": sum(map(len, mains)),
        "offsets": offsets,
        "mains": mains,
        "photos": write_columns(known),
        **({"negatives": negatives} if negatives else {}),
    }
