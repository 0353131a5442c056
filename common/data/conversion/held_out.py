"""Held-out photos: they are hashed, and photos of the set that look like one of them are found."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bodyposenet.common.data.annotations.problems import NearDuplicate
from bodyposenet.common.data.conversion.known_photos import KnownPhoto
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.worker_pool import WorkerPool
from bodyposenet.common.imaging.near_duplicates import find_pairs


def hash_held_out(
    source: DatasetSplit, before: Mapping[str, Sequence[Any]], pool: WorkerPool
) -> dict[int, int | None] | None:
    """Hash the photos that are held out, those alone that changed since they were hashed.

    Args:
        source: What is converted.
        before: Size, version and hash of photos by their names, as the manifest has them of the conversion before.
        pool: Reads them.

    Returns:
        Hashes by the photos' ids, None of one that cannot be read; None where nothing is split.
    """
    table = source.held_out
    if table is None:
        return None
    same = {  # one that could not be read may be now
        name
        for name, (*stat, value) in before.items()
        if value is not None and [*(source.find_stat(name) or ())] == stat
    }
    named = zip(table.ids.tolist(), table.file_names, strict=True)
    hashes: dict[int, int | None] = {number: before[name][-1] if name in same else None for number, name in named}
    for found in pool.run(source.hash_pieces(same)):
        hashes |= dict(found)
    return hashes


def name_hashes(source: DatasetSplit, hashes: Mapping[int, int | None] | None) -> dict[str, int | None]:
    """Put the hashes by the photos' names."""
    table = source.held_out
    if table is None or hashes is None:
        return {}
    return {name: hashes[number] for number, name in zip(table.ids.tolist(), table.file_names, strict=True)}


def find_duplicates(
    source: DatasetSplit, hashes: Mapping[int, int | None], photos: Iterable[KnownPhoto]
) -> list[NearDuplicate]:
    """Find photos that are held out and look like one of these."""
    held_out = sorted((number, value) for number, value in hashes.items() if value is not None)
    own = sorted({photo.image_id: photo.likeness for photo in photos if photo.likeness is not None}.items())
    pairs = find_pairs([value for _, value in held_out], [value for _, value in own])
    tables = [table for table in (source.held_out, source.coco.images) if table is not None]
    names = [dict(zip(table.ids.tolist(), table.file_names, strict=True)) for table in tables]
    ids = [(held_out[pair.one][0], own[pair.other][0], pair.bits) for pair in pairs]
    return [NearDuplicate(one, names[0][one], other, names[1][other], bits) for one, other, bits in ids]
