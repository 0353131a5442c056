"""Dataset pictures: photos of a dataset with their labels drawn: people of interest, others, and what is masked."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.annotations.coco import CocoSet, Person, Photo
from bodyposenet.common.data.annotations.ignore_masks import ignore_mask
from bodyposenet.common.data.annotations.person_filter import PersonChoice
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.headers import read_header_size
from bodyposenet.common.imaging.orientation import Frame
from bodyposenet.common.imaging.photo import decode_annotated
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.pose.draw import EDGE, WHITE, Colour, draw_people
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import Skeleton

Image = npt.NDArray[np.uint8]

LONGEST = 640  # pixels of a picture's longer side
QUALITY = 82  # of its JPEG
MASKED: Colour = (226, 40, 132)
OTHER: Colour = (168, 176, 188)
STRIPE = 8  # pixels of a masked region's stripes
TRIES = 5  # photos of a kind that are tried until one can be read
ROWS = 3  # of pictures: from few people to many; in each, as many from small people to large


def sample_pictures(
    coco: CocoSet,
    choice: PersonChoice,
    read: Callable[[str], bytes],
    skeleton: Skeleton,
    *,
    unclear: Frame = "shown",
) -> list[tuple[str, bytes]]:
    """Draw nine photos of a set that differ in people and sizes: always the same nine.

    Args:
        coco: The set; its visibility flags are 0 not labelled, 1 hidden, 2 visible.
        choice: Who is of interest.
        read: Gives a photo's file by its name; one that it raises a UserError for gives way to another.
        skeleton: The set's joints, in its order, and limbs between them.
        unclear: See :func:`~bodyposenet.common.imaging.orientation.choose_turn`.

    Returns:
        Caption and JPEG of each; fewer where fewer photos have people or can be read.
    """
    mains = choice.mains
    pictures = []
    for numbers in diverse(coco):
        for number in numbers[:TRIES]:
            photo = coco.photos[number]
            own = np.flatnonzero(mains[coco.annotations.first[number] : coco.annotations.first[number + 1]])
            try:
                drawn = picture(read(photo.file_name), photo, own, skeleton, unclear=unclear)
                pictures.append((caption(photo, own.tolist()), drawn))
            except AwayError:  # nor would any other be read
                return pictures
            except UserError:
                continue
            break
    return pictures


def diverse(coco: CocoSet) -> list[list[int]]:
    """Pick photos with people, by kind: a third each with few, some and many; of each, thirds by size.

    Returns:
        For each kind the numbers of its photos, the most typical first; in every other kind those where something is
        masked are before the rest.
    """
    table, first = coco.annotations, coco.annotations.first
    photos = np.flatnonzero(np.diff(first))
    if not len(photos):
        return []
    people = np.bincount(table.photo_of[coco.labelled], minlength=len(coco.images.ids))[photos]
    heights = table.boxes[:, 3] / coco.images.heights[table.photo_of]
    annotations = np.diff(first)[photos]
    sizes = np.add.reduceat(heights, first[photos]) / annotations
    masked = people < annotations
    kinds: list[list[int]] = []
    for row in np.array_split(np.argsort(people, kind="stable"), ROWS):
        for kind in np.array_split(row[np.argsort(sizes[row], kind="stable")], ROWS):
            away = np.abs(np.arange(len(kind)) - len(kind) // 2)
            late = ~masked[kind] if len(kinds) % 2 else np.zeros(len(kind), bool)
            kinds.append(photos[kind[np.lexsort((away, late))]].tolist())
    return [kind for kind in kinds if kind]


def caption(photo: Photo, mains: Sequence[int]) -> str:
    """Write ``000000000086.jpg: 3 people, 2 of interest``."""
    people = sum(person.labelled for person in photo.people)
    return f"{photo.file_name}: {pluralize(people, 'person')}, {len(mains)} of interest"


def picture(
    data: bytes,
    photo: Photo,
    mains: Sequence[int] | npt.NDArray[np.int64],
    skeleton: Skeleton,
    *,
    unclear: Frame = "shown",
) -> bytes:
    """Draw a photo's labels.

    Args:
        data: The photo's file.
        photo: Its annotations; visibility flags are 0 not labelled, 1 hidden, 2 visible.
        mains: Which of its people are of interest.
        skeleton: The annotations' joints, in their order, and limbs between them.
        unclear: See :func:`~bodyposenet.common.imaging.orientation.choose_turn`.

    Returns:
        A JPEG, its longer side ``LONGEST`` pixels at most.

    Raises:
        UserError: The photo does not decode, or not to the size that the annotations say.
    """
    canvas, scale = _shrunk(decode_labelled(data, photo, unclear))
    mask = ignore_mask(photo, [])
    if mask is not None:
        canvas = _draw_stripes(canvas, mask)
    mine = {int(index) for index in mains}
    others = [person for index, person in enumerate(photo.people) if index not in mine and person.labelled]
    chosen = [photo.people[index] for index in sorted(mine)]
    canvas = draw_boxed(canvas, others, skeleton, scale, OTHER)
    canvas = draw_boxed(canvas, chosen, skeleton, scale, None)
    bgr = cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def decode_labelled(data: bytes, photo: Photo, unclear: Frame) -> Image:
    """Decode ``(H, W, 3)`` RGB as it was annotated.

    Raises:
        UserError: The photo does not decode, or not to the size that the annotations say.
    """
    told = photo.height, photo.width
    if read_header_size(data) not in (None, told, told[::-1]):
        raise UserError("no image of the size annotated", where=photo.file_name, fix="replace it, or annotate it anew")
    return decode_annotated(data, told, unclear=unclear, where=photo.file_name)[0].pixels


def _shrunk(image: Image) -> tuple[Image, float]:
    """Shrink the image to ``LONGEST`` at most, and tell by what it was scaled."""
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    if scale == 1.0:
        return image, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _draw_stripes(canvas: Image, mask: npt.NDArray[np.uint8]) -> Image:
    """Draw stripes of a colour where the mask is 0, in ``(H, W, 3)``, with a line around."""
    height, width = canvas.shape[:2]
    inside = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) == 0
    rows, columns = np.indices((height, width), sparse=True)
    weight = np.where((rows + columns) // STRIPE % 2, 0.7, 0.35)[..., None] * inside[..., None]
    mixed = (canvas * (1 - weight) + np.array(MASKED) * weight).astype(np.uint8)
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(cv2.drawContours(mixed, outlines, -1, MASKED, 1, cv2.LINE_AA))


def draw_boxed(
    canvas: Image, people: Sequence[Person], skeleton: Skeleton, scale: float, colour: Colour | None
) -> Image:
    """Draw the people with their boxes; those of interest, whose limbs have no one colour, in a firmer one."""
    if not people:
        return canvas
    for person in people:
        _frame(canvas, (person.box * scale).round(), colour)
    joints = np.stack([person.keypoints for person in people])
    placed = np.concatenate([(joints[..., :2] + 0.5) * scale - 0.5, joints[..., 2:] > 0], axis=-1)
    scores = np.linspace(1, 0.5, len(people), dtype=np.float32)
    everyone = People(placed.astype(np.float32), scores)
    return draw_people(canvas, everyone, skeleton, colour=colour, hidden=joints[..., 2] == 1)


def _frame(canvas: Image, box: npt.NDArray[np.float64], colour: Colour | None) -> None:
    """Draw a box: white with a dark edge, or thin in a colour."""
    x, y, width, height = np.clip(box, -32_000, 32_000).astype(int).tolist()
    lines: Iterator[tuple[Colour, int]] = iter([(colour, 1)] if colour else [(EDGE, 4), (WHITE, 2)])
    for shade, thickness in lines:
        cv2.rectangle(canvas, (x, y), (x + width, y + height), shade, thickness, cv2.LINE_AA)
