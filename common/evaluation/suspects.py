"""Suspects: labels that are likely wrong, told from the people that a network finds in the same photos, too."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bodyposenet.common.data.annotations.coco import CocoSet, Floats, Person, Photo
from bodyposenet.common.data.report.suspects_page import PAGE, write_suspects_page
from bodyposenet.common.data.suspects.find import BEYOND, OFF_JOINTS, OFF_SHARE, describe_strays, find_by_geometry
from bodyposenet.common.data.suspects.sides import find_exchange
from bodyposenet.common.data.suspects.suspect import (
    BOX,
    DOUBLED,
    MISSING,
    STRAY,
    SWAPPED,
    Suspect,
    describe_suspects,
    rank,
)
from bodyposenet.common.data.suspects.write import SuspectChoice, choose_limbs, write_suspects
from bodyposenet.common.evaluation.coco_metrics import compare_people
from bodyposenet.common.evaluation.ground_truth import AnnotatedPhotos, sigmas_for
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.storage.location import Location

log = logging.getLogger(__name__)

LEAST_GAIN = 0.05  # of OKS by exchanging left and right, from which on a label is suspected
LEAST_LABELLED = 0.4  # OKS with a label, from which on a found person counts as labelled
LEAST_JOINTS, ENOUGH_JOINTS = 4, 8  # of a found person that is missed: fewer are none, and more are no more certain
FOUND = 0.5  # OKS from which on somebody who was found is whom a label is of
CONFIRMED = 0.75  # OKS with somebody who was found, from which on the sides are as labelled whatever geometry says
NEAR, AWAY = 0.5, 0.1  # likeness of a joint: from the one on it is where it was found, below the other it is not
AT_ANOTHER = 0.7  # likeness of a joint with another person's, from which on it is that one's

# How fast the kinds become certain: a small gain by exchanging sides says much, somebody found with doubts says little.
POWERS = {SWAPPED: 0.5, MISSING: 3.0, STRAY: 1.0, BOX: 1.0}


@dataclass(frozen=True, eq=False)
class Likeness:
    """How much D people who were found in a photo are like its A annotations.

    Attributes:
        given: ``(D, A)`` OKS.
        exchanged: ``(D, A)`` the same with the annotations' sides exchanged.
    """

    given: Floats
    exchanged: Floats

    @property
    def better(self) -> Floats:
        """``(D, A)`` the better one of both orders of the sides."""
        return np.maximum(self.given, self.exchanged)


def find_suspects(truth: CocoSet, detections: Sequence[dict[str, Any]], skeleton: Skeleton) -> list[Suspect]:
    """Find the labels that are likely wrong, the likeliest first.

    Args:
        truth: The labels; flags are 0, 1 or 2.
        detections: The people found in the photos, as COCO detections with the labels' joints.
        skeleton: The network's; it knows which joints are left and right of one part.

    Returns:
        Labels whose left and right are exchanged, joints that are another person's, people that were found and not
        labelled, second labels of one person, and boxes off the joints. What geometry suspects and the network denies
        is none. Crowds and annotations without joints excuse whoever is found there.
    """
    spreads = sigmas_for(truth.joints, skeleton)
    sigmas = np.array(spreads)
    order = find_exchange(truth.joints, skeleton.flip_pairs)
    given = compare_people(truth, detections, spreads)
    exchanged = compare_people(exchange_sides(truth, order), detections, spreads)
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for detection in detections:
        found[detection["image_id"]].append(detection)
    geometric: dict[int, list[Suspect]] = defaultdict(list)
    for suspect in find_by_geometry(truth, skeleton.flip_pairs):
        geometric[suspect.photo.image_id].append(suspect)
    suspects: list[Suspect] = []
    for photo in truth.photos:
        key = photo.image_id
        alike = Likeness(given[key], exchanged[key])
        joints = np.array([each["keypoints"] for each in found[key]], float).reshape(-1, len(truth.joints), 3)
        told = [
            *hold_to_found(geometric[key], photo, alike, joints, sigmas),
            *find_swapped(photo, alike, order),
            *find_strays(photo, alike, joints, sigmas, truth.joints),
            *find_boxes(photo, alike, joints),
        ]
        suspects += [*merge_reasons(told), *find_missing(photo, found[key], alike.better)]
    return rank(suspects)


def list_suspects(
    photos: AnnotatedPhotos,
    detections: Sequence[dict[str, Any]],
    skeleton: Skeleton,
    results_dir: Location,
    choice: SuspectChoice,
) -> list[Suspect]:
    """Find the labels that are likely wrong; write the list, the page, and what a labelling tool takes.

    Args:
        photos: The labelled photos.
        detections: See :func:`find_suspects`, as the skeleton.
        skeleton: The network's.
        results_dir: Gets the files.
        choice: For which labelling tool.

    Returns:
        The suspects, the likeliest first.
    """
    truth = photos.truth
    suspects = find_suspects(truth, detections, skeleton)
    drawn = choose_limbs(truth.joints, skeleton)
    write_suspects(results_dir, suspects, drawn, choice, truth.kinds)
    people = int(truth.labelled.sum())
    facts = {"Annotations": str(truth.path), "Photos": str(photos.folder), "Told by": "geometry, and who was found"}
    write_suspects_page(
        results_dir / PAGE, suspects, drawn, photos.store.read, people=people, facts=facts, unclear=photos.unclear
    )
    log.info("%s", describe_suspects(suspects))
    return suspects


def merge_reasons(suspects: Iterable[Suspect]) -> list[Suspect]:
    """Make one suspect of what is told of a label twice; the later one's proposal stays, and both are likelier."""
    merged: dict[tuple[int | None, str], Suspect] = {}
    for suspect in suspects:
        key = suspect.annotation_id, suspect.kind
        before = merged.get(key)
        if before is not None:
            score = 1 - (1 - before.score) * (1 - suspect.score)
            suspect = replace(suspect, score=score, reason=f"{before.reason}; {suspect.reason}")
        merged[key] = suspect
    return list(merged.values())


