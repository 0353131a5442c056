"""Suspects page: the labels that are likely wrong, each with its part of the photo and what is wrong with it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bodyposenet.common.data.report.suspect_pictures import show_suspects
from bodyposenet.common.data.suspects.suspect import SWAPPED, WORDS, Suspect, count_kinds
from bodyposenet.common.imaging.orientation import Frame
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.pages.page import render
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import Location

PAGE = "suspects.html"
MOST = 50  # suspects that a page shows; the list has all
MANY, MOST_SWAPPED = 20, 0.3  # swapped labels, and their share of the people, from which on they are no mistakes

HINTS = {
    "swapped": "left and right exchanged, of all joints or of a part",
    "stray": "of somebody beside, or too far away",
    "missing": "found, and not labelled",
    "doubled": "two labels of one person",
    "box": "too small, too large, or elsewhere",
}


def write_suspects_page(
    path: Location,
    suspects: Sequence[Suspect],
    skeleton: Skeleton,
    read: Callable[[str], bytes],
    *,
    people: int,
    facts: Mapping[str, str],
    unclear: Frame = "shown",
) -> Location:
    """Write a page that needs no other file.

    Args:
        path: The page to write.
        suspects: The likeliest first; the first ``MOST`` are shown.
        skeleton: The labels' joints, and limbs between them.
        read: Gives a photo's file by its name, or raises a UserError.
        people: How many people are labelled.
        facts: What else to know: where the labels are, what found the people.
        unclear: See :func:`~bodyposenet.common.imaging.orientation.choose_turn`.

    Returns:
        The path.
    """
    shown = show_suspects(suspects[:MOST], skeleton, read, unclear=unclear)
    page = render(
        "bodyposenet.common.data.report",
        PAGE,
        title="Likely wrong labels",
        verdict=judge_suspects(suspects, people),
        tiles=[(f"{count:,}", WORDS[kind], HINTS[kind]) for kind, count in count_kinds(suspects).items()],
        suspects=shown,
        left=len(suspects) - len(shown),
        facts=list(facts.items()),
    )
    with whole_file(path) as file:
        file.write(page.encode("utf-8", "replace"))
    return path


def judge_suspects(suspects: Sequence[Suspect], people: int) -> str:
    """Say in a sentence or two how many labels are likely wrong."""
    if not suspects:
        return f"None of {pluralize(people, 'label')} looks wrong." if people else "Nobody is labelled."
    verb = "is" if len(suspects) == 1 else "are"
    told = f"{pluralize(len(suspects), 'label')} of {pluralize(people, 'person')} {verb} likely wrong"
    swapped = count_kinds(suspects).get(SWAPPED, 0)
    if swapped >= MANY and swapped > MOST_SWAPPED * people:
        return f"{told}. So many have left and right swapped that left may mean the viewer's left in this set."
    return f"{told}; the likeliest come first."


def summarize_suspects(suspects: Sequence[Suspect], people: int, shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summarize the suspects as plain JSON data: how many of each kind, and the likeliest."""
    plain = [{key: value for key, value in each.items() if key not in ("number", "words", "shots")} for each in shown]
    return {
        "count": len(suspects),
        "text": judge_suspects(suspects, people),
        "kinds": count_kinds(suspects),
        "examples": plain,
    }
