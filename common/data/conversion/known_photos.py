"""Known photos: what a manifest keeps of each record, so that a later conversion knows which of them still stand."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bodyposenet.common.data.annotations.problems import Problem

Fault = tuple[str, str, str, int]  # kind, text and fix of a problem, and the place of its person in the photo


class KnownPhoto(NamedTuple):
    """What a record was made of.

    Attributes:
        image_id: The dataset's number of the photo.
        photo: Digest of the photo's file.
        labels: Digest of what the annotations say of the photo.
        people: How many are in the record.
        turn: What the annotations are of, where the file tells a turn.
        likeness: Hash of what the photo shows, if it was asked for and the photo is not too plain.
        faults: What is wrong with outlines of its people, who cover their boxes.
    """

    image_id: int
    photo: str
    labels: str
    people: int
    turn: str = ""
    likeness: int | None = None
    faults: Sequence[Fault] = ()


def note_faults(problems: Sequence[Problem], ids: Sequence[int]) -> list[Fault]:
    """Note problems of a photo's people by their places, as a tool may number annotations anew.

    Args:
        problems: Each of one of the people.
        ids: The people's.
    """
    return [
        (problem.kind, problem.text, problem.fix, ids.index(problem.annotation_id))
        for problem in problems
        if problem.annotation_id is not None
    ]


def tell_faults(photo: KnownPhoto, file: str, ids: Sequence[int]) -> list[Problem]:
    """Undo :func:`note_faults`: tell the problems of annotations as they are numbered now."""
    return [
        Problem(file, kind, text, fix, photo.image_id, int(ids[place]), kept=True)
        for kind, text, fix, place in photo.faults
        if place < len(ids)
    ]


def write_columns(photos: Sequence[KnownPhoto]) -> dict[str, list[Any]]:
    """Write what is known of a shard's records as columns of JSON."""
    columns = zip(*photos, strict=True) if photos else [()] * len(KnownPhoto._fields)
    return dict(zip(KnownPhoto._fields, map(list, columns), strict=True))


def read_columns(shard: Mapping[str, Any]) -> list[KnownPhoto]:
    """Undo :func:`write_columns` for a shard of a manifest; a shard that an earlier version wrote has none."""
    columns = shard.get("photos", {})
    return list(map(KnownPhoto, *(columns.get(name, ()) for name in KnownPhoto._fields)))
