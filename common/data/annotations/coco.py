"""COCO: keypoint annotation files, read into photos and the people in them.

A file's values are taken out in columns, so that a hundred thousand people cost little more than their JSON; photos and
people are made of the columns when they are asked for.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.annotation_table import annotation_table
from bodyposenet.common.data.annotations.categories import Kinds, people_kinds
from bodyposenet.common.data.annotations.compact_columns import read_outline
from bodyposenet.common.data.annotations.fields import Floats, Mask, Segmentation
from bodyposenet.common.data.annotations.odd_files import warn_of_oddities
from bodyposenet.common.data.annotations.problems import Problem, refuse
from bodyposenet.common.data.annotations.tables import AnnotationTable, PhotoTable, photo_table
from bodyposenet.common.data.importers.document import collector_paused
from bodyposenet.common.data.importers.json_text import Rows
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.skeleton.visibility import recode
from bodyposenet.common.storage.location import Location, locate

if TYPE_CHECKING:
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.split import SplitRule

__all__ = ["CocoSet", "Floats", "Person", "Photo", "Photos", "Segmentation", "read_annotations"]

Joints = Sequence[str] | Mapping[str, Sequence[str]] | None
_SAME = (
    "%s: test_data is train_data: what is scored was trained on; leave test_data out, and hold photos out with "
    '"split": {"share": 0.1}'
)
log = logging.getLogger(__name__)
COCO_FLAGS = {0: 0, 1: 1, 2: 2}


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
        outline: Polygons, run lengths, or an empty list; or the text of one of them, in JSON.
        category: Place of its category among those of people in the file.
    """

    annotation_id: int
    keypoints: Floats
    box: Floats
    area: float
    crowd: bool
    num_keypoints: int
    outline: Segmentation | bytes
    category: int = 0

    @cached_property
    def segmentation(self) -> Segmentation:
        """Polygons, run lengths, or an empty list; parsed when it is asked for, as most never are."""
        return read_outline(self.outline)

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


