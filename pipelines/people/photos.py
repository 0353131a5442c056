"""People photos: endless pictures for a network that a teacher shows what is in them, made of few photos.

That a handful of pictures, cut, turned and mixed without end, is enough to copy what a network computes is after Asano
and Saeed, "The Augmented Image Prior: Distilling 1000 Classes by Extrapolating from a Single Image" (ICLR 2023).
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.loading.batches import STRIDE, Sample
from bodyposenet.common.data.loading.colour import tint
from bodyposenet.common.data.synthetic.scenes import random_scene
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.pipelines.people.crowd import Cutouts, random_backdrop

Picture = npt.NDArray[Any]  # (H, W, 3) uint8, RGB

DRAWN = (360, 480)  # height, width of a drawn picture
SHORTER = (150.0, 620.0)  # pixels that a photo's shorter side becomes
TURNED = 35.0  # degrees
STRETCHED = 1.3  # of one side over the other
GREYS, NOISY, BLURRED, PATCHED, BESIDE = 0.08, 0.3, 0.2, 0.4, 0.5  # how often
AMONG, BACKDROP = 0.5, 0.3  # how often those who are put in stand among people of a photo, before a backdrop


@dataclass(frozen=True)
class PhotoMix:
    """A source of pictures without labels, each another one.

    Attributes:
        people: Photos of people, RGB.
        others: Photos of other things.
        skeleton: Whose joints the network draws.
        size: ``(height, width)`` of the input.
        samples: In an epoch.
        seed: Of the stream.
        drawn: Share of drawn people.
        crowd: People to put in.
        joined: Share of the pictures of people that get some.
    """

    people: tuple[Picture, ...]
    others: tuple[Picture, ...]
    skeleton: Skeleton
    size: tuple[int, int]
    samples: int
    seed: int
    drawn: float = 0.1
    crowd: Cutouts | None = None
    joined: float = 0.6

    def __len__(self) -> int:
        return self.samples

    def sample(self, index: int, epoch: int) -> Sample:
        """Mix picture ``index`` of epoch ``epoch``."""
        rng = np.random.default_rng([self.seed, 3, epoch, index])
        picture = self._take(rng, rng.random() < 0.85)
        if rng.random() < BESIDE:
            picture = _beside(rng, picture, self._take(rng, rng.random() < 0.8))
        if rng.random() < PATCHED:
            picture = _patch(rng, picture, self._take(rng, rng.random() < 0.5))
        nobody = np.zeros((0, self.skeleton.num_joints, 2))
        return Sample(
            image=_expose(rng, picture),
            mask=np.ones((self.size[0] // STRIDE, self.size[1] // STRIDE), np.float32),
            joints=nobody,
            visible=nobody[..., 0] > 0,
            image_id=index,
        )

    def _take(self, rng: np.random.Generator, peopled: bool) -> Picture:
        """A photo, seen somehow."""
        if peopled and self.crowd and rng.random() < self.joined:
            picture = self._look_at(rng, self.people if rng.random() < AMONG else self.others)
            backed = random_backdrop(rng, picture) if rng.random() < BACKDROP else picture
            return self.crowd.join(rng, backed)[0]
        if peopled and rng.random() < self.drawn:
            return _look(rng, random_scene(rng, DRAWN).image, self.size)
        return self._look_at(rng, self.people if peopled or not self.others else self.others)

    def _look_at(self, rng: np.random.Generator, photos: tuple[Picture, ...]) -> Picture:
        """Choose one of the photos, and how it is seen."""
        return _look(rng, photos[rng.integers(len(photos))], self.size)


def _look(rng: np.random.Generator, photo: Picture, size: tuple[int, int]) -> Picture:
    """A part of a photo, scaled, turned, stretched and mirrored; beyond its border grey or the photo mirrored."""
    height, width = photo.shape[:2]
    scale = np.exp(rng.uniform(*np.log(SHORTER))) / min(height, width)
    aspect = np.exp(rng.uniform(-1, 1) * np.log(STRETCHED) / 2)
    angle = np.deg2rad(rng.normal() * TURNED / 2.5)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.diag([aspect * (-1.0 if rng.random() < 0.5 else 1.0), 1 / aspect])
    seen = np.array(size[::-1]) / scale / 2
    room = np.maximum(np.array([width, height]) / 2 - 0.6 * seen, 0.15 * np.array([width, height]))
    centre = np.array([width - 1, height - 1]) / 2 + rng.uniform(-1, 1, 2) * room
    shift = (np.array(size[::-1]) - 1) / 2 - matrix @ centre
    border = cv2.BORDER_REFLECT_101 if rng.random() < 0.5 else cv2.BORDER_CONSTANT
    grey = [float(rng.integers(256))] * 3
    if scale < 0.7:
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        matrix = matrix / scale
        shift = shift + matrix @ np.full(2, (1 - scale) / 2)
    return cv2.warpAffine(
        photo, np.c_[matrix, shift], size[::-1], flags=cv2.INTER_LINEAR, borderMode=border, borderValue=grey
    )


def _beside(rng: np.random.Generator, picture: Picture, other: Picture) -> Picture:
    """Two pictures side by side, or one above the other, or a blend."""
    side = int(rng.integers(3))
    if side == 2:
        return cv2.addWeighted(picture, 0.75, other, 0.25, 0)
    cut = int(picture.shape[1 - side] * rng.uniform(0.25, 0.75))
    mixed = picture.copy()
    if side:
        mixed[cut:] = other[cut:]
    else:
        mixed[:, cut:] = other[:, cut:]
    return mixed


def _patch(rng: np.random.Generator, picture: Picture, other: Picture) -> Picture:
    """Cover a few places with parts of another picture."""
    mixed = picture.copy()
    for _ in range(rng.integers(1, 4)):
        extent = (np.array(picture.shape[:2]) * rng.uniform(0.08, 0.35, 2)).astype(int)
        row, column = rng.integers(0, np.array(picture.shape[:2]) - extent)
        mixed[row : row + extent[0], column : column + extent[1]] = other[
            row : row + extent[0], column : column + extent[1]
        ]
    return mixed


def _expose(rng: np.random.Generator, picture: Picture) -> Picture:
    """Vary light and colours, blur, add noise."""
    grey = rng.random() < GREYS
    change = tint(
        rng.normal() * 0.08, np.exp(rng.normal() * 0.2), 0.0 if grey else np.exp(rng.normal() * 0.3), rng.normal() * 12
    ).matrix
    if rng.random() < BLURRED:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.8))
    values = picture.astype(np.float32) @ change[:, :3].T + change[:, 3]
    values = 255 * (np.clip(values, 0, 255) / 255) ** np.exp(rng.normal() * 0.2).astype(np.float32)
    if rng.random() < NOISY:
        values += rng.normal(0, rng.uniform(1, 12), values.shape).astype(np.float32)
    exposed: Picture = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    return exposed
