"""Convert: COCO keypoint annotations and photos to record shards."""

import hashlib
import json
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from bodyposenet.common.data.coco import CocoSet, Photo, read_annotations
from bodyposenet.common.data.filtering import main_people
from bodyposenet.common.data.manifest import add_set, read_manifest
from bodyposenet.common.data.masks import encode_mask, ignore_mask
from bodyposenet.common.data.photos import read_photo
from bodyposenet.common.data.records import Record
from bodyposenet.common.data.tfrecord import whole_file, write_records
from bodyposenet.common.errors import UserError

if TYPE_CHECKING:
    from bodyposenet.common.spec.dataset import DatasetSpec

SEED = 42  # TAO's

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote.

    Attributes:
        images: Photos in the shards.
        people: People with keypoints in these photos.
        samples: People of interest: what a training epoch counts.
        shards: The files.
        skipped: Why each photo that ``check_files`` left out was.
        manifest: The file that describes the shards.
    """

    images: int
    people: int
    samples: int
    shards: list[Path]
    skipped: list[str]
    manifest: Path


def convert_dataset(
    spec: "DatasetSpec",
    output: str | Path,
    *,
    mode: str = "train",
    num_partitions: int = 1,
    num_shards: int = 0,
    generate_masks: bool = False,
    check_files: bool = False,
    results_dir: str | Path | None = None,
) -> Conversion:
    """Convert a dataset to record shards and describe them in ``manifest.json`` beside them.

    The same input gives the same bytes. Photos without a person of interest get no record.

    Args:
        spec: The dataset.
        output: Folder and base name of the shards: ``data/train`` gives ``data/train-fold-000-of-001``.
        mode: ``train`` or ``test``: which of the spec's two sets.
        num_partitions: Folds, dealt in turn; 0 is one fold that the file names do not mention.
        num_shards: Files a fold; 0 is one that the file names do not mention.
        generate_masks: Write the masks as PNG files below the set's ``mask_root_dir_path`` too.
        check_files: Decode every photo, and leave out those that are missing or damaged instead of stopping at one.
        results_dir: Folder for a summary, ``conversion.json``.

    Raises:
        UserError: A setting, an annotation or a photo is wrong.
    """
    prefix = Path(output)
    if mode not in ("train", "test"):
        raise UserError(f"there is no mode {mode!r}", fix="use train or test")
    if min(num_partitions, num_shards) < 0:
        raise UserError(f"{num_partitions} partitions of {num_shards} shards", fix="use no negative numbers")
    source = _Source.of(spec, mode, check_files)
    if not source.usable:
        raise UserError(
            f"no person of interest in {len(source.coco.photos)} photos",
            where=str(source.coco.path),
            fix="relax data_filtering_params in the dataset spec",
        )
    if generate_masks:
        source.write_masks()
    planned = plan(len(source.usable), prefix.name, num_partitions, num_shards)
    with tqdm(total=len(source.usable), desc=prefix.name, unit="photo", disable=None) as progress:
        shards = [_write_shard(prefix.with_name(name), source, numbers, progress) for name, numbers in planned]
    described = _describe(spec, source, shards)
    files = [prefix.with_name(shard["file"]) for shard in shards]
    if not described["images"]:
        _remove(files)
        raise UserError("every photo was left out", where=source.skipped[0], fix="check images_root_dir_path")
    manifest = _publish(prefix, described)
    done = Conversion(described["images"], described["people"], described["samples"], files, source.skipped, manifest)
    if results_dir is not None:
        _write_summary(done, Path(results_dir))
    return done


def plan(count: int, base: str, num_partitions: int, num_shards: int) -> list[tuple[str, list[int]]]:
    """Deal records to files as TAO does: in turn to partitions, each shuffled, each cut into shards.

    Returns:
        ``(file name, record numbers)`` of every shard.
    """
    shuffler = random.Random(SEED)
    partitions = max(num_partitions, 1)
    planned = []
    for partition in range(partitions):
        numbers = list(range(partition, count, partitions))
        shuffler.shuffle(numbers)
        name = base + (f"-fold-{partition:03d}-of-{num_partitions:03d}" if num_partitions else "")
        planned += [(name + suffix, part) for suffix, part in _cut(numbers, num_shards)]
    return planned


def _cut(numbers: list[int], num_shards: int) -> Iterator[tuple[str, list[int]]]:
    """Contiguous pieces of equal size; the last takes the remainder."""
    if not num_shards:
        yield "", numbers
    size = len(numbers) // max(num_shards, 1)
    for shard in range(num_shards):
        end = (shard + 1) * size if shard + 1 < num_shards else len(numbers)
        yield f"-shard-{shard:05d}-of-{num_shards:05d}", numbers[shard * size : end]


@dataclass(frozen=True)
class _Source:
    """One set of a dataset: its photos, where they are, and who in them is of interest."""

    spec: Any
    paths: Any
    coco: CocoSet
    check_files: bool
    skipped: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, spec: "DatasetSpec", mode: str, check_files: bool) -> "_Source":
        paths = spec.train_data if mode == "train" else spec.test_data
        annotations = Path(spec.root_directory_path) / paths.annotation_root_dir_path
        codes = spec.visibility_flags.codes()
        return cls(spec, paths, read_annotations(annotations, spec.people, flags=codes), check_files)

    @cached_property
    def usable(self) -> list[tuple[Photo, list[int]]]:
        """Photos with someone of interest, and the indices of those people."""
        chosen = ((photo, main_people(photo, self.spec.data_filtering_params)) for photo in self.coco.photos)
        everyone = self.spec.duplicate_data_with_each_person_as_center
        return [(photo, mains if everyone else mains[:1]) for photo, mains in chosen if mains]

    def mask_path(self, photo: Photo) -> Path:
        """Where the photo's mask file is, below the root: PNG, as JPEG would blur it."""
        return Path(self.paths.mask_root_dir_path) / Path(photo.file_name).with_suffix(".png")

    def write_masks(self) -> None:
        """Write the mask of every photo in which something is masked."""
        for photo in tqdm(self.coco.photos, desc="masks", unit="photo", disable=None):
            mask = self.mask_of(photo)
            if mask is not None:
                with whole_file(Path(self.spec.root_directory_path) / self.mask_path(photo)) as file:
                    file.write(mask)

    def mask_of(self, photo: Photo) -> bytes | None:
        try:
            mask = ignore_mask(photo)
        except UserError as error:
            raise UserError(error.problem, where=f"{self.coco.path}: {error.where}", fix=error.fix) from None
        return None if mask is None else encode_mask(mask)

    def record(self, number: int) -> Record | None:
        """Read one photo into its record; None where ``check_files`` leaves it out."""
        photo, mains = self.usable[number]
        image_path = Path(self.paths.images_root_dir_path) / photo.file_name
        try:
            image = read_photo(Path(self.spec.root_directory_path) / image_path, photo, thorough=self.check_files)
        except UserError as error:
            if not self.check_files:
                raise
            self.skipped.append(f"{error.where}: {error.problem}")
            log.warning("left out: %s", self.skipped[-1])
            return None
        labelled = [index for index, person in enumerate(photo.people) if person.labelled]
        return Record(
            image_id=photo.image_id,
            height=photo.height,
            width=photo.width,
            image_path=image_path.as_posix(),
            mask_path=self.mask_path(photo).as_posix(),
            dataset=self.spec.dataset,
            image=image,
            mask=self.mask_of(photo),
            joints=np.stack([photo.people[index].keypoints for index in labelled]),
            boxes=np.stack([photo.people[index].box for index in labelled]),
            main=tuple(labelled.index(index) for index in mains),
        )


