"""Jobs: a run of photos turned into framed records, in whatever process, and described so that they can be joined."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.annotations.coco import Photo, Photos
from bodyposenet.common.data.annotations.ignore_masks import Fault, encode_mask, ignore_mask
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.data.records.tfrecord import frame
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.headers import JPEG, decode_grey, decode_pixels, is_whole, read_header_size
from bodyposenet.common.imaging.near_duplicates import hash_picture
from bodyposenet.common.imaging.orientation import Frame, Turn, choose_turn, turn_size
from bodyposenet.common.plain_text import bare_address
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.files import write_unsynced
from bodyposenet.common.storage.inside import join_inside, stays_inside
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.photo_store import PhotoStore

DATA, DESCRIPTION = ".piece", ".json"
Pixels = npt.NDArray[np.uint8]
UNSAFE, MISSING = "file_name", "image cannot be read"


class ReadPhoto(NamedTuple):
    """A photo's file, how its pixels are turned to be what its annotations are of, and what was decoded of it."""

    data: bytes
    turn: Turn
    seen: Pixels | None = None


@dataclass(frozen=True)
class ConversionRecipe:
    """What all pieces of a conversion have in common.

    Attributes:
        store: Where the photos are.
        folder: The same place as a path.
        anchor: What is there as long as photos can be read: the folder, or the archive that it is in.
        images: Path of the photos below the dataset's root, for the records.
        masks: Path of the masks below the root, for the records.
        dataset: The dataset's name.
        annotations: The annotation file, for problems.
        thorough: Decode every pixel of every photo.
        mask_folder: Gets the masks as files, too; None writes none.
        token: Names this conversion's unfinished mask files.
        unclear: What annotations are of in photos whose size does not tell whether they were turned.
        hashed: Hash what each photo shows, to find near duplicates.
    """

    store: PhotoStore
    folder: Location
    anchor: Location
    images: str
    masks: str
    dataset: str
    annotations: str
    thorough: bool
    mask_folder: Location | None
    token: str
    unclear: Frame = "shown"
    hashed: bool = False

    def read(self, photo: Photo) -> ReadPhoto | Problem:
        """Read a photo's file, or say what is wrong with it.

        Raises:
            UserError: All photos have gone.
        """
        file = f"{self.folder}/{photo.file_name}"
        if not stays_inside(photo.file_name):
            return Problem(file, UNSAFE, "its file_name leaves the folder", "rename the image", photo.image_id)
        try:
            data = self.store.read(photo.file_name)
        except AwayError:
            raise
        except UserError as error:
            if not self.anchor.exists():
                fix = "bring them back, and run it again: it goes on where it stopped"
                raise AwayError("the photos have gone", where=str(self.anchor), fix=fix) from None
            return Problem(file, MISSING, error.problem, error.fix, photo.image_id)
        return hold_to_annotations(data, photo, file, thorough=self.thorough, unclear=self.unclear)

    def mask(self, photo: Photo, problems: list[Problem]) -> bytes | None:
        """Draw a photo's mask, in a file of its own too if that is asked for.

        Args:
            photo: The photo.
            problems: Gets outlines that are broken.
        """
        faults: list[Fault] = []
        mask = ignore_mask(photo, faults)
        problems += outline_problems(self.annotations, photo, faults)
        encoded = None if mask is None else encode_mask(mask)
        if encoded is not None and self.mask_folder is not None and stays_inside(photo.file_name):
            path = join_inside(self.mask_folder, mask_name(photo), where=self.annotations)
            with translate_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            with write_unsynced(path, f"{self.token}-{secrets.token_hex(4)}") as file:  # photos may share a name
                file.write(encoded)
        return encoded

    def record(self, photo: Photo, mains: tuple[int, ...], image: ReadPhoto, mask: bytes | None) -> Record:
        """Make a photo's record."""
        labelled = [index for index, person in enumerate(photo.people) if person.labelled]
        keypoints = [photo.people[index].keypoints for index in labelled]
        return Record(
            image_id=photo.image_id,
            height=photo.height,
            width=photo.width,
            image_path=_below(self.images, photo.file_name),
            mask_path=_below(self.masks, mask_name(photo)),
            dataset=self.dataset,
            image=image.data,
            mask=mask,
            joints=np.stack(keypoints) if labelled else np.empty((0, 0, 3)),
            boxes=np.array([photo.people[index].box for index in labelled], float).reshape(-1, 4),
            main=tuple(labelled.index(index) for index in mains),
            areas=np.array([photo.people[index].area for index in labelled], float),
            orientation=image.turn.orientation,
        )


def _below(folder: str, name: str) -> str:
    return f"{bare_address(folder).rstrip('/')}/{name}" if in_bucket(folder) else str(PurePosixPath(folder) / name)


def mask_name(photo: Photo) -> str:
    """Name of a photo's mask file: PNG, as JPEG would blur it."""
    return str(PurePosixPath(photo.file_name).with_suffix(".png"))


def outline_problems(annotations: str, photo: Photo, faults: Sequence[Fault]) -> list[Problem]:
    """List outlines that do not fit their photo as problems; these people count with their boxes."""
    return [
        Problem(annotations, "segmentation", fault.problem, fault.fix, photo.image_id, person.annotation_id, kept=True)
        for person, fault in faults
    ]


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


def hold_to_annotations(
    data: bytes, photo: Photo, file: str, *, thorough: bool = False, unclear: Frame = "shown"
) -> ReadPhoto | Problem:
    """Hold an image file to what the annotations say of it.

    Args:
        data: The file's bytes.
        photo: What the annotations say.
        file: The file's name, for the problem.
        thorough: Decode all of its pixels; else as much as shows that the file is whole.
        unclear: See :func:`~bodyposenet.common.imaging.orientation.choose_turn`.

    Returns:
        The photo; or what is wrong: it is no image, damaged, or of another size.
    """
    told, seen = (photo.height, photo.width), None
    size = read_header_size(data)
    if size is None or (thorough and size in (told, told[::-1])):
        seen = decode_pixels(data)
        size = None if seen is None else (seen.shape[0], seen.shape[1])
    elif data.startswith(JPEG):
        seen = decode_grey(data)
        size = None if seen is None else size
    elif not is_whole(data):
        size = None
    if size is None:
        return Problem(file, "unreadable image", "this is no readable image", "replace it", photo.image_id)
    turn = choose_turn(data, size, told, unclear)
    if turn_size(size, turn.orientation) != told:
        text = f"the image has {size[1]} x {size[0]} pixels, the annotations say {photo.width} x {photo.height}"
        return Problem(file, "size of the image", text, "annotate the image as it is", photo.image_id)
    return ReadPhoto(data, turn, seen)
