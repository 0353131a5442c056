"""Calibration images: the pictures of a calibration as the network sees them: from photos, record shards, a tensorfile.

Which pictures are taken is drawn by chance with a fixed seed: the same source gives the same ones at every run.
"""

import json
import logging
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from bodyposenet.common.bounds import PHOTO_BYTES
from bodyposenet.common.data.records.manifest import NAME as MANIFEST
from bodyposenet.common.data.records.manifest import Shard, open_shards, read_manifest
from bodyposenet.common.deploy.quantization.tensorfile import Tensorfile
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.fit import choose_reduction, fit_photo, normalise
from bodyposenet.common.imaging.photo import DecodedPhoto, decode_photo
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.storage.digests import digest_bytes
from bodyposenet.common.storage.files import listing, read_bytes
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.photo_store import choose_photos, is_photo

SHARD = re.compile(r".+-of-\d+(-[0-9a-f]{8})?|.+\.tfrecord")  # as dataset_convert calls record shards
TRAIN = "train"  # the set to calibrate with, of several
SEED = 42  # of the choice
MODE = "pad_image_input"  # how photos are fitted: as an engine of a fixed size gets them

log = logging.getLogger(__name__)

T = TypeVar("T")
Read = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Fitting:
    """How photos become pictures.

    Attributes:
        size: ``(height, width)`` in pixels.
        card: The network's.
        mode: As in an inference spec.
        decode_whole: As in an inference spec.
    """

    size: tuple[int, int]
    card: Card
    mode: str | None = MODE
    decode_whole: bool = False

    def __call__(self, photo: DecodedPhoto) -> np.ndarray:
        """``(1, height, width, 3)`` float32, as the network takes it."""
        return normalise(fit_photo(photo, self.size, self.mode, self.card.stride).image, self.card)[None]

    def reduce(self, photo: tuple[int, int]) -> int:
        """Say by how much a photo of ``(height, width)`` may be reduced when it is decoded."""
        return 1 if self.decode_whole else choose_reduction(photo, self.size, self.mode)

    @property
    def described(self) -> list[object]:
        """What the pictures depend on."""
        decoding = "whole, then averaged" if self.decode_whole else "reduced, large photos to twice the size"
        return [self.size, self.mode, self.card.stride, self.card.image_scale, self.card.image_offset, decoding]


@dataclass(frozen=True)
class CalibrationImages:
    """A sequence of batches, each read when it is asked for.

    Attributes:
        batches: How to read the pictures ``(1 or more, H, W, 3)`` float32 of each.
        digest: Of all that the pictures depend on.
    """

    batches: Sequence[Sequence[Read]]
    digest: str

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (batch for batch in self.after(0) if batch is not None)

    def after(self, number: int) -> Iterator[np.ndarray | None]:
        """The batches ``(B, H, W, 3)`` but for the first ones; None where none of a batch's pictures can be read."""
        return (_together(reads) for reads in self.batches[number:])


class UnreadableError(UserError):
    """One picture cannot be read; others can."""


def from_folder(
    folder: str | Path | Location, fitting: Fitting, *, batches: int | None = None, batch_size: int = 1
) -> CalibrationImages:
    """A folder's photos, or those in its record shards if it holds none itself.

    A photo that cannot be read is told and left out.

    Args:
        folder: On a disk or in a bucket; folders in it are not looked at.
        fitting: How photos become pictures.
        batches: How many; as many as there are if None.
        batch_size: Pictures of each.

    Raises:
        UserError: The folder is missing or holds too few photos.
    """
    where = locate(folder)
    files = dict(sorted(listing(where).items()))
    bare = [name for name in files if "/" not in name]
    if not any(map(is_photo, bare)) and (MANIFEST in bare or any(SHARD.fullmatch(name) for name in bare)):
        return from_shards(where, fitting, batches=batches, batch_size=batch_size)
    photos = choose_photos(files, str(where))
    chosen = _choose(photos, batches, batch_size, where)
    reads = [partial(_read_photo, where / name, fitting) for name in chosen]
    told = [[name, *files[name]] for name in chosen]
    return CalibrationImages(_group(reads, batch_size), _digest("photos", batch_size, told, fitting))


