"""Evaluation page: AP by size, curves, what is wrong with joints, and the photos that went best and worst."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bodyposenet.common.data.annotations.coco import Photo
from bodyposenet.common.data.report.suspect_pictures import Shot, embed
from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.coco_metrics import MAIN, NOTHING, RECALLS
from bodyposenet.common.evaluation.joint_errors import KINDS
from bodyposenet.common.evaluation.outcome import Evaluation
from bodyposenet.common.pages.charts import bar_chart, line_chart
from bodyposenet.common.pages.numbers import plain, precision
from bodyposenet.common.pages.page import render
from bodyposenet.common.pages.shares import share_chart
from bodyposenet.common.pose.draw import draw_people
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import Location

if TYPE_CHECKING:
    from markupsafe import Markup


PAGE = "evaluation.html"
SHOWN = 6  # photos of each kind
LONGEST = 480  # pixels of a picture's longer side
CURVES = (0.5, 0.75, 0.9)  # least OKS of the curves' matches
COLOURS = dict(zip(KINDS, ("s3", "s1", "s2", "s4", "s0"), strict=True))
WORDS = {
    "good": "similarity of .85 or more",
    "jitter": "near: .5 or more",
    "inversion": "where the other side is",
    "swap": "where somebody else's is",
    "miss": "anywhere else, or not found",
}


@dataclass(frozen=True)
class Looks:
    """What the photos of a page are drawn from.

    Attributes:
        found: Each photo with the people found in it, where it could be used.
        read: Gives the pixels of a photo, ``(H, W, 3)`` RGB uint8 as it was annotated, or raises a UserError.
        skeleton: The network's.
    """

    found: Sequence[tuple[Photo, People]]
    read: Callable[[Photo], np.ndarray]
    skeleton: Skeleton


def write_evaluation_page(path: Location, done: Evaluation, looks: Looks, facts: Mapping[str, str]) -> Location:
    """Write a page that needs no other file.

    Args:
        path: The page to write.
        done: What an evaluation found.
        looks: The photos, and who was found in them.
        facts: What else to know: of what it was made.

    Returns:
        The path.
    """
    errors = done.joint_errors
    rows = dict(zip(errors.joints, errors.counts.tolist(), strict=True)) if errors.people else {}
    page = render(
        "bodyposenet.common.evaluation",
        PAGE,
        title="Evaluation",
        verdict=done.summary(),
        tiles=_list_tiles(done),
        charts=_draw_charts(done),
        joints=share_chart("Joints", {"all": errors.counts.sum(0).tolist()} | rows, COLOURS) if rows else "",
        parts=[(name, COLOURS[name], WORDS[name]) for name in KINDS],
        sections=_show_photos(done, looks),
        facts=list(facts.items()),
    )
    with whole_file(path) as file:
        file.write(page.encode("utf-8", "replace"))
    return path


def _list_tiles(done: Evaluation) -> list[tuple[str, str, str]]:
    """List figure, name and explanation of what the page opens with."""
    said = {
        MAIN: ("AP", "mean over OKS .50 to .95"),
        "AP_0.5": ("AP at OKS .50", "people who were found at all"),
        "AR_0.50:0.95_all": ("AR", "recall, mean over OKS .50 to .95"),
    }
    tiles = [
        (precision(done.metrics[key]), *words) for key, words in said.items() if done.metrics[key] != NOTHING
    ]  # fmt: skip
    photos = done.false_positives.photos
    if photos:
        tiles.append((plain(done.false_positives.people / photos), "false positives a photo", "found where nobody is"))
    return tiles


def _draw_charts(done: Evaluation) -> "list[tuple[str, str, Markup]]":
    """Draw what can be drawn: heading, hint and chart of each."""
    sizes = {"all": MAIN, "medium": "AP_0.50:0.95_medium", "large": "AP_0.50:0.95_large"}
    bars = {name: None if done.metrics[key] == NOTHING else done.metrics[key] for name, key in sizes.items()}
    hint = "Medium are people of 32² to 96² pixels, large ones are larger; COCO labels no joints of smaller ones."
    charts = [("AP by size", hint, bar_chart("AP by size", bars, precision))]
    curves = {
        f"OKS {least:.2f}".replace("0.", "."): list(zip(RECALLS.tolist(), done.precisions[least].tolist(), strict=True))
        for least in CURVES
        if least in done.precisions
    }
    if curves:
        drawn = line_chart("Precision", curves, x_name="recall", y_name="precision", whole=False)
        charts.append(("Precision over recall", "By the least similarity of a match.", drawn))
    return charts


def _show_photos(done: Evaluation, looks: Looks) -> list[tuple[str, str, list[Shot]]]:
    """Draw the photos in which labelled people were found best and worst; each once."""
    likeness = done.joint_errors.likeness
    ranked = sorted(
        (pair for pair in looks.found if pair[0].image_id in likeness),
        key=lambda pair: (likeness[pair[0].image_id], pair[0].image_id),
    )
    worst, best = ranked[:SHOWN], ranked[SHOWN:][::-1][:SHOWN]
    hint = "By the mean OKS of the labelled people; whoever was not found has 0."
    sections = [
        (heading, hint, [shot for pair in pairs for shot in _show(pair, likeness, looks)])
        for heading, pairs in (("Worst photos", worst), ("Best photos", best))
    ]
    return [section for section in sections if section[2]]


def _show(pair: tuple[Photo, People], likeness: Mapping[int, float], looks: Looks) -> list[Shot]:
    """Draw a photo with the people found in it; nothing where it cannot be read any more."""
    photo, people = pair
    try:
        image = looks.read(photo)
    except UserError:
        return []
    scale = min(1.0, LONGEST / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    keypoints = people.keypoints.copy()
    keypoints[..., :2] = (keypoints[..., :2] + 0.5) * scale - 0.5
    drawn = draw_people(small, People(keypoints, people.scores), looks.skeleton)
    labelled = sum(person.labelled for person in photo.people)
    caption = f"{photo.file_name}: OKS {likeness[photo.image_id]:.2f}, {len(people)} found, {labelled} labelled"
    return [embed(caption, drawn)]
