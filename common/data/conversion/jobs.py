"""Jobs: a run of photos turned into framed records, in whatever process, and described so that they can be joined."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import google_crc32c

from bodyposenet.common.data.annotations.coco import Photo, Photos
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.conversion.recipe import ConversionRecipe
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.data.records.tfrecord import frame
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.near_duplicates import hash_picture
from bodyposenet.common.storage.files import write_unsynced
from bodyposenet.common.storage.inside import stays_inside
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.photo_store import PhotoStore

DATA, DESCRIPTION = ".piece", ".json"


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
        people: People in its records.
        problems: What was wrong; photos with a problem that is not ``kept`` are left out.
        turns: Photos whose files tell a turn, by what their annotations are of.
        hashes: Image id and hash of each photo that was hashed.
    """

    name: str
    photos: int
    size: int = 0
    crc: int = 0
    offsets: list[int] = field(default_factory=list)
    mains: list[list[int]] = field(default_factory=list)
    people: int = 0
    problems: list[Problem] = field(default_factory=list)
    turns: dict[str, int] = field(default_factory=dict)
    hashes: list[tuple[int, int]] = field(default_factory=list)

    def add(self, record: Record) -> bytes:
        """Count a record; returns its frame."""
        framed = frame(record.to_bytes())
        self.offsets.append(self.size)
        self.mains.append(list(record.main))
        self.people += len(record.boxes)
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
        hashes = [(number, value) for number, value in fields["hashes"]]
        return cls(**fields | {"problems": problems, "hashes": hashes})


@dataclass(frozen=True)
class Piece:
    """A job: write the records of some photos to a file of their own, and describe it beside.

    Attributes:
        name: Of the piece; its file is ``name.piece``, its description ``name.json``.
        folder: Where they go.
        photos: The photos.
        mains: People of interest of each: their places in ``photo.people``.
        recipe: How.
    """

    name: str
    folder: Location
    photos: Photos
    mains: Sequence[tuple[int, ...]]
    recipe: ConversionRecipe

    def __call__(self) -> PieceResult:
        """Do it, a photo in memory at a time."""
        made = PieceResult(self.name, len(self.photos))
        with write_unsynced(self.folder / f"{self.name}{DATA}") as file:
            for photo, mains in zip(self.photos, self.mains, strict=True):
                record = self._record(photo, mains, made)
                if record is not None:
                    file.write(made.add(record))
        return made.write_description(self.folder)

    def _record(self, photo: Photo, mains: tuple[int, ...], made: PieceResult) -> Record | None:
        image = self.recipe.read(photo)
        if isinstance(image, Problem):
            made.problems.append(image)
            if self.recipe.mask_folder is not None:
                self.recipe.mask(photo, made.problems)
            return None
        found = hash_picture(image.data, image.seen) if self.recipe.hashed else None
        if found is not None:
            made.hashes.append((photo.image_id, found))
        if image.turn.reason:
            made.turns[image.turn.reason] = made.turns.get(image.turn.reason, 0) + 1
        return self.recipe.record(photo, mains, image, self.recipe.mask(photo, made.problems))


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
        if not stays_inside(name):
            return None
        try:
            return hash_picture(self.store.read(name))
        except AwayError:
            raise
        except UserError:
            return None
