"""Join: the parts of a conversion that several machines wrote, as one set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.data.conversion.publish import Conversion, open_staging, publish_set, total
from bodyposenet.common.data.conversion.staging import StagedShard
from bodyposenet.common.data.records.manifest import read_manifest, shard_path
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.digests import digest_bytes
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import Location, locate

DIVIDE = "convert every part, with the same spec and flags, and name all folders"


@dataclass(frozen=True)
class Part:
    """A part of a set.

    Attributes:
        folder: Where its shards are.
        name: What the manifest there calls it.
        document: What the manifest says of it.
    """

    folder: Location
    name: str
    document: dict[str, Any]

    @property
    def index(self) -> int:
        """Which part it is."""
        return int(self.document["part"]["index"])

    @property
    def of(self) -> int:
        """Of how many."""
        return int(self.document["part"]["of"])


def join_parts(folders: Sequence[str | Path | Location], output: str | Path | Location) -> Conversion:
    """Make one set of the parts that ``convert_dataset(..., part=...)`` wrote; its bytes are those of an undivided one.

    The shards are linked where that can be, and copied otherwise; the parts stay. Parts in the output's own folder
    become the set.

    Args:
        folders: Where the parts are; a folder may have several.
        output: Folder and base name of the shards, as for ``convert_dataset``.

    Raises:
        UserError: A part is missing, there twice, damaged, or of another conversion.
    """
    prefix = locate(output)
    parts = _complete([part for folder in folders for part in _parts_in(locate(folder), prefix.name)], prefix.name)
    shards = _interleave([[(part, shard) for shard in part.document["shards"]] for part in parts])
    skipped = {file: reasons for part in parts for file, reasons in part.document["part"]["skipped"].items()}
    document = {key: value for key, value in parts[0].document.items() if key != "part"}
    seen = {name: found for part in parts for name, found in part.document.get("seen", {}).items()}
    document = total(document | {"shards": [shard for _, shard in shards], "seen": seen}, skipped)
    if not document["images"]:
        reason = next(iter(document["skipped"]), "")
        fix = "check images_root_dir_path, and the disk that it is on"
        raise UserError("every photo was left out", where=reason, fix=fix)
    key = digest_bytes("".join(f"{part.name} {part.document}" for part in parts))[:16]
    with open_staging(prefix, key) as staging:
        staging.bring([_take(part, shard, prefix, number) for number, (part, shard) in enumerate(shards)])
        here = {part.name for part in parts if str(part.folder) == str(prefix.parent)}
        manifest = publish_set(staging, prefix.name, document, without=here)
        staging.clear()
    return Conversion.read(document, prefix.parent, manifest)


def _parts_in(folder: Location, base: str) -> list[Part]:
    sets = read_manifest(folder)["sets"]
    found = [
        Part(folder, name, document)
        for name, document in sets.items()
        if "part" in document and document["part"]["of_set"] == base
    ]
    if not found:
        there = ", ".join(sorted(sets)) or "nothing"
        problem = f"no part of a set {base!r} is described here, but {there}"
        raise UserError(problem, where=str(folder), fix=f"name folders that dataset_convert --part -o .../{base} wrote")
    return found


def _complete(parts: list[Part], base: str) -> list[Part]:
    """The parts in order, once they are known to be all of one set."""
    parts = sorted(parts, key=lambda part: part.index)
    first = parts[0]
    for part in parts:
        if (part.of, part.document["part"]["source"]) != (first.of, first.document["part"]["source"]):
            where = f"{part.folder}: {part.name}"
            raise UserError(f"is of another conversion than {first.folder}: {first.name}", where=where, fix=DIVIDE)
    there = [part.index for part in parts]
    wrong = [index for index in range(first.of) if there.count(index) != 1] or there[first.of :]
    if wrong:
        how = "missing" if wrong[0] not in there else "there twice"
        raise UserError(f"part {wrong[0]} of {first.of} of {base!r} is {how}", where=str(first.folder), fix=DIVIDE)
    return parts


def _interleave(rows: Sequence[Sequence[tuple[Part, dict[str, Any]]]]) -> list[tuple[Part, dict[str, Any]]]:
    """Shards in the order of the whole plan, of which part ``i`` has every so manieth from the ``i``-th on."""
    longest = max(map(len, rows))
    return [row[place] for place in range(longest) for row in rows if place < len(row)]


def _take(part: Part, shard: dict[str, Any], prefix: Location, number: int) -> StagedShard:
    whole = shard_path(part.folder, shard)
    with translate_errors(whole, fix=DIVIDE):
        size = whole.count_bytes()
    if size != shard["bytes"]:
        problem = f"the shard has {size} bytes, its manifest says {shard['bytes']}"
        raise UserError(problem, where=str(whole), fix="convert this part again")
    return StagedShard(prefix.with_name(shard["file"]), f"{number:05d}", whole=whole)
