"""Hold-out: the held-out photos of a dataset as one archive, so that later networks are scored on the same ones."""

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from bodyposenet.common.bounds import HOLD_OUT_BYTES
from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.tables import NAMES
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.data.importers.photo_names import PhotoNames
from bodyposenet.common.data.photo_set import DATASET_SPEC, TEST_IMAGES, spec_in
from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.storage.digests import digest_file
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.json_files import read_json
from bodyposenet.common.storage.unpacking import extract_all

PHOTOS, ARCHIVE = "photos.json", "hold_out.zip"  # what is in it, small; and all of it
ANNOTATIONS = "test/annotations.json"
MOST_BYTES = 256_000_000  # of photos; of more a sample is kept
FIX = "remove the tags hold_out of the champion's version, and the next network brings its own"


class HeldPhoto(NamedTuple):
    """A photo of a hold-out.

    Attributes:
        name: Its path in the dataset.
        size: Its bytes.
        sha256: Digest of them.
    """

    name: str
    size: int
    sha256: str


class KeptPhotos(NamedTuple):
    """A hold-out's two files, and how many of the dataset's held-out photos are in it."""

    photos: Path
    archive: Path
    kept: int
    of: int


def list_photos(dataset: Path) -> list[HeldPhoto]:
    """The held-out photos of a converted dataset, ordered by digest."""
    root = dataset / TEST_IMAGES
    files = [path for path in root.rglob("*") if path.is_file()]
    found = [HeldPhoto(path.relative_to(root).as_posix(), path.stat().st_size, digest_file(path)) for path in files]
    return sorted(found, key=lambda photo: (photo.sha256, photo.name))


def write_hold_out(dataset: Path, folder: Path, *, most: int = MOST_BYTES) -> KeptPhotos:
    """Put the held-out photos of a converted dataset into an archive, with the spec and the annotations.

    The same photos and annotations give the same bytes. Of more than ``most`` bytes the photos with the lowest digests
    are kept, which is a sample that does not depend on their names and order.

    Args:
        dataset: As ``dataset_join`` leaves it.
        folder: Is made; gets :data:`PHOTOS` and :data:`ARCHIVE`.
        most: Bytes of photos.
    """
    photos = list_photos(dataset)
    kept = _sample(photos, most)
    spec, document = _describe(dataset, kept, whole=len(kept) == len(photos))
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / ARCHIVE) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(DATASET_SPEC), spec.model_dump_json(by_alias=True))
        archive.writestr(zipfile.ZipInfo(ANNOTATIONS), json.dumps(document))
        for photo in kept:
            with (
                (dataset / TEST_IMAGES / photo.name).open("rb") as read,
                archive.open(zipfile.ZipInfo(f"{TEST_IMAGES}/{photo.name}"), "w", force_zip64=True) as written,
            ):
                shutil.copyfileobj(read, written)
    told = {"archive_sha256": digest_file(folder / ARCHIVE), "photos": [photo._asdict() for photo in kept]}
    with whole_file(folder / PHOTOS) as file:
        file.write(json.dumps(told).encode())
    return KeptPhotos(folder / PHOTOS, folder / ARCHIVE, len(kept), len(photos))


def read_photos(file: Path) -> list[HeldPhoto]:
    """The photos of a hold-out, from its file :data:`PHOTOS`.

    Raises:
        UserError: The file is none of a hold-out's.
    """
    return _read(file)[0]


def open_hold_out(photos: Path, archive: Path, folder: Path) -> DatasetSpec:
    """Unpack a hold-out; returns the dataset spec whose test half it is.

    Args:
        photos: Its file :data:`PHOTOS`.
        archive: Its file :data:`ARCHIVE`.
        folder: Is made, and gets all of it.

    Raises:
        UserError: The archive is another one, is damaged, or holds what no hold-out does.
    """
    if digest_file(archive) != _read(photos)[1]:
        raise UserError("is not the archive that was kept", where=str(archive), fix=FIX)
    extract_all(archive, folder, most_bytes=HOLD_OUT_BYTES, fix=FIX)
    return spec_in(folder)


def _sample(photos: list[HeldPhoto], most: int) -> list[HeldPhoto]:
    taken, room = [], most
    for photo in photos:
        room -= photo.size
        if room < 0:
            break
        taken.append(photo)
    return taken


def _describe(dataset: Path, kept: list[HeldPhoto], *, whole: bool) -> tuple[DatasetSpec, Mapping[str, Any]]:
    """The spec and the annotations of what is kept, as one COCO document whatever the dataset's file was."""
    spec = spec_in(dataset)
    half = spec.locate_half("test")
    document = load_document(half.annotations, spec.people, Album(half.images, unclear=spec.unclear_orientation))
    if not whole:
        names = {photo.name for photo in kept}
        told = {name: PurePosixPath(name).as_posix() for name in map(_name, document["images"])}
        meant = PhotoNames(names).match(told.values())
        images = [image for image in document["images"] if meant.get(told[_name(image)], told[_name(image)]) in names]
        ids = {image.get("id") for image in images}
        people = [person for person in document["annotations"] if person.get("image_id") in ids]
        document = {**document, "images": images, "annotations": people}
    paths = {"images_root_dir_path": TEST_IMAGES, "annotation_root_dir_path": ANNOTATIONS}
    test = spec.test_data.model_copy(update=paths)
    return spec.model_copy(update={"root_directory_path": ".", "test_data": test}), document


def _name(image: Mapping[str, Any]) -> str:
    for key in NAMES:
        value = image.get(key)
        if isinstance(value, str) and value.strip():
            return value
    return ""


def _read(file: Path) -> tuple[list[HeldPhoto], str]:
    """The photos and the archive's digest."""
    return read_json(file, _take, what="list of held-out photos", fix=FIX)


def _take(data: Any) -> tuple[list[HeldPhoto], str]:
    photos = [HeldPhoto(**photo) for photo in data["photos"]]
    digest = data["archive_sha256"]
    texts = [digest, *(text for photo in photos for text in (photo.name, photo.sha256))]
    if not all(isinstance(text, str) for text in texts) or not all(type(photo.size) is int for photo in photos):
        raise TypeError("a text or a number is something else")
    return photos, digest
