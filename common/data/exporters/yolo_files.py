"""YOLO files: labels as a pose dataset: ``data.yaml``, and a text file of labels for each photo."""

import posixpath
from collections.abc import Iterator

import yaml

from bodyposenet.common.data.exporters.labels import PERSON, LabelSet, PersonLabel, PhotoLabels
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.skeleton import Skeleton

DATA, PHOTOS = "data.yaml", "images/train"


def to_yolo_files(labels: LabelSet) -> Iterator[tuple[str, str]]:
    """Make the files of a dataset whose photos lie in ``images/train``.

    Yields:
        A file's path below the dataset, and its text.

    Raises:
        UserError: Two photos would have one label file.
    """
    yield DATA, _describe(labels.skeleton)
    taken: dict[str, str] = {}
    for photo in labels.photos:
        file = _name_label_file(photo.name)
        if file in taken:
            problem = f"photos {taken[file]} and {photo.name} would have one label file, {file}"
            raise UserError(problem, where="--format yolo", fix="rename one of them, or take another format")
        taken[file] = photo.name
        yield file, "".join(f"{_write_line(one, photo)}\n" for one in photo.bodies)


def _name_label_file(photo: str) -> str:
    """Name a photo's label file: trainings look for it where the last folder ``images`` of its path is ``labels``."""
    before, _, behind = f"/{PHOTOS}/{photo}".rpartition("/images/")
    stem = posixpath.splitext(f"{before}/labels/{behind}")[0]
    return f"{stem[1:]}.txt"


def _describe(skeleton: Skeleton) -> str:
    joints = list(skeleton.joints)
    document = {
        "train": PHOTOS,
        "kpt_shape": [len(joints), 3],
        "flip_idx": skeleton.flip_order.tolist(),
        "names": {0: PERSON},
        "kpt_names": {0: joints},
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None)


def _write_line(one: PersonLabel, photo: PhotoLabels) -> str:
    """Write class, centre and size of the box, and three numbers for each joint, in shares of the photo."""
    height, width = photo.size
    left, top, across, down = one.box
    numbers = [(left + across / 2) / width, (top + down / 2) / height, across / width, down / height]
    joints = [f"{x / width:.9f} {y / height:.9f} {int(flag)}" for x, y, flag in one.keypoints.tolist()]
    return " ".join(["0", *(f"{number:.9f}" for number in numbers), *joints])
