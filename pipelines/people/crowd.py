"""Crowd: people who were drawn in three dimensions, put into pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from bodyposenet.common.storage.files import whole_file
from bodyposenet.pipelines.people.bodies.dress import Map
from bodyposenet.pipelines.people.bodies.files import Body
from bodyposenet.pipelines.people.bodies.paint import Picture
from bodyposenet.pipelines.people.bodies.render import random_cutout

SEED = 7
STANDING = 260.0  # pixels that they are drawn high, if they stand upright
HEIGHTS = (65.0, 430.0)  # pixels that they become in a picture
ALIKE = 0.3  # spread of the logarithm of the heights of those in one picture
COUNTS = (0.2, 0.24, 0.24, 0.18, 0.14)  # how often there are 1, 2, ... people


class Placed(NamedTuple):
    """Where a person was put.

    Attributes:
        number: Whose cutout it is.
        matrix: ``(2, 3)`` from the cutout to the picture.
    """

    number: int
    matrix: np.ndarray


@dataclass(frozen=True)
class Cutouts:
    """People to put into pictures.

    Attributes:
        files: A PNG each, with an alpha channel.
    """

    files: Sequence[bytes]

    def read(self, number: int) -> Picture:
        """Read a person, ``(H, W, 4)`` uint8, red first."""
        found = cv2.imdecode(np.frombuffer(self.files[number], np.uint8), cv2.IMREAD_UNCHANGED)
        return cv2.cvtColor(np.asarray(found), cv2.COLOR_BGRA2RGBA)

    def join(self, rng: np.random.Generator, picture: Picture) -> tuple[Picture, list[Placed]]:
        """Put some people into a picture, the smaller ones, who are farther away, first; and tell where they are."""
        usual = np.exp(rng.uniform(*np.log(HEIGHTS)))
        heights = np.sort(usual * np.exp(rng.normal(0, ALIKE, 1 + rng.choice(len(COUNTS), p=COUNTS))))
        placed = []
        for height in heights:
            number = int(rng.integers(len(self.files)))
            person = self.read(number)
            matrix = place(rng, person.shape[:2], height / STANDING, picture.shape[:2])
            picture = paste(rng, picture, person, matrix)
            placed.append(Placed(number, matrix))
        return picture, placed


def draw_crowd(body: Body, prints: Sequence[Picture], folder: Path, count: int) -> Cutouts:
    """Draw so many people, a file each; those that are there already are not drawn again.

    Args:
        body: What they are made of.
        prints: Pictures that cloth may be printed with.
        folder: Gets the files, or has them.
        count: People; each is drawn of its number alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    where = Map(body)
    paths = [folder / f"{number:05}.png" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.is_file():
            image = random_cutout(np.random.default_rng([SEED, number]), where, STANDING, prints).image
            with whole_file(path) as file:
                file.write(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))[1].tobytes())
    return Cutouts([path.read_bytes() for path in paths])


def place(rng: np.random.Generator, own: tuple[int, int], scale: float, size: tuple[int, int]) -> np.ndarray:
    """Choose where a person goes: the matrix ``(2, 3)`` from their picture, ``own`` high and wide, to that of ``size``.

    Their heads are seen more often than their feet, if not both are.
    """
    high = scale * own[0]
    top = rng.uniform(-0.12 * high, max(0.35 * size[0], size[0] - 0.9 * high))
    middle = size[1] * rng.uniform(-0.02, 1.02)
    matrix = scale * np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0])
    shift = np.array([middle, top + high / 2]) - matrix @ [(own[1] - 1) / 2, (own[0] - 1) / 2]
    return np.concatenate([matrix, shift[:, None]], axis=1)


def paste(rng: np.random.Generator, picture: Picture, person: Picture, matrix: np.ndarray) -> Picture:
    """Lay a person over a picture, a little lighter or darker than they are, and as sharp as they are or less."""
    scale, light = abs(matrix[1, 1]), np.exp(rng.normal() * 0.2)
    soft = rng.uniform(0.3, 1.1) if rng.random() < 0.5 else 0.0
    if scale < 0.7:
        person = cv2.resize(person, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        matrix = np.c_[matrix[:, :2] / scale, matrix[:, 2] + matrix[:, :2] @ np.full(2, (1 / scale - 1) / 2)]
    left: Picture = person.astype(np.float32)
    left[..., :3] *= left[..., 3:] * (light / 255)
    if soft:
        left = np.asarray(cv2.GaussianBlur(left, (0, 0), soft))
    ends = matrix[:, :2] @ (np.array([[0, 1], [0, 1]]) * np.array(person.shape[1::-1])[:, None]) + matrix[:, 2:]
    low = np.floor(ends.min(axis=1)).astype(int).clip(0, picture.shape[1::-1])
    wide, high = np.ceil(ends.max(axis=1) + 1).astype(int).clip(0, picture.shape[1::-1]) - low
    mixed = picture.copy()
    if wide > 0 and high > 0:
        shift = np.c_[np.zeros((2, 2)), low]
        laid = cv2.warpAffine(left, matrix - shift, (int(wide), int(high)), flags=cv2.INTER_LINEAR)
        part = mixed[low[1] : low[1] + high, low[0] : low[0] + wide]
        part[:] = np.clip(part * (1 - laid[..., 3:] / 255) + laid[..., :3] + 0.5, 0, 255)
    return mixed


def random_backdrop(rng: np.random.Generator, picture: Picture) -> Picture:
    """Make of a picture one in which nobody is seen any more: blurred, or its colours in a slope."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(picture, (0, 0), rng.uniform(5, 25))
    corners = picture[rng.integers(picture.shape[0], size=4), rng.integers(picture.shape[1], size=4)]
    slope = cv2.resize(corners.reshape(2, 2, 3), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    grainy: Picture = np.clip(slope + rng.normal(0, rng.uniform(0, 12), slope.shape), 0, 255).astype(np.uint8)
    return grainy
