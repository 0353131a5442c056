"""Detections: the files that evaluation and inference leave, named and laid out as TAO's."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.plain_text import hide_secrets
from bodyposenet.common.pose.completion import fill_missing
from bodyposenet.common.pose.people import People
from bodyposenet.common.pose.point_text import DECIMALS, write_points
from bodyposenet.common.skeleton.skeleton import COCO_17, Skeleton
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import Location

DETECTIONS = "detections.json"
COCO_DETECTIONS = "detections_coco_format.json"

Entry = dict[str, Any]

PERSON = 1  # category id


def entry(path: Location | str, people: People | None, given: Mapping[str, Any] | None = None) -> Entry:
    """One photo of ``detections.json``.

    Args:
        path: The photo.
        people: In photo pixels; None where the photo cannot be read, which leaves ``keypoints`` and ``scores`` out.
        given: Further fields.

    Returns:
        Its fields, as :func:`dump_entry` writes them; ``keypoints`` is an array ``(N, K, 2)``.
    """
    fields = {**(given or {}), "full_image_path": hide_secrets(str(path))}
    if people is None:
        return fields
    places = people.keypoints[..., :2].astype(float).round(DECIMALS)
    return fields | {"keypoints": places, "scores": people.scores.astype(float).round(6).tolist()}


def dump_entry(found: Entry) -> str:
    """Write an entry as Python's encoder does, on one line."""
    texts = {
        key: f"[{', '.join(write_points(value))}]" if isinstance(value, np.ndarray) else json.dumps(value)
        for key, value in found.items()
    }
    return "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in texts.items()) + "}"


def write_detections(
    folder: Location,
    skeleton: Skeleton,
    spec: InferenceSpec,
    entries: Sequence[Entry],
    extra: Mapping[str, Any] | None = None,
) -> Location:
    """Write ``detections.json``.

    Args:
        folder: Where; it is made.
        skeleton: The network's; its joints name the keypoints, (0, 0) being one that was not found.
        spec: As it was used.
        entries: The photos.
        extra: Further keys of the file.
    """
    head = {**(extra or {}), **pose_config(skeleton), "inference_spec": spec.model_dump(mode="json")}
    with whole_file(folder / DETECTIONS) as file:
        photos = _Array(file, *_enclose(head))
        for found in entries:
            photos.add(dump_entry(found))
        photos.close()
    return folder / DETECTIONS


def pose_config(skeleton: Skeleton) -> dict[str, Any]:
    """A skeleton as TAO's pose config; joints are counted from 1 in it."""
    person = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "num_joints": skeleton.num_joints,
        "keypoints": list(skeleton.joints),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.limbs],
        "skeleton_edge_names": [[skeleton.joints[start], skeleton.joints[end]] for start, end in skeleton.limbs],
    }
    return {"pose_config_type": skeleton.name, "categories": [person]}


def write_items(path: Location, items: Iterable[str]) -> None:
    """Write a list of what is JSON already, an item a line; the folder is made."""
    with whole_file(path) as file:
        array = _Array(file, "", "\n")
        for item in items:
            array.add(item)
        array.close()


def to_coco(people: People, skeleton: Skeleton, joints: Sequence[str], image_id: int) -> list[dict[str, Any]]:
    """Write people as COCO detections.

    COCO's measure compares the places of all labelled joints, hidden ones too, whatever the third number says. So a
    joint that was not found has a guess, and 0, as :func:`fill_missing` has it.

    Args:
        people: In photo pixels; a joint at (0, 0) was not found.
        skeleton: Names their joints.
        joints: Names of the annotations' joints.
        image_id: The photo's.

    Returns:
        A dict a person; ``keypoints`` holds x, y and 1 for each joint that was found, a guess and 0 for others, and
        0, 0, 0 for joints that the skeleton lacks.
    """
    return [
        {"image_id": image_id, "category_id": PERSON, "keypoints": flat, "score": score}
        for flat, score in zip(
            _list_triplets(people, skeleton, joints).tolist(), people.scores.astype(float).tolist(), strict=True
        )
    ]


