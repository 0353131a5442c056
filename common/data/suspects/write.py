"""Write: the list of suspects, and their photos for a labelling tool: the labels as they are, and as they should be."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bodyposenet.common.data.annotations.categories import LEFT_OUT, Kinds
from bodyposenet.common.data.annotations.coco import Floats, Person, Photo
from bodyposenet.common.data.exporters.labels import (
    PERSON,
    LabelCategory,
    LabelSet,
    PersonLabel,
    PhotoLabels,
    label_person,
)
from bodyposenet.common.data.exporters.write import write_corrections
from bodyposenet.common.data.suspects.suspect import DOUBLED, KINDS, WORDS, Suspect
from bodyposenet.common.skeleton.skeleton import COCO_17, Skeleton, find_sigma
from bodyposenet.common.spec.words import LabelFormat
from bodyposenet.common.storage.files import write_table
from bodyposenet.common.storage.location import Location

NAME, LIST = "suspects", "suspects.csv"  # how the files' names begin; the list
COLUMNS = ("photo", "image_id", "annotation_id", "kind", "score", "reason")


@dataclass(frozen=True)
class SuspectChoice:
    """What is written for a labelling tool.

    Attributes:
        form: The tool's format, as :func:`~bodyposenet.common.data.exporters.write.write_labels` knows it.
        prefix: What stands before a photo's name in Label Studio.
        most: Suspects whose photos are written; None for all.
    """

    form: LabelFormat = "coco"
    prefix: str = ""
    most: int | None = None


CHOICE = SuspectChoice()


def write_suspects(
    folder: Location,
    suspects: Sequence[Suspect],
    skeleton: Skeleton,
    choice: SuspectChoice = CHOICE,
    kinds: Kinds | None = None,
) -> Location:
    """Write a list, a row for each suspect, and their photos twice, for a labelling tool.

    Once with all their labels as they are, numbers included, and once as they are proposed: with sides exchanged back,
    second labels and strange joints taken out, and those added who were found. Photos come in the order of the list.

    Args:
        folder: Where.
        suspects: The likeliest first.
        skeleton: The labels' joints, and limbs to draw.
        choice: For which tool.
        kinds: The labels' categories; None is people alone.

    Returns:
        The list.
    """
    given, proposed = gather_labels(suspects[: choice.most], skeleton, _list_categories(kinds))
    write_corrections(given, proposed, folder, choice.form, prefix=choice.prefix, name=NAME)
    path = folder / LIST
    write_table(path, COLUMNS, map(_make_row, suspects))
    return path


def _make_row(suspect: Suspect) -> list[object]:
    """List what the columns are to have of a suspect."""
    photo, number = suspect.photo, "" if suspect.annotation_id is None else suspect.annotation_id
    reason = suspect.reason.encode("utf-8", "replace").decode()
    score = f"{suspect.score:.3f}"
    return [photo.file_name, photo.image_id, number, suspect.kind, score, reason]


def choose_limbs(joints: Sequence[str], skeleton: Skeleton) -> Skeleton:
    """Make a skeleton of the labels' joints, with another's limbs between them, or COCO's."""
    if tuple(joints) == COCO_17.joints:
        return COCO_17
    ends = [(skeleton.joints[start], skeleton.joints[end]) for start, end in skeleton.limbs]
    limbs = tuple((joints.index(start), joints.index(end)) for start, end in ends if {start, end} <= {*joints})
    pairs = None if skeleton.flip_pairs is None else [pair for pair in skeleton.flip_pairs if {*pair} <= {*joints}]
    sigmas = tuple(map(find_sigma, joints))
    return Skeleton(skeleton.name, tuple(joints), limbs, sigmas, flip_pairs=None if pairs is None else tuple(pairs))


def _list_categories(kinds: Kinds | None) -> list[LabelCategory]:
    """List categories of people with their ids, or numbered anew where these are texts, and the joints asked for."""
    if kinds is None:
        return []
    numbers = [key for key in kinds.columns if isinstance(key, int)]
    numbers = numbers if len(numbers) == len(kinds.columns) else [*range(1, len(kinds.columns) + 1)]
    called = [kinds.names.get(key) or PERSON for key in kinds.columns]
    joints = [tuple(place for place in places if place != LEFT_OUT) for places in kinds.columns.values()]
    return [*map(LabelCategory, numbers, called, joints)]


def gather_labels(
    suspects: Iterable[Suspect], skeleton: Skeleton, categories: Sequence[LabelCategory] = ()
) -> tuple[LabelSet, LabelSet]:
    """Gather the photos of the suspects with their labels as they are, and as they are proposed."""
    groups: dict[int, list[Suspect]] = defaultdict(list)
    for suspect in suspects:
        groups[suspect.photo.image_id].append(suspect)
    given = [_label_photo(group[0].photo, _note(group)) for group in groups.values()]
    proposed = [_mend(photo, group) for photo, group in zip(given, groups.values(), strict=True)]
    return LabelSet(skeleton, given, given=categories), LabelSet(skeleton, proposed, given=categories)


def _note(group: Sequence[Suspect]) -> str:
    kinds = sorted({suspect.kind for suspect in group}, key=KINDS.index)
    told = [
        f"{WORDS[kind]}: " + "; ".join(_number(suspect) + suspect.reason for suspect in group if suspect.kind == kind)
        for kind in kinds
    ]
    return "\n".join(told)


def _number(suspect: Suspect) -> str:
    return "" if suspect.annotation_id is None else f"annotation {suspect.annotation_id}: "


def _label_photo(photo: Photo, note: str) -> PhotoLabels:
    """Take a photo with all its annotations, unchanged."""
    people = [_label(person) for person in photo.people]
    return PhotoLabels(photo.file_name, (photo.height, photo.width), people, photo.image_id, note)


def _label(person: Person) -> PersonLabel:
    x, y, width, height = person.box.tolist()
    return PersonLabel(
        person.keypoints, (x, y, width, height), 1.0, person.annotation_id, person.area, person.crowd,
        person.segmentation, person.category,
    )  # fmt: skip


def _mend(photo: PhotoLabels, group: Sequence[Suspect]) -> PhotoLabels:
    """Change the suspected labels as proposed; of a label that is told for several reasons, for the likeliest."""
    people: list[PersonLabel | None] = [*photo.people]
    places = {one.number: place for place, one in enumerate(photo.people)}
    added, done = [], set()
    for suspect in group:
        number, proposal = suspect.annotation_id, suspect.proposal
        if suspect.kind == DOUBLED:
            people[places[number]] = None
        elif proposal is not None and suspect.person is None:
            added.append(_draw(proposal, photo, suspect.score))
        elif proposal is not None and number not in done and (kept := people[places[number]]) is not None:
            done.add(number)
            mended = _draw(proposal, photo)
            people[places[number]] = replace(mended, number=number, outline=kept.outline, category=kept.category)
    return replace(photo, people=[*filter(None, people), *added])


def _draw(keypoints: Floats, photo: PhotoLabels, score: float = 1.0) -> PersonLabel:
    """Make a label whose box is that of its joints."""
    return label_person(keypoints, keypoints[:, 2], photo.size, score=score)
