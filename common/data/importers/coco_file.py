"""COCO file: a document that looks like COCO's, held to what a keypoint document must have as a whole."""

from collections.abc import Iterable
from typing import Any

from bodyposenet.common.data.importers import cvat, foreign, studio_coco

Fields = dict[str, Any]


def checked(document: Fields, where: str) -> Fields:
    """The document, if it can hold poses; what CVAT and Label Studio are known to get wrong is put right.

    A sound file costs nothing here for each annotation: every search stops at the first keypoints.

    Raises:
        UserError: It is no COCO document, or has no keypoints; the message says what to export instead.
    """
    if not all(isinstance(document.get(key), list) for key in ("images", "annotations")):
        raise foreign.not_coco(document, where)
    if studio_coco.wrote(document):
        return studio_coco.mended(document, where)
    annotations = document["annotations"]
    if cvat.wrote(document):
        return cvat.mended(document, where)
    if annotations and not any(_has_keypoints(annotations)):
        raise foreign.boxes_only(where)
    return document


def _has_keypoints(annotations: Iterable[Any]) -> Iterable[bool]:
    return (isinstance(entry, dict) and "keypoints" in entry for entry in annotations)
