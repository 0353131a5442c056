"""Publish note: what a conversion notes before its shards appear, so that a later one knows which may go."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from bodyposenet.common.data.conversion.shard_plan import is_shard, name_base
from bodyposenet.common.data.records.manifest import read_manifest
from bodyposenet.common.errors import MALFORMED
from bodyposenet.common.storage.files import find_bytes
from bodyposenet.common.storage.inside import remove_inside
from bodyposenet.common.storage.location import Location

READY = "ready"  # in the staging folder when every shard is complete: its content is a PublishNote


@dataclass(frozen=True)
class PublishNote:
    """What a conversion notes before it lets its shards appear.

    Attributes:
        replaced: Files that are to go when they have appeared.
        files: The shards.
        described: Digest of what the manifest says of the set when all is done.
    """

    replaced: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    described: str = ""

    @classmethod
    def read(cls, path: Location) -> "PublishNote | None":
        """Read a note; None where there is no file, or one that an earlier version or a power cut left."""
        content = find_bytes(path)
        try:
            note = None if content is None else cls(**json.loads(content))
        except MALFORMED:
            return None
        told = [] if note is None else [note.replaced, note.files, [note.described]]
        whole = all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in told)
        return note if whole else None


def remove_unnamed(folder: Location, files: Iterable[str], set_name: str, where: Location) -> None:
    """Remove files of a folder that no set of its manifest names, of those that are called as the shards of a set.

    Args:
        folder: Has the manifest.
        files: The files; whatever else they are, no conversion to this set wrote those that are called otherwise.
        set_name: The set.
        where: What lists the files, for the message.
    """
    meant = [file for file in files if is_shard(file, name_base(set_name))]
    sets = read_manifest(folder)["sets"] if meant else {}
    named = {shard["file"] for described in sets.values() for shard in described["shards"]}
    for file in meant:
        if file not in named:
            remove_inside(folder, file, where=str(where))
