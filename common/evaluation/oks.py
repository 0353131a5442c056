"""OKS: how alike people are to annotations and who is whose, as pycocotools tells it, for whole photos at once.

pycocotools goes through joints and pairs one by one, which takes as long as a small network does. What it does before
and after, and what it sums up, is its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from bodyposenet.common.data.annotations.coco import Floats, Photo

MOST = 1 - 1e-10  # a threshold of 1 is met by what rounding leaves of it


class KeypointEvaluation(COCOeval):  # type: ignore[misc]
    """COCO's evaluation of keypoints; the same numbers as its parent's, sooner."""

    def computeOks(self, imgId: int, catId: int) -> Any:  # noqa: N802
        """Compute ``(D, A)`` similarities of a photo's best people, best first, with its annotations."""
        truth, people = self._gts[imgId, catId], self._dts[imgId, catId]
        best = sorted(people, key=lambda person: -person["score"])[: self.params.maxDets[-1]]
        if not truth or not best:
            return []
        sigmas = self.params.kpt_oks_sigmas
        joints, boxes, areas = (np.array([each[key] for each in truth], float) for key in ("keypoints", "bbox", "area"))
        places = np.array([person["keypoints"] for person in best], float).reshape(len(best), len(sigmas), 3)
        return compare_joints(places[..., :2], joints.reshape(len(truth), len(sigmas), 3), boxes, areas, sigmas)

    def evaluateImg(self, imgId: int, catId: int, aRng: Sequence[float], maxDet: int) -> Any:  # noqa: N802
        """Match a photo's people with its annotations at each threshold; annotations of other sizes are ignored."""
        truth, people = self._gts[imgId, catId], self._dts[imgId, catId]
        if not truth and not people:
            return None
        low, high = aRng
        besides = [bool(each["ignore"]) or each["area"] < low or each["area"] > high for each in truth]
        order = sorted(range(len(truth)), key=besides.__getitem__)
        truth, besides = [truth[place] for place in order], [besides[place] for place in order]
        people = sorted(people, key=lambda person: -person["score"])[:maxDet]
        table = self.ious[imgId, catId]
        rows = table[:, order].tolist() if len(table) else []
        crowds = [bool(each["iscrowd"]) for each in truth]
        matches = [match_people(rows, besides, crowds, least) for least in self.params.iouThrs.tolist()]
        return self._tell(imgId, catId, aRng, maxDet, truth, people, besides, matches)

    def _tell(
        self,
        photo: int,
        category: int,
        areas: Sequence[float],
        most: int,
        truth: Sequence[dict[str, Any]],
        people: Sequence[dict[str, Any]],
        besides: Sequence[bool],
        matches: Sequence[Sequence[int | None]],
    ) -> dict[str, Any]:
        """Tell of a photo in the words that pycocotools sums up."""
        shape = len(matches), len(people)
        matched, ignored = np.zeros(shape), np.zeros(shape, bool)
        taken = np.zeros((len(matches), len(truth)))
        outside = [person["area"] < areas[0] or person["area"] > areas[1] for person in people]
        for row, found in enumerate(matches):
            for place, match in enumerate(found):
                if match is None:
                    ignored[row, place] = outside[place]
                else:
                    matched[row, place], ignored[row, place] = truth[match]["id"], besides[match]
                    taken[row, match] = people[place]["id"]
            ignored[row, len(found) :] = outside[len(found) :]
        return {
            "image_id": photo,
            "category_id": category,
            "aRng": areas,
            "maxDet": most,
            "dtIds": [person["id"] for person in people],
            "gtIds": [each["id"] for each in truth],
            "dtMatches": matched,
            "gtMatches": taken,
            "dtScores": [person["score"] for person in people],
            "gtIgnore": np.array(besides, int),
            "dtIgnore": ignored,
        }


