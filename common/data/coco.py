"""COCO: keypoint annotation files, read into photos and the people in them."""

import gzip
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from bodyposenet.common.errors import UserError

Floats = npt.NDArray[np.float64]
Segmentation = list[list[float]] | dict[str, Any]  # polygons, or run lengths


@dataclass(frozen=True, eq=False)
class Person:
    """One annotation.

    Attributes:
        annotation_id: Its number in the file.
        keypoints: ``(K, 3)`` x, y in pixels and the raw visibility flag.
        box: ``(4,)`` x, y, width, height in pixels.
        area: Area of the segmentation, in pixels.
        crowd: Whether it stands for a group of people that nobody told apart.
        num_keypoints: How many joints are labelled.
        segmentation: Polygons, run lengths, or an empty list.
    """

    annotation_id: int
    keypoints: Floats
    box: Floats
    area: float
    crowd: bool
    num_keypoints: int
    segmentation: Segmentation

    @property
    def labelled(self) -> bool:
        """Whether the network can learn from this person: one person, with keypoints."""
        return not self.crowd and self.num_keypoints > 0


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo and its annotations, in the order of the file."""

    image_id: int
    file_name: str
    height: int
    width: int
    people: tuple[Person, ...]


@dataclass(frozen=True, eq=False)
class CocoSet:
    """An annotation file: its joints' names and its photos, in the order of the file."""

    path: Path
    joints: tuple[str, ...]
    photos: tuple[Photo, ...]


def read_annotations(path: str | Path, joints: Sequence[str] | None = None) -> CocoSet:
    """Read a COCO keypoints file.

    Args:
        path: A ``.json`` file, gzipped if it ends in ``.gz``.
        joints: Names of the joints, as a dataset spec lists them; by default those of the file's own category.

    Raises:
        UserError: The file is no JSON, no COCO keypoints file, or an entry of it is wrong; the message names the entry.
    """
    path = Path(path)
    document = _load(path)
    images, annotations = (_entries(document, key, path) for key in ("images", "annotations"))
    categories = [entry for entry in document.get("categories", []) if isinstance(entry, dict) and "keypoints" in entry]
    names = _joint_names(categories, joints, path)
    wanted = {category.get("id") for category in categories}
    category_of_all = next(iter(wanted), None)
    people: dict[int, list[Person]] = {_image_id(image, index, path): [] for index, image in enumerate(images)}
    _refuse_duplicates(images, path)
    for index, annotation in enumerate(annotations):
        if not wanted or annotation.get("category_id", category_of_all) in wanted:
            entry = _Entry(annotation, f"{path}: annotation {annotation.get('id', f'number {index}')}")
            people[_image_of(entry, people)].append(_person(entry, len(names)))
    return CocoSet(path, names, tuple(_photo(image, people[image["id"]], path) for image in images))


def _load(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
        document = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    except json.JSONDecodeError as error:
        raise UserError(
            f"not JSON: {error.msg}", where=f"{path}:{error.lineno}", fix="mend or export it again"
        ) from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        problem = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot read the annotations: {problem}", where=str(path), fix="check annotation_root_dir_path"
        ) from None
    if not isinstance(document, dict):
        raise _not_coco(path, "it holds no object")
    return document


def _not_coco(path: Path, why: str) -> UserError:
    return UserError(f"not a COCO keypoints file: {why}", where=str(path), fix="name a person_keypoints file")


