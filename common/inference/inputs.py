"""Inputs: the photos and videos that somebody names, by patterns and by folders, and what their pictures are called."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.words import InputType
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.files import listing
from bodyposenet.common.storage.location import Location, join, locate
from bodyposenet.common.storage.photo_store import PHOTOS, choose_photos, is_photo
from bodyposenet.common.video.names import VIDEOS, is_camera, is_video

DRAWN = ".people"  # ends the stem of a picture with people drawn, by which it is told from the photo
STEM_BYTES = 200  # of a picture's name, so that what is added to it still goes on a disk
EXAMPLE = "such as: bpnet inference photo.jpg"


class NamedPhoto(NamedTuple):
    """A photo that somebody named.

    Attributes:
        path: Where it is.
        name: Its name, of one in a folder the path below that.
        picture: What a picture of it is called: a path below a folder of results, which no other photo has.
    """

    path: Location
    name: str
    picture: str


class NamedVideo(NamedTuple):
    """A video or a camera that somebody named.

    Attributes:
        source: The file, or ``camera:N``.
        name: What is made of it is called so, with an ending; no other video's is.
    """

    source: str
    name: str


def split_videos(inputs: Sequence[str]) -> tuple[list[NamedVideo], list[str]]:
    """Tell videos and cameras, and patterns that end as videos' names do, from what else is named.

    Args:
        inputs: As for :func:`find_photos`. Of folders and other patterns no video is taken.

    Returns:
        The videos, of which none is there twice; and the other inputs.

    Raises:
        UserError: A video is not there, or a pattern matches none.
    """
    found = {source: None for text in inputs if is_video(text) for source in _find_videos(text)}
    taken: Counter[str] = Counter()
    named = [NamedVideo(source, _name_apart(os.path.basename(source).replace(":", "-"), taken)) for source in found]
    return named, [text for text in inputs if not is_video(text)]


def find_photos(inputs: Sequence[str]) -> list[NamedPhoto]:
    """Find the photos that are named.

    Args:
        inputs: Photos, folders with all that is below them, and patterns of both with ``*``, ``?``, ``[…]`` and ``**``;
            photos and folders may be in a store. What is named twice is taken once. Of folders and patterns, what is no
            photo by its name is passed over, and so are pictures that were drawn here before.

    Raises:
        UserError: None are named, something is not there, or a folder or pattern has no photos.
    """
    if not inputs:
        raise UserError("no photo is named", fix=EXAMPLE)
    found = {str(path): (path, name) for text in inputs for path, name in _find(text)}
    taken: Counter[str] = Counter()
    return [NamedPhoto(path, name, _name_picture(name, taken)) for path, name in found.values()]


def tell_input_type(source: Location) -> InputType:
    """Tell what an input of TAO's form is by how it looks: a folder, a list in JSON, or else a photo."""
    if source.suffix.lower() == ".json":
        return "json"
    return "dir" if source.is_dir() else "image"


def refuse_archive(file: Location) -> None:
    """Refuse a zip archive in a photo's place.

    Raises:
        UserError: It is one, by its name.
    """
    if file.suffix.lower() == ".zip":
        fix = "unpack it, or draft its people's labels with bpnet prelabel --input"
        raise UserError("is an archive rather than a photo", where=str(file), fix=fix)


def is_drawn(name: str) -> bool:
    """Tell a picture that was drawn here by its name."""
    return os.path.splitext(name)[0].endswith(DRAWN)


def _find_videos(text: str) -> list[str]:
    """The videos of one input."""
    if is_camera(text) or os.path.lexists(text):
        return [text]
    if in_bucket(text):
        raise UserError("videos are read from a disk", where=text, fix="fetch it first")
    if not glob.has_magic(text):
        raise UserError("there is no such video", where=text, fix="check the path")
    matched = sorted(glob.glob(text, recursive=True))
    fresh = [name for name in matched if is_video(name) and not is_drawn(name) and os.path.isfile(name)]
    if not fresh:
        raise UserError(f"matches no videos ({VIDEOS})", where=text, fix="check the pattern")
    return fresh


def _find(text: str) -> Iterator[tuple[Location, str]]:
    """The photos of one input, each with its name."""
    if not text:
        raise UserError("an empty text names no photo", fix=EXAMPLE)
    place = locate(text)
    if place.remote or os.path.lexists(text) or not glob.has_magic(text):
        yield from _open(place)
        return
    matched = sorted(glob.glob(text, recursive=True))
    fresh = [name for name in matched if is_photo(name) and not is_drawn(name) and os.path.isfile(name)]
    photos = [(locate(name), os.path.basename(name)) for name in fresh]
    if "**" not in text:  # else what is below the folders was matched, too
        photos += [photo for name in matched if os.path.isdir(name) for photo in _list_below(locate(name))]
    if not photos:
        raise UserError(f"matches no photos ({PHOTOS})", where=text, fix="check the pattern, or name a folder")
    yield from photos


def _open(place: Location) -> Iterator[tuple[Location, str]]:
    """A photo that is named by itself, whatever its name, or those of a folder."""
    with translate_errors(place):
        if place.is_file():
            if place.suffix.lower() == ".json":
                raise UserError("is a list rather than a photo", where=str(place), fix="name it after --input")
            refuse_archive(place)
            yield place, place.name
            return
        if not place.is_dir():
            raise UserError("there is no such photo or folder", where=str(place), fix="check the path")
    below = _list_below(place)
    if not below:
        raise UserError(f"has no photos ({PHOTOS})", where=str(place), fix="name the folder that your photos are in")
    yield from below


def _list_below(folder: Location) -> list[tuple[Location, str]]:
    names = choose_photos(listing(folder), str(folder), below=True)
    return [(join(folder, name), name) for name in names if not is_drawn(name)]


def _name_picture(name: str, taken: Counter[str]) -> str:
    """Name a picture after its photo."""
    return f"{_name_apart(name, taken)}.jpg"


def _name_apart(name: str, taken: Counter[str]) -> str:
    """Name what is made of a file after it, without an ending; of several of a name the later ones get a number."""
    folder, file = os.path.split(name)
    stem = os.fsencode(os.path.splitext(file)[0])[:STEM_BYTES].decode(errors="ignore") or "photo"
    while True:
        taken[(key := os.path.join(folder, stem).casefold())] += 1
        if taken[key] == 1:
            return os.path.join(folder, f"{stem}{DRAWN}")
        stem = f"{stem}-{taken[key]}"
