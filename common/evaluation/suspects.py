"""Suspects: labels that are likely wrong, told from the people that a network finds in the same photos."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bodyposenet.common.data.annotations.coco import CocoSet, Floats, Photo
from bodyposenet.common.data.exporters.coco_file import to_coco_document
from bodyposenet.common.data.exporters.labels import LabelSet, PersonLabel, PhotoLabels, label_person
from bodyposenet.common.evaluation.coco_metrics import compare_people
from bodyposenet.common.evaluation.ground_truth import sigmas_for
from bodyposenet.common.inference.detections import PERSON, write_json
from bodyposenet.common.skeleton.joint_names import pairs_by_name
from bodyposenet.common.skeleton.skeleton import COCO_17, Skeleton, make_skeleton
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import Location

LIST, LABELS = "suspects.csv", "suspects.json"
COLUMNS = ("photo", "image_id", "annotation_id", "kind", "score", "reason")
SWAPPED, MISSING, DOUBLED = "swapped", "missing", "doubled"
KINDS = (SWAPPED, MISSING, DOUBLED)

LEAST_GAIN = 0.05  # of OKS by exchanging left and right, from which on a label is suspected
LEAST_LIKENESS = 0.5  # OKS of two labels, from which on they are suspected to be of one person
LEAST_LABELLED = 0.4  # OKS with a label, from which on a found person counts as labelled
LEAST_JOINTS, ENOUGH_JOINTS = 4, 8  # of a found person that is missed: fewer are none, and more are no more certain

# How fast the kinds become certain: a small gain by exchanging sides says much, somebody found with doubts says little.
POWERS = {SWAPPED: 0.5, MISSING: 3.0, DOUBLED: 1.0}


@dataclass(frozen=True, eq=False)
class Suspect:
    """A label that is likely wrong, or that is not there.

    Attributes:
        photo: Where it is.
        annotation_id: Its number in the file; None where nobody labelled the person.
        kind: ``swapped``, ``missing`` or ``doubled``.
        score: How likely it is wrong: above 0, at most 1; kinds compare.
        reason: Why, in words.
        keypoints: ``(K, 3)`` x, y in pixels and flag: the label's, or those that were found.
    """

    photo: Photo
    annotation_id: int | None
    kind: str
    score: float
    reason: str
    keypoints: Floats


def find_suspects(truth: CocoSet, detections: Sequence[dict[str, Any]], skeleton: Skeleton) -> list[Suspect]:
    """Find the labels that are likely wrong, the likeliest first.

    Args:
        truth: The labels; flags are 0, 1 or 2.
        detections: The people found in the photos, as COCO detections with the labels' joints.
        skeleton: The network's; it knows which joints are left and right of one part.

    Returns:
        Labels whose left and right are exchanged, people that were found and not labelled, and second labels of
        one person. Crowds and annotations without joints excuse whoever is found there.
    """
    sigmas = sigmas_for(truth.joints, skeleton)
    order = find_exchange(truth.joints, skeleton)
    given = compare_people(truth, detections, sigmas)
    exchanged = compare_people(exchange_sides(truth, order), detections, sigmas)
    alike = compare_people(truth, _label_detections(truth), sigmas)
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for detection in detections:
        found[detection["image_id"]].append(detection)
    suspects: list[Suspect] = []
    for photo in truth.photos:
        key = photo.image_id
        suspects += find_swapped(photo, given[key], exchanged[key])
        suspects += find_doubled(photo, alike[key])
        suspects += find_missing(photo, found[key], np.maximum(given[key], exchanged[key]))
    return sorted(suspects, key=lambda suspect: -suspect.score)


def find_exchange(joints: Sequence[str], skeleton: Skeleton) -> list[int]:
    """Find for each joint the one on the other side of the body; a joint without one stays."""
    pairs = pairs_by_name(joints) if skeleton.flip_pairs is None else skeleton.flip_pairs
    whole = [(left, right) for left, right in pairs if {left, right} <= set(joints)]
    others = dict(whole) | {right: left for left, right in whole}
    return [joints.index(others.get(joint, joint)) for joint in joints]


def exchange_sides(truth: CocoSet, order: Sequence[int]) -> CocoSet:
    """Exchange left and right of all labels."""
    return replace(truth, annotations=replace(truth.annotations, keypoints=truth.annotations.keypoints[:, order]))


def find_swapped(photo: Photo, given: Floats, exchanged: Floats) -> Iterator[Suspect]:
    """Find labels that fit a found person better with left and right exchanged.

    Args:
        photo: The photo, with A annotations.
        given: ``(D, A)`` OKS of the found people with the labels.
        exchanged: ``(D, A)`` the same with the labels' sides exchanged.
    """
    if not len(given):
        return
    now, then = given.max(axis=0), exchanged.max(axis=0)
    for person, label, other in zip(photo.people, now.tolist(), then.tolist(), strict=True):
        if person.labelled and other - label >= LEAST_GAIN:
            reason = "fits who was found better with left and right exchanged: "
            reason += f"OKS {other:.2f} instead of {label:.2f}"
            evidence = _weigh(SWAPPED, other - label)
            yield Suspect(photo, person.annotation_id, SWAPPED, evidence, reason, person.keypoints)


def find_doubled(photo: Photo, alike: Floats) -> Iterator[Suspect]:
    """Find labels of somebody whom a label before them is of, too.

    Args:
        photo: The photo.
        alike: ``(L, A)`` OKS of its L labels of one person each with its A annotations.
    """
    labelled = [number for number, person in enumerate(photo.people) if person.labelled]
    likeness = alike[:, labelled]
    likeness = (likeness + likeness.T) / 2
    for row in range(1, len(labelled)):
        first = int(likeness[row, :row].argmax())
        if (score := float(likeness[row, first])) > LEAST_LIKENESS:
            person, before = photo.people[labelled[row]], photo.people[labelled[first]]
            reason = f"of the same person as annotation {before.annotation_id}: OKS {score:.2f} between the two"
            yield Suspect(photo, person.annotation_id, DOUBLED, _weigh(DOUBLED, score), reason, person.keypoints)


def find_missing(photo: Photo, found: Sequence[Mapping[str, Any]], given: Floats) -> Iterator[Suspect]:
    """Find people whom nobody labelled.

    Args:
        photo: The photo.
        found: COCO detections of the D people found in it.
        given: ``(D, A)`` OKS with its annotations, crowds among them: the better one of both orders of the sides.
    """
    for person, best in zip(found, given.max(axis=1, initial=0.0), strict=True):
        keypoints = np.reshape(person["keypoints"], (-1, 3)).astype(float)
        joints = np.count_nonzero(keypoints[:, 2])
        if best >= LEAST_LABELLED or joints < LEAST_JOINTS:
            continue
        score = (1 - best) * person["score"] * min(1, joints / ENOUGH_JOINTS)
        x, y = keypoints[keypoints[:, 2] > 0, :2].mean(axis=0)
        reason = f"somebody with {joints} joints around {x:.0f}, {y:.0f} was found, and has no label"
        yield Suspect(photo, None, MISSING, _weigh(MISSING, score), reason, keypoints * [1, 1, 2])


def _weigh(kind: str, evidence: float) -> float:
    """Make kinds of suspects comparable."""
    weight: float = min(1.0, evidence) ** POWERS[kind]
    return weight


def _label_detections(truth: CocoSet) -> list[dict[str, Any]]:
    """Turn the labels of one person each into detections."""
    return [
        {
            "image_id": photo.image_id,
            "category_id": PERSON,
            "keypoints": person.keypoints.ravel().tolist(),
            "score": 1.0,
        }
        for photo in truth.photos
        for person in photo.people
        if person.labelled
    ]


def write_suspects(folder: Location, suspects: Sequence[Suspect], joints: Sequence[str], skeleton: Skeleton) -> None:
    """Write ``suspects.csv``, a row each, and ``suspects.json``, their photos for a labelling tool.

    The latter holds the labels of these photos, and the people whom nobody labelled; photos and people in them come
    in the order of the list.

    Args:
        folder: Where.
        suspects: The likeliest first.
        joints: Names of the labels' joints.
        skeleton: The network's; its limbs are drawn.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for suspect in suspects:
        photo, number = suspect.photo, "" if suspect.annotation_id is None else suspect.annotation_id
        table.writerow([photo.file_name, photo.image_id, number, suspect.kind, f"{suspect.score:.3f}", suspect.reason])
    with whole_file(folder / LIST) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
    document = to_coco_document(LabelSet(_choose_limbs(joints, skeleton), _gather_photos(suspects)))
    write_json(folder / LABELS, document | {"info": {"description": "photos with labels that are likely wrong"}})


