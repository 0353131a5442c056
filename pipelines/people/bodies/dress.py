"""Dress: what a body wears: layers of faces of the mesh, a little off the skin, each with its paint."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bodyposenet.pipelines.people.bodies.files import Body, Floats, Ints
from bodyposenet.pipelines.people.bodies.paint import (
    HAIR,
    Paint,
    Picture,
    random_cloth,
    random_colour,
    random_eye,
    random_hair,
    random_skin,
)
from bodyposenet.pipelines.people.bodies.shape import Look

WAIST = 1.3  # how high on the body at rest
ANKLE, WRIST = 0.97, 0.95  # how far along the leg, the arm
TAIL = 0.6  # below it a shirt hangs as a skirt does
DARK = 0.5  # of skins
COVERED = 0.35  # how far from the edge of a garment the skin below it begins, decimetres


class Layer(NamedTuple):
    """A garment, hair, or the skin.

    Attributes:
        quads: ``(F, 4)`` vertices of the body.
        swell: ``(V,)`` how far off the mesh its vertices lie, decimetres.
        paint: Its colours.
        edge: ``(V,)`` below 0 where it has ended.
        gloss: How much of the light it mirrors.
    """

    quads: Ints
    swell: Floats
    paint: Paint
    edge: Floats
    gloss: float = 0.0


@dataclass(frozen=True)
class Map:
    """Where on the body its vertices are, at rest.

    Attributes:
        body: The body.
    """

    body: Body

    @cached_property
    def arm(self) -> Floats:
        """``(V,)`` how far along an arm: 0 the shoulder, half the elbow, 1 the wrist; -1 off the arms."""
        return self._along(("upperarm", "lowerarm", "hand"), ("index", "middle", "ring", "pinky", "thumb"))

    @cached_property
    def leg(self) -> Floats:
        """``(V,)`` how far along a leg: 0 the hip, half the knee, 1 the ankle; -1 off the legs."""
        return self._along(("thigh", "calf", "foot"), ("ball",))

    def _along(self, names: Sequence[str], tips: Sequence[str]) -> Floats:
        points, pull = self.body.points, self.body.pull
        heads = self.body.heads(points)
        found = np.full(len(points), -1.0)
        for side in "lr":
            first, middle, last = (heads[self.body.numbers[f"{name}_{side}"]] for name in names)
            own = [
                n
                for name, n in self.body.numbers.items()
                if name.endswith(f"_{side}") and name.startswith((*names, *tips))
            ]
            upper, lower = (
                ((points - a) @ (b - a)) / ((b - a) @ (b - a)) for a, b in ((first, middle), (middle, last))
            )
            where = np.where(lower > 0, 0.5 + 0.5 * np.maximum(lower, 0), 0.5 * np.clip(upper, 0, 1))
            on = pull[:, own].sum(axis=1) > 0.5
            found[on] = where[on]
        return found

    def share(self, *names: str) -> Floats:
        """``(V,)`` how much vertices follow bones whose names begin so."""
        own = [number for name, number in self.body.numbers.items() if name.startswith(names)]
        together: Floats = self.body.pull[:, own].sum(axis=1)
        return together

    def cut(self, group: str, edge: Floats, swell: Floats | float, paint: Paint, gloss: float = 0.0) -> Layer:
        """Cut a layer out of a group of faces: where ``edge``, ``(V,)``, is not below 0."""
        quads = self.body.quads[group]
        picked = quads[(edge[quads] >= 0).any(axis=1)]
        return Layer(picked, np.broadcast_to(swell, edge.shape), paint, edge, gloss)


def random_outfit(rng: np.random.Generator, where: Map, look: Look, prints: Sequence[Picture]) -> list[Layer]:
    """Choose what a body wears."""
    colour = random_hair_colour(rng, look)
    bearded = not look.female and look.age > 0.45 and rng.random() < 0.35
    skin = random_skin(rng, look.tone, beard=colour if bearded else None, painted=look.female and rng.random() < 0.4)
    clothes, bare = random_clothes(rng, where, look, prints)
    eyes, everywhere = random_eye(rng), np.ones(len(bare))
    layers = [where.cut("body", bare, 0.0, skin, 0.12)]
    layers += [where.cut(f"helper-{side}-eye", everywhere, 0.0, eyes, 0.4) for side in "lr"]
    return layers + clothes + random_head(rng, where, look, colour, prints)


def random_hair_colour(rng: np.random.Generator, look: Look) -> Floats:
    """Choose hair, dark with dark skin, grey with age, now and then of any colour."""
    if look.age > 0.75 and rng.random() < 0.8:
        grey: Floats = HAIR[4] * rng.uniform(0.8, 1.5)
        return grey
    if rng.random() < 0.04:
        return random_colour(rng)
    lightest = 2 if look.tone > DARK else 4
    colour: Floats = np.clip(HAIR[rng.integers(lightest)] * rng.uniform(0.7, 1.4), 0, 1)
    return colour


def random_clothes(
    rng: np.random.Generator, where: Map, look: Look, prints: Sequence[Picture]
) -> tuple[list[Layer], Floats]:
    """Choose clothes; and the skin's edge ``(V,)``, which is below 0 under them."""
    side, high, front = where.body.points.T
    arm, leg = where.arm, where.leg
    sleeve = rng.choice([-0.5, rng.uniform(0.15, 0.45), rng.uniform(0.5, 0.9), WRIST], p=(0.14, 0.36, 0.06, 0.44))
    hose = rng.choice(
        [rng.uniform(0.12, 0.3), rng.uniform(0.3, 0.55), rng.uniform(0.6, 0.9), ANKLE], p=(0.14, 0.22, 0.06, 0.58)
    )
    nude = rng.random() < (0.02 if look.female else 0.07)  # above the waist
    hem, collar = rng.uniform(-1.6, 1.1), rng.uniform(5.2, 6.1)
    deep = rng.uniform(0, 1.2) if rng.random() < 0.5 else 0.0  # a neckline
    neck = collar - deep * np.clip(front - 0.2, 0, 1) * np.clip(1 - np.abs(side) / 0.7, 0, 1)
    loose = np.abs(rng.normal(0.06, 0.1, 2))
    top = np.minimum.reduce([neck - high, 6 * (sleeve - arm), high - max(hem, TAIL) + 99 * (arm >= 0)])
    bottom = np.minimum.reduce([6 * (hose - leg), np.where(leg >= 0, 1.0, WAIST - high), 0.5 - arm - 1])
    shod = 8 * (leg - rng.uniform(0.9, 1.0)) if rng.random() < 0.9 else np.full(len(leg), -1.0)
    cloth, lower = random_cloth(rng, prints), random_cloth(rng, prints)
    if rng.random() < 0.12:
        lower = cloth
    layers = []
    if look.female and rng.random() < 0.28:
        layers.append(where.cut("helper-skirt", high - rng.uniform(-6.5, -1.8), 0.03, lower))
        bottom = np.minimum(bottom, 0.6 - 6 * leg)
    layers.append(where.cut("helper-tights", bottom, loose[0] * np.clip(0.4 + leg, 0.2, 1.2), lower))
    if nude:
        top = np.full(len(high), -1.0)
    else:
        wide = 0.05 + loose[1] * np.clip(1.1 - 0.2 * high, 0.4, 1.3)
        layers.append(where.cut("helper-tights", top, wide, cloth))
        layers.append(where.cut("helper-skirt", high - hem, wide, cloth))
    layers.append(where.cut("helper-tights", shod, np.where(high < -8.05, 0.12, 0.08), random_cloth(rng, prints), 0.15))
    return layers, COVERED - np.maximum.reduce([top, bottom, shod])


