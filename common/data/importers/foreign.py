"""Foreign: formats that hold no poses, or not as COCO does, and what to export instead of them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bodyposenet.common.errors import UserError

CVAT_FIX = 'label each person with a skeleton in CVAT, and export "COCO Keypoints 1.0"'
STUDIO_FIX = 'export "JSON" from Label Studio'
BOXES_FIX = (
    "draw a rectangle (RectangleLabels) around each person, put the person's keypoints inside it "
    '(KeyPointLabels), and export "JSON" from Label Studio'
)
_COCO_FIX = "export or convert it as COCO keypoints"

_VOC = ("this is Pascal VOC: boxes without keypoints", _COCO_FIX)
_YOLO = (
    "these are YOLO's labels without their data.yaml, which names classes and joints",
    "name the data.yaml; where there is none, write one beside images/ and labels/: "
    "{train: images, names: [person], kpt_shape: [17, 3], kpt_names: {0: [nose, …]}}; "
    "Label Studio orders a line's joints by model_index, not as its notes.json lists them",
)
_TABLE = ("this is a table (CSV or TSV)", f'{STUDIO_FIX}, not "CSV" or "TSV"')
_KNOWN = (
    'name or pack "COCO Keypoints 1.0" or "CVAT for images" of CVAT, the JSON of Label Studio, the files of LabelMe, '
    "or a YOLO-pose dataset with its data.yaml"
)
_NOT_COCO = "not a COCO keypoints file"
_NAME_KEYPOINTS = "name a person_keypoints file"

_YOLO_LINE = re.compile(rb"\d+( -?[\d.]+(e-\d+)?){4,}\s")
_KEYS: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset({"_via_img_metadata"}), "this is a project of VIA", _COCO_FIX),
    (frozenset({"result", "task"}), "this is one annotation of Label Studio's cloud storage", STUDIO_FIX),
    (frozenset({"tags", "shapes", "tracks"}), "this is one job of a CVAT backup", CVAT_FIX),
)


def refuse_text(data: bytes, where: str) -> None:
    """Raise where the file is no JSON but of a known kind.

    Raises:
        UserError: It is XML, a table, a YOLO label file or a picture; the message says what to export.
    """
    start = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    for fits, (problem, fix) in _STARTS:
        if fits(start):
            raise UserError(problem, where=where, fix=fix)


_STARTS: tuple[tuple[Callable[[bytes], object], tuple[str, str]], ...] = (
    (lambda start: start[:1] == b"<" and b"<annotation" in start, _VOC),
    (lambda start: start[:1] == b"<", ("this is XML or a web page, not JSON", _COCO_FIX)),
    (lambda start: start.startswith((b"\x89PNG", b"\xff\xd8")), ("this is a picture", "name the annotation file")),
    (_YOLO_LINE.match, _YOLO),
    (lambda start: b"annotation_id" in (header := start.split(b"\n", 1)[0]) and b"{" not in header, _TABLE),
)


def no_annotations(names: Sequence[str], where: str) -> UserError:
    """Make the error for an archive without JSON files, told by what it has instead."""
    problem, fix = "it holds no annotation file", _KNOWN
    for fits, told in _MEMBERS:
        if any(fits(name.lower()) for name in names):
            problem, fix = told
            break
    return UserError(problem, where=where, fix=fix)


_MEMBERS: tuple[tuple[Callable[[str], bool], tuple[str, str]], ...] = (
    (lambda name: name.endswith(".xml"), _VOC),
    (lambda name: name.endswith((".csv", ".tsv")), _TABLE),
    (lambda name: name.rsplit("/", 1)[-1] in ("classes.txt", "obj.names"), _YOLO),
    (lambda name: "labels/" in name and name.endswith(".txt"), _YOLO),
)


def not_coco(document: Mapping[str, Any], where: str) -> UserError:
    """Make the error for a JSON object that is no COCO document."""
    for keys, problem, fix in _KEYS:
        if keys <= document.keys():
            return UserError(problem, where=where, fix=fix)
    wrong = next(key for key in ("images", "annotations") if not isinstance(document.get(key), list))
    return UserError(f"{_NOT_COCO}: {wrong!r} is no list of objects", where=where, fix=_NAME_KEYPOINTS)


def boxes_only(where: str) -> UserError:
    """Make the error for a COCO document without keypoints."""
    problem = f"{_NOT_COCO}: no annotation has 'keypoints', it holds boxes or captions"
    return UserError(problem, where=where, fix=_NAME_KEYPOINTS)


def not_tasks(entries: Sequence[Any], where: str) -> UserError:
    """Make the error for a JSON list that is no list of Label Studio's tasks."""
    first = entries[0] if entries else None
    keys = first.keys() if isinstance(first, dict) else set()
    problem, fix = f"{_NOT_COCO}: it holds no object", _NAME_KEYPOINTS
    if {"annotation_id", "annotator"} & keys:
        problem, fix = "this is Label Studio's JSON-MIN, which tells no person's keypoints from another's", STUDIO_FIX
    elif {"image_id", "keypoints"} <= keys:
        problem, fix = "these are a network's results, not annotations", "name the annotations they are held against"
    elif "data" in keys:
        problem, fix = "these tasks of Label Studio carry no annotations", STUDIO_FIX
    return UserError(problem, where=where, fix=fix)
