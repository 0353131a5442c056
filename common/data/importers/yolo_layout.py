"""YOLO layout: where a dataset's photos and label files lie, and which belong to a subset.

Exports lie about in several ways: beside the ``data.yaml`` or a folder above it, with photos and labels in
``images/train`` and ``labels/train``, in ``train/images`` and ``train/labels``, or together; all are found.
"""

import logging
import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bodyposenet.common.bounds import YOLO_YAML_BYTES
from bodyposenet.common.data.importers.assembly import PhotoFinder
from bodyposenet.common.data.importers.document import Fault, decode_text
from bodyposenet.common.data.importers.photo_names import PhotoNames
from bodyposenet.common.data.importers.sources import SourceFiles
from bodyposenet.common.data.importers.yolo_settings import parse_yaml
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.photo_store import is_photo

Fields = dict[str, Any]

SUBSETS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_DOUBTFUL = (
    "%s: %d photos have no label file, and %d label files no photo, such as %s: as one may be the other's, they do not "
    "count as photos with nobody; call each label file as its photo, in the same folders"
)
log = logging.getLogger(__name__)
_NO_LABELS = frozenset({"classes.txt", "readme.txt", "readme.roboflow.txt", "readme.dataset.txt"})


def find_root(file: Location) -> Location:
    """Find the folder of a dataset: the yaml's ``path`` where a subset is in there, else that of the yaml itself.

    As with Ultralytics it may lead anywhere on the disk but to the root: whoever names the yaml may read what is there,
    nothing is written, and only photos, labels and lists are read.
    """
    with translate_errors(file):
        data = file.fetch(0, YOLO_YAML_BYTES + 1)
    document = parse_yaml(data, str(file))
    given = document.get("path")
    if file.remote or not isinstance(given, str) or not given or in_bucket(given):
        return file.parent
    root = file.parent / given
    return root if _holds_subset(str(root), document) and os.path.realpath(str(root)) != os.sep else file.parent


def _holds_subset(root: str, document: Fields) -> bool:
    """Tell whether a folder has the photos or labels of a subset, so that no other folder is ever looked through."""
    values = [document.get(key) for names in SUBSETS.values() for key in names]
    for value in (each for given in values for each in (given if isinstance(given, list) else [given])):
        if isinstance(value, str):
            plain = "/".join(_list_parts(value))
            tries = {place for part in _drop_parents(plain) for place in (part, _swap(part))}
            if any(os.path.exists(posixpath.join(root, place)) for place in tries):
                return True
    return False


class YoloPair(NamedTuple):
    """A photo and its label file; one of them may be missing, and doubtful where one that is no photo's may be it."""

    photo: str | None
    label: str | None
    doubtful: bool = False

    def tell_photo(self, files: SourceFiles) -> str:
        """Name the photo, or say that there is none."""
        if self.photo is not None:
            return self.photo
        fix = "add the photo, or remove the label file"
        return Fault(f"{files.tell(self.label or '')}: no photo is called so", fix)


