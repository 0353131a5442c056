"""Load: any file, archive or folder of annotations as one COCO document."""

import logging
import mmap
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bodyposenet.common.bounds import ANNOTATION_BYTES, YOLO_YAML_BYTES
from bodyposenet.common.data.importers import coco_dialects, cvat_xml, foreign, label_studio
from bodyposenet.common.data.importers.assembly import Joints, PhotoFinder
from bodyposenet.common.data.importers.cvat_xml import is_cvat_xml, read_cvat_xml
from bodyposenet.common.data.importers.datumaro_json import from_datumaro, is_datumaro
from bodyposenet.common.data.importers.document import (
    GZIP,
    ZIP,
    annotation_file,
    choose_document,
    gunzip,
    list_members,
)
from bodyposenet.common.data.importers.json_text import Rows, parse
from bodyposenet.common.data.importers.labelme import from_labelme, is_labelme, list_labelme, read_folder
from bodyposenet.common.data.importers.mpii import are_mpii, from_mpii
from bodyposenet.common.data.importers.sources import YAML, Source, SourceFiles, find_source, is_file
from bodyposenet.common.data.importers.yolo import is_yolo, read_yolo
from bodyposenet.common.data.importers.yolo_layout import find_root
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.digests import digest_bytes, digest_file
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import map_file, move_aside, read_bytes
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.photo_store import open_photos

PHOTOS, ANNOTATIONS = "images", "annotations"
_FIX = "check annotation_root_dir_path"
_SMALL = 2**22  # bytes of a photo's own file
log = logging.getLogger(__name__)

Fields = dict[str, Any]


def load_document(
    path: str | Path | Location, joints: Joints = None, photos: PhotoFinder | None = None, *, as_rows: bool = False
) -> dict[str, Any]:
    """Read annotations into a dict as COCO's keypoint files are.

    ======================================  ====================================================================
    what                                    what is done
    ======================================  ====================================================================
    COCO keypoints, ``.json``               returned as it is
    CVAT, "COCO Keypoints 1.0", ``.zip``    its ``person_keypoints_*.json``; of several, the one named after a #
    CVAT for images or video, XML           skeletons, of tracks those between the frames, too
    Label Studio, "JSON"                    boxes and keypoints joined, percent turned to pixels
    Label Studio, "COCO"                    boxes and keypoints joined where no photo has several people
    LabelMe, a ``.json`` for each photo     points and rectangle of a ``group_id`` are a person
    Datumaro's JSON                         points with the box of their group
    MPII's JSON, of two forms               joints named, its first pixel 1 made 0
    CrowdPose                               its joints named where its category does not
    PoseTrack, a ``.json`` for each video   joined; frames that nobody labelled left out, ignored regions masked
    YOLO-pose, ``data.yaml``                the subset named after a #; shares of the photo turned to pixels
    ======================================  ====================================================================

    JSON may be gzipped, and all may be in a zip archive; of a YOLO-pose dataset its folder may be named, too. The
    annotations themselves are not checked here.

    Args:
        path: The file, archive or folder; ``export.zip#Train`` and ``data.yaml#val`` name a subset.
        joints: Names of the joints, or these for each category of people, as the dataset spec lists them. Label
            Studio's keypoints take this order; by default they are sorted by name.
        photos: The photos, for formats whose numbers are shares of them or whose names lack something; None takes
            those that lie with the annotations.
        as_rows: Leave photos and annotations of a COCO file as text, each parsed when it is asked for, in place of
            lists.

    Raises:
        UserError: The file cannot be read, is damaged, or of a kind that holds no poses; the message says what to
            export instead.
    """
    source = find_source(path)
    files = _open_files(source)
    if files is not None:
        return _load_files(source, files, joints, photos, as_rows=as_rows)
    data, where = _read(source)
    if isinstance(data, bytes) and is_cvat_xml(data):
        return read_cvat_xml(data, where, choice=source.choice, joints=joints, photos=photos, names=())
    document = _parse(data, where, as_rows=as_rows)
    del data
    return _convert(document, where, joints)


def _parse(data: bytes | mmap.mmap, where: str, *, as_rows: bool) -> Any:
    """Parse JSON, or say what else it is."""
    data = gunzip(data, where) if isinstance(data, bytes) and data.startswith(GZIP) else data
    foreign.refuse_text(data, where)
    data = move_aside(data) if as_rows and isinstance(data, bytes) and data.startswith(b"{") else data
    return parse(data, where, (PHOTOS, ANNOTATIONS) if as_rows else ())


