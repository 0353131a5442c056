"""Jobs: a run of photos turned into framed records, in whatever process, and described so that they can be joined."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import google_crc32c

from bodyposenet.common.data.annotations.coco import Photo, Photos
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.conversion.known_photos import KnownPhoto, note_faults
from bodyposenet.common.data.conversion.recipe import ConversionRecipe
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.data.records.tfrecord import RecordFile, frame
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.near_duplicates import hash_picture
from bodyposenet.common.storage.digests import digest_bytes
from bodyposenet.common.storage.files import write_unsynced
from bodyposenet.common.storage.inside import stays_inside
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.photo_store import PhotoStore

DATA, DESCRIPTION = ".piece", ".json"
MORE = "write more shards"  # where one is larger than a disk takes


@dataclass
class PieceResult:
    """What a piece came to.

    Attributes:
        name: Of the piece.
        photos: How many were looked at.
        size: Bytes of its file.
        crc: CRC-32C of its file.
        offsets: Byte offset of each record in its file.
        mains: For each record, its people of interest.
        known: For each record, what a later conversion knows it by.
        problems: What was wrong; photos with a problem that is not ``kept`` are left out.
    """

    name: str
    photos: int
    size: int = 0
    crc: int = 0
    offsets: list[int] = field(default_factory=list)
    mains: list[list[int]] = field(default_factory=list)
    known: list[KnownPhoto] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def turns(self) -> Counter[str]:
        """Photos whose files tell a turn, by what their annotations are of."""
        return Counter(photo.turn for photo in self.known if photo.turn)

    def add(self, payload: bytes, mains: Sequence[int], known: KnownPhoto) -> bytes:
        """Count a record; returns its frame."""
        framed = frame(payload)
        self.offsets.append(self.size)
        self.mains.append(list(mains))
        self.known.append(known)
        self.size += len(framed)
        self.crc = google_crc32c.extend(self.crc, framed)
        return framed

    def to_json(self) -> bytes:
        """Write as text."""
        return json.dumps(asdict(self)).encode()

    def write_description(self, folder: Location) -> "PieceResult":
        """Write the description to the folder of the piece, which makes the piece count."""
        with write_unsynced(folder / f"{self.name}{DESCRIPTION}") as file:
            file.write(self.to_json())
        return self

    @classmethod
    def from_json(cls, text: bytes) -> "PieceResult":
        """Undo :meth:`to_json`."""
        fields: dict[str, Any] = json.loads(text)
        problems = [Problem(**problem) for problem in fields["problems"]]
        return cls(**fields | {"problems": problems, "known": [KnownPhoto(*known) for known in fields["known"]]})


@dataclass(frozen=True)
class Piece:
    """A job: write the records of some photos to a file of their own, and describe it beside.

    Attributes:
        name: Of the piece; its file is ``name.piece``, its description ``name.json``.
        folder: Where they go.
        photos: The photos.
        mains: People of interest of each: their places in ``photo.people``.
        labels: Digest of what the annotations say of each.
        recipe: How.
    """

    name: str
    folder: Location
    photos: Photos
    mains: Sequence[tuple[int, ...]]
    labels: Sequence[str]
    recipe: ConversionRecipe

    def __call__(self) -> PieceResult:
        """Do it, a photo in memory at a time."""
        made = PieceResult(self.name, len(self.photos))
        with write_unsynced(self.folder / f"{self.name}{DATA}", smaller=MORE) as file:
            for photo, mains, labels in zip(self.photos, self.mains, self.labels, strict=True):
                found = self._record(photo, mains, labels, made.problems)
                if found is not None:
                    record, known = found
                    file.write(made.add(record.to_bytes(), record.main, known))
        return made.write_description(self.folder)

    def _record(
        self, photo: Photo, mains: tuple[int, ...], labels: str, problems: list[Problem]
    ) -> tuple[Record, KnownPhoto] | None:
        image = self.recipe.read(photo)
        if isinstance(image, Problem):
            problems.append(image)
            if self.recipe.mask_folder is not None:
                self.recipe.mask(photo, problems)
            return None
        faults: list[Problem] = []
        record = self.recipe.record(photo, mains, image, self.recipe.mask(photo, faults))
        problems += faults
        likeness = hash_picture(image.data, image.seen) if self.recipe.hashed else None
        noted = note_faults(faults, [person.annotation_id for person in photo.people])
        turn, content = image.turn.reason, digest_bytes(image.data)
        return record, KnownPhoto(photo.image_id, content, labels, len(record.boxes), turn, likeness, noted)


@dataclass(frozen=True)
class CopyPiece:
    """A job: write records that an earlier conversion made to a file of their own; no photo is read.

    Attributes:
        name: Of the piece.
        folder: Where it goes.
        shard: Has the records.
        offsets: Where each begins in it.
        mains: Of each.
        known: Of each.
    """

    name: str
    folder: Location
    shard: Location
    offsets: Sequence[int]
    mains: Sequence[Sequence[int]]
    known: Sequence[KnownPhoto]

    def __call__(self) -> PieceResult:
        """Do it, a record in memory at a time.

        Raises:
            UserError: A record is damaged.
        """
        made = PieceResult(self.name, len(self.known))
        with (
            write_unsynced(self.folder / f"{self.name}{DATA}", smaller=MORE) as file,
            RecordFile(self.shard, self.offsets) as kept,
        ):
            for payload, mains, known in zip(kept, self.mains, self.known, strict=True):
                file.write(made.add(payload, mains, known))
        return made.write_description(self.folder)


@dataclass(frozen=True)
class MaskPiece:
    """A job: write the mask files of photos that get no record; the attributes are those of a :class:`Piece`."""

    name: str
    folder: Location
    photos: Photos
    recipe: ConversionRecipe

    def __call__(self) -> PieceResult:
        """Do it."""
        made = PieceResult(self.name, len(self.photos))
        for photo in self.photos:
            self.recipe.mask(photo, made.problems)
        return made.write_description(self.folder)


@dataclass(frozen=True)
class Checked:
    """What a look at some photos found."""

    photos: int
    problems: list[Problem]


@dataclass(frozen=True)
class Check:
    """A job: look at photos without writing anything; the attributes are those of a :class:`Piece`."""

    photos: Photos
    recipe: ConversionRecipe

    def __call__(self) -> Checked:
        """Do it."""
        found = [self.recipe.read(photo) for photo in self.photos]
        return Checked(len(found), [problem for problem in found if isinstance(problem, Problem)])


@dataclass(frozen=True)
class HashPiece:
    """A job: hash what some photos show, whoever is in them.

    Attributes:
        names: Their files' names.
        numbers: Their image ids.
        store: Has them.
    """

    names: Sequence[str]
    numbers: Sequence[int]
    store: PhotoStore

    def __call__(self) -> list[tuple[int, int]]:
        """Do it; returns image id and hash of each that can be read and is not too plain."""
        found = zip(self.numbers, map(self._hash, self.names), strict=True)
        return [(number, value) for number, value in found if value is not None]

    def _hash(self, name: str) -> int | None:
        data = _read_if_there(self.store, name)
        return None if data is None else hash_picture(data)


@dataclass(frozen=True)
class DigestPiece:
    """A job: digest the files of some photos.

    Attributes:
        names: The files' names.
        store: Has them.
    """

    names: Sequence[str]
    store: PhotoStore

    def __call__(self) -> list[tuple[str, str]]:
        """Do it; returns name and digest of each that can be read."""
        found = ((name, _read_if_there(self.store, name)) for name in self.names)
        return [(name, digest_bytes(data)) for name, data in found if data is not None]


def _read_if_there(store: PhotoStore, name: str) -> bytes | None:
    if not stays_inside(name):
        return None
    try:
        return store.read(name)
    except AwayError:
        raise
    except UserError:
        return None
