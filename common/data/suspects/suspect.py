"""Suspect: a label that is likely wrong, or that is not there: what is wrong with it, and why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bodyposenet.common.data.annotations.coco import Floats, Person, Photo
from bodyposenet.common.pages.numbers import pluralize

SWAPPED, STRAY, MISSING, DOUBLED, BOX = "swapped", "stray", "missing", "doubled", "box"
KINDS = (SWAPPED, STRAY, MISSING, DOUBLED, BOX)
WORDS = {
    SWAPPED: "left and right swapped",
    STRAY: "joints of another person",
    MISSING: "person missed",
    DOUBLED: "person labelled twice",
    BOX: "box off the joints",
}


@dataclass(frozen=True, eq=False)
class Suspect:
    """A label that is likely wrong, or that is not there.

    Attributes:
        photo: Where it is.
        person: The label; None where nobody labelled the person.
        kind: One of ``KINDS``.
        score: How likely it is wrong: above 0, at most 1; kinds compare.
        reason: Why, in words.
        proposal: ``(K, 3)`` x, y in pixels and COCO's flag, as the label should rather be; None where nobody knows.
        joints: Numbers of the joints that are wrong, where not all are.
    """

    photo: Photo
    person: Person | None
    kind: str
    score: float
    reason: str
    proposal: Floats | None = None
    joints: tuple[int, ...] = ()

    @property
    def annotation_id(self) -> int | None:
        """The label's number in the file; None where nobody labelled the person."""
        return None if self.person is None else self.person.annotation_id

    @property
    def keypoints(self) -> Floats:
        """``(K, 3)`` x, y in pixels and flag: the label's, or those that were found."""
        if self.person is not None:
            return self.person.keypoints
        return np.zeros((0, 3)) if self.proposal is None else self.proposal


def rank(suspects: Iterable[Suspect]) -> list[Suspect]:
    """Put the likeliest first; of a label that is told twice for one reason, the likelier one stays."""
    ordered = sorted(suspects, key=lambda suspect: -suspect.score)
    first: dict[tuple[object, ...], Suspect] = {}
    for suspect in ordered:
        key = suspect.photo.image_id, suspect.annotation_id, suspect.kind
        first.setdefault((*key, id(suspect)) if suspect.person is None else key, suspect)
    return list(first.values())


def describe_suspects(suspects: Sequence[Suspect]) -> str:
    """Say how many there are of each kind."""
    counts = count_kinds(suspects)
    told = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    return f"{pluralize(len(suspects), 'likely wrong label')}" + (f": {told}" if told else "")


def count_kinds(suspects: Iterable[Suspect]) -> dict[str, int]:
    """Count the suspects of each kind that there is."""
    counts = Counter(suspect.kind for suspect in suspects)
    return {kind: counts[kind] for kind in KINDS if counts[kind]}
