"""Write: labels as the files of one labelling tool."""

import json
import logging
from dataclasses import replace
from typing import Any

from bodyposenet.common.data.exporters.coco_file import to_coco_document
from bodyposenet.common.data.exporters.labels import LabelSet
from bodyposenet.common.data.exporters.studio_tasks import to_tasks, write_interface
from bodyposenet.common.data.exporters.yolo_files import DATA, find_shared, to_yolo_files
from bodyposenet.common.spec.words import LabelFormat
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import Location, join

log = logging.getLogger(__name__)

COCO, TASKS, INTERFACE = "person_keypoints_prelabel.json", "tasks.json", "interface.xml"


def write_labels(labels: LabelSet, folder: Location, form: LabelFormat, *, prefix: str = "") -> Location:
    """Write labels for a tool.

    Args:
        labels: The photos with their people.
        folder: Where; it is made. ``coco`` writes ``person_keypoints_prelabel.json``; ``label-studio`` ``tasks.json``
            and ``interface.xml``; ``yolo`` ``data.yaml`` and ``labels/``.
        form: Which tool's files.
        prefix: What stands before a photo's name in Label Studio.

    Returns:
        The file to import.

    Raises:
        UserError: A file cannot be written, or two photos would have one label file.
    """
    if form == "coco":
        return _write_json(folder / COCO, to_coco_document(labels))
    if form == "label-studio":
        _write(folder, INTERFACE, write_interface(labels).encode())
        return _write_json(folder / TASKS, to_tasks(labels, prefix))
    for name, text in list(to_yolo_files(labels)):
        _write(folder, name, text.encode())
    return folder / DATA


def write_corrections(
    given: LabelSet, proposed: LabelSet, folder: Location, form: LabelFormat, *, prefix: str = "", name: str
) -> Location:
    """Write labels that somebody is to mend, and a proposal for them, for a tool.

    Args:
        given: The photos with their labels as they are.
        proposed: The same photos with the labels as they may be.
        folder: Where. ``coco`` writes ``NAME.json`` and ``NAME_proposed.json``; ``label-studio`` ``NAME_tasks.json``,
            with the labels as annotations and the proposal as predictions, and ``NAME_interface.xml``; ``yolo`` the
            datasets ``NAME`` and ``NAME_proposed``, without photos whose label file another one has.
        form: Which tool's files.
        prefix: What stands before a photo's name in Label Studio.
        name: How the files' names begin.

    Returns:
        The file to import, of the labels as they are.

    Raises:
        UserError: A file cannot be written.
    """
    if form == "label-studio":
        _write(folder, f"{name}_{INTERFACE}", write_interface(given).encode())
        return _write_json(folder / f"{name}_{TASKS}", to_tasks(proposed, prefix, given=given))
    made = []
    for labels, title in ((proposed, f"{name}_proposed"), (given, name)):
        if form == "coco":
            about = {"info": {"description": "photos with labels that are likely wrong"}}
            made.append(_write_json(folder / f"{title}.json", to_coco_document(labels) | about))
        else:
            made.append(write_labels(_part_label_files(labels), folder / title, form))
    return made[-1]


def _part_label_files(labels: LabelSet) -> LabelSet:
    """Leave out photos whose label file another one has: what was found of the others is not lost for their sake."""
    shared = dict(find_shared(labels.photos))
    for photo, other in shared.items():
        log.warning("%s is left out: of YOLO's files its labels' is that of %s; take another format", photo, other)
    return replace(labels, photos=[photo for photo in labels.photos if photo.name not in shared])


def _write_json(path: Location, value: Any) -> Location:
    with whole_file(path) as file:
        file.write(_encode_json(value) + b"\n")
    return path


def _encode_json(value: Any) -> bytes:
    try:
        return json.dumps(value, indent=1, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a photo's name that is no UTF-8
        return json.dumps(value, indent=1).encode()


def _write(folder: Location, name: str, content: bytes) -> None:
    path = join(folder, name)
    with whole_file(path) as file:
        file.write(content)
