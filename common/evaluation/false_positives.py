"""False positives: people found where nobody is, per photo."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bodyposenet.common.data.annotations.coco import CocoSet
from bodyposenet.common.evaluation.coco_metrics import refuse_strangers
from bodyposenet.common.evaluation.oks import match_photo

OKS = 0.5  # at and above it somebody who was found is somebody who is labelled
PER_PHOTO, PER_BLANK_PHOTO = "false_positives_per_photo", "false_positives_per_photo_nobody_labelled"


@dataclass(frozen=True)
class FalsePositives:
    """How often somebody was found who is not there.

    Attributes:
        people: Who was found and is not there, in all photos.
        photos: The photos that were looked at.
        blank_people: Those of the people who are in photos with nobody labelled.
        blank_photos: Those of the photos in which nobody is labelled.
    """

    people: int
    photos: int
    blank_people: int
    blank_photos: int

    def numbers(self) -> dict[str, float]:
        """Return the means over photos, by name; without those of photos that there are none of."""
        pairs = {PER_PHOTO: (self.people, self.photos), PER_BLANK_PHOTO: (self.blank_people, self.blank_photos)}
        return {name: people / photos for name, (people, photos) in pairs.items() if photos}


def count_false_positives(
    truth: CocoSet, detections: Sequence[dict[str, Any]], *, sigmas: Sequence[float], photos: Collection[int]
) -> FalsePositives:
    """Count who was found and matches no labelled person, as COCO matches: the best score first, each person once.

    Whoever matches a crowd, or somebody without labelled joints, counts for nothing.

    Args:
        truth: Who is there.
        detections: Everybody who was found, as COCO detections; unlike for AP, not the best twenty of a photo alone.
        sigmas: OKS spread of each of the annotations' joints.
        photos: Ids of the photos that were looked at.
    """
    refuse_strangers(truth, detections)
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for detection in detections:
        found[detection["image_id"]].append(detection)
    wrong = Counter[int]()
    for photo in truth.photos:
        if some := found.get(photo.image_id):
            wrong[photo.image_id] = match_photo(photo, some, sigmas, OKS).whose.count(None)
    labelled = set(truth.images.ids[np.unique(truth.annotations.photo_of[truth.labelled])].tolist())
    blank = set(photos) - labelled
    return FalsePositives(wrong.total(), len(photos), sum(wrong[photo] for photo in blank), len(blank))