def describe_suspects(suspects: Sequence[Suspect]) -> str:
    """Say how many there are of each kind."""
    counts = Counter(suspect.kind for suspect in suspects)
    return f"{len(suspects):,} likely wrong labels: " + ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS)


def _choose_limbs(joints: Sequence[str], skeleton: Skeleton) -> Skeleton:
    """Make a skeleton of the labels' joints, with the network's limbs between them, or COCO's."""
    if tuple(joints) == COCO_17.joints:
        return COCO_17
    ends = [(skeleton.joints[start], skeleton.joints[end]) for start, end in skeleton.limbs]
    limbs = [(joints.index(start), joints.index(end)) for start, end in ends if {start, end} <= set(joints)]
    return make_skeleton(skeleton.name, joints, limbs)


def _gather_photos(suspects: Iterable[Suspect]) -> list[PhotoLabels]:
    """Gather the labels of the suspects' photos, with the people whom nobody labelled."""
    groups: dict[int, list[Suspect]] = defaultdict(list)
    for suspect in suspects:
        groups[suspect.photo.image_id].append(suspect)
    return [_label_photo(group[0].photo, group) for group in groups.values()]


def _label_photo(photo: Photo, suspects: Sequence[Suspect]) -> PhotoLabels:
    """Take those that are suspected first, and then the photo's other labels."""
    size = photo.height, photo.width
    seen = {suspect.annotation_id: suspect for suspect in reversed(suspects) if suspect.annotation_id is not None}
    missing = [suspect for suspect in suspects if suspect.annotation_id is None]
    first = sorted([*seen.values(), *missing], key=lambda suspect: -suspect.score)
    rest = [one.keypoints for one in photo.people if one.labelled and one.annotation_id not in seen]
    places = [*(suspect.keypoints for suspect in first), *rest]
    return PhotoLabels(photo.file_name, size, [_label(keypoints, size) for keypoints in places])


def _label(keypoints: Floats, size: tuple[int, int]) -> PersonLabel:
    return label_person(keypoints, keypoints[:, 2], size)
