"""YOLO: pose datasets as Ultralytics describes them: a ``data.yaml``, and for each photo a text file of labels.

A line of a label file is somebody: the class, centre and size of the box, and two or three numbers for each joint, all
in shares of the photo. Exports lie about in several ways: beside the yaml or a folder above it, with photos and labels
in ``images/train`` and ``labels/train``, in ``train/images`` and ``train/labels``, or together; all are found.
"""

import math
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import yaml

from bodyposenet.common.bounds import YOLO_YAML_BYTES
from bodyposenet.common.data.importers.assembly import Assembly, Joints, PhotoFinder, choose_people
from bodyposenet.common.data.importers.document import Fault, decode_text
from bodyposenet.common.data.importers.photo_names import match
from bodyposenet.common.data.importers.sources import SourceFiles
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.skeleton import COCO_17
from bodyposenet.common.spec.document import find_excess
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.photo_store import is_photo

Fields = dict[str, Any]

SUBSETS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_SLACK = 1e-3  # how far rounding puts a share below 0 or above 1
_COCO_FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
_NO_LABELS = frozenset({"classes.txt", "readme.txt", "readme.roboflow.txt", "readme.dataset.txt"})


def is_yolo(name: str) -> bool:
    """Tell a dataset's file by its name."""
    return posixpath.basename(name).lower() in ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")


def find_root(file: Location) -> Location:
    """Find the folder of a dataset: the yaml's ``path`` where a subset is in there, else that of the yaml itself.

    As with Ultralytics it may lead anywhere on the disk but to the root: whoever names the yaml may read what is there,
    nothing is written, and only photos, labels and lists are read.
    """
    with translate_errors(file):
        data = file.fetch(0, YOLO_YAML_BYTES + 1)
    document = _parse_yaml(data, str(file))
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


def read_yolo(
    data: bytes, files: SourceFiles, where: str, *, choice: str, joints: Joints, photos: PhotoFinder | None
) -> Fields:
    """Read one subset of a dataset into a COCO document.

    A photo without a label file has nobody in it. A wrong line is somebody without keypoints: a :class:`Fault` stands
    in their place.

    Args:
        data: The ``data.yaml``.
        files: The dataset's files.
        where: The yaml, for messages.
        choice: ``train``, ``val`` or ``test``; empty takes the only one.
        joints: As the dataset spec has them.
        photos: The photos, if they are elsewhere.

    Raises:
        UserError: A key of the yaml is missing or wrong, or no label file is where it says.
    """
    settings = _Settings.read(_parse_yaml(data, where), where, joints)
    pairs = _Layout(files, settings.document, where, photos).list_pairs(choice)
    assembly = Assembly(settings.joints, where)
    sizes = _SizeReader([pair.photo for pair in pairs if pair.photo], files, photos, where)
    for pair in pairs:
        size = None if pair.photo is None else sizes.read(pair.photo)
        name = pair.tell_photo(files)
        number = assembly.add_photo(sizes.meant.get(name, name), size)
        for line, text in _list_lines(pair, files):
            place = f"{files.tell(pair.label or '')}:{line}"
            _add_person(assembly, number, settings, text.split(), place, size or (1, 1))
    return assembly.finish("Ultralytics YOLO-pose")


def _parse_yaml(data: bytes, where: str) -> Fields:
    if len(data) > YOLO_YAML_BYTES:
        raise UserError("is too large for a dataset's yaml", where=where, fix="name the data.yaml")
    try:
        text = decode_text(data, where)
        if excess := find_excess(text):
            raise UserError(excess, where=where, fix="name the data.yaml")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None and _measure(node, {}) > YOLO_YAML_BYTES:
            fix = "write its values out, without aliases (*)"
            raise UserError("its aliases stand for more than a dataset's yaml can hold", where=where, fix=fix)
        document = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        problem = "nested too deeply" if isinstance(error, RecursionError) else getattr(error, "problem", None) or error
        raise UserError(f"no YAML: {problem}", where=place, fix="mend it, or export it again") from None
    if not isinstance(document, dict):
        raise UserError("it holds no keys", where=where, fix="name the data.yaml of a YOLO-pose dataset")
    return document