def _convert(document: Any, where: str, joints: Joints) -> Fields:
    """Turn a JSON value of any tool into a COCO document."""
    if isinstance(document, list):
        return _convert_list(document, where, joints)
    if not isinstance(document, dict):
        raise foreign.not_tasks([], where)
    if not isinstance(document.get(PHOTOS), list | Rows) or "data" in document:
        document = _parse_rows(document)
    if label_studio.are_tasks([document]):
        return _convert_list([document], where, joints)
    if is_labelme(document):
        return from_labelme([("", where, document)], where, joints)
    if is_datumaro(document):
        return from_datumaro(document, where, joints)
    return check(document, where)


def _parse_rows(document: Fields) -> Fields:
    """Parse what of a document is kept as text."""
    return {key: list(value) if isinstance(value, Rows) else value for key, value in document.items()}


def _convert_list(entries: list[Any], where: str, joints: Joints) -> Fields:
    """Turn a JSON list into a COCO document: tasks of Label Studio, or people of MPII."""
    if are_mpii(entries):
        return from_mpii(entries, where)
    if not label_studio.are_tasks(entries):
        raise foreign.not_tasks(entries, where)
    return _tell(label_studio.from_tasks(entries, where, joints), "Label Studio's JSON", where)


def digest_annotations(path: str | Path | Location) -> str:
    """Digest the content of annotations, be they a file, an archive or a folder.

    Raises:
        UserError: They cannot be read.
    """
    source = find_source(path)
    files = _open_files(source)
    if files is not None and source.place.suffix.lower() != ".zip":
        return files.digest()
    if source.place.remote or not is_file(source.place):
        return digest_bytes(read_bytes(source.place, fix=_FIX, most=ANNOTATION_BYTES))
    with translate_errors(source.place):
        return digest_file(str(source.place))


def is_one_file(path: str | Path | Location) -> bool:
    """Tell whether annotations are one file that can be copied by itself."""
    source = find_source(path)
    return not source.choice and is_file(source.place) and _open_files(source) is None


def _open_files(source: Source) -> SourceFiles | None:
    """Open annotations that are many files; None where they are one."""
    place = source.place
    if place.suffix.lower() in YAML and is_file(place):
        return SourceFiles.below(find_root(place))
    if source.is_folder:
        return SourceFiles.below(place)
    if place.suffix.lower() == ".zip" and is_file(place):
        names = list_members(place)
        several = sum(name.lower().endswith(".json") for name in names) > 1
        files = SourceFiles(open_photos(place), str(place)) if several or _find_main(names) else None
        return files if files and (_find_main(names) or _list_many(files, source.choice)) else None
    return None


def _find_main(names: Sequence[str]) -> str | None:
    """Find the file that tells what the others are: a YOLO dataset's yaml, or CVAT's XML."""
    found = [name for name in names if is_yolo(name) or posixpath.basename(name) == cvat_xml.NAME]
    return min(found, key=lambda name: (name.count("/"), not is_yolo(name), name), default=None)


def _list_many(files: SourceFiles, choice: str) -> list[str]:
    """List the files of photos or of videos that are read together; none where there are no such files."""
    labels = [] if choice else list_labelme(files)
    return labels or _list_videos(files, choice)


def _list_videos(files: SourceFiles, choice: str) -> list[str]:
    """List PoseTrack's files, each of a video, in a folder or archive; none where its JSON files are others.

    Raises:
        UserError: They lie in several folders, and none of these is chosen.
    """
    names = [name for name in files.names if name.lower().endswith(".json")]
    folders = {name: posixpath.basename(posixpath.dirname(name)) for name in names}
    names = [name for name in names if choice in ("", folders[name])]
    if len(names) < 2 or not files.fits(names[0], coco_dialects.is_posetrack_start):
        return []
    if len(known := sorted({folders[name] for name in names})) > 1:
        problem, fix = f"it holds {len(known)} folders of videos", f"name one of them after a #, as in {files.where}#"
        raise UserError(f"{problem}: {', '.join(known)}", where=files.where, fix=fix + known[0])
    return names