class YoloLayout:
    """Where a dataset's photos and label files lie.

    Args:
        files: All files.
        document: The yaml.
        where: The yaml's name.
        photos: Photos elsewhere.
    """

    def __init__(self, files: SourceFiles, document: Fields, where: str, photos: PhotoFinder | None) -> None:
        self.files, self.document, self.where = files, document, where
        self.known = files.known
        self.labels = {posixpath.splitext(name)[0]: name for name in files.names if name.lower().endswith(".txt")}
        self.folders = {""} | {folder for name in files.names for folder in _list_parents(name)}
        self.photos = files.list_photos()
        elsewhere = photos.listing if photos else {}
        self.elsewhere = {posixpath.splitext(name)[0]: name for name in elsewhere if is_photo(name)}

    def list_pairs(self, choice: str) -> list[YoloPair]:
        """List the photos of a subset with their labels."""
        key, values = self._choose(choice)
        pairs: dict[tuple[str | None, str | None], YoloPair] = {}
        for value in values:
            found = self._read_list(value) if value.lower().endswith(".txt") else self._list_folder(key, value)
            pairs |= {(pair.photo, pair.label): pair for pair in found}
        if not any(pair.label for pair in pairs.values()):
            raise UserError(
                f"no label file belongs to the photos of {key!r}: {', '.join(map(repr, values))}",
                where=self.where,
                fix="put the label files into labels/ beside images/, or write the folder as it is below the data.yaml",
            )
        return list(pairs.values())

    def _choose(self, choice: str) -> tuple[str, list[str]]:
        """Choose the key of a subset, whatever tools call it; without a choice the only one."""
        known = [key for names in SUBSETS.values() for key in names if self.document.get(key)]
        aliases = next((names for names in SUBSETS.values() if choice.lower() in names), ())
        keys = [key for key in (choice, *aliases) if self.document.get(key)][:1] if choice else known
        if len(keys) != 1:
            problem = f"it has no photos for {choice!r}" if choice else "it has several subsets"
            problem = problem if choice or keys else "it has none of the keys 'train', 'val' and 'test'"
            fix = f"name one of them after a #, as in {self.where}#{[*known, 'val'][0]}; it has: "
            fix += ", ".join(known) or "none"
            raise UserError(problem, where=self.where, fix=fix)
        given = self.document[keys[0]]
        values = given if isinstance(given, list) else [given]
        if not all(isinstance(value, str) for value in values):
            raise UserError(f"{keys[0]!r} is {given!r}", where=self.where, fix="write a folder, a list or a .txt file")
        return keys[0], values

    def _list_folder(self, key: str, value: str) -> Iterator[YoloPair]:
        """List the photos of a folder, and the label files whose photos are elsewhere."""
        folder = self._find_folder(value)
        if folder is None:
            raise UserError(
                f"{key!r} is {value!r}, and there is no such folder of photos or labels",
                where=self.where,
                fix="write the folder as it is below the data.yaml",
            )
        photos = [name for name in self.photos if _is_in(name, folder)]
        pairs = [YoloPair(name, self._find_label(posixpath.splitext(name)[0])) for name in photos]
        labels = {pair.label for pair in pairs}
        roots = [root for root in (_swap(folder), posixpath.join(folder, "labels")) if root in self.folders]
        among = [name for name in self.labels.values() if _is_label(name)]
        among = [name for name in among if _is_among(name, folder, roots, bare=not photos)]
        lost = [name for name in among if name not in labels]
        free = [pair.photo for pair in pairs if pair.photo and not pair.label]
        flat = all(posixpath.dirname(name) in roots for name in among)
        own = _match_labels(lost, free, folder, roots, anywhere=flat or len(free) == len(pairs))
        named = {photo: label for label, photo in own.items()}
        lost = [name for name in lost if name not in own]
        for photo, label, _ in pairs:
            label = label or named.get(photo or "")
            yield YoloPair(photo, label, doubtful=bool(lost) and label is None)
        if lost and len(named) < len(free):
            log.warning(_DOUBTFUL, self.where, len(free) - len(named), len(lost), lost[0])
        stems = [self._guess_photo(name, folder, roots) for name in lost]
        meant = PhotoNames(self.elsewhere).match(stems)
        for name, stem in zip(lost, stems, strict=True):
            found = meant.get(stem, stem)
            yield YoloPair(self.elsewhere.get(found), name)

    def _read_list(self, value: str) -> Iterator[YoloPair]:
        """List the photos that a text file names, line by line."""
        name = next((name for name in self._list_candidates(value) if name in self.known), None)
        if name is None:
            fix = "write the file as it is below the data.yaml"
            raise UserError(f"there is no file {value!r}", where=self.where, fix=fix)
        text = decode_text(self.files.read(name), self.files.tell(name))
        lines = [line.strip().replace("\\", "/") for line in text.splitlines() if line.strip()]
        meant = PhotoNames(self.photos).match(lines)
        photos = [meant.get(line, line) for line in lines]
        stems = [posixpath.splitext(posixpath.normpath(photo))[0] for photo in photos]
        absent = [stem for photo, stem in zip(photos, stems, strict=True) if photo not in self.known]
        elsewhere = {stem: stem for stem in absent} | (PhotoNames(self.elsewhere).match(absent) if absent else {})
        own = {self._find_label(posixpath.splitext(name)[0]) for name in self.photos}
        for photo, stem in zip(photos, stems, strict=True):
            parts = [stem] if photo in self.known else _drop_parents(stem)
            found = ((part, self._find_label(part)) for part in parts)
            label = next((label for part, label in found if label and (part == stem or label not in own)), None)
            yield YoloPair(self.elsewhere.get(elsewhere[stem], photo) if stem in elsewhere else photo, label)

    def _find_folder(self, value: str) -> str | None:
        """Find the folder of photos, which may be elsewhere, so that only its labels are here."""
        for candidate in self._list_candidates(value):
            if {candidate, _swap(candidate)} & self.folders:
                return candidate
        return None

    def _list_candidates(self, value: str) -> Iterator[str]:
        """List the paths below the dataset that a path of the yaml may mean, the likeliest first."""
        base = self.document.get("path")
        for parts in ((base, value), (value,)):
            plain = _list_parts("/".join(str(part) for part in parts if part))
            yield from _drop_parents("/".join(plain)) if plain else ("",)

    def _guess_photo(self, name: str, folder: str, roots: Sequence[str]) -> str:
        """Guess which photo elsewhere a label file is of; without the ending.

        Args:
            name: The file.
            folder: Of the photos; in it ``labels`` stands for ``images``.
            roots: Folders of labels.
        """
        stem = posixpath.splitext(name)[0]
        if _is_in(stem, folder):
            stem = next(_list_swaps(stem, "labels", "images"), stem)
        parts = [stem.removeprefix(f"{place}/") for place in (*roots, folder) if _is_in(stem, place)]
        return next((part for part in parts if part in self.elsewhere), stem)

    def _find_label(self, stem: str) -> str | None:
        folder, base = posixpath.split(stem)
        candidates = (*_list_swaps(folder), posixpath.join(folder, "labels"), folder)
        found = (self.labels.get(posixpath.join(candidate, base)) for candidate in candidates)
        return next(filter(None, found), None)


