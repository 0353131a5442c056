"""Foreign: formats that hold no poses, or not as COCO does, and what to export instead of them."""

import mmap
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
_MINIMAL = "this is Label Studio's JSON-MIN, which tells no person's keypoints from another's"
_RESULTS = "these are a network's results, not annotations"
_TAKE_TRAIN = "name the file of its training or validation set"
_START = 2**16  # bytes that tell what a file is
_NOT_COCO = "not a COCO keypoints file"
_NAME_KEYPOINTS = "name a person_keypoints file"

_POINTER = ("this is a pointer of Git LFS, not the file", "fetch the file itself with 'git lfs pull'")
_PACKED = ("this archive is none that is read here", "unpack it, or pack it as zip")
_LINES_FIX = "export JSON; if each line is a task of Label Studio, make one list of them: jq -s . FILE"
_JSON_LINES = re.compile(rb"\{[^\n]*\}[ \r]*\n\s*\{")
_CSV_LINE = re.compile(rb"[\w\"'#./-][^\n,]*(,[^\n,]*){2,}(\n|$)")
_ULTRALYTICS = re.compile(rb'\{\s*"type":\s*"dataset"')
_YOLO_LINE = re.compile(rb"\d+( -?[\d.]+(e-\d+)?){4,}\s")
_REMEDY = "export or convert it as COCO keypoints, by the tool's own means"
_TAKE_COCO = "name its annotations in COCO's format, which its authors give beside these"
_Kind = tuple[frozenset[str], str, str]
_KEYS: tuple[_Kind, ...] = (
    (frozenset({"_via_img_metadata"}), "this is a project of VIA", _COCO_FIX),
    (frozenset({"result", "task"}), "this is one annotation of Label Studio's cloud storage", STUDIO_FIX),
    (frozenset({"tags", "shapes", "tracks"}), "this is one job of a CVAT backup", CVAT_FIX),
    (frozenset({"objects", "size", "tags"}), "this is a photo's file of Supervisely", _REMEDY),
    (frozenset({"item", "annotations"}), "this is a photo's file of V7 Darwin", _REMEDY),
    (frozenset({"image", "annotations", "dataset"}), "this is a photo's file of V7 Darwin", _REMEDY),
    (frozenset({"metadata", "instances"}), "this is a photo's file of SuperAnnotate", _REMEDY),
    (frozenset({"people", "version"}), "this is what OpenPose found in a photo, no annotations", _COCO_FIX),
    (frozenset({"meta_info", "instance_info"}), "this is what MMPose found in photos, no annotations", _COCO_FIX),
    (frozenset({"classes", "tags", "projectType"}), "this is the meta.json of Supervisely", _REMEDY),
    (frozenset({"data_row", "projects"}), "this is an export of Labelbox", _REMEDY),
    (frozenset({"skeletons", "videos", "labels"}), "this is SLEAP's JSON", _REMEDY),
    (frozenset({"asset", "regions"}), "this is a photo's file of VoTT", _COCO_FIX),
    (frozenset({"info", "objects"}), "this is a photo's file of ISAT: outlines without keypoints", _COCO_FIX),
    (frozenset({"sequence", "captures"}), "this is a frame of Unity Perception", _COCO_FIX),
    (frozenset({"bodies", "version"}), "this is what AlphaPose found in a photo, no annotations", _COCO_FIX),
    (frozenset({"annolist"}), "this is PoseTrack's first format", _TAKE_COCO),
    (frozenset({"images", "keypoint_names"}), "this is OCHuman's own format", _TAKE_COCO),
    (frozenset({"images", "label_classes"}), "this is a project of Hasty", _REMEDY),
    (frozenset({"openlabel"}), "this is ASAM OpenLABEL", _COCO_FIX),
)
_ENTRY_KEYS: tuple[_Kind, ...] = (
    (frozenset({"annotation_id", "annotator"}), _MINIMAL, STUDIO_FIX),
    (frozenset({"image_id", "keypoint_annotations"}), "these are AI Challenger's annotations", _COCO_FIX),
    (frozenset({"image_id", "keypoints"}), _RESULTS, "name the annotations they are held against"),
    (frozenset({"keypoints", "bbox", "score"}), _RESULTS, "name the annotations they are held against"),
    (frozenset({"keypoints", "keypoint_scores"}), _RESULTS, "name the annotations they are held against"),
    (frozenset({"data_row"}), "this is an export of Labelbox", _REMEDY),
    (frozenset({"DataRow ID"}), "this is an export of Labelbox", _REMEDY),
    (frozenset({"data_units"}), "this is an export of Encord", _REMEDY),
    (frozenset({"externalId", "labels"}), "this is an export of Kili", _REMEDY),
    (
        frozenset({"image", "center", "scale"}),
        "these are MPII's people without their joints, as of its test set",
        _TAKE_TRAIN,
    ),
    (frozenset({"images", "annotations"}), "this is a list of COCO documents", "give each a file of its own"),
    (frozenset({"data"}), "these tasks of Label Studio carry no annotations", STUDIO_FIX),
)


def refuse_kind(document: Mapping[str, Any], where: str) -> None:
    """Raise where the keys of a JSON object are those of a known kind of file.

    Raises:
        UserError: They are; the message says which, and what to do.
    """
    for keys, problem, fix in _KEYS:
        if keys <= document.keys():
            raise UserError(problem, where=where, fix=fix)
    if any(isinstance(value, dict) and {"filename", "regions"} <= value.keys() for value in document.values()):
        raise UserError("these are annotations of VIA", where=where, fix=_COCO_FIX)