def dump_coco(people: People, skeleton: Skeleton, joints: Sequence[str], image_id: int) -> list[str]:
    """Write people as COCO detections, each as Python's encoder does, on one line; as for :func:`to_coco`."""
    flats = write_points(_list_triplets(people, skeleton, joints)[:, None])
    head = f'{{"image_id": {json.dumps(image_id)}, "category_id": {PERSON}, "keypoints": '
    return [
        f'{head}{flat[1:-1]}, "score": {json.dumps(score)}}}'
        for flat, score in zip(flats, people.scores.astype(float).tolist(), strict=True)
    ]


def _list_triplets(people: People, skeleton: Skeleton, joints: Sequence[str]) -> np.ndarray:
    """``(N, 3 J)``: x, y and 1 of each joint; a guess and 0 where it was not found; 0, 0, 0 where it is not known."""
    column = [skeleton.joints.index(joint) if joint in skeleton.joints else -1 for joint in joints]
    placed = np.any(people.keypoints, axis=-1, keepdims=True)
    seen = People(np.concatenate([people.keypoints[..., :2], placed], axis=-1), people.scores)
    guessed = fill_missing(seen, skeleton).keypoints
    triplets = np.concatenate([guessed, np.zeros_like(guessed[:, :1])], axis=1)[:, column]
    return triplets.astype(float).round(DECIMALS).reshape(len(people), 3 * len(joints))


def choose_joints(skeleton: Skeleton) -> tuple[str, ...]:
    """Choose the joints of COCO's results: COCO's 17 where the skeleton has them all, else its own."""
    return COCO_17.joints if set(COCO_17.joints) <= set(skeleton.joints) else skeleton.joints


def dump_photo(found: Entry, skeleton: Skeleton) -> list[str]:
    """Write a photo for both files: its entry, which has ``image_meta``, and each of its people for COCO's."""
    people, joints = read_people(found, skeleton), choose_joints(skeleton)
    return [dump_entry(found), *dump_coco(people, skeleton, joints, found["image_meta"]["id"])]


def write_files(
    folder: Location, skeleton: Skeleton, spec: InferenceSpec, photos: Iterable[Sequence[str]], extra: Mapping[str, Any]
) -> None:
    """Write ``detections.json`` and ``detections_coco_format.json``.

    Args:
        folder: Where.
        skeleton: The network's.
        spec: As it was used.
        photos: Each as :func:`dump_photo` writes it.
        extra: Further keys of ``detections.json``.
    """
    head = {**extra, **pose_config(skeleton), "inference_spec": spec.model_dump(mode="json")}
    with whole_file(folder / DETECTIONS) as rich, whole_file(folder / COCO_DETECTIONS) as plain:
        entries, people = _Array(rich, *_enclose(head)), _Array(plain, "", "\n")
        for entry, *crowd in photos:
            entries.add(entry)
            for person in crowd:
                people.add(person)
        entries.close()
        people.close()


def summarize(people: int, photos: int, empty: int, skipped: int, more: str = "") -> str:
    """Say in a sentence or two what was found.

    Args:
        people: Found, in all photos.
        photos: That were looked at.
        empty: Photos in which nobody was found.
        skipped: Photos that could not be used.
        more: The end of the first sentence.
    """
    found = f"{pluralize(people, 'person')} found in {pluralize(photos, 'photo')} (nobody in {empty:,}){more}."
    return found + (f" {pluralize(skipped, 'photo')} could not be used." if skipped else "")


def read_people(found: Entry, skeleton: Skeleton) -> People:
    """The people of an entry; a joint's score is 1 where it was found, else 0."""
    places = np.reshape(np.asarray(found.get("keypoints", []), np.float32), (-1, skeleton.num_joints, 2))
    seen = places.any(axis=-1, keepdims=True).astype(np.float32)
    return People(np.concatenate([places, seen], axis=-1), np.asarray(found.get("scores", []), np.float32))


def _enclose(head: Mapping[str, Any]) -> tuple[str, str]:
    """What stands before and after the photos of ``detections.json``."""
    return json.dumps(head, indent=2)[:-2] + ',\n  "images": ', "\n}\n"


class _Array:
    """A JSON array that is written as it comes, an item a line."""

    def __init__(self, file: BinaryIO, before: str, after: str) -> None:
        self._file, self._after, self._separator = file, after, "\n"
        file.write(f"{before}[".encode())

    def add(self, item: str) -> None:
        self._file.write(f"{self._separator}{item}".encode())
        self._separator = ",\n"

    def close(self) -> None:
        self._file.write(f"\n]{self._after}".encode())
