"""Scenes: pictures of several drawn people, with everything an annotator would note."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from bodyposenet.common.data.synthetic.figures import Figure, Shape, draw, random_figure

HEIGHTS = (0.17, 0.9)  # of a labelled person, as a fraction of the image's height: .15 to .9 once it is cut off
PEOPLE = (1, 2, 3, 4, 5)
PEOPLE_ODDS = (0.12, 0.26, 0.26, 0.22, 0.14)  # 3 on average
BESIDE = 0.13  # odds that a person is put right beside another
CROWD, STRANGER = 0.05, 0.08  # odds that a picture has a crowd region, an unlabelled person
COVERED = 0.6  # odds that something stands in front of a person
BACKGROUND, OBJECT = 0, 255  # label values that are no person


@dataclass(frozen=True)
class DrawnPerson:
    """One annotation.

    Attributes:
        keypoints: ``(17, 3)`` x, y in pixels and COCO's flag: 0 not labelled, 1 hidden, 2 visible.
        mask: ``(H, W)`` bool, the pixels where the person (or the crowd) shows.
        box: ``(2, 2)`` least and greatest x, y of the whole person inside the picture, hidden parts too.
        crowd: A region of people too many to label.
    """

    keypoints: np.ndarray
    mask: np.ndarray
    box: np.ndarray
    crowd: bool = False


@dataclass(frozen=True)
class Scene:
    """A picture, ``(H, W, 3)`` RGB uint8, and its people."""

    image: np.ndarray
    people: tuple[DrawnPerson, ...] = field(default_factory=tuple)


def random_scene(rng: np.random.Generator, size: tuple[int, int]) -> Scene:
    """Draw a picture of ``size`` (height, width) with people, crowds, strangers and things in front of them."""
    image = draw_background(rng, size)
    label = np.zeros(size, np.uint8)
    crowd = _crowd(rng, size) if rng.random() < CROWD else []
    people = _people(rng, size)
    stranger = len(people) - 1 if len(people) > 1 and rng.random() < STRANGER else None
    for figure in crowd:
        draw(figure.shapes, image, label, len(people) + 1)
    for number, figure in enumerate(people, 1):
        draw(figure.shapes, image, label, number)
        if rng.random() < COVERED:
            draw(tuple(_things(rng, figure)), image, label, OBJECT)
    drawn = [_annotate(figure, label, number, number - 1 == stranger) for number, figure in enumerate(people, 1)]
    if crowd:
        drawn.append(_annotate_crowd(label == len(people) + 1))
    return Scene(_photograph(rng, image), tuple(person for person in drawn if person.mask.any()))


def _people(rng: np.random.Generator, size: tuple[int, int]) -> list[Figure]:
    """Make figures in drawing order: the tall ones, who stand nearer, last."""
    heights = np.sort(rng.uniform(*HEIGHTS, size=rng.choice(PEOPLE, p=PEOPLE_ODDS))) * size[0]
    placed: list[Figure] = []
    for height in heights:
        placed.append(_place(rng, random_figure(rng, float(height)), placed, size))
    return placed


def _place(rng: np.random.Generator, figure: Figure, others: list[Figure], size: tuple[int, int]) -> Figure:
    """Put a figure beside another, or where it overlaps the others least of a few tries."""
    if others and rng.random() < BESIDE:
        low, high = others[int(rng.integers(len(others)))].extent
        centre = (low + high) / 2 + (high - low) * [rng.uniform(-0.6, 0.6), rng.uniform(-0.15, 0.15)]
        return figure.moved(1.0, _inside(figure, centre - figure.extent.mean(axis=0), size))
    shifts = [_anywhere(rng, figure, size) for _ in range(16)]
    boxes = [figure.extent + shift for shift in shifts]
    worst = [max((overlap(box, other.extent) for other in others), default=0.0) for box in boxes]
    return figure.moved(1.0, shifts[int(np.argmin(worst))])


def _anywhere(rng: np.random.Generator, figure: Figure, size: tuple[int, int]) -> np.ndarray:
    """Choose a shift that keeps the figure in the picture, or lets a little of it leave."""
    low, high = figure.extent
    slack = 0.08 * (high - low)
    most = np.maximum(np.array(size[::-1]) - high + slack, -low - slack + 1e-6)
    shift: np.ndarray = rng.uniform(-low - slack, most)
    return shift


def _inside(figure: Figure, shift: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    low, high = figure.extent
    slack = 0.08 * (high - low)
    most = np.maximum(np.array(size[::-1]) - high + slack, -low - slack)
    held: np.ndarray = np.clip(shift, -low - slack, most)
    return held


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Compute intersection over union of two boxes, each ``(2, 2)``: least and greatest x, y."""
    (left, top), (right, bottom) = a.tolist()
    (other_left, other_top), (other_right, other_bottom) = b.tolist()
    width = max(0.0, min(right, other_right) - max(left, other_left))
    height = max(0.0, min(bottom, other_bottom) - max(top, other_top))
    areas = (right - left) * (bottom - top) + (other_right - other_left) * (other_bottom - other_top)
    share: float = width * height / (areas - width * height)
    return share