def _choose_document(source: Source, files: SourceFiles) -> str:
    """Choose the annotation file of a folder; of many in which a tool tells a photo each, say what they are."""
    try:
        return choose_document(files.names, source.choice, files.where)
    except UserError:
        first = next((name for name in files.names if name.lower().endswith(".json")), None)
        data = b"" if first is None or source.choice else files.read(first)
        if (
            first is not None
            and 0 < len(data) < _SMALL
            and isinstance(document := parse(data, files.tell(first)), dict)
        ):
            foreign.refuse_kind(document, files.tell(first))
        raise


def _load_files(
    source: Source, files: SourceFiles, joints: Joints, photos: PhotoFinder | None, *, as_rows: bool
) -> Fields:
    """Load annotations that are many files, by what these are called."""
    place = source.place
    if place.suffix.lower() in YAML:
        data, where = read_bytes(place, fix=_FIX, most=YOLO_YAML_BYTES), str(place)
    else:
        main = _find_main(files.names)
        labels = [] if main else list_labelme(files)
        if labels and source.choice:
            problem = f"LabelMe's files have no subset {source.choice!r}"
            raise UserError(problem, where=files.where, fix="name the folder of the subset's files")
        if labels:
            return read_folder(files, labels, joints)
        if main is None and (videos := _list_videos(files, source.choice)):
            documents = [parse(files.read(name), files.tell(name)) for name in videos]
            return check(coco_dialects.join_videos(documents, files.where), files.where)
        if main is None:
            name = _choose_document(source, files)
            document = _parse(_read_file(place / name), files.tell(name), as_rows=as_rows)
            return _convert(document, files.tell(name), joints)
        data, where = files.read(main), files.tell(main)
        if not is_yolo(main):
            return read_cvat_xml(data, where, choice=source.choice, joints=joints, photos=photos, names=files.names)
    return read_yolo(data, files, where, choice=source.choice, joints=joints, photos=photos)


def _read_file(place: Location) -> bytes | mmap.mmap:
    """Read a file; map it where it is a large object of JSON."""
    mapped = map_file(place, most=ANNOTATION_BYTES) if place.suffix.lower() == ".json" else None
    return mapped if mapped is not None and mapped[:1] == b"{" else read_bytes(place, fix=_FIX, most=ANNOTATION_BYTES)


def _read(source: Source) -> tuple[bytes | mmap.mmap, str]:
    """Read the annotation file, unpacked, and tell where it is."""
    where, choice = str(source.place), source.choice
    data = _read_file(source.place)
    if isinstance(data, mmap.mmap) and not choice:
        return data, where
    data = bytes(data)
    if data.startswith(ZIP):
        where, data = annotation_file(data, choice, where)
    elif choice and not is_cvat_xml(data):
        raise UserError(f"no zip archive, so there is no {choice!r} in it", where=where, fix=_FIX)
    return gunzip(data, where) if data.startswith(GZIP) else data, where


def check(document: Fields, where: str) -> Fields:
    """Return the document, if it can hold poses; what CVAT and Label Studio are known to get wrong is put right.

    A sound file costs nothing here for each annotation: every search stops at the first keypoints.

    Raises:
        UserError: It is no COCO document, or has no keypoints; the message says what to export instead.
    """
    if not all(isinstance(document.get(key), list | Rows) for key in (PHOTOS, ANNOTATIONS)):
        raise foreign.not_coco(_parse_rows(document), where)
    coco_dialects.list_categories(document)
    foreign.set_points_aside(document, where)
    coco_dialects.name_crowdpose(document, where)
    coco_dialects.leave_out_unlabelled(document, where)
    coco_dialects.warn_of_subsets(document, where)
    if coco_dialects.is_from_label_studio(document):
        return _tell(coco_dialects.mend_label_studio(_parse_rows(document), where), "Label Studio's COCO", where)
    if coco_dialects.is_from_cvat(document):
        return _tell(coco_dialects.mend_cvat(_parse_rows(document), where), "COCO keypoints of CVAT or Datumaro", where)
    annotations = document[ANNOTATIONS]
    if annotations and not any(isinstance(entry, dict) and "keypoints" in entry for entry in annotations):
        raise foreign.boxes_only(where)
    return _tell(document, "COCO keypoints", where)


def _tell(document: Fields, tool: str, where: str) -> Fields:
    """Say what was read, in one line, and return it."""
    counts = len(document["images"]), len(document["annotations"])
    log.info("%s: read as %s: %d photos, %d annotations", where, tool, *counts)
    return document
