"""Recipe: how one photo and its annotations become a record, or a problem that says why they do not."""

import errno
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.annotations.coco import Photo
from bodyposenet.common.data.annotations.ignore_masks import Fault, encode_mask, ignore_mask
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.headers import JPEG, read_header_size
from bodyposenet.common.imaging.orientation import Frame, Turn, choose_turn, turn_size
from bodyposenet.common.imaging.pixels import decode_grey, decode_pixels, describe_fault
from bodyposenet.common.imaging.whole_files import is_whole
from bodyposenet.common.plain_text import bare_address
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.files import write_unsynced
from bodyposenet.common.storage.inside import join_inside, stays_inside
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.photo_store import PhotoStore

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
        file = _below(str(self.folder), photo.file_name)
        if not stays_inside(photo.file_name):
            return Problem(file, UNSAFE, "its file_name leaves the folder", "rename the image", photo.image_id)
        try:
            data = self.store.read(photo.file_name)
        except AwayError:
            raise
        except UserError as error:
            self._require_photos()
            return Problem(file, MISSING, error.problem, error.fix, photo.image_id)
        how = {"thorough": self.thorough, "hashed": self.hashed}
        return hold_to_annotations(data, photo, file, unclear=self.unclear, **how)

    def _require_photos(self) -> None:
        """Refuse to go on where no photo can be read any more, whichever."""
        why = "" if self.anchor.remote else _find_fault(str(self.anchor))
        if self.anchor.remote and not self.anchor.exists():
            why = os.strerror(errno.ENOENT)
        if why:
            fix = "bring them back, and run it again: it goes on where it stopped"
            raise AwayError(f"the photos have gone ({why})", where=str(self.anchor), fix=fix)

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


def _find_fault(path: str) -> str:
    """Say why a folder, or a file, cannot be looked at; nothing where it can."""
    try:
        os.close(os.open(path, os.O_RDONLY))
        os.stat(f"{path}/." if os.path.isdir(path) else path)
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""


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


def hold_to_annotations(
    data: bytes, photo: Photo, file: str, *, thorough: bool = False, hashed: bool = False, unclear: Frame = "shown"
) -> ReadPhoto | Problem:
    """Hold an image file to what the annotations say of it.

    Args:
        data: The file's bytes.
        photo: What the annotations say.
        file: The file's name, for the problem.
        thorough: Decode all of its pixels; else as much as shows that the file is whole.
        hashed: Decode a JPEG small and grey, as it is to be hashed.
        unclear: See :func:`~bodyposenet.common.imaging.orientation.choose_turn`.

    Returns:
        The photo; or what is wrong: it is no image, damaged, or of another size.
    """
    told, seen = (photo.height, photo.width), None
    size = read_header_size(data)
    if size is None or (thorough and size in (told, told[::-1])):
        seen = decode_pixels(data)
        size = None if seen is None else (seen.shape[0], seen.shape[1])
    elif hashed and data.startswith(JPEG):
        seen = decode_grey(data)
        size = None if seen is None else size
    elif not is_whole(data):
        size = None
    if size is None:
        problem, fix = describe_fault(data)
        return Problem(file, "unreadable image", f"this {problem}", fix, photo.image_id)
    turn = choose_turn(data, size, told, unclear)
    if turn_size(size, turn.orientation) != told:
        text = f"the image has {size[1]} x {size[0]} pixels, the annotations say {photo.width} x {photo.height}"
        return Problem(file, "size of the image", text, "annotate the image as it is", photo.image_id)
    return ReadPhoto(data, turn, seen)
