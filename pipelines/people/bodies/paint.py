"""Paint: the colours of skin, faces, hair and cloth, as functions of the place on the body at rest.

Every paint takes ``(P, 3)`` places in decimetres, on the body before it takes a shape, and gives ``(P, 3)`` red, green
and blue from 0 to 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bodyposenet.pipelines.people.bodies.files import Floats

Paint = Callable[[Floats], Floats]
Picture = npt.NDArray[Any]

SKIN = np.array([[0.97, 0.82, 0.72], [0.93, 0.74, 0.60], [0.82, 0.60, 0.45], [0.60, 0.40, 0.28], [0.36, 0.23, 0.16]])
HAIR = np.array([[0.06, 0.05, 0.05], [0.16, 0.10, 0.07], [0.33, 0.21, 0.12], [0.62, 0.48, 0.28], [0.55, 0.53, 0.51]])
IRIS = np.array([[0.20, 0.12, 0.06], [0.30, 0.20, 0.10], [0.35, 0.42, 0.48], [0.32, 0.38, 0.25]])
USUAL = np.array(
    [[0.07, 0.07, 0.08], [0.12, 0.14, 0.22], [0.25, 0.32, 0.44], [0.42, 0.50, 0.62], [0.35, 0.35, 0.36],
     [0.62, 0.62, 0.61], [0.92, 0.91, 0.89], [0.62, 0.54, 0.42], [0.30, 0.31, 0.22], [0.34, 0.22, 0.16],
     [0.60, 0.10, 0.12]]
)  # fmt: skip
EYE = (0.31, 7.285, 1.2)  # of the left one's middle
BLUSHES = ((0.4, 6.95, 0.25), (0.0, 7.0, 0.15))  # of the cheeks and the nose: where, and how wide
MOUTH = (6.62, 0.27)  # how high, and half its width


def make_noise(rng: np.random.Generator, size: float, waves: int = 7) -> Callable[[Floats], Floats]:
    """Make a smooth function of places, ``(P, 3)`` to ``(P,)``, about -1 to 1, that varies over ``size`` decimetres."""
    ways = rng.normal(size=(waves, 3)) * 2.2 / size
    phases = rng.uniform(0, 2 * np.pi, waves)

    def noise(places: Floats) -> Floats:
        waved: Floats = np.sin(places @ ways.T + phases).sum(axis=1) / np.sqrt(waves)
        return waved

    return noise


def random_colour(rng: np.random.Generator) -> Floats:
    """Choose a colour of cloth: one of the usual ones, or any."""
    if rng.random() < 0.6:
        usual: Floats = np.clip(USUAL[rng.integers(len(USUAL))] + rng.normal(0, 0.04, 3), 0.02, 1)
        return usual
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(0.2, 0.95), rng.uniform(0.2, 0.95)]]], np.float32)
    colour: Floats = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(float)
    return colour


def random_cloth(rng: np.random.Generator, prints: Sequence[Picture]) -> Paint:
    """Choose a cloth: plain, striped, checked, blotched, with a badge, or printed with part of a picture."""
    kinds = (_plain, _striped, _checked, _blotched, _badged)
    number = rng.choice(6, p=(0.42, 0.14, 0.1, 0.08, 0.12, 0.14))
    cloth = kinds[number](rng) if number < 5 else _printed(rng, prints[int(rng.integers(len(prints)))])
    folds, grain = make_noise(rng, rng.uniform(0.4, 1.2)), rng.uniform(0.02, 0.1)
    return lambda places: cloth(places) * (1 + grain * folds(places * [1.0, 0.6, 1.0]))[:, None]


def _plain(rng: np.random.Generator) -> Paint:
    colour = random_colour(rng)
    return lambda places: np.broadcast_to(colour, places.shape)


def _striped(rng: np.random.Generator) -> Paint:
    colours, width, across = (random_colour(rng), random_colour(rng)), rng.uniform(0.15, 1.6), rng.random() < 0.75
    share = rng.uniform(0.2, 0.8)

    def paint(places: Floats) -> Floats:
        along = places[:, 1] if across else places[:, 0] + 0.5 * places[:, 2]
        return np.where(((along / width) % 1 < share)[:, None], *colours)

    return paint


def _checked(rng: np.random.Generator) -> Paint:
    ground, line, width = random_colour(rng), random_colour(rng), rng.uniform(0.3, 1.2)

    def paint(places: Floats) -> Floats:
        lines = (places[:, 1] / width % 1 < 0.4) * 0.5 + ((places[:, 0] + places[:, 2]) / width % 1 < 0.4) * 0.5
        return ground + lines[:, None] * (line - ground)

    return paint


def _blotched(rng: np.random.Generator) -> Paint:
    noise, colours = make_noise(rng, rng.uniform(0.3, 1.5)), np.stack([random_colour(rng) for _ in range(3)])
    return lambda places: colours[np.digitize(noise(places), (-0.3, 0.5))]


def _badged(rng: np.random.Generator) -> Paint:
    ground, badge = random_colour(rng), random_colour(rng)
    centre, half = np.array([rng.uniform(-0.6, 0.6), rng.uniform(2.8, 4.3)]), rng.uniform(0.2, 0.9, 2)
    noise, back = make_noise(rng, 0.3), rng.random() < 0.3

    def paint(places: Floats) -> Floats:
        inside = (np.abs(places[:, :2] - centre) < half).all(axis=1) & ((places[:, 2] < 0) == back)
        return np.where((inside & (noise(places) > -0.4))[:, None], badge, ground)

    return paint


def _printed(rng: np.random.Generator, picture: Picture) -> Paint:
    height, width = picture.shape[:2]
    scale = rng.uniform(8, 60)  # pixels a decimetre
    start = rng.uniform(0, 1, 2) * (width, height)

    def paint(places: Floats) -> Floats:
        x = start[0] + scale * (places[:, 0] + 0.7 * places[:, 2])
        y = start[1] - scale * places[:, 1]
        columns, rows = (
            np.abs(at.astype(int) % (2 * size) - size + 0.5).astype(int) for at, size in ((x, width), (y, height))
        )
        colours: Floats = picture[rows, columns] / 255.0
        return colours

    return paint


def random_skin(rng: np.random.Generator, tone: float, *, beard: Floats | None, painted: bool) -> Paint:
    """Choose a skin with a face.

    Args:
        rng: Chance.
        tone: From 0, the lightest, to 1.
        beard: Its colour, ``None`` without one.
        painted: The lips.
    """
    base = np.array([np.interp(tone * 4, range(5), SKIN[:, channel]) for channel in range(3)])
    base = np.clip(base * (1 + rng.normal(0, 0.05, 3)), 0, 1)
    brow = HAIR[rng.integers(3)] * rng.uniform(0.7, 1.2)
    lips = base * ([0.8, 0.45, 0.45] if painted else [0.88, 0.66, 0.66])
    blush, fine = make_noise(rng, 1.2), make_noise(rng, 0.15)
    thick, high = rng.uniform(0.025, 0.055), rng.uniform(0.15, 0.24)

    def paint(places: Floats) -> Floats:
        x, y, z = np.abs(places[:, 0]), places[:, 1], places[:, 2]
        colours = base * (1 + 0.05 * blush(places) + 0.03 * fine(places))[:, None]
        front = z > 0.9
        cheeks, nose = (((x - at) / wide) ** 2 + ((y - high) / wide) ** 2 for at, high, wide in BLUSHES)
        colours = colours * (1 - (0.12 * front * (np.exp(-cheeks) + np.exp(-nose)))[:, None] * [0.2, 1, 1])
        if beard is not None:
            jaw = (y > 5.95) & (z > 0.35) & (y < 6.55 + 0.5 * np.minimum(x / 0.6, 1))
            lip = front & (x < 0.3) & (np.abs(y - 6.76) < 0.07)
            colours = np.where((jaw | lip)[:, None], 0.3 * colours + 0.7 * beard, colours)
        mouth = front & (np.abs(y - MOUTH[0]) < 0.11 * (1 - (x / MOUTH[1]) ** 2))
        colours = np.where(mouth[:, None], lips, colours)
        between = front & (np.abs(y - MOUTH[0]) < 0.018) & (x < MOUTH[1])
        arc = EYE[1] + high - 1.2 * (x - 0.33) ** 2
        brows = front & (np.abs(y - arc) < thick * (1.2 - x)) & (x > 0.12) & (x < 0.55)
        lids = front & ((((x - EYE[0]) / 0.21) ** 2 + ((y - EYE[1]) / 0.1) ** 2) < 1)
        colours = np.where(brows[:, None], 0.25 * colours + 0.75 * brow, colours)
        dark: Floats = colours * (1 - 0.45 * lids[:, None]) * (1 - 0.55 * between[:, None])
        return dark

    return paint


def random_eye(rng: np.random.Generator) -> Paint:
    """Choose the colour of eyes."""
    iris = IRIS[rng.integers(len(IRIS))]

    def paint(places: Floats) -> Floats:
        off = np.hypot(np.abs(places[:, 0]) - EYE[0], places[:, 1] - EYE[1])
        white = np.broadcast_to([0.9, 0.88, 0.86], places.shape)
        return np.where((off < 0.035)[:, None], 0.03, np.where((off < 0.085)[:, None], iris, white))

    return paint


def random_hair(rng: np.random.Generator, colour: Floats) -> Paint:
    """Choose hair of a colour, in strands."""
    strands, waves = make_noise(rng, 0.12, 9), make_noise(rng, 0.8)

    def paint(places: Floats) -> Floats:
        shine = 1 + 0.3 * strands(places * [1, 0.25, 1]) + 0.15 * waves(places)
        return np.clip(colour * shine[:, None], 0, 1)

    return paint