def refuse_text(data: bytes | mmap.mmap, where: str) -> None:
    """Raise where the file is no JSON but of a known kind.

    Raises:
        UserError: It is XML, a table, a YOLO label file or a picture; the message says what to export.
    """
    start = data[:_START].removeprefix(b"\xef\xbb\xbf").lstrip()
    for fits, (problem, fix) in _STARTS:
        if fits(start):
            raise UserError(problem, where=where, fix=fix)


_STARTS: tuple[tuple[Callable[[bytes], object], tuple[str, str]], ...] = (
    (lambda start: start[:1] == b"<" and b"<annotation" in start, _VOC),
    (lambda start: start[:1] == b"<", ("this is XML or a web page, not JSON", _COCO_FIX)),
    (lambda start: start.startswith((b"\x89PNG", b"\xff\xd8")), ("this is a picture", "name the annotation file")),
    (_YOLO_LINE.match, _YOLO),
    (lambda start: b"annotation_id" in (header := start.split(b"\n", 1)[0]) and b"{" not in header, _TABLE),
    (_CSV_LINE.match, ("this is a table (CSV)", _COCO_FIX)),
    (lambda start: start.startswith(b"version https://git-lfs"), _POINTER),
    (lambda start: start.startswith(b"\x89HDF"), ("this is HDF5, as of SLEAP, DeepLabCut or MATLAB", _REMEDY)),
    (lambda start: start.startswith(b"MATLAB 5.0"), ("this is a MATLAB file", _COCO_FIX)),
    (lambda start: start[257:262] == b"ustar", _PACKED),
    (lambda start: start.startswith((b"Rar!", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ")), _PACKED),
    (_ULTRALYTICS.match, ("this is Ultralytics' NDJSON", "export YOLO-pose: a data.yaml with labels/")),
    (_JSON_LINES.match, ("this is JSON Lines, an object in each line", _LINES_FIX)),
)


def no_annotations(names: Sequence[str], where: str) -> UserError:
    """Make the error for an archive without JSON files, told by what it has instead."""
    problem, fix = "it holds no annotation file", _KNOWN
    for fits, told in _MEMBERS:
        if found := next((name for name in names if fits(name.lower())), ""):
            problem, fix = f"{told[0]}: {found}", told[1]
            break
    return UserError(problem, where=where, fix=fix)


_MEMBERS: tuple[tuple[Callable[[str], bool], tuple[str, str]], ...] = (
    (lambda name: name.startswith("xl/"), ("this is a table (Excel)", _COCO_FIX)),
    (lambda name: name.endswith(".xml"), _VOC),
    (lambda name: name.endswith((".csv", ".tsv")), _TABLE),
    (lambda name: name.rsplit("/", 1)[-1] in ("classes.txt", "obj.names"), _YOLO),
    (lambda name: "labels/" in name and name.endswith(".txt"), _YOLO),
    (lambda name: name.endswith(".zip"), ("it holds a zip archive in place of annotations", "unpack it")),
)


def not_coco(document: Mapping[str, Any], where: str) -> UserError:
    """Make the error for a JSON object that is no COCO document.

    Raises:
        UserError: It is of a known kind.
    """
    refuse_kind(document, where)
    wrong = next(key for key in ("images", "annotations") if not isinstance(document.get(key), list))
    return UserError(f"{_NOT_COCO}: {wrong!r} is no list of objects", where=where, fix=_NAME_KEYPOINTS)


def set_points_aside(document: Mapping[str, Any], where: str) -> None:
    """Take Encord's single points for no people, each of which is an annotation of its own; its skeletons may be some.

    Raises:
        UserError: There are points alone: whose each joint is, is lost.
    """
    given = document.get("categories")
    kinds = [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []
    points = [entry for entry in kinds if entry.get("keypoints") == "keypoint"]
    if points and not any(entry.get("supercategory") == "skeleton" for entry in kinds):
        names = ", ".join(str(entry.get("name")) for entry in points[:4])
        problem = f"this is Encord's COCO of single points ({names}), which does not tell whose each is"
        raise UserError(problem, where=where, fix="label each person with one skeleton object, and export again")
    for entry in points:
        del entry["keypoints"]


def boxes_only(where: str) -> UserError:
    """Make the error for a COCO document without keypoints."""
    problem = f"{_NOT_COCO}: no annotation has 'keypoints', it holds boxes or captions"
    return UserError(problem, where=where, fix=_NAME_KEYPOINTS)


def not_tasks(entries: Sequence[Any], where: str) -> UserError:
    """Make the error for a JSON list that is no list of Label Studio's tasks."""
    first = entries[0] if entries else None
    keys = first.keys() if isinstance(first, dict) else set()
    for known, problem, fix in _ENTRY_KEYS:
        if known & keys if known == _ENTRY_KEYS[0][0] else known <= keys:
            return UserError(problem, where=where, fix=fix)
    told = f"a list of objects with {', '.join(map(repr, [*keys][:4]))}" if keys else "it holds no object"
    return UserError(f"{_NOT_COCO}: {told}", where=where, fix=_NAME_KEYPOINTS)