def _measure(node: yaml.Node, known: dict[int, float]) -> float:
    """Count the characters of a value with all that its aliases stand for; without end where it holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return len(node.value)
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_measure(part, known) for part in parts)
    return known[id(node)]


@dataclass(frozen=True)
class _Settings:
    """What a ``data.yaml`` says of people.

    Attributes:
        document: All of it.
        classes: Names by number.
        joints: Names of the joints of each class of people, in the order of a line.
        numbers: How many each has in a line: 2 without visibility, or 3.
    """

    document: Fields
    classes: dict[int, str]
    joints: dict[str, tuple[str, ...]]
    numbers: int

    @classmethod
    def read(cls, document: Fields, where: str, joints: Joints) -> "_Settings":
        shape = document.get("kpt_shape")
        if shape is None:
            fix = "export YOLO-pose rather than YOLO boxes, or add kpt_shape: [17, 3], joints and numbers for each"
            raise UserError(
                "it has no key 'kpt_shape', so its labels are boxes without keypoints", where=where, fix=fix
            )
        whole = isinstance(shape, list) and len(shape) == 2 and all(type(value) is int for value in shape)
        if not whole or shape[0] < 1 or shape[1] not in (2, 3):
            fix = "write how many joints there are, and 2 or 3 numbers for each: kpt_shape: [17, 3]"
            raise UserError(f"'kpt_shape' is {shape!r}", where=where, fix=fix)
        classes = _name_classes(document, where)
        people = choose_people(list(classes.values()), joints)
        named = {
            name: _name_joints(document, (number, name), shape[0], where, joints)
            for number, name in classes.items()
            if name in people
        }
        for names in named.values():
            _hold_to_flips(document.get("flip_idx"), names, where)
        return cls(document, classes, named, shape[1])


def _name_classes(document: Fields, where: str) -> dict[int, str]:
    given = document.get("names")
    if isinstance(given, list):
        given = dict(enumerate(given))
    if not isinstance(given, dict) or not given or not all(type(key) is int for key in given):
        fix = "name the classes in the order of their numbers: names: [person]"
        raise UserError("'names' is missing or no list of classes", where=where, fix=fix)
    return {key: str(name) for key, name in given.items()}


def _name_joints(document: Fields, label: tuple[int, str], count: int, where: str, joints: Joints) -> tuple[str, ...]:
    """Find the joints' names of a class: ``kpt_names``, sleap-io's ``node_names``, or COCO's where there are 17."""
    given = document.get("kpt_names", document.get("node_names"))
    if given is None and count == COCO_17.num_joints and document.get("flip_idx") in (None, [], _COCO_FLIP):
        return tuple(COCO_17.joints)
    if given is None:
        raise _unnamed(count, where, joints, coco=count == COCO_17.num_joints)
    given = _choose_names(given, label)
    if not isinstance(given, list) or len(given) != count or len({str(name) for name in given}) != count:
        told = len(given) if isinstance(given, list) else "no"
        fix = f"list the {count} joints' names of {label[1]!r}, each once, in the order of a line"
        raise UserError(f"'kpt_shape' has {count} joints, and 'kpt_names' {told} names", where=where, fix=fix)
    return tuple(str(name) for name in given)


def _choose_names(given: object, label: tuple[int, str]) -> object:
    """Choose a class's list of names: its own, or the only one; of names by number, in the order of the numbers."""
    if isinstance(given, list) and given and isinstance(given[0], list):
        given = dict(enumerate(given))
    if not isinstance(given, dict):
        return given
    if any(isinstance(value, list) for value in given.values()):
        only = next(iter(given.values())) if len(given) == 1 else None
        return next((given[key] for key in label if key in given), only)
    numbered = all(type(key) is int for key in given)
    return [given[key] for key in sorted(given)] if numbered else list(given.values())


def _unnamed(count: int, where: str, joints: Joints, *, coco: bool) -> UserError:
    """Make the error for joints whose order nobody can know, with what to write."""
    lists = list(joints.values()) if isinstance(joints, Mapping) else [joints] if joints else []
    names = next((list(names) for names in lists if len(names) == count), ["nose", "…"])
    why = "'flip_idx' is not that of COCO's 17 joints" if coco else f"only 17 are known to be COCO's, these are {count}"
    return UserError(
        f"it has no key 'kpt_names', and {why}",
        where=where,
        fix=f"write the joints' names in the order of a line, such as kpt_names: {{0: [{', '.join(names)}]}}",
    )


def _hold_to_flips(flips: object, joints: Sequence[str], where: str) -> None:
    """Refuse names that contradict ``flip_idx``: a left joint that is not exchanged with its right one."""
    if not isinstance(flips, list) or flips == list(range(len(joints))):
        return
    places = {name.casefold(): place for place, name in enumerate(joints)}
    for place, name in enumerate(places):
        other = places.get(name.replace("left", "right"), place)
        if other != place and (place >= len(flips) or flips[place] != other):
            raise UserError(
                f"'flip_idx' does not exchange {joints[place]} with {joints[other]}: names and numbers disagree",
                where=where,
                fix="write kpt_names in the order of a line's joints, or mend flip_idx",
            )


class _Pair(NamedTuple):
    """A photo and its label file; one of them may be missing."""

    photo: str | None
    label: str | None

    def tell_photo(self, files: SourceFiles) -> str:
        """Name the photo, or say that there is none."""
        if self.photo is not None:
            return self.photo
        fix = "add the photo, or remove the label file"
        return Fault(f"{files.tell(self.label or '')}: no photo is called so", fix)


