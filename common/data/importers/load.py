"""Load: any file of annotations as one COCO document."""

from pathlib import Path
from typing import Any

from bodyposenet.common.data.importers import coco_dialects, foreign, label_studio
from bodyposenet.common.data.importers.document import GZIP, ZIP, annotation_file, decode_text, gunzip, parse
from bodyposenet.common.data.importers.label_studio import Joints
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import read_bytes
from bodyposenet.common.storage.location import Location

_FIX = "check annotation_root_dir_path"

Fields = dict[str, Any]


def load_document(path: str | Path | Location, joints: Joints = None) -> dict[str, Any]:
    """Read an annotation file into a dict as COCO's keypoint files are.

    ======================================  ====================================================================
    file                                    what is done
    ======================================  ====================================================================
    COCO keypoints, ``.json``               returned as it is
    CVAT, "COCO Keypoints 1.0", ``.zip``    its ``person_keypoints_*.json``; of several, the one named after a #
    Label Studio, "JSON"                    boxes and keypoints joined, percent turned to pixels
    Label Studio, "COCO"                    boxes and keypoints joined where no photo has several people
    ======================================  ====================================================================

    Any of them may be gzipped or in a zip archive. The annotations themselves are not checked here.

    Args:
        path: The file; ``export.zip#Train`` names a subset in an archive.
        joints: Names of the joints, or these for each category of people, as the dataset spec lists them. Label
            Studio's keypoints take this order; by default they are sorted by name.

    Raises:
        UserError: The file cannot be read, is damaged, or of a kind that holds no poses; the message says what to
            export instead.
    """
    text, where = _text(str(path))
    document = parse(text, where)
    del text
    if isinstance(document, dict) and label_studio.are_tasks([document]):
        document = [document]
    if isinstance(document, list):
        if not label_studio.are_tasks(document):
            raise foreign.not_tasks(document, where)
        return label_studio.from_tasks(document, where, joints)
    if not isinstance(document, dict):
        raise foreign.not_tasks([], where)
    return check(document, where)


def _text(path: str) -> tuple[str, str]:
    """Read the text of the annotation file and where it is; the bytes are let go."""
    stem, mark, choice = path.rpartition(".zip#")
    where = f"{stem}.zip" if mark else path
    data = read_bytes(where, fix=_FIX)
    if data.startswith(ZIP):
        where, data = annotation_file(data, choice if mark else "", where)
    elif mark:
        raise UserError(f"no zip archive, so there is no {choice!r} in it", where=where, fix=_FIX)
    if data.startswith(GZIP):
        data = gunzip(data, where)
    foreign.refuse_text(data, where)
    return decode_text(data, where), where


def check(document: Fields, where: str) -> Fields:
    """Return the document, if it can hold poses; what CVAT and Label Studio are known to get wrong is put right.

    A sound file costs nothing here for each annotation: every search stops at the first keypoints.

    Raises:
        UserError: It is no COCO document, or has no keypoints; the message says what to export instead.
    """
    if not all(isinstance(document.get(key), list) for key in ("images", "annotations")):
        raise foreign.not_coco(document, where)
    if coco_dialects.is_from_label_studio(document):
        return coco_dialects.mend_label_studio(document, where)
    annotations = document["annotations"]
    if coco_dialects.is_from_cvat(document):
        return coco_dialects.mend_cvat(document, where)
    if annotations and not any(isinstance(entry, dict) and "keypoints" in entry for entry in annotations):
        raise foreign.boxes_only(where)
    return document
