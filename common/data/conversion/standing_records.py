"""Standing records: which records of a set that is there already a conversion would make again as they are."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bodyposenet import __version__
from bodyposenet.common.data.conversion.jobs import CopyPiece, DigestPiece
from bodyposenet.common.data.conversion.known_photos import KnownPhoto
from bodyposenet.common.data.conversion.publish_note import PublishNote
from bodyposenet.common.data.conversion.shard_plan import Options, cut_pieces
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.worker_pool import WorkerPool
from bodyposenet.common.data.records.manifest import SCHEMA, SHARD_NEEDS, shard_path
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.plain_text import hide_secrets
from bodyposenet.common.storage.digests import digest_settings
from bodyposenet.common.storage.location import Location

SETTINGS = "settings"  # of a set in a manifest: what it was converted with
ANYWHERE = ("root_directory_path", "train_data", "test_data")  # keys of a spec that say where things are

log = logging.getLogger(__name__)


class KnownShard(NamedTuple):
    """A shard that is there.

    Attributes:
        entry: As the manifest has it.
        photos: What is known of its records.
    """

    entry: dict[str, Any]
    photos: list[KnownPhoto]

    @property
    def file(self) -> str:
        """Its name."""
        return str(self.entry["file"])

    def copy_piece(self, name: str, folder: Location, records: Sequence[int]) -> CopyPiece:
        """The job that copies some of its records to a folder beside it."""
        offsets, mains = ([self.entry[key][record] for record in records] for key in ("offsets", "mains"))
        known = [self.photos[record] for record in records]
        return CopyPiece(name, folder, folder.parent / self.file, offsets, mains, known)


def describe_settings(source: DatasetSplit, options: Options) -> dict[str, Any]:
    """Describe all that decides on records beside photos and annotations.

    Folders are as the spec has them, below its root: that is what records say. Where the root is does not count, and
    neither does what the annotation file is called.
    """
    spec = source.spec.model_dump(mode="json", by_alias=True)
    own = {f"{key} of the dataset spec": value for key, value in spec.items() if key not in ANYWHERE}
    return own | {
        "version": f"{__version__}, schema {SCHEMA}",
        "images_root_dir_path of the dataset spec": hide_secrets(source.paths.images_root_dir_path),  # may be signed
        "mask_root_dir_path of the dataset spec": hide_secrets(source.paths.mask_root_dir_path),
        "mode": options.mode,
        "num_partitions": options.num_partitions,
        "num_shards": options.num_shards,
        "check_files": options.check_files,
        "joints": list(source.coco.joints),
    }


def find_obstacle(source: DatasetSplit, options: Options, document: Mapping[str, Any]) -> str:
    """Say why nothing of a set can stand; an empty text where something can."""
    if (options.part or (0, 1))[1] > 1:
        return "what a part holds depends on all photos"
    if not _tells_all(document):
        return "the manifest does not say what the records there were made of"
    now, then = describe_settings(source, options), document[SETTINGS]
    differ = sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key))
    return f"{', '.join(differ)}: changed since" if differ else ""


def _tells_all(document: Mapping[str, Any]) -> bool:
    """Tell whether a manifest has what is asked of a set here; earlier versions wrote less."""
    known = [document.get(key) for key in (SETTINGS, "seen", "held_out")]
    whole = all(isinstance(found, dict) for found in (*known, *(entry.get("photos") for entry in document["shards"])))
    return whole and all({*SHARD_NEEDS, "records", "people", "samples"} <= entry.keys() for entry in document["shards"])


def find_doubtful(document: Mapping[str, Any], notes: Sequence[PublishNote]) -> set[str]:
    """Find shards that a stopped conversion may have replaced before the manifest knew of it."""
    digest = digest_settings(document) if notes else ""
    return {file for note in notes if note.described != digest for file in note.files}


def is_sound(shard: KnownShard, options: Options) -> bool:
    """Tell whether a shard is there as the manifest describes it, as far as that shows without reading it."""
    path, entry = shard_path(options.prefix.parent, shard.entry), shard.entry
    described = len(shard.photos) == len(entry["offsets"]) == len(entry["mains"])
    known = options.find_slot(shard.file) is not None
    return described and known and path.is_file() and path.count_bytes() == entry["bytes"]


def find_kept(
    source: DatasetSplit, shards: Mapping[str, KnownShard], seen: Mapping[str, Sequence[Any]], pool: WorkerPool
) -> dict[str, list[int]]:
    """Find the records that stand: same annotations, and the same photo, by its listing or by its content.

    Args:
        source: What is to be converted.
        shards: What is there of the set, by file.
        seen: Size and version of each photo when its record was made, by its name.
        pool: Reads the photos of which only their content tells whether they are the same.

    Returns:
        Numbers of the records of each shard that stand, by file.
    """
    usable = range(len(source.usable))
    ids, names = source.coco.images.ids[source.usable].tolist(), source.coco.images.file_names
    labels = dict(zip(ids, source.digest_labels(usable), strict=True))
    files = {number: names[photo] for number, photo in zip(ids, source.usable.tolist(), strict=True)}
    alike = [
        (file, record, name := files[photo.image_id], photo.photo, _compare(source, name, seen))
        for file, shard in shards.items()
        for record, photo in enumerate(shard.photos)
        if labels.get(photo.image_id) == photo.labels
    ]
    unsure = {name for *_, name, _, same in alike if same is None}
    digests = dict(_digest_photos(source, sorted(unsure), pool))
    kept: dict[str, list[int]] = {file: [] for file in shards}
    for file, record, name, content, same in alike:
        if digests.get(name) == content if same is None else same:
            kept[file].append(record)
    return kept


def _compare(source: DatasetSplit, name: str, seen: Mapping[str, Sequence[Any]]) -> bool | None:
    """Tell whether a photo is the same by what the listing says of it; None where only its content tells."""
    stat, then = source.find_stat(name), seen.get(name)
    if stat is None or then is None:
        return None if stat else False
    return [*stat] == then or (None if stat.size == then[0] else False)


def _digest_photos(source: DatasetSplit, names: Sequence[str], pool: WorkerPool) -> Iterator[tuple[str, str]]:
    """Digest the files of photos, by their names."""
    if names:
        log.info("%s: %s read to see whether they changed", source.coco.path, pluralize(len(names), "photo"))
    pieces = (
        DigestPiece([names[number] for number in some], source.store) for _, some in cut_pieces("", range(len(names)))
    )
    return (pair for pairs in pool.run(pieces) for pair in pairs)