def _write_shard(path: Path, source: _Source, numbers: Sequence[int], progress: "tqdm[Any]") -> dict[str, Any]:
    """Write a shard, one photo in memory at a time, and describe it."""
    mains: list[list[int]] = []
    people = 0

    def payloads() -> Iterator[bytes]:
        nonlocal people
        for number in numbers:
            record = source.record(number)
            progress.update()
            if record is not None:
                mains.append(list(record.main))
                people += len(record.boxes)
                yield record.to_bytes()

    offsets = write_records(path, payloads())
    log.info("%s: %d records", path, len(offsets))
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "records": len(offsets),
        "people": people,
        "samples": sum(map(len, mains)),
        "offsets": offsets,
        "mains": mains,
    }


def _describe(spec: "DatasetSpec", source: _Source, shards: list[dict[str, Any]]) -> dict[str, Any]:
    document = spec.model_dump(mode="json", by_alias=True)
    return {
        "dataset": spec.dataset,
        "dataset_spec": document,
        "spec_sha256": hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest(),
        "joints": list(source.coco.joints),
        "images": sum(shard["records"] for shard in shards),
        "people": sum(shard["people"] for shard in shards),
        "samples": sum(shard["samples"] for shard in shards),
        "skipped": list(source.skipped),
        "shards": shards,
    }


def _publish(prefix: Path, described: dict[str, Any]) -> Path:
    """Write the manifest, then remove shards of an earlier conversion to the same name that it no longer lists."""
    before = read_manifest(prefix.parent)["sets"].get(prefix.name, {"shards": []})
    manifest = add_set(prefix.parent, prefix.name, described)
    kept = {shard["file"] for shard in described["shards"]}
    _remove([prefix.with_name(shard["file"]) for shard in before["shards"] if shard["file"] not in kept])
    return manifest


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _write_summary(done: Conversion, folder: Path) -> None:
    with whole_file(folder / "conversion.json") as file:
        file.write(json.dumps(asdict(done), indent=1, default=str).encode())
