"""Suspect pictures: the part of a photo that a suspected label is in, as it is labelled and as it is proposed."""

import base64
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from bodyposenet.common.data.annotations.coco import Floats, Person
from bodyposenet.common.data.exporters.labels import enclose
from bodyposenet.common.data.report.dataset_pictures import (
    OTHER,
    Image,
    decode_labelled,
    draw_boxed,
)
from bodyposenet.common.data.suspects.suspect import BOX, DOUBLED, WORDS, Suspect
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.orientation import Frame
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.pose.draw import line_width
from bodyposenet.common.skeleton.skeleton import Skeleton

log = logging.getLogger(__name__)

LONGEST = 280  # pixels of a picture's longer side
QUALITY = 78  # of its JPEG
MARGIN = 0.2  # of the longer side of what is shown, around it
SMALLEST = 48  # pixels of a photo's part, at least
ENLARGED = 4.0  # times, at most
WRONG = (226, 40, 132)  # rings around joints that are wrong

AS_LABELLED, AS_PROPOSED = "as labelled", "as proposed"


class Shot(NamedTuple):
    """A picture in a page: what it shows, JPEG in base 64, height and width."""

    caption: str
    jpeg: str
    height: int
    width: int


def show_suspects(
    suspects: Sequence[Suspect],
    skeleton: Skeleton,
    read: Callable[[str], bytes],
    *,
    unclear: Frame = "shown",
) -> list[dict[str, Any]]:
    """Say of each suspect what the pages show: number, words, where it is, and pictures where the photo can be read.

    How many have none is told in a line, with the reason of the first.

    Args:
        suspects: The likeliest first.
        skeleton: The labels' joints, and limbs between them.
        read: Gives a photo's file by its name, or raises a UserError.
        unclear: See :func:`~bodyposenet.common.imaging.orientation.choose_turn`.
    """
    shown = []
    unread: UserError | None = None
    for number, suspect in enumerate(suspects, 1):
        shots: list[Shot] = []
        try:
            if not isinstance(unread, AwayError):  # then no other would be read, either
                shots = draw_suspect(read(suspect.photo.file_name), suspect, skeleton, unclear=unclear)
        except AwayError as error:
            unread = error
        except UserError as error:
            unread = unread or error
        shown.append({"number": number, "words": WORDS[suspect.kind], "shots": shots} | describe_suspect(suspect))
    if unread:
        bare = sum(not each["shots"] for each in shown)
        log.info("%s of %d shown without a picture: %s", pluralize(bare, "suspect"), len(shown), unread)
    return shown


def describe_suspect(suspect: Suspect) -> dict[str, Any]:
    """Describe a suspect as plain JSON data, as the list does."""
    return {
        "photo": suspect.photo.file_name,
        "image_id": suspect.photo.image_id,
        "annotation_id": suspect.annotation_id,
        "kind": suspect.kind,
        "score": round(suspect.score, 3),
        "reason": suspect.reason,
    }


def draw_suspect(data: bytes, suspect: Suspect, skeleton: Skeleton, *, unclear: Frame = "shown") -> list[Shot]:
    """Draw a suspected label, and what it should rather be if that is known; others in the photo are grey.

    Args:
        data: The photo's file.
        suspect: Whom to draw.
        skeleton: The labels' joints, and limbs between them.
        unclear: See :func:`~bodyposenet.common.imaging.orientation.choose_turn`.

    Raises:
        UserError: The photo does not decode, or not to the size that the annotations say.
    """
    image = decode_labelled(data, suspect.photo, unclear)
    left, top, right, bottom = _find_part(suspect, (image.shape[0], image.shape[1]))
    part = image[top:bottom, left:right]
    scale = min(ENLARGED, LONGEST / max(part.shape[:2]))
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = np.asarray(cv2.resize(part, size, interpolation=shrink), np.uint8)
    others = [one for one in suspect.photo.people if one.labelled and one is not suspect.person]
    corner = np.array([left, top], float)
    canvas = _draw(canvas, others, skeleton, scale, corner, grey=True)
    pictures = []
    if suspect.person is not None:
        drawn = _draw(canvas, [suspect.person], skeleton, scale, corner)
        pictures.append((AS_LABELLED, _ring(drawn, suspect, scale, corner)))
    proposed = _propose(suspect)
    if suspect.kind == DOUBLED:
        pictures.append((AS_PROPOSED, canvas))
    elif proposed is not None:
        pictures.append((AS_PROPOSED, _draw(canvas, [proposed], skeleton, scale, corner)))
    return [embed(caption, picture) for caption, picture in pictures]


def _propose(suspect: Suspect) -> Person | None:
    """Make a label of the proposal; its box is the label's, or that of the joints where the label's is wrong."""
    if suspect.proposal is None:
        return None
    box = np.array(enclose(suspect.proposal, (suspect.photo.height, suspect.photo.width)))
    if suspect.person is None:
        return Person(0, suspect.proposal, box, float(box[2] * box[3]), False, len(suspect.proposal), [])
    return replace(suspect.person, keypoints=suspect.proposal, box=box if suspect.kind == BOX else suspect.person.box)


def _find_part(suspect: Suspect, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Find the part of the photo to show: left, top, right and bottom; all joints and the box are in it."""
    places = [_list_corners(suspect.person)] if suspect.person is not None else []
    places += [] if suspect.proposal is None else [suspect.proposal[suspect.proposal[:, 2] > 0, :2]]
    corners = np.concatenate([np.zeros((0, 2)), *places])
    height, width = size
    corners = np.clip(corners, 0, (width - 1, height - 1)) if len(corners) else np.array([[0, 0], [width, height]])
    low, high = corners.min(axis=0), corners.max(axis=0) + 1
    border = np.maximum(MARGIN * (high - low).max(), (SMALLEST - (high - low)) / 2)
    left, top = np.maximum(low - border, 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(high + border), (width, height)).astype(int).tolist()
    return left, top, right, bottom


def _list_corners(person: Person) -> Floats:
    """List the joints and the box's corners."""
    box = person.box
    return np.concatenate([person.keypoints[person.keypoints[:, 2] > 0, :2], [box[:2], box[:2] + box[2:]]])


def _draw(
    canvas: Image, people: Sequence[Person], skeleton: Skeleton, scale: float, corner: Floats, *, grey: bool = False
) -> Image:
    moved = [replace(one, keypoints=one.keypoints - [*corner, 0], box=one.box - [*corner, 0, 0]) for one in people]
    return draw_boxed(canvas.copy(), moved, skeleton, scale, OTHER if grey else None)


def _ring(canvas: Image, suspect: Suspect, scale: float, corner: Floats) -> Image:
    """Draw rings around the joints that are wrong, where not all are."""
    shown = suspect.keypoints[suspect.keypoints[:, 2] > 0, :2] * scale
    radius = max(6, round(2.5 * line_width(shown)))
    for joint in suspect.joints:
        if suspect.keypoints[joint, 2] > 0:
            x, y = np.clip((suspect.keypoints[joint, :2] - corner + 0.5) * scale - 0.5, -9999, 9999).round().astype(int)
            cv2.circle(canvas, (int(x), int(y)), radius, WRONG, 2, cv2.LINE_AA)
    return canvas


def embed(caption: str, picture: Image) -> Shot:
    """Embed ``(H, W, 3)`` RGB uint8 in a page."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return Shot(caption, base64.b64encode(jpeg).decode(), picture.shape[0], picture.shape[1])