class Photos(Sequence[Photo]):
    """Photos of a set, each made when it is asked for."""

    def __init__(self, table: PhotoTable, annotations: AnnotationTable) -> None:
        self._table, self._annotations = table, annotations

    def __len__(self) -> int:
        return len(self._table.ids)

    @overload
    def __getitem__(self, index: int) -> Photo: ...
    @overload
    def __getitem__(self, index: slice) -> list[Photo]: ...
    def __getitem__(self, index: int | slice) -> Photo | list[Photo]:
        """Return a photo, or some."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        table = self._table
        height, width = table.heights.item(number), table.widths.item(number)
        return Photo(table.ids.item(number), table.file_names[number], height, width, tuple(self._people(number)))

    def __iter__(self) -> Iterator[Photo]:
        return (self[number] for number in range(len(self)))

    def _people(self, number: int) -> Iterator[Person]:
        columns = self._annotations
        rows = slice(columns.first.item(number), columns.first.item(number + 1))
        return map(
            Person,
            columns.ids[rows].tolist(),
            columns.keypoints[rows],
            columns.boxes[rows],
            columns.areas[rows].tolist(),
            columns.crowds[rows].tolist(),
            columns.num_keypoints[rows].tolist(),
            columns.segmentations.take(rows),
            columns.categories[rows].tolist(),
        )


@dataclass(frozen=True, eq=False)
class CocoSet:
    """An annotation file.

    Attributes:
        path: The file.
        joints: Names of its joints.
        images: Its photos as columns, in the order of the file.
        annotations: Its annotations as columns: those of a photo together, in the order of the file.
        problems: What was wrong with it.
        refused: Entries of photos that were left out, whoever is in them.
        other_half: Photos of the same file that are of the other half of the dataset, where the file is split.
        annotated: Ids of the photos that any annotation of the file is of, whatever of and however wrong.
        kinds: Its categories of people.
    """

    path: Location
    joints: tuple[str, ...]
    images: PhotoTable
    annotations: AnnotationTable
    problems: tuple[Problem, ...] = ()
    refused: int = 0
    other_half: PhotoTable | None = None
    annotated: frozenset[int] = frozenset()
    kinds: Kinds | None = None

    @cached_property
    def photos(self) -> Photos:
        """Its photos, in the order of the file."""
        return Photos(self.images, self.annotations)

    @property
    def labelled(self) -> Mask:
        """``(A,)`` annotations that a network can learn from: one person each, with keypoints."""
        return ~self.annotations.crowds & (self.annotations.num_keypoints > 0)

    @property
    def blank(self) -> Mask:
        """``(P,)`` photos without any annotation, not even a crowd, one of another category or one that is wrong."""
        return ~np.isin(self.images.ids, np.fromiter(self.annotated, np.int64, len(self.annotated)))

    def split(self, rule: "SplitRule", half: str) -> "CocoSet":
        """Return the photos that a rule holds out (``test``), or the others (``train``).

        Raises:
            UserError: There are none, or no others.
        """
        names = self.images.file_names
        held_out = np.fromiter(map(rule.holds_out, names), bool, len(names))
        if names and held_out.all() == held_out.any():
            groups = pluralize(len(set(map(rule.find_group, names))), "group")
            which = "all" if held_out.all() else "none"
            text = f"split holds out {which} of {pluralize(len(names), 'photo')}, {groups}"
            fix = "choose another share, or smaller groups, or give more photos"
            raise UserError(text, where=str(self.path), fix=fix)
        kept = held_out if half == "test" else ~held_out
        return replace(self._select(kept), other_half=self.images.select(~kept))

    def _select(self, kept: Mask) -> "CocoSet":
        """Return the set with some of its photos, and the problems of these and of the file as a whole."""
        gone = {int(number) for number in self.images.ids[~kept]}
        problems = tuple(problem for problem in self.problems if problem.image_id not in gone)
        images, annotations = self.images.select(kept), self.annotations.select(kept)
        return replace(self, images=images, annotations=annotations, problems=problems)

    def recode_flags(self, codes: Mapping[int, int]) -> "CocoSet":
        """Translate the flags of the set: 0 not labelled, 1 hidden, 2 visible.

        Args:
            codes: For each of the set's flags, the new one; others become 0.
        """
        keypoints = np.array(self.annotations.keypoints)
        keypoints[..., 2] = recode(keypoints[..., 2], codes)
        counts = np.count_nonzero(keypoints[..., 2], axis=1)
        return replace(self, annotations=replace(self.annotations, keypoints=keypoints, num_keypoints=counts))


def read_annotations(
    path: str | Path | Location,
    joints: Joints = None,
    *,
    flags: Mapping[int, int] | None = None,
    strict: bool = True,
    album: Album | None = None,
    unnamed: Sequence[str] = (),
) -> CocoSet:
    """Read a COCO keypoints file, or what CVAT or Label Studio exports.

    Args:
        path: The file, as :func:`~bodyposenet.common.data.importers.load.load_document` takes it.
        joints: Names of the joints in the order of the triplets, as a dataset spec lists them, or those of each
            category of people; by default those of the file's own category ``person``, or of all its categories that
            have joints where none is called so. The joints of several categories are put together by name.
        flags: For each visibility flag of the dataset, whether it is not labelled (0), hidden (1) or visible (2); a
            joint of another flag is a problem. By default COCO's numbers, which are these.
        strict: Stop at a wrong entry. Otherwise it is left out and listed in ``problems``; a person whose keypoints
            are wrong but whose box is sound stays without keypoints, so that a mask covers them.
        album: The photos: their names are taken as they are there, and sizes that the file does not tell are read
            from them. None looks at none.
        unnamed: Names for the joints where neither the file nor ``joints`` names them, for those to whom the names mean
            nothing; by default such a file is refused.

    Raises:
        UserError: The file is no JSON, no COCO keypoints file, or an entry of it is wrong; the message names the entry.
    """
    where = locate(path)
    with collector_paused():
        document = load_document(where, joints, album, as_rows=True)
        kinds = people_kinds(document.get("categories") or [], joints, str(where), unnamed)
        coco = _read(where, document, kinds, flags or COCO_FLAGS, album)
    if strict:
        refuse([problem for problem in coco.problems if not problem.kept])
    return coco


def read_half(
    dataset: "DatasetSpec", half: str, *, strict: bool = False, coded: bool = False, album: Album | None = None
) -> CocoSet:
    """Read the annotations of a dataset's ``train`` or ``test`` half.

    Args:
        dataset: Says where they are, who counts as people, and what the flags mean.
        half: ``train`` or ``test``.
        strict: As for :func:`read_annotations`, but False by default: all verbs leave out the same.
        coded: Make the visibility flags 0, 1 or 2, whatever the dataset's own are.
        album: The half's photos; None opens them.

    Raises:
        UserError: As for :func:`read_annotations`; or a split leaves one half without photos.
    """
    (_, path, images), codes = dataset.locate_half(half), dataset.visibility_flags.codes()
    if half == "test" and dataset.split is None and dataset.locate_half("train")[1:] == (path, images):
        log.warning(_SAME, path)
    album = album or Album(images, unclear=dataset.unclear_orientation)
    found = read_annotations(path, dataset.people, flags=codes, strict=strict, album=album)
    if dataset.split is not None:
        found = found.split(dataset.split, half)
    is_coded = all(number == code for number, code in codes.items())
    return found if is_coded or not coded else found.recode_flags(codes)


def _read(
    path: Location, document: dict[str, Any], kinds: Kinds, flags: Mapping[int, int], album: Album | None
) -> CocoSet:
    entries = {key: _entries(document, key, path) for key in ("images", "annotations")}
    problems: list[Problem] = []
    images = photo_table(entries["images"], str(path), problems, album)
    images, annotations, annotated = annotation_table(
        entries["annotations"], kinds, images, flags, str(path), problems, album
    )
    warn_of_oddities(images, annotations, flags, str(path))
    refused = len(entries["images"]) - len(images.ids)
    return CocoSet(path, kinds.joints, images, annotations, tuple(problems), refused, None, annotated, kinds)


def _not_coco(path: Location, why: str) -> UserError:
    return UserError(f"not a COCO keypoints file: {why}", where=str(path), fix="name a person_keypoints file")


def _entries(document: dict[str, Any], key: str, path: Location) -> Sequence[dict[str, Any]]:
    entries: Sequence[dict[str, Any]] | None = document.get(key)
    if not isinstance(entries, Rows) and (not isinstance(entries, list) or not set(map(type, entries)) <= {dict}):
        raise _not_coco(path, f"{key!r} is no list of objects")
    if key == "annotations" and entries and not any("keypoints" in entry for entry in entries):
        raise _not_coco(path, "no annotation has 'keypoints'")
    return entries
