"""COCO dialects: what tools write as COCO that is not quite COCO, put right.

Label Studio's "COCO" export parts boxes from keypoints: it writes a box for each rectangle, and for each photo one more
annotation of a category ``default`` that has the keypoints of all its people, rounded to pixels; of two noses the last
stays. So it can be put together only where no photo has two people. Versions before 2025 leave keypoints out, or fail.

CVAT writes it with Datumaro, which gives every label a list of joints, empty if it has none; leaves out rectangles,
polygons and points that belong to no skeleton; and files a skeleton that is grouped with a rectangle under the
rectangle's label. Joints that are marked "outside" keep their place with the flag 0; "occluded" ones have 1.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bodyposenet.common.data.importers import foreign
from bodyposenet.common.data.importers.assembly import warn_of_halves
from bodyposenet.common.data.importers.document import number_in, objects
from bodyposenet.common.data.importers.photo_names import path_in, shorten
from bodyposenet.common.data.importers.regions import parse_number
from bodyposenet.common.errors import UserError

Fields = dict[str, Any]
_ORDER = (
    "%s: Label Studio's COCO export names joints as they stand in the labelling interface, but orders their numbers by "
    "model_index: if these differ, joints are mixed up; its JSON export is safe"
)

log = logging.getLogger(__name__)

_CROWDPOSE = (
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "head",
    "neck",
)
_MARK = {"name": "", "id": 0, "url": ""}  # the licence that Datumaro writes


def is_from_label_studio(document: Fields) -> bool:
    """Tell whether Label Studio wrote the document."""
    info = document.get("info")
    return isinstance(info, dict) and info.get("contributor") == "Label Studio"


def mend_label_studio(document: Fields, where: str) -> Fields:
    """Put keypoints and boxes together.

    Raises:
        UserError: There are no keypoints or no boxes, or a photo has several people.
    """
    annotations = objects(document["annotations"])
    posed = [entry for entry in annotations if "keypoints" in entry]
    joints = _joints(document, posed, where)
    label, boxes = _people(document, [entry for entry in annotations if "keypoints" not in entry], where)
    log.warning(_ORDER, where)
    images = _images(document["images"], where)
    known = {number_in(image, "id") for image in images}
    people = [_join(entry, boxes, where) for entry in posed if number_in(entry, "image_id") in known]
    labelled = {number_in(person, "image_id") for person in people}
    alone = [entry for number, entries in boxes.items() if number not in labelled for entry in entries]
    blank = {"keypoints": [0] * (3 * len(joints)), "num_keypoints": 0}
    people += [entry | blank for entry in alone if number_in(entry, "image_id") in known]
    category = {"id": 1, "name": label, "keypoints": joints, "skeleton": []}
    return {
        "images": images,
        "annotations": [person | {"category_id": 1} for person in people],
        "categories": [category],
    }


def _joints(document: Fields, posed: Sequence[Fields], where: str) -> list[str]:
    lists = (entry.get("keypoints") for entry in objects(document.get("categories")))
    names = next((names for names in lists if isinstance(names, list)), [])
    if not posed or not names:
        raise UserError("Label Studio exported no keypoints in it", where=where, fix=foreign.BOXES_FIX)
    counts = {len(entry["keypoints"]) for entry in posed if isinstance(entry["keypoints"], list)}
    if counts - {3 * len(names)}:
        raise UserError(
            f"it names {len(names)} joints, but writes {max(counts) // 3}: not every keypoint label has a model_index",
            where=where,
            fix=foreign.STUDIO_FIX,
        )
    return list(names)


def _people(document: Fields, boxes: Sequence[Fields], where: str) -> tuple[str, dict[int | None, list[Fields]]]:
    """Find the label of the boxes that are people, and these boxes by photo."""
    if not boxes:
        raise UserError("its keypoints stand in no boxes: whose they are is lost", where=where, fix=foreign.BOXES_FIX)
    names = {number_in(entry, "id"): str(entry.get("name")) for entry in objects(document.get("categories"))}
    used = sorted({names.get(number_in(entry, "category_id"), "") for entry in boxes})
    person = next((name for name in used if name.lower() == "person"), None)
    by_photo = defaultdict(list)
    for entry in boxes:
        if person is None or names.get(number_in(entry, "category_id")) == person:
            by_photo[number_in(entry, "image_id")].append(entry)
    return person or (used[0] if len(used) == 1 else "person"), dict(by_photo)


def _join(entry: Fields, boxes: dict[int | None, list[Fields]], where: str) -> Fields:
    """Join one photo's keypoints with its only box."""
    around = boxes.get(number_in(entry, "image_id"), [])
    if len(around) != 1:
        what = f"{len(around)} people, and Label Studio's COCO export mixes" if around else "no box for"
        raise UserError(
            f"this photo has {what} their keypoints",
            where=f"{where}: image {entry.get('image_id')}",
            fix=foreign.STUDIO_FIX if around else foreign.BOXES_FIX,
        )
    extent = {key: around[0][key] for key in ("bbox", "area", "segmentation") if key in around[0]}
    return entry | extent


def _images(entries: object, where: str) -> list[Fields]:
    """List the photos by their own names, each once: a photo that two people annotated stands there twice."""
    images = objects(entries)
    names = [str(entry.get("file_name") or "").replace("\\", "/") for entry in images]
    bare = [path_in(name.rsplit("../", 1)[-1].removeprefix("images/")) for name in names]
    first: dict[str, Fields] = {}
    for entry, name in zip(images, shorten(bare), strict=True):
        first.setdefault(name, entry | {"file_name": name})
    if len(first) < len(images):
        log.warning("%s: of photos that several people annotated, the first annotation counts", where)
    return list(first.values())