def _entries(document: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    entries = document.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _not_coco(path, f"{key!r} is no list of objects")
    if key == "annotations" and entries and not any("keypoints" in entry for entry in entries):
        raise _not_coco(path, "no annotation has 'keypoints'")
    return entries


def _joint_names(categories: list[dict[str, Any]], joints: Sequence[str] | None, path: Path) -> tuple[str, ...]:
    own = tuple(categories[0]["keypoints"]) if categories else ()
    if joints is None:
        if not own:
            raise _not_coco(path, "no category names 'keypoints'")
        return own
    if sorted(own) == sorted(joints) and own != tuple(joints):
        raise UserError(
            f"its joints are ordered {', '.join(own)}, the dataset spec's otherwise",
            where=str(path),
            fix="copy the order of the file to categories[].keypoints of the spec",
        )
    return tuple(joints)


def _image_id(image: dict[str, Any], index: int, path: Path) -> int:
    return _Entry(image, f"{path}: image number {index}").whole("id")


def _refuse_duplicates(images: list[dict[str, Any]], path: Path) -> None:
    seen: set[int] = set()
    for image in images:
        if image["id"] in seen:
            raise UserError(
                "two images have this id", where=f"{path}: image {image['id']}", fix="number each image once"
            )
        seen.add(image["id"])


def _image_of(entry: "_Entry", people: dict[int, list[Person]]) -> int:
    image_id = entry.whole("image_id")
    if image_id not in people:
        raise entry.wrong(f"its image_id {image_id} is no image of the file", "add the image, or drop the annotation")
    return image_id


def _photo(image: dict[str, Any], people: list[Person], path: Path) -> Photo:
    entry = _Entry(image, f"{path}: image {image['id']}")
    return Photo(image["id"], entry.text("file_name"), entry.size("height"), entry.size("width"), tuple(people))


def _person(entry: "_Entry", joints: int) -> Person:
    keypoints = entry.numbers("keypoints", 3 * joints).reshape(joints, 3)
    box = entry.numbers("bbox", 4)
    if (box[2:] < 0).any():
        raise entry.wrong(f"bbox {box.tolist()} has a negative size", "write x, y, width, height")
    labelled = int((keypoints[:, 2] > 0).sum())
    return Person(
        annotation_id=entry.whole("id"),
        keypoints=keypoints,
        box=box,
        area=entry.number("area", float(box[2] * box[3])),
        crowd=bool(entry.whole("iscrowd", 0)),
        num_keypoints=entry.whole("num_keypoints", labelled),
        segmentation=entry.segmentation(),
    )


class _Entry:
    """A JSON object that tells where it stands when a value of it is wrong."""

    def __init__(self, fields: dict[str, Any], where: str) -> None:
        self.fields, self.where = fields, where

    def wrong(self, problem: str, fix: str) -> UserError:
        return UserError(problem, where=self.where, fix=fix)

    def _take(self, key: str, kind: str, default: object = None) -> object:
        if key in self.fields:
            return self.fields[key]
        if default is None:
            raise self.wrong(f"{key!r} is missing", f"add {key!r}, {kind}")
        return default

    def _refuse(self, key: str, kind: str) -> UserError:
        shown = json.dumps(self.fields[key])
        return self.wrong(f"{key!r} is {shown[:60]}{'…' * (len(shown) > 60)}", f"make it {kind}")

    def whole(self, key: str, default: int | None = None) -> int:
        value = self._take(key, "a whole number", default)
        if not isinstance(value, int):
            raise self._refuse(key, "a whole number")
        return int(value)

    def size(self, key: str) -> int:
        value = self.whole(key)
        if value <= 0:
            raise self._refuse(key, "a positive number of pixels")
        return value

    def number(self, key: str, default: float) -> float:
        value = self._take(key, "a number", default)
        if not _is_number(value):
            raise self._refuse(key, "a number")
        return float(value)

    def text(self, key: str) -> str:
        value = self._take(key, "a string")
        if not isinstance(value, str) or not value:
            raise self._refuse(key, "a string")
        return value

    def numbers(self, key: str, count: int) -> Floats:
        values = self._take(key, f"{count} numbers")
        if not isinstance(values, list) or not all(map(_is_number, values)):
            raise self._refuse(key, f"{count} numbers")
        if len(values) != count:
            raise self.wrong(f"{key!r} has {len(values)} numbers", f"give it {count}, as the dataset spec's joints ask")
        return np.array(values, np.float64)

    def segmentation(self) -> Segmentation:
        value: Segmentation = self.fields.get("segmentation") or []
        good = {"size", "counts"} <= value.keys() if isinstance(value, dict) else _are_polygons(value)
        if not good:
            raise self._refuse("segmentation", "polygons [[x, y, …], …] or run lengths {size, counts}")
        return value


def _are_polygons(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(polygon, list) and len(polygon) % 2 == 0 and all(map(_is_number, polygon)) for polygon in value
    )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
