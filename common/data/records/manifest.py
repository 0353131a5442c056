"""Manifest: what the shards of a folder hold, so that a trainer can plan an epoch without reading them."""

import io
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bodyposenet.common.bounds import MANIFEST_BYTES
from bodyposenet.common.data.records.manifest_form import find_set_fault
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.data.records.tfrecord import RecordFile
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import find_bytes, rewrite
from bodyposenet.common.storage.inside import is_plain, join_inside
from bodyposenet.common.storage.json_files import write_json
from bodyposenet.common.storage.location import Location, locate

NAME = "manifest.json"
SCHEMA = 1
SHARD_NEEDS = ("offsets", "mains", "bytes")  # what opening a shard by its manifest takes


@dataclass(frozen=True)
class Shard:
    """A shard, opened for random access.

    Attributes:
        records: Its records, serialized.
        mains: For each record, the indices of its people of interest.
        joints: Names of the dataset's joints; empty where no manifest tells them.
        negatives: Numbers of the records in which nobody is.
    """

    records: RecordFile
    mains: tuple[tuple[int, ...], ...]
    joints: tuple[str, ...] = ()
    negatives: tuple[int, ...] = ()

    @cached_property
    def samples(self) -> tuple[tuple[int, int], ...]:
        """``(record number, index of the person of interest)`` of every training sample."""
        return tuple((record, person) for record, mains in enumerate(self.mains) for person in mains)

    def __len__(self) -> int:
        return len(self.mains)

    def __getitem__(self, index: int) -> Record:
        """A record, parsed; safe from several threads at once."""
        return Record.from_bytes(self.records[index])


def open_shards(folder: str | Path | Location, names: Sequence[str]) -> list[Shard]:
    """Open shards for training.

    Args:
        folder: Where they are, with their manifest if there is one; without it they are scanned.
        names: Shard files (``train-fold-000-of-001``), with what later conversions wrote in their place or beside
            them; or sets (``train``: all of its shards).

    Raises:
        UserError: A name is neither, or a shard is missing or damaged.
    """
    where = locate(folder)
    sets = read_manifest(where)["sets"]
    paths: list[Location] = []
    for name in names:
        found = sets[name]["shards"] if name in sets else _find_grown(name, sets, names)
        paths += [shard_path(where, shard) for shard in found] if found or name in sets else [where / name]
    twice = sorted({path.name for path in paths if paths.count(path) > 1})
    if twice:
        raise UserError(f"shard {twice[0]!r} is named twice", where=str(where), fix="name every shard once")
    return [_open(path, sets) for path in paths]


def _find_grown(name: str, sets: dict[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Find what later conversions made of a shard: it, if it is left, and files that are not named themselves."""
    described = {shard["file"]: shard for found in sets.values() for shard in found["shards"]}
    grown = [shard for file, shard in described.items() if is_grown(file, name) and file not in names]
    return [described[name], *grown] if name in described and grown else grown


def is_grown(file: str, shard: str) -> bool:
    """Tell whether a later conversion wrote a file in a shard's place, or beside it."""
    return file.startswith(shard) and re.fullmatch("-[0-9a-f]{8}", file[len(shard) :]) is not None


def shard_path(folder: Location, shard: dict[str, Any]) -> Location:
    """A shard's file, which the folder's manifest names.

    Raises:
        UserError: It is a link that leads out of the folder.
    """
    return join_inside(folder, shard["file"], where=str(folder / NAME))


def _open(path: Location, sets: dict[str, Any]) -> Shard:
    for described in sets.values():
        for entry in described["shards"]:
            if entry["file"] == path.name:
                _require(entry, SHARD_NEEDS, path)
                records = RecordFile(path, entry["offsets"])
                _hold_to_manifest(records, entry)
                negatives = tuple(entry.get("negatives", ()))
                return Shard(records, tuple(map(tuple, entry["mains"])), tuple(described.get("joints", ())), negatives)
    records = RecordFile(path)
    pairs = [(found.main, len(found.boxes)) for found in map(Record.from_bytes, records)]
    negatives = tuple(number for number, (_, people) in enumerate(pairs) if not people)
    return Shard(records, tuple(main for main, _ in pairs), negatives=negatives)


def _require(entry: dict[str, Any], keys: Sequence[str], path: Location) -> None:
    missing = [key for key in keys if key not in entry]
    if missing:
        problem = f"the manifest beside it does not say its {missing[0]}"
        raise UserError(problem, where=str(path), fix="convert the dataset again")


def _hold_to_manifest(records: RecordFile, entry: dict[str, Any]) -> None:
    """A shard that is not the one the manifest describes must not be read by the manifest's offsets."""
    if records.size != entry["bytes"] or len(entry["mains"]) != len(records):
        raise UserError(
            f"the shard has {records.size} bytes, its manifest says {entry['bytes']}",
            where=str(records.path),
            fix="convert the dataset again",
        )


def read_manifest(folder: Path | Location) -> dict[str, Any]:
    """The folder's manifest; one without sets where there is none.

    Raises:
        UserError: The file is no manifest, or one of a newer version.
    """
    path = locate(folder) / NAME
    return _parse(find_bytes(path, most=MANIFEST_BYTES), path)


def _hold_to_form(manifest: Any, path: Location) -> None:
    """Refuse what is no manifest, and one that names files elsewhere: they would be read, linked and removed."""
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA or not _are_sets(manifest.get("sets")):
        raise UserError(f"this is no manifest of schema {SCHEMA}", where=str(path), fix="convert again")
    for name, described in manifest["sets"].items():
        for shard in described["shards"]:
            if not is_plain(shard.get("file")):
                problem = f"set {name!r} has a shard {shard.get('file')!r}, which is no name of a file beside it"
                raise UserError(problem, where=str(path), fix="do not use this folder; convert to another")
        if fault := find_set_fault(described):
            problem = f"what it says of set {name!r} cannot be: {fault}"
            raise UserError(problem, where=str(path), fix="do not use this folder; convert to another")


def _are_sets(sets: Any) -> bool:
    """Whether there are sets, each with a list of shards."""
    return isinstance(sets, dict) and all(
        isinstance(found, dict)
        and isinstance(found.get("shards"), list)
        and all(isinstance(shard, dict) for shard in found["shards"])
        for found in sets.values()
    )


def _parse(content: bytes | None, path: Location) -> dict[str, Any]:
    if content is None:
        return {"schema": SCHEMA, "sets": {}}
    try:
        manifest: dict[str, Any] = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"cannot read this manifest: {error}", where=str(path), fix="convert again") from None
    _hold_to_form(manifest, path)
    return manifest


def add_set(folder: Location, name: str, described: dict[str, Any], *, without: Collection[str] = ()) -> Location:
    """Put a set in the folder's manifest, beside the sets it has, and replace the file in one step.

    Of conversions that end at the same moment none loses its set: on a disk they wait for one another, in a bucket the
    later one finds the manifest changed and adds its set to that.

    Args:
        folder: Where the manifest is.
        name: Of the set.
        described: The set.
        without: Sets that it takes the place of.

    Returns:
        The manifest's path.
    """
    path = folder / NAME

    def add(content: bytes | None) -> bytes:
        manifest = _parse(content, path)
        kept = {other: found for other, found in manifest["sets"].items() if other not in without}
        manifest["sets"] = kept | {name: described}
        with io.BytesIO() as written:
            written.writelines(piece.encode() for piece in write_json(manifest))
            return written.getvalue()

    rewrite(path, add)
    return path