def _match_labels(
    labels: Sequence[str], photos: Sequence[str], folder: str, roots: Sequence[str], *, anywhere: bool
) -> dict[str, str]:
    """Match label files with the photos of their folder that have none, and whose names are spelt otherwise.

    As Label Studio writes ``b%20c.txt`` for ``b c.jpg``, or puts ``1a2b3c4d-`` before it. ``b.jpg.txt`` is ``b.jpg``'s.

    Args:
        labels: Label files whose photos are not there.
        photos: Photos without a label file.
        folder: Of the photos.
        roots: Folders of labels.
        anywhere: Photos may be in other folders than their label files: all of these lie side by side, or no photo has
            one where it is looked for.
    """
    free = {_cut(photo, [folder]): photo for photo in photos}
    stems = {label: _cut(posixpath.splitext(label)[0], [*roots, folder]) for label in labels}
    meant = {name: name for name in free} | (PhotoNames(free).match(stems.values()) if free else {})
    found = {label: meant[stem] for label, stem in stems.items() if stem in meant}
    return {
        label: free[stem]
        for label, stem in found.items()
        if anywhere or posixpath.dirname(stem) == posixpath.dirname(stems[label])
    }


def _cut(name: str, folders: Sequence[str]) -> str:
    """Return a name without the first of these folders that it is in."""
    inside = (folder for folder in folders if folder and _is_in(name, folder))
    return name.removeprefix(f"{next(inside, '')}/")


def _list_parents(name: str) -> Iterator[str]:
    while name := posixpath.dirname(name):
        yield name


def _list_parts(path: str) -> list[str]:
    """List the folders and the file of a path, without its way up."""
    normal = posixpath.normpath(path.replace("\\", "/"))
    return [part for part in normal.split("/") if part not in ("", ".", "..")]


def _drop_parents(path: str) -> Iterator[str]:
    """List a path, and what is left of it without its first folders."""
    parts = path.split("/")
    return ("/".join(parts[first:]) for first in range(len(parts)))


def _swap(folder: str) -> str:
    """Return the folder of labels that stands beside a folder of photos."""
    return next(_list_swaps(folder), folder)


def _list_swaps(folder: str, old: str = "images", new: str = "labels") -> Iterator[str]:
    """List where the labels of a folder of photos may be: the last ``images`` becomes ``labels``, or one before it."""
    parts = folder.split("/")
    for place in reversed(range(len(parts))):
        if parts[place].lower() == old:
            yield "/".join([*parts[:place], new, *parts[place + 1 :]])


def _is_in(name: str, folder: str) -> bool:
    return not folder or name.startswith(f"{folder}/")


def _is_among(name: str, folder: str, roots: Sequence[str], *, bare: bool) -> bool:
    """Tell whether a file is in a folder of labels: one of these, or a folder ``labels`` in the one of the photos.

    Args:
        name: The file.
        folder: Of the photos.
        roots: Folders of labels that are there.
        bare: No photos are there, and labels may lie in their place.
    """
    if any(_is_in(name, root) for root in roots):
        return True
    inside = _is_in(name, folder)
    return inside and ((bare and not roots) or "labels" in posixpath.dirname(name[len(folder) :]).lower().split("/"))


def _is_label(name: str) -> bool:
    return posixpath.basename(name).lower() not in _NO_LABELS
