"""YOLO files: labels as a pose dataset: ``data.yaml``, and a text file of labels for each photo."""

import posixpath
from collections.abc import Iterable, Iterator

import yaml

from bodyposenet.common.data.exporters.labels import LabelSet, PersonLabel, PhotoLabels
from bodyposenet.common.errors import UserError

DATA, PHOTOS = "data.yaml", "images/train"


def to_yolo_files(labels: LabelSet) -> Iterator[tuple[str, str]]:
    """Make the files of a dataset whose photos lie in ``images/train``.

    Yields:
        A file's path below the dataset, and its text.

    Raises:
        UserError: Two photos would have one label file.
    """
    yield DATA, _describe(labels)
    for name, other in find_shared(labels.photos):
        problem = f"photos {other} and {name} would have one label file, {_name_label_file(name)}"
        raise UserError(problem, where="--format yolo", fix="rename one of them, or take another format")
    for photo in labels.photos:
        yield _name_label_file(photo.name), "".join(f"{_write_line(one, photo)}\n" for one in photo.bodies)


def find_shared(photos: Iterable[PhotoLabels]) -> Iterator[tuple[str, str]]:
    """Find photos whose label file an earlier one has, such as ``a.png`` beside ``a.jpg``.

    Yields:
        The photo's name, and that of the earlier one.
    """
    taken: dict[str, str] = {}
    for photo in photos:
        first = taken.setdefault(_name_label_file(photo.name), photo.name)
        if first != photo.name:
            yield photo.name, first


def _name_label_file(photo: str) -> str:
    """Name a photo's label file: trainings look for it where the last folder ``images`` of its path is ``labels``."""
    before, _, behind = f"/{PHOTOS}/{photo}".rpartition("/images/")
    stem = posixpath.splitext(f"{before}/labels/{behind}")[0]
    return f"{stem[1:]}.txt"


def _describe(labels: LabelSet) -> str:
    skeleton, names = labels.skeleton, [category.name for category in labels.categories]
    joints = list(skeleton.joints)
    document = {
        "train": PHOTOS,
        "kpt_shape": [len(joints), 3],
        "flip_idx": skeleton.flip_order.tolist(),
        "names": dict(enumerate(names)),
        "kpt_names": {number: [*joints] for number in range(len(names))},
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None)


def _write_line(one: PersonLabel, photo: PhotoLabels) -> str:
    """Write class, centre and size of the box, and three numbers for each joint, in shares of the photo."""
    height, width = photo.size
    left, top, across, down = one.box
    numbers = [(left + across / 2) / width, (top + down / 2) / height, across / width, down / height]
    joints = [f"{x / width:.9f} {y / height:.9f} {int(flag)}" for x, y, flag in one.keypoints.tolist()]
    return " ".join([str(one.category), *(f"{number:.9f}" for number in numbers), *joints])