def _crowd(rng: np.random.Generator, size: tuple[int, int]) -> list[Figure]:
    """Make a band of small people, side by side."""
    height = rng.uniform(0.12, 0.2) * size[0]
    start = np.array([rng.uniform(0, 0.5) * size[1], rng.uniform(0.05, 0.6) * size[0]])
    shifts = [(n * height * 0.35, rng.uniform(-0.1, 0.1) * height) for n in range(int(rng.integers(6, 11)))]
    return [random_figure(rng, height).moved(1.0, step) for step in start + np.array(shifts)]


def _things(rng: np.random.Generator, figure: Figure) -> list[Shape]:
    """Make what stands in front of a figure: discs and bars on a few joints, now and then a box over a part."""
    low, high = figure.extent
    height = high[1] - low[1]
    chosen = rng.choice(17, size=int(rng.integers(1, 6)), replace=False)
    things = [_patch(rng, figure.joints[joint], height) for joint in chosen]
    if rng.random() < 0.2:
        things.append(_box(rng, low, high))
    return things


def _patch(rng: np.random.Generator, centre: np.ndarray, height: float) -> Shape:
    colour = _any_colour(rng)
    middle = centre + rng.normal(0, 0.012, 2) * height
    if rng.random() < 0.5:
        return Shape(middle[None], float(rng.uniform(0.07, 0.13)) * height, colour)
    half = rng.normal(0, 1, 2)
    half *= rng.uniform(0.05, 0.2) * height / np.linalg.norm(half)
    return Shape(np.array([middle - half, middle + half]), float(rng.uniform(0.05, 0.1)) * height, colour)


def _box(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> Shape:
    """Make a box over the lower part of an extent, or over one side of it."""
    if rng.random() < 0.7:
        corner, end = np.array([low[0] - 4, high[1] - rng.uniform(0.12, 0.4) * (high - low)[1]]), high + 4
    else:
        corner, end = np.array([high[0] - rng.uniform(0.15, 0.35) * (high - low)[0], low[1] - 4]), high + 4
    points = np.array([corner, [end[0], corner[1]], end, [corner[0], end[1]]])
    return Shape(points + rng.normal(0, 2, (4, 2)), 0, _any_colour(rng))


def _any_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(30, 230, 3))
    return red, green, blue


def _annotate(figure: Figure, label: np.ndarray, number: int, stranger: bool) -> DrawnPerson:
    mask = label == number
    keypoints = np.zeros((17, 3))
    height, width = label.shape
    box = np.clip(figure.extent, 0, [width, height])
    if stranger:
        return DrawnPerson(keypoints, mask, box)
    column, row = np.round(figure.joints).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    shows = mask[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    keypoints[:, :2] = np.round(figure.joints, 2)
    keypoints[:, 2] = np.where(shows, 2, 1)
    keypoints[~(inside & figure.labelled)] = 0
    return DrawnPerson(keypoints, mask, box)


def _annotate_crowd(mask: np.ndarray) -> DrawnPerson:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    ends = [[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]] if len(rows) else [[0, 0], [0, 0]]
    return DrawnPerson(np.zeros((17, 3)), mask, np.array(ends, float), crowd=True)


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draw blurred colours with shapes on them: walls, furniture, light.

    Args:
        rng: Chooses.
        size: ``(height, width)`` in pixels.

    Returns:
        ``(height, width, 3)`` uint8 RGB.
    """
    coarse = rng.integers(20, 236, (int(rng.integers(2, 7)), int(rng.integers(2, 8)), 3)).astype(np.float32)
    grey = coarse.mean(axis=2, keepdims=True)
    coarse = np.clip(grey + (coarse - grey) * rng.uniform(0.1, 0.9), 0, 255).astype(np.uint8)
    image: np.ndarray = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(4, 14))):
        centre = rng.uniform(0, 1, 2) * size[::-1]
        points = centre + rng.normal(0, 0.12, (4, 2)) * size[1]
        hull = cv2.convexHull(points.astype(np.float32))[:, 0]
        shape = Shape(hull.astype(float), 0, _any_colour(rng))
        if rng.random() < 0.4:
            shape = Shape(points[:2], float(rng.uniform(2, 0.06 * size[0])), _any_colour(rng))
        draw((shape,), image, np.zeros((1, 1), np.uint8), 0)
    return image


def _photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Add grain, contrast and brightness of a camera."""
    height, width = image.shape[:2]
    strength = int(rng.integers(4, 28))
    coarse = rng.integers(0, strength, (height // 2 + 1, width // 2 + 1), np.uint8)
    grain = cv2.cvtColor(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), cv2.COLOR_GRAY2RGB)
    contrast, brightness = rng.uniform(0.8, 1.15), rng.uniform(-18, 18)
    return cv2.addWeighted(image, float(contrast), grain, 1.0, float(brightness) - strength / 2)
