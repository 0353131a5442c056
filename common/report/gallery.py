"""Gallery: one page with the photos of a batch that are worth a look, people drawn on them."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bodyposenet.common.pages.page import render
from bodyposenet.common.pose.draw import draw_people
from bodyposenet.common.pose.people import People
from bodyposenet.common.report.run_report import Picture, fact_text
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.storage.files import write_text

LARGEST_PAGE = 2_000_000  # bytes; what Kubeflow's page shows without a delay
REST = 150_000  # bytes of a page that are no pictures, at most
LONGEST = 640  # pixels of a picture's longer side
STEPS = ((640, 82), (640, 65), (480, 70), (360, 65), (240, 60), (160, 50), (96, 40))  # longer side and JPEG quality
LONGEST_PROBLEM = 400  # characters


@dataclass(frozen=True)
class Section:
    """Photos of one kind.

    Attributes:
        heading: What they are.
        hint: Why they are shown.
        pictures: Caption and RGB uint8 ``(H, W, 3)`` of each.
    """

    heading: str
    hint: str
    pictures: Sequence[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Gallery:
    """What a page shows.

    Attributes:
        title: Its heading.
        verdict: The outcome in a sentence or two.
        tiles: Figure, name and explanation of what the page opens with.
        sections: The photos.
        problems: What is wrong with the first photos that could not be used.
        unreadable: How many could not be used.
        facts: What else to know.
    """

    title: str
    verdict: str
    tiles: Sequence[tuple[str, str, str]] = ()
    sections: Sequence[Section] = ()
    problems: Sequence[str] = ()
    unreadable: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


def draw(image: np.ndarray, people: People, skeleton: Skeleton) -> np.ndarray:
    """Draw people on a photo made as small as the page has room for; ``(H, W, 3)`` RGB uint8."""
    small, scale = _fit(image, LONGEST), min(1.0, LONGEST / max(image.shape[:2]))
    keypoints = people.keypoints.copy()
    keypoints[..., :2] = (keypoints[..., :2] + 0.5) * scale - 0.5
    return draw_people(small, People(keypoints, people.scores), skeleton)


def write_gallery(path: Path, shown: Gallery) -> Path:
    """Write the page: one file that a browser shows anywhere, of 2 MB at most: the more pictures, the smaller they are.

    Args:
        path: The page to write.
        shown: What it shows.

    Returns:
        The path.
    """
    left = sum(len(section.pictures) for section in shown.sections)
    room = LARGEST_PAGE - REST
    sections = []
    for section in shown.sections:
        pictures = []
        for caption, image in section.pictures:
            found = _embed(caption, image, room // left)
            left -= 1
            if found:
                pictures.append(found)
                room -= len(found.jpeg)
        if pictures:
            sections.append((section.heading, section.hint, pictures))
    problems = [_clean(problem)[:LONGEST_PROBLEM] for problem in shown.problems]
    page = render(
        "bodyposenet.common.report",
        "gallery.html",
        title=shown.title,
        verdict=_clean(shown.verdict),
        tiles=shown.tiles,
        sections=sections,
        problems=problems,
        more=_more(len(problems), shown.unreadable),
        facts=[(name, _clean(fact_text(value))) for name, value in shown.facts.items()],
    )
    write_text(path, page)
    return path


def _more(told: int, of: int) -> str:
    if told == of:
        return "All are in detections.json, too."
    return f"The first {told} of {of:,}; all are in detections.json."


def _embed(caption: str, image: np.ndarray, most: int) -> Picture | None:
    """Embed the picture in so many bytes at most; None where even the smallest takes more."""
    for longest, quality in STEPS:
        small = _fit(image, longest)
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        text = base64.b64encode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()).decode()
        if len(text) <= most:
            return Picture(_clean(caption), text, *small.shape[:2])
    return None


def _fit(image: np.ndarray, longest: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _clean(text: str) -> str:
    """Return text that can be written down, whatever a file is called."""
    return text.encode("utf-8", "replace").decode()