class _Layout:
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
        self.folders = {""} | {folder for name in files.names for folder in _list_parents(name)}
        self.photos = files.list_photos()
        elsewhere = photos.listing if photos else {}
        self.elsewhere = {posixpath.splitext(name)[0]: name for name in elsewhere if is_photo(name)}

    def list_pairs(self, choice: str) -> list[_Pair]:
        """List the photos of a subset with their labels."""
        key, values = self._choose(choice)
        pairs: dict[tuple[str | None, str | None], _Pair] = {}
        for value in values:
            found = self._list_of_file(value) if value.lower().endswith(".txt") else self._list_of_folder(key, value)
            pairs |= {(pair.photo, pair.label): pair for pair in found}
        if not any(pair.label for pair in pairs.values()):
            raise UserError(
                f"no label file belongs to the photos of {key!r}: {', '.join(map(repr, values))}",
                where=self.where,
                fix="put the label files into labels/ beside images/, or write the folder as it is below the data.yaml",
            )
        return list(pairs.values())

    def _choose(self, choice: str) -> tuple[str, list[str]]:
        aliases = next((names for names in SUBSETS.values() if choice.lower() in names), (choice,))
        keys = [key for names in SUBSETS.values() for key in names if self.document.get(key)]
        if choice:
            keys = [key for key in (choice, *aliases) if self.document.get(key)][:1]
        if len(keys) != 1:
            has = ", ".join(key for names in SUBSETS.values() for key in names if self.document.get(key)) or "none"
            problem = f"it has no photos for {choice!r}" if choice else "it has several subsets"
            problem = problem if choice or keys else "it has none of the keys 'train', 'val' and 'test'"
            fix = f"name one of them after a #, as in {self.where}#val; it has: {has}"
            raise UserError(problem, where=self.where, fix=fix)
        given = self.document[keys[0]]
        values = given if isinstance(given, list) else [given]
        if not all(isinstance(value, str) for value in values):
            raise UserError(f"{keys[0]!r} is {given!r}", where=self.where, fix="write a folder, a list or a .txt file")
        return keys[0], values

    def _list_of_folder(self, key: str, value: str) -> Iterator[_Pair]:
        folder = self._find_folder(value)
        if folder is None:
            raise UserError(
                f"{key!r} is {value!r}, and there is no such folder of photos or labels",
                where=self.where,
                fix="write the folder as it is below the data.yaml",
            )
        photos = [name for name in self.photos if _is_in(name, folder)]
        pairs = [_Pair(name, self._find_label(posixpath.splitext(name)[0])) for name in photos]
        labels = {pair.label for pair in pairs}
        yield from pairs
        roots = [root for root in (_swap(folder), posixpath.join(folder, "labels")) if root in self.folders]
        lost = [
            name
            for root in roots or ([] if photos else [folder])
            for name in self.files.names
            if _is_in(name, root) and _is_label(name) and name not in labels
        ]
        stems = [posixpath.splitext(name)[0] for name in lost]
        meant = match(stems, self.elsewhere)
        for name, stem in zip(lost, stems, strict=True):
            found = meant.get(stem, stem)
            yield _Pair(self.elsewhere.get(found), name)

    def _list_of_file(self, value: str) -> Iterator[_Pair]:
        """List the photos that a text file names, line by line."""
        name = next((name for name in self._candidates(value) if name in self.known), None)
        if name is None:
            fix = "write the file as it is below the data.yaml"
            raise UserError(f"there is no file {value!r}", where=self.where, fix=fix)
        text = decode_text(self.files.read(name), self.files.tell(name))
        lines = [line.strip().replace("\\", "/") for line in text.splitlines() if line.strip()]
        meant = match(lines, self.photos)
        photos = [meant.get(line, line) for line in lines]
        stems = [posixpath.splitext(posixpath.normpath(photo))[0] for photo in photos]
        absent = [stem for photo, stem in zip(photos, stems, strict=True) if photo not in self.known]
        elsewhere = {stem: stem for stem in absent} | (match(absent, self.elsewhere) if absent else {})
        own = {self._find_label(posixpath.splitext(name)[0]) for name in self.photos}
        for photo, stem in zip(photos, stems, strict=True):
            parts = [stem] if photo in self.known else _drop_parents(stem)
            found = ((part, self._find_label(part)) for part in parts)
            label = next((label for part, label in found if label and (part == stem or label not in own)), None)
            yield _Pair(self.elsewhere.get(elsewhere[stem], photo) if stem in elsewhere else photo, label)

    def _find_folder(self, value: str) -> str | None:
        """Find the folder of photos, which may be elsewhere, so that only its labels are here."""
        for candidate in self._candidates(value):
            if {candidate, _swap(candidate)} & self.folders:
                return candidate
        return None

    def _candidates(self, value: str) -> Iterator[str]:
        """List the paths below the dataset that a path of the yaml may mean, the likeliest first."""
        base = self.document.get("path")
        for parts in ((base, value), (value,)):
            plain = _list_parts("/".join(str(part) for part in parts if part))
            yield from _drop_parents("/".join(plain)) if plain else ("",)

    def _find_label(self, stem: str) -> str | None:
        folder, base = posixpath.split(stem)
        for candidate in (_swap(folder), posixpath.join(folder, "labels"), folder):
            name = f"{posixpath.join(candidate, base)}.txt"
            if name in self.known:
                return name
        return None


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
    """Return the folder of labels that stands beside a folder of photos: the last ``images`` becomes ``labels``."""
    parts = folder.split("/")
    for place in reversed(range(len(parts))):
        if parts[place].lower() == "images":
            return "/".join([*parts[:place], "labels", *parts[place + 1 :]])
    return folder


