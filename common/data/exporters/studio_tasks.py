"""Studio tasks: labels as Label Studio's predictions, which an annotator takes as a draft and mends.

A person is a rectangle, and a joint a keypoint that has the rectangle as its parent; joints that are uncertain or
hidden have the note "hidden". Positions are in percent of the photo.
"""

from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from bodyposenet.common.data.exporters.labels import LabelSet, PersonLabel, PhotoLabels

Fields = dict[str, Any]

BOX, JOINT, PHOTO = "person", "joint", "image"  # names of the controls and of the picture in the interface
POINT_WIDTH = 0.5  # percent of the photo's width, as the points are shown
HIDDEN = "hidden"
NOTE = "note"  # what a task says beside the photo
_PLAIN = ("s3://", "gs://", "azure-blob://")  # addresses that Label Studio takes letter by letter


def to_tasks(labels: LabelSet, prefix: str = "", *, given: LabelSet | None = None) -> list[Fields]:
    """Make a task with one prediction of each photo, and what is labelled there already, for somebody to mend.

    Args:
        labels: The photos with their people.
        prefix: What stands before a photo's name in Label Studio: a bucket or an address, or
            ``/data/local-files/?d=photos/``.
        given: The same photos with the labels that they have; None where they have none.
    """
    tasks = [
        {
            "id": number,
            "data": {PHOTO: _refer(prefix, photo.name)} | ({NOTE: photo.note} if photo.note else {}),
            "predictions": [_predict(photo, labels)],
        }
        for number, photo in enumerate(labels.photos, 1)
    ]
    if given is not None:
        for task, photo in zip(tasks, given.photos, strict=True):
            task["annotations"] = [{"result": _outline_all(photo, given)}]
    return tasks


def write_interface(labels: LabelSet) -> str:
    """Write the labelling interface that the tasks fit, as Label Studio takes it in its settings.

    Its exports as COCO and YOLO order joints by ``model_index``, and are refused without it.
    """
    people = "\n".join(f"    <Label value={quoteattr(category.name)}/>" for category in labels.categories)
    joints = "\n".join(
        f'    <Label value={quoteattr(joint)} model_index="{number}"/>'
        for number, joint in enumerate(labels.skeleton.joints)
    )
    return (
        "<View>\n"
        f'  <Image name="{PHOTO}" value="${PHOTO}" zoom="true"/>\n'
        f'  <RectangleLabels name="{BOX}" toName="{PHOTO}">\n{people}\n  </RectangleLabels>\n'
        f'  <KeyPointLabels name="{JOINT}" toName="{PHOTO}">\n{joints}\n  </KeyPointLabels>\n'
        "</View>\n"
    )


def _refer(prefix: str, name: str) -> str:
    """Refer to a photo; in addresses other letters than ASCII's are written by their numbers."""
    literal = not prefix or prefix.startswith(_PLAIN)
    return prefix + (name if literal else quote(name, errors="surrogateescape"))


def _predict(photo: PhotoLabels, labels: LabelSet) -> Fields:
    scores = [one.score for one in photo.bodies]
    results = _outline_all(photo, labels)
    score = round(sum(scores) / len(scores), 6) if scores else 0.0
    return {"model_version": labels.model or "bodyposenet", "score": score, "result": results}


def _outline_all(photo: PhotoLabels, labels: LabelSet) -> list[Fields]:
    return [
        entry
        for number, one in enumerate(photo.bodies, 1)
        for entry in _outline(f"person{number}", one, photo.size, labels)
    ]


def _outline(number: str, one: PersonLabel, size: tuple[int, int], labels: LabelSet) -> list[Fields]:
    """List the rectangle of a person, and the keypoints in it."""
    height, width = size
    left, top, across, down = one.box
    place = {"x": 100 * left / width, "y": 100 * top / height}
    extent = {"width": 100 * across / width, "height": 100 * down / height, "rotation": 0}
    about = {"to_name": PHOTO, "original_width": width, "original_height": height, "image_rotation": 0}
    box = {"id": number, "type": "rectanglelabels", "from_name": BOX, **about, "score": one.score}
    results = [box | {"value": place | extent | {"rectanglelabels": [labels.categories[one.category].name]}}]
    for joint, (x, y, flag) in zip(labels.skeleton.joints, one.keypoints.tolist(), strict=True):
        if not flag:
            continue
        place = {"x": 100 * x / width, "y": 100 * y / height, "width": POINT_WIDTH}
        point = {"id": f"{number}-{joint}", "type": "keypointlabels", "from_name": JOINT, **about, "parentID": number}
        note = {"meta": {"text": [HIDDEN]}} if flag == 1 else {}
        results.append(point | {"value": place | {"keypointlabels": [joint]}} | note)
    return results