def compare_joints(
    people: Floats, truth: Floats, boxes: Floats, areas: Floats, sigmas: Sequence[float] | Floats
) -> Floats:
    """Compute object keypoint similarities: cocodataset.org, keypoint evaluation.

    Of an annotation without labelled joints the distance is that to its box, doubled on each side; so somebody in a
    crowd is wholly alike to it.

    Args:
        people: ``(D, K, 2)`` pixels.
        truth: ``(A, K, 3)`` pixels, and flags that are 0 where a joint is not labelled.
        boxes: ``(A, 4)`` x, y, width, height of the annotations.
        areas: ``(A,)`` their areas in square pixels.
        sigmas: Spread of each joint.

    Returns:
        ``(D, A)`` similarities in [0, 1].
    """
    labelled = truth[..., 2] > 0
    blank = np.asarray(~labelled.any(axis=1))
    apart = people[:, None] - truth[None, ..., :2]  # (D, A, K, 2)
    if blank.any():
        low, size = boxes[blank, None, :2], boxes[blank, None, 2:]
        places = people[:, None]
        apart[:, blank] = np.maximum(low - size - places, 0) + np.maximum(places - low - 2 * size, 0)
        labelled = labelled | blank[:, None]
    spread = (2 * np.asarray(sigmas)) ** 2
    alike = np.exp(-(apart**2).sum(-1) / spread / (areas[:, None] + np.spacing(1)) / 2)
    similarities: Floats = (alike * labelled).sum(-1) / labelled.sum(-1)
    return similarities


def match_people(
    rows: Sequence[Sequence[float]], besides: Sequence[bool], crowds: Sequence[bool], least: float
) -> list[int | None]:
    """Match people with annotations, the best person first, each with the annotation that is most alike and left.

    Args:
        rows: Similarities of each person with each annotation; those that are ignored come last.
        besides: Which annotations are ignored: whoever matches one, for want of another, counts for nothing.
        crowds: Which may be matched by any number of people.
        least: Least similarity of a match.

    Returns:
        The place of each person's annotation.
    """
    taken = [False] * len(besides)
    matches: list[int | None] = []
    for row in rows:
        match, best = None, min(least, MOST)
        for place, alike in enumerate(row):
            if alike < best or taken[place]:
                continue
            if match is not None and besides[place] and not besides[match]:
                break
            match, best = place, alike
        if match is not None:
            taken[match] = not crowds[match]
        matches.append(match)
    return matches


@dataclass(frozen=True)
class Matches:
    """Who of the people found in a photo is who of its annotations.

    Attributes:
        places: ``(D, K, 2)`` pixels of the joints of the people found, the best first.
        alike: ``(D, A)`` their similarities with the annotations.
        whose: Number of each one's annotation; None where there is none.
    """

    places: Floats
    alike: Floats
    whose: list[int | None]


def match_photo(photo: Photo, detections: Sequence[dict[str, Any]], sigmas: Sequence[float], least: float) -> Matches:
    """Match the people found in a photo with its annotations: labelled people first, others for want of these.

    Args:
        photo: Its annotations.
        detections: COCO detections in it.
        sigmas: Spread of each joint.
        least: Least similarity of a match.
    """
    count = len(sigmas)
    truth = np.array([person.keypoints for person in photo.people], float).reshape(-1, count, 3)
    boxes = np.array([person.box for person in photo.people], float).reshape(-1, 4)
    areas = np.array([person.area for person in photo.people], float)
    best = sorted(detections, key=lambda detection: -detection["score"])
    places = np.array([each["keypoints"] for each in best], float).reshape(-1, count, 3)[..., :2]
    alike = compare_joints(places, truth, boxes, areas, sigmas)
    order = sorted(range(len(truth)), key=lambda number: not photo.people[number].labelled)
    besides = [not photo.people[number].labelled for number in order]
    crowds = [photo.people[number].crowd for number in order]
    matches = match_people(alike[:, order].tolist(), besides, crowds, least)
    return Matches(places, alike, [None if match is None else order[match] for match in matches])