def from_shards(
    folder: str | Path | Location, fitting: Fitting, *, batches: int | None = None, batch_size: int = 1
) -> CalibrationImages:
    """Photos in a folder's record shards: of the set ``train`` if there is one; as for :func:`from_folder`."""
    where = locate(folder)
    sets = read_manifest(where)["sets"]
    names = [TRAIN] if TRAIN in sets else list(sets)
    names = names or [name for name in sorted(listing(where)) if SHARD.fullmatch(name)]
    log.info("calibration photos are those of %s in %s", ", ".join(names), where)
    shards = open_shards(where, names)
    records = [(shard, number) for shard in shards for number in range(len(shard))]
    chosen = _choose(records, batches, batch_size, where)
    reads = [partial(_read_record, shard, number, fitting) for shard, number in chosen]
    told = [[shard.records.path.name, shard.records.size, number] for shard, number in chosen]
    return CalibrationImages(_group(reads, batch_size), _digest("records", batch_size, told, fitting))


def from_tensorfile(
    path: Path, size: tuple[int, int], *, batches: int | None = None, batch_size: int | None = None
) -> CalibrationImages:
    """A tensorfile's batches, in their order.

    Args:
        path: The file.
        size: ``(height, width)`` that its pictures are to have.
        batches: How many; all if None.
        batch_size: Pictures to take of each; all if None.

    Raises:
        UserError: The file is no tensorfile, or holds too few or other pictures.
    """
    file = Tensorfile(path)
    where, wanted = f"--cal_data_file {path}", len(file) if batches is None else batches
    if len(file) < wanted:
        raise UserError(f"{len(file)} batches; {wanted} are wanted", where=where, fix=f"use --batches {len(file)}")
    stored, *sides = file.shape
    if batch_size is not None and stored < batch_size:
        fix = f"use --batch_size {stored}"
        raise UserError(f"its batches have {stored} pictures; {batch_size} are wanted", where=where, fix=fix)
    if sorted(sides) != sorted((*size, 3)):
        told = "x".join(map(str, sides))
        raise UserError(f"its pictures are {told}, the input is {size[0]}x{size[1]}x3", where=where, fix="see -d")
    reads = [[partial(_read_stored, file, number, batch_size)] for number in range(wanted)]
    stat = path.stat()
    return CalibrationImages(reads, _digest("tensorfile", batch_size, [stat.st_size, stat.st_mtime_ns], None))


def _together(reads: Sequence[Read]) -> np.ndarray | None:
    """A batch; a picture that cannot be read is told and left out."""
    found = []
    for read in reads:
        try:
            found.append(read())
        except UnreadableError as error:
            log.warning("%s; it is left out", error)
    return np.concatenate(found) if found else None


def _read_photo(path: Location, fitting: Fitting) -> np.ndarray:
    try:
        return fitting(decode_photo(read_bytes(path, most=PHOTO_BYTES), where=str(path), reduce=fitting.reduce))
    except AwayError:
        raise
    except UserError as error:
        raise UnreadableError(error.problem, where=error.where) from None


def _read_record(shard: Shard, number: int, fitting: Fitting) -> np.ndarray:
    record = shard[number]
    where = f"{shard.records.path}: image {record.image_id}"
    try:
        turned = record.orientation
        return fitting(decode_photo(record.image, where=where, orientation=turned, reduce=fitting.reduce))
    except UserError as error:
        raise UnreadableError(error.problem, where=error.where) from None


def _read_stored(file: Tensorfile, number: int, most: int | None) -> np.ndarray:
    return file[number][:most]


def _choose(found: Sequence[T], batches: int | None, batch_size: int, where: Location) -> list[T]:
    """As many as are wanted, in an order of chance; all, in theirs, if nobody says how many."""
    if batches is None:
        return list(found)
    wanted = batches * batch_size
    if len(found) < wanted:
        fix = f"use --batches {len(found) // batch_size}" if len(found) >= batch_size else "name another folder"
        problem = f"{len(found)} photos; {batches} batches of {batch_size} need {wanted}"
        raise UserError(problem, where=str(where), fix=fix)
    return random.Random(SEED).sample(found, wanted)


def _group(reads: Sequence[Read], size: int) -> list[Sequence[Read]]:
    return [reads[start : start + size] for start in range(0, len(reads), size)]


def _digest(kind: str, batch_size: int | None, told: object, fitting: Fitting | None) -> str:
    described = [kind, SEED, batch_size, told, fitting.described if fitting else None]
    return digest_bytes(json.dumps(described))