def exchange_sides(truth: CocoSet, order: Sequence[int]) -> CocoSet:
    """Exchange left and right of all labels."""
    return replace(truth, annotations=replace(truth.annotations, keypoints=truth.annotations.keypoints[:, order]))


def hold_to_found(
    suspects: Sequence[Suspect], photo: Photo, alike: Likeness, found: Floats, sigmas: Floats
) -> Iterator[Suspect]:
    """Leave out what geometry suspects where the network found the person as labelled.

    Args:
        suspects: Of the photo, told by geometry.
        photo: The photo, with A annotations.
        alike: How the D people who were found in it are like them.
        found: ``(D, K, 3)`` their joints.
        sigmas: OKS spread of each joint.
    """
    numbers: dict[int | None, int] = {person.annotation_id: number for number, person in enumerate(photo.people)}
    for suspect in suspects:
        number = numbers[suspect.annotation_id]
        if not len(found) or suspect.kind in (DOUBLED, BOX):
            yield suspect
            continue
        now, then = float(alike.given[:, number].max()), float(alike.exchanged[:, number].max())
        if suspect.kind == SWAPPED and now >= max(then, CONFIRMED):
            continue
        best = int(alike.given[:, number].argmax())
        if suspect.kind == STRAY and now >= FOUND:
            near = _compare(suspect.person, found[best], sigmas)[list(suspect.joints)]
            if (near >= NEAR).all():
                continue
        yield suspect


def find_swapped(photo: Photo, alike: Likeness, order: Sequence[int]) -> Iterator[Suspect]:
    """Find labels that fit a found person better with left and right exchanged.

    Args:
        photo: The photo, with A annotations.
        alike: How the people who were found in it are like them.
        order: For each joint the one on the other side.
    """
    if not len(alike.given):
        return
    now, then = alike.given.max(axis=0), alike.exchanged.max(axis=0)
    for person, label, other in zip(photo.people, now.tolist(), then.tolist(), strict=True):
        if person.labelled and other - label >= LEAST_GAIN:
            reason = "fits who was found better with left and right exchanged: "
            reason += f"OKS {other:.2f} instead of {label:.2f}"
            evidence = _weigh(SWAPPED, other - label)
            yield Suspect(photo, person, SWAPPED, evidence, reason, person.keypoints[list(order)])