def _is_in(name: str, folder: str) -> bool:
    return not folder or name.startswith(f"{folder}/")


def _is_label(name: str) -> bool:
    return name.lower().endswith(".txt") and posixpath.basename(name).lower() not in _NO_LABELS


class _SizeReader:
    """Reads sizes of photos: of those that a verb works on, else of those that lie with the labels."""

    def __init__(self, names: Sequence[str], files: SourceFiles, photos: PhotoFinder | None, where: str) -> None:
        self.files, self.photos = files, photos
        self.meant = dict(zip(names, photos.find(names, where), strict=True)) if photos else {}

    def read(self, name: str) -> tuple[int, int] | None:
        found = self.meant.get(name, name)
        if self.photos is not None and self.photos.has(found):
            return self.photos.read_size(found)
        return self.files.read_size(name) if name in self.files.known else None


def _list_lines(pair: _Pair, files: SourceFiles) -> Iterator[tuple[int, str]]:
    """List the lines of a label file that say something, with their numbers."""
    if pair.label is None:
        return
    data = files.read(pair.label)
    text = decode_text(data, files.tell(pair.label)) if data.strip() else ""
    yield from ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def _add_person(
    assembly: Assembly, photo: int, settings: _Settings, words: list[str], place: str, size: tuple[int, int]
) -> None:
    values = [_read_number(word) for word in words]
    label = settings.classes.get(int(values[0])) if values[0] == values[0] // 1 else None
    if label is not None and label not in assembly.numbers:
        assembly.count_other(label)
        return
    kind = label or next(iter(assembly.numbers))
    why = (
        _find_fault(values, settings.joints[kind], settings.numbers)
        if label
        else f"class {words[0]} has no name in the data.yaml"
    )
    box = _read_box(values[1:5], size)
    fix = "mend the line, or label the photo again"
    assembly.add_person(photo, kind, Fault(f"{place}: {why}", fix) if why else _triplets(values, settings, size), box)


def _read_number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _find_fault(values: Sequence[float], joints: Sequence[str], numbers: int) -> str | None:
    """Say why a line cannot be used; None if it can."""
    count = len(joints)
    if len(values) != 5 + count * numbers:
        return f"{len(values)} numbers instead of {5 + count * numbers}: a class, a box and {count} joints of {numbers}"
    if any(map(math.isnan, values)):
        return f"value {next(place for place, value in enumerate(values, 1) if math.isnan(value))} is no number"
    for joint, place in zip(joints, range(5, len(values), numbers), strict=True):
        x, y, *flag = values[place : place + numbers]
        if flag and flag[0] not in (0, 1, 2):
            return f"the visibility of {joint} is {flag[0]:g}, not 0, 1 or 2"
        if flag != [0] and not all(-_SLACK <= value <= 1 + _SLACK for value in (x, y)):
            return f"{joint} lies at {x:g}, {y:g}: shares of the photo are from 0 to 1"
    return None


def _read_box(values: Sequence[float], size: tuple[int, int]) -> list[float] | None:
    """Read the box in pixels; None where it is none."""
    if len(values) < 4 or not all(-1 <= value <= 2 for value in values) or min(values[2:]) <= 0:
        return None
    x, y, width, height = values
    high, wide = size
    return [(x - width / 2) * wide, (y - height / 2) * high, width * wide, height * high]


def _triplets(values: Sequence[float], settings: _Settings, size: tuple[int, int]) -> list[float]:
    """Return triplets in pixels; of two numbers for a joint, 0 0 means that it is not labelled."""
    high, wide = size
    triplets: list[float] = []
    for place in range(5, len(values), settings.numbers):
        x, y, *told = values[place : place + settings.numbers]
        flag = int(told[0]) if told else 2 * bool(x or y)
        triplets += [x * wide, y * high, flag] if flag else [0, 0, 0]
    return triplets