def random_head(
    rng: np.random.Generator, where: Map, look: Look, colour: Floats, prints: Sequence[Picture]
) -> list[Layer]:
    """Choose hair, a hat or a helmet."""
    points = where.body.points
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    line = rng.uniform(6.5, 6.85)
    above = y - line - 0.98 * z
    ears = np.where((x > 0.7) & (z > -0.1) & (y < 7.6), -1.0, 9.0)
    skull = np.where(where.share("head") > 0.5, 9.0, -1.0)
    paint = random_hair(rng, colour)
    layers = []
    if look.female or look.age < 0.45 or rng.random() < 0.85:
        thick = rng.uniform(0.06, 0.3) if look.female else rng.uniform(0.03, 0.22)
        swell = thick * np.clip((above + 0.6) / 0.8, 0.25, 1)
        layers.append(where.cut("body", np.minimum.reduce([above, ears, skull]), swell, paint, 0.1))
    if look.female and rng.random() < 0.6:
        face = np.maximum.reduce([x - rng.uniform(0.5, 0.75), 0.7 - z, y - 7.9])
        long = np.minimum(y - rng.uniform(3.0, 6.5), face)
        layers.append(where.cut("helper-hair", long, rng.uniform(-0.05, 0.1), paint, 0.1))
    if rng.random() < 0.25:
        brim = y - rng.uniform(7.3, 8.0) - 0.25 * np.clip(z, 0, 2)
        thick = rng.choice([0.18, 0.3, 0.45])
        layers.append(where.cut("body", np.minimum.reduce([brim, ears, skull]), thick, random_cloth(rng, prints), 0.2))
    return layers