def list_categories(document: Fields) -> None:
    """Make a list of categories of one that stands alone, or of those that stand by their ids."""
    given = document.get("categories")
    if not isinstance(given, dict):
        return
    alone = any(not isinstance(entry, dict) for entry in given.values())
    document["categories"] = [given] if alone else [{"id": number} | entry for number, entry in given.items()]


def name_crowdpose(document: Fields, where: str) -> None:
    """Name the joints of CrowdPose, which its photos' ``crowdIndex`` tells, where no category does."""
    images, categories = objects([*document["images"][:1]]), objects(document.get("categories"))
    if not images or "crowdIndex" not in images[0] or any(entry.get("keypoints") for entry in categories):
        return
    document["categories"] = [{"id": 1, "name": "person", "keypoints": list(_CROWDPOSE), "skeleton": []}]
    log.info("%s: read as CrowdPose: %d joints, which it does not name", where, len(_CROWDPOSE))


def is_posetrack_start(data: bytes) -> bool:
    """Tell the file of one of PoseTrack's videos by its beginning and end."""
    return b'"images"' in data and any(b'"vid_id"' in part for part in (data[:4000], data[-4000:]))


def join_videos(documents: Sequence[Any], where: str) -> Fields:
    """Join PoseTrack's files of one video each: numbers of frames and people are unique in all of them.

    Raises:
        UserError: One of the files is no COCO document.
    """
    whole: Fields = {"images": [], "annotations": [], "categories": []}
    for document in documents:
        lists = [document.get(key) if isinstance(document, dict) else None for key in whole]
        if not all(isinstance(entries, list) for entries in lists):
            problem = "a file of its videos has no lists of images, annotations and categories"
            raise UserError(problem, where=where, fix="take out the files that are no video's")
        for known, entries in zip(whole.values(), lists, strict=True):
            known += entries
    kinds = whole["categories"]
    whole["categories"] = [entry for place, entry in enumerate(kinds) if entry not in kinds[:place]]
    log.info("%s: %d files of PoseTrack's videos are joined", where, len(documents))
    return whole


def warn_of_subsets(document: Fields, where: str) -> None:
    """Log a warning where photos say that they are of several subsets, as all of them are read."""
    for key in ("split", "subset"):
        if any(isinstance(entry, dict) and key in entry for entry in document["images"][:1]):
            warn_of_halves(key, [image.get(key) for image in objects([*document["images"]])], where)


def leave_out_unlabelled(document: Fields, where: str) -> None:
    """Leave out the frames that PoseTrack says nobody labelled, who would count as photos with nobody in them."""
    images = document["images"]
    if not any(isinstance(entry, dict) and "is_labeled" in entry for entry in images[:1]):
        return
    document["images"] = [
        entry for entry in images if not isinstance(entry, dict) or entry.get("is_labeled") is not False
    ]
    if count := len(images) - len(document["images"]):
        log.warning("%s: %d of %d images are left out: 'is_labeled' is false", where, count, len(images))
    _add_ignored(document, where)


def _add_ignored(document: Fields, where: str) -> None:
    """Make crowds of the regions in which PoseTrack says that nobody labelled people, so that they are masked."""
    named = [entry for entry in objects(document.get("categories")) if isinstance(entry.get("keypoints"), list)]
    regions = [(image.get("id"), region) for image in objects(document["images"]) for region in _list_ignored(image)]
    if not named or not regions:
        return
    people = list(document["annotations"])
    first = max((number_in(entry, "id") or 0 for entry in objects(people)), default=0) + 1
    blank = {"category_id": named[0].get("id"), "iscrowd": 1, "keypoints": [0] * (3 * len(named[0]["keypoints"]))}
    for number, (image, region) in enumerate(regions, first):
        (left, right), (top, bottom) = ((min(values), max(values)) for values in (region[::2], region[1::2]))
        box = [left, top, right - left, bottom - top]
        people.append(blank | {"id": number, "image_id": image, "bbox": box, "segmentation": [region]})
    document["annotations"] = people
    log.info("%s: %d regions to ignore are masked as crowds", where, len(regions))


def _list_ignored(image: Fields) -> Iterator[list[float]]:
    """List the polygons of a photo to ignore, x and y in turn; those without an area are none."""
    given = [image.get(key) for key in ("ignore_regions_x", "ignore_regions_y")]
    if not all(isinstance(values, list) and values for values in given):
        return
    columns = [values if isinstance(values[0], list) else [values] for values in given if values]
    for corners in zip(*columns, strict=False):
        numbers = [[parse_number(value) for value in part] for part in corners if isinstance(part, list)]
        if len(numbers) < 2 or not len(numbers[0]) == len(numbers[1]) > 2:
            continue
        if all(np.ptp(part) > 0 for part in numbers):  # of NaN it is NaN
            yield [value for pair in zip(*numbers, strict=True) for value in pair]


def is_from_cvat(document: Fields) -> bool:
    """Tell whether CVAT wrote the document, by its licence or by labels with empty lists of joints."""
    licences = document.get("licenses")
    marked = isinstance(licences, list) and licences[:1] == [_MARK]
    return marked or any(entry.get("keypoints") == [] for entry in objects(document.get("categories")))


def mend_cvat(document: Fields, where: str) -> Fields:
    """Put the document's skeletons under labels that have joints.

    Raises:
        UserError: Nobody is labelled with a skeleton.
    """
    annotations = objects(document["annotations"])
    categories = objects(document.get("categories"))
    labels = [entry for entry in categories if isinstance(entry.get("keypoints"), list) and entry["keypoints"]]
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
