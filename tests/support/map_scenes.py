"""Map scenes: maps of all kinds of pictures, for decoders of other languages to be held to ours."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bodyposenet.common.data.synthetic.figures import random_figure
from bodyposenet.common.deploy.export.serving_bundle import skeleton_sheet
from bodyposenet.common.pose import People, decode
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, make_skeleton

# A skeleton of one's own: no prior, a limb there and back, a joint without limbs, a name that is not ASCII
CUSTOM = make_skeleton(
    "custom", ("nose", "left_hip", "größe", "tail", "spot"), ((0, 1), (1, 2), (0, 2), (2, 3), (3, 2))
)
CARDS = (
    Card(BODYPOSENET_18),
    Card(COCO_17, stride=4, sigma=3.5),
    Card(CUSTOM),
    Card(BODYPOSENET_18, paf_shift=3.5, decoding={"heatmap_threshold": 0.25, "min_parts": 4, "min_score": 0.8}),
    Card(replace(BODYPOSENET_18, prior=None), sigma=9.0, decoding={"min_parts": 1, "paf_threshold": 0.2}),
)


@dataclass(frozen=True)
class MapScene:
    """One picture's maps, ``(H, W, C)`` float32, and the network that they are of."""

    card: Card
    heatmaps: np.ndarray
    pafs: np.ndarray
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def sheet(self) -> dict[str, Any]:
        """What skeleton.json says of the network."""
        sheet = skeleton_sheet(self.card)
        return sheet | {"decoding": sheet["decoding"] | self.changes}

    def decode(self) -> People:
        """Find the people, in Python."""
        told = self.sheet["decoding"]
        least = told.pop("min_score")
        shift = (self.card.paf_shift, self.card.paf_shift)
        grid = {"stride": self.card.stride, "sigma": self.card.sigma, "paf_shift": shift}
        people = decode(self.heatmaps, self.pafs, self.card.skeleton, **grid, **told)
        return people.keep(people.scores >= least)


def read_scenes(folder, chosen="*"):
    """Read the scenes of the test data, or those whose names match a pattern."""
    for path in sorted((folder / "maps").glob(f"scene_{chosen}.npz")):
        with np.load(path) as scene:
            maps = [np.ascontiguousarray(scene[name].transpose(1, 2, 0)) for name in ("heat", "paf")]
        yield MapScene(CARDS[0], *maps)


def draw_scenes(count):
    """Draw scenes of all cards and kinds in turn."""
    kinds = len(CARDS)
    return [draw_scene(np.random.default_rng(seed), CARDS[seed % kinds], seed // kinds) for seed in range(count)]


def draw_scene(rng, card, number):
    """Draw people and what happens to maps: noise, few levels as of 8 bits, values that are none, noise alone."""
    rows, columns = (int(side) for side in rng.integers(1 if number % 9 == 8 else 14, 48, 2))
    people = int(rng.choice([0, 1, 3, 8, 20], p=[0.05, 0.2, 0.35, 0.3, 0.1]))
    points, seen = draw_people(rng, card, (rows * card.stride, columns * card.stride), people)
    maps = list(encode(points, seen, card.skeleton, size=(rows, columns), stride=card.stride, sigma=card.sigma))
    kind = ("clean", "noisy", "levels", "nonsense", "noise", "noisy")[number % 6]
    maps = [DISTURBERS[kind](rng, each.astype(np.float32)) for each in maps]
    if number % 4 == 3:
        maps[0] = np.ascontiguousarray(maps[0][..., :-1])  # without the background
    return MapScene(card, *maps, {"max_people": 2} if number % 5 == 4 else {})


def draw_people(rng, card, size, count):
    """Draw joints ``(N, K, 2)`` anywhere in a picture and beyond, and which of them are there."""
    names = COCO_17.joints if card.skeleton.name != "custom" else card.skeleton.joints
    keypoints = np.full((count, len(names), 3), 2.0)
    for person in keypoints:
        joints = random_figure(rng, size[0] * rng.uniform(0.2, 1.1)).joints[: len(names)]
        person[:, :2] = joints + rng.uniform([-0.2 * size[1], -0.2 * size[0]], [0.9 * size[1], 0.5 * size[0]])
        person[:, 2] *= rng.random(len(names)) < 0.9
    taken = card.skeleton.take(names, keypoints)
    return taken[..., :2], taken[..., 2] > 0


def disturb(rng, maps):
    """Damp maps and add noise."""
    return (0.85 * maps + rng.normal(0, 0.05, maps.shape)).astype(np.float32)


def level(rng, maps):
    """Round maps to few levels, so that many values are equal."""
    return (np.round(disturb(rng, maps) * 40) / np.float32(40)).astype(np.float32)


def spoil(rng, maps):
    """Put values into maps that are no numbers."""
    maps = disturb(rng, maps)
    maps[rng.random(maps.shape) < 0.01] = rng.choice(np.array([np.nan, np.inf, -np.inf, 3.0], np.float32))
    return maps


DISTURBERS = {
    "clean": lambda rng, maps: maps,
    "noisy": disturb,
    "levels": level,
    "nonsense": spoil,
    "noise": lambda rng, maps: rng.random(maps.shape, np.float32),
}