def find_strays(
    photo: Photo, alike: Likeness, found: Floats, sigmas: Floats, names: Sequence[str]
) -> Iterator[Suspect]:
    """Find joints that lie where another person was found to have them, and not where this one was.

    Args:
        photo: The photo, with A annotations.
        alike: How the D people who were found in it are like them.
        found: ``(D, K, 3)`` their joints.
        sigmas: OKS spread of each joint.
        names: The joints' names.
    """
    for number, (person, best) in _match(photo, alike):
        own = _compare(person, found[best], sigmas)
        others = [row for row in range(len(found)) if row != best and alike.given[row, number] < FOUND]
        if not others:
            continue
        theirs = np.stack([_compare(person, found[row], sigmas) for row in others]).max(axis=0)
        wrong = (found[best, :, 2] > 0) & (own < AWAY) & (theirs >= AT_ANOTHER)
        joints = np.flatnonzero(wrong).tolist()
        if joints:
            proposal = person.keypoints.copy()
            proposal[joints] = found[best, joints] * [1, 1, 2]
            told = f"{describe_strays(names, joints)} where another person who was found has "
            told += "it" if len(joints) == 1 else "them"
            evidence = float((theirs * (1 - own))[joints].max()) * float(alike.given[best, number]) ** 0.5
            yield Suspect(photo, person, STRAY, _weigh(STRAY, evidence), told, proposal, tuple(joints))


def find_boxes(photo: Photo, alike: Likeness, found: Floats) -> Iterator[Suspect]:
    """Find boxes that leave out much of the person who was found.

    Args:
        photo: The photo, with A annotations.
        alike: How the D people who were found in it are like them.
        found: ``(D, K, 3)`` their joints.
    """
    for number, (person, best) in _match(photo, alike):
        seen = found[best, :, 2] > 0
        low, size = person.box[:2], np.maximum(person.box[2:], 1)
        places = found[best, seen, :2]
        beyond = np.maximum(low - places, places - low - size) / size
        outside = int(np.count_nonzero(beyond.max(axis=1, initial=0) > BEYOND))
        share = outside / max(1, int(seen.sum()))
        if outside >= OFF_JOINTS and share > OFF_SHARE:
            reason = f"{outside} of {int(seen.sum())} joints that were found of this person lie outside the box"
            evidence = share * float(alike.better[best, number])
            yield Suspect(photo, person, BOX, _weigh(BOX, evidence), reason, person.keypoints)


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


def _match(photo: Photo, alike: Likeness) -> Iterator[tuple[int, tuple[Person, int]]]:
    """Give each label of whom somebody was found its place, and that one's."""
    if not len(alike.given):
        return
    best = alike.better.argmax(axis=0)
    for number, person in enumerate(photo.people):
        if person.labelled and alike.better[best[number], number] >= FOUND:
            yield number, (person, int(best[number]))


def _compare(person: Person | None, found: Floats, sigmas: Floats) -> Floats:
    """Compare ``(K,)`` the joints of a label with those found, as OKS does; 0 where one of the two is not there."""
    if person is None:
        return np.zeros(len(found))
    gaps = ((person.keypoints[:, :2] - found[:, :2]) ** 2).sum(axis=1)
    both = (person.keypoints[:, 2] > 0) & (found[:, 2] > 0)
    return np.where(both, np.exp(-gaps / (8 * max(person.area, 1.0) * sigmas**2)), 0.0)


def _weigh(kind: str, evidence: float) -> float:
    """Make kinds of suspects comparable."""
    weight: float = min(1.0, evidence) ** POWERS[kind]
    return weight
