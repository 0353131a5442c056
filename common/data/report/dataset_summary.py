"""Dataset summary: the counts that tell what is in a dataset and who of its people is learned from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.annotations.coco import CocoSet
from bodyposenet.common.data.annotations.person_filter import REASONS, WITHHELD, FilteringParams, PersonChoice
from bodyposenet.common.data.annotations.problems import Problem

HEIGHTS = (0, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)  # pixels: where the groups of heights begin
TENTHS = tuple(range(0, 100, 10))  # percent of the photo's height: the same
EXAMPLES = 20  # problems of a kind that are told in full

Counts = npt.NDArray[np.int64]


def describe(
    coco: CocoSet, choice: PersonChoice, problems: Sequence[Problem], params: FilteringParams | None = None
) -> dict[str, Any]:
    """Count what is in a dataset.

    People are annotations of one person each with keypoints; those of interest get training samples of their own.

    Args:
        coco: The set; its visibility flags are 0 not labelled, 1 hidden, 2 visible.
        choice: Who is of interest, and why others are not.
        problems: What is wrong with it.
        params: By which the choice was made.

    Returns:
        Plain JSON data: ``counts``, ``joints_per_person``, ``joints``, ``heights_px``, ``heights_of_image``,
        ``people_per_photo``, ``filtered`` and ``problems``. A histogram is ``from`` (where its groups begin),
        ``of_interest`` and ``others``.
    """
    people, labelled, mains = coco.annotations, coco.labelled, choice.mains
    single = ~people.crowds
    per_photo = np.bincount(people.photo_of[labelled], minlength=len(coco.images.ids))
    heights = people.boxes[:, 3]
    shares = 100 * heights / coco.images.heights[people.photo_of]
    return {
        "file": str(coco.path),
        "counts": _counts(coco, choice, per_photo) | {"problems": len(problems)},
        "joints_per_person": _histogram(people.num_keypoints[single], mains[single], range(len(coco.joints) + 1)),
        "joints": _joints(coco),
        "heights_px": _histogram(heights[labelled], mains[labelled], HEIGHTS),
        "heights_of_image": _histogram(shares[labelled], mains[labelled], TENTHS),
        "people_per_photo": np.bincount(per_photo).tolist(),
        "filtered": _count_filtered(choice, params),
        "problems": _problems(problems),
    }


def _counts(coco: CocoSet, choice: PersonChoice, per_photo: Counts) -> dict[str, int]:
    """Describe the set in a dozen numbers."""
    people, labelled, first = coco.annotations, coco.labelled, coco.annotations.first
    flags = people.keypoints[labelled][..., 2]
    counts: dict[str, Any] = {
        "photos": len(per_photo),
        "photos_without_annotations": np.count_nonzero(np.diff(first) == 0),
        "photos_with_people": np.count_nonzero(per_photo),
        "photos_of_interest": len(np.unique(people.photo_of[choice.mains])),
        "annotations": len(people.ids),
        "people": np.count_nonzero(labelled),
        "of_interest": np.count_nonzero(choice.mains),
        "crowds": np.count_nonzero(people.crowds),
        "people_without_keypoints": np.count_nonzero(~labelled & ~people.crowds),
        "joints_visible": np.count_nonzero(flags == 2),
        "joints_hidden": np.count_nonzero(flags == 1),
        "joints_unlabelled": np.count_nonzero(flags == 0),
    }
    return {name: int(count) for name, count in counts.items()}


def _joints(coco: CocoSet) -> list[dict[str, Any]]:
    """Count how often each joint of the people is visible, hidden and not labelled."""
    flags = coco.annotations.keypoints[coco.labelled][..., 2]
    counts = [np.count_nonzero(flags == code, axis=0).tolist() for code in (2, 1, 0)]
    return [
        {"name": name, "visible": visible, "hidden": hidden, "unlabelled": unlabelled}
        for name, visible, hidden, unlabelled in zip(coco.joints, *counts, strict=True)
    ]


def _histogram(values: npt.NDArray[Any], mains: npt.NDArray[np.bool_], begins: Sequence[int]) -> dict[str, list[int]]:
    groups = np.maximum(np.searchsorted(begins, values, side="right") - 1, 0)
    mine, others = (np.bincount(groups[part], minlength=len(begins)).tolist() for part in (mains, ~mains))
    return {"from": list(begins), "of_interest": mine, "others": others}


def _count_filtered(choice: PersonChoice, params: FilteringParams | None) -> list[dict[str, Any]]:
    """Count the people that each test of the filter turned away, and tell what it asks."""
    counts = np.bincount(choice.reasons, minlength=len(REASONS)).tolist()
    asked = _describe_params(params) if params else {}
    return [
        {"reason": reason, "people": count, "asked": asked.get(reason, "")}
        for reason, count in zip(REASONS, counts, strict=True)
        if count or reason != REASONS[WITHHELD]  # photos are seldom withheld
    ]


def _describe_params(params: FilteringParams) -> dict[str, str]:
    return {
        "few keypoints": f"fewer than {params.min_acceptable_kpts} joints labelled",
        "low": f"box lower than {params.min_acceptable_height:g} pixels",
        "narrow": f"box narrower than {params.min_acceptable_width:g} pixels",
        "beside another": "centre nearer to that of a person already taken than "
        f"{params.min_acceptable_interperson_dist_ratio:g} of that one's longer side",
        "crowd": "a group that nobody told apart: masked",
        "no keypoints": "nothing to learn: masked",
    }


def _problems(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Group the problems by kind, the most frequent first, with the first examples of each."""
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    return [
        {
            "kind": kind,
            "count": len(found),
            "left_out": sum(not problem.kept for problem in found),
            "examples": [str(problem) for problem in found[:EXAMPLES]],
        }
        for kind, found in sorted(kinds.items(), key=lambda entry: -len(entry[1]))
    ]
