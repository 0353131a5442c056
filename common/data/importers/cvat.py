"""CVAT: what its "COCO Keypoints 1.0" export holds when people are not labelled with skeletons.

CVAT writes it with Datumaro, which gives every label a list of joints, empty if it has none; leaves out rectangles,
polygons and points that belong to no skeleton; and files a skeleton that is grouped with a rectangle under the
rectangle's label. Joints that are marked "outside" keep their place with the flag 0; "occluded" ones have 1.
"""

import logging
from typing import Any

from bodyposenet.common.data.importers import foreign
from bodyposenet.common.data.importers.document import number_in, objects
from bodyposenet.common.errors import UserError

Fields = dict[str, Any]
_MARK = {"name": "", "id": 0, "url": ""}  # the licence that Datumaro writes

log = logging.getLogger(__name__)


def is_from_cvat(document: Fields) -> bool:
    """Whether Datumaro is_from_cvat the document, to judge by its licence or by labels with empty lists of joints."""
    licences = document.get("licenses")
    marked = isinstance(licences, list) and licences[:1] == [_MARK]
    return marked or any(entry.get("keypoints") == [] for entry in objects(document.get("categories")))


def mend_cvat(document: Fields, where: str) -> Fields:
    """The document with its skeletons under labels that have joints.

    Raises:
        UserError: Nobody is labelled with a skeleton.
    """
    annotations = objects(document["annotations"])
    labels = [entry for entry in objects(document.get("categories")) if _names(entry)]
    joints = {number_in(entry, "id"): len(entry["keypoints"]) for entry in labels}
    _refuse_points(annotations, joints, where)
    owners = {3 * count: number for number, count in joints.items() if list(joints.values()).count(count) == 1}
    moved = 0
    for entry in annotations:
        points, number = entry.get("keypoints"), number_in(entry, "category_id")
        if isinstance(points, list) and len(points) in owners and number is not None and number not in joints:
            entry["category_id"] = owners[len(points)]
            moved += 1
    if moved:
        log.info("%s: %d skeletons are grouped with shapes of another label; they count under their own", where, moved)
    return document


def _refuse_points(annotations: list[Fields], joints: dict[int | None, int], where: str) -> None:
    """Recognise what is left of people that were labelled with shapes other than skeletons."""
    if not joints and not annotations:
        raise UserError(
            "it has no annotations, and no label has joints: CVAT does not export points or rectangles this way",
            where=where,
            fix=foreign.CVAT_FIX,
        )
    if annotations and not any("keypoints" in entry for entry in annotations):
        raise UserError("it holds boxes without keypoints", where=where, fix=foreign.CVAT_FIX)
    if annotations and not any(entry.get("keypoints") for entry in annotations):
        raise UserError(
            f"the keypoints of all its {len(annotations)} people are empty: old versions of CVAT lose skeleton tracks",
            where=where,
            fix="update CVAT and export again, or draw skeletons as shapes rather than tracks",
        )
    counts = {len(points) for entry in annotations if isinstance(points := entry.get("keypoints"), list) and points}
    if not joints and (len(counts) > 1 or any(count % 3 for count in counts)):
        shown = ", ".join(str(count // 3) for count in sorted(counts)[:4])
        raise UserError(
            f'its people have {shown} … points each, and no label names joints: these are CVAT\'s "points"',
            where=where,
            fix=foreign.CVAT_FIX,
        )


def _names(category: Fields) -> bool:
    return isinstance(category.get("keypoints"), list) and bool(category["keypoints"])
