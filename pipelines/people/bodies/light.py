"""Light: a sky, a sun that casts shadows, and what lies deep being darker."""

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from bodyposenet.pipelines.people.bodies.files import Floats, Ints
from bodyposenet.pipelines.people.bodies.raster import rasterize

SHADOW_MAP = 252  # pixels a side
OFF = 0.25  # decimetres: a surface casts no shadow on what is nearer
DARKENED = 0.85  # of the sun's light, in a shadow
AROUND = ((0.012, 0.35), (0.04, 0.9))  # how wide, over the person's height, and how deep in decimetres is all dark


class Light(NamedTuple):
    """Whence light comes, in the eye's frame: x to its right, y up, z towards it.

    Attributes:
        sun: ``(3,)`` unit vector to the sun.
        strength: Of the sun.
        colour: ``(3,)`` its red, green and blue.
        above: How much more light comes from above than from the side.
        all: What all of it is multiplied with.
    """

    sun: Floats
    strength: float
    colour: Floats
    above: float
    all: float


def random_light(rng: np.random.Generator) -> Light:
    """Choose a light, from a grey day to the noon of a clear one; the sun is mostly behind the eye."""
    sun = np.array([rng.normal() * 0.8, abs(rng.normal()) * 0.7 + 0.25, rng.normal(0.6, 0.6)])
    colour = 1 + rng.normal() * np.array([0.08, 0.0, -0.08])
    return Light(sun / np.linalg.norm(sun), rng.uniform(0.15, 1), colour, rng.uniform(0.1, 0.3), rng.uniform(0.75, 1.1))


def shade(light: Light, colours: Floats, normals: Floats, gloss: Floats, shadow: Floats) -> Floats:
    """Light what is seen (Lambert), and let it mirror some of the sun (Blinn and Phong).

    Args:
        light: The light.
        colours: ``(P, 3)`` of the surface.
        normals: ``(P, 3)`` where it looks, in the eye's frame.
        gloss: ``(P,)`` how much it mirrors.
        shadow: ``(P,)`` 1 where something keeps the sun from it.
    """
    sky = 0.75 - 0.4 * light.strength + light.above * normals[:, 1] + 0.12 * normals[:, 2]
    shines = light.strength * (1 - DARKENED * shadow)
    half = light.sun + np.array([0.0, 0.0, 1.0])
    mirrored = gloss * shines * np.maximum(normals @ half / np.linalg.norm(half), 0) ** 25
    direct = shines * np.maximum(normals @ light.sun, 0)
    lit = light.all * colours * (np.maximum(sky, 0.08)[:, None] + direct[:, None] * light.colour)
    shone: Floats = lit + mirrored[:, None]
    return shone


def find_shadow(sun: Floats, points: Floats, edges: Floats, faces: Ints, places: Floats) -> Floats:
    """Tell which places something keeps the sun from, ``(P,)`` 0 or 1: a shadow map (Williams, SIGGRAPH 1978).

    Args:
        sun: ``(3,)`` unit vector to it.
        points: ``(V, 3)`` the surface.
        edges: ``(V,)`` below 0 where it has ended.
        faces: ``(T, 3)`` its triangles.
        places: ``(P, 3)`` on the surface.
    """
    side = np.cross(sun, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side) + 1e-9
    frame = np.stack([side, np.cross(sun, side), -sun])
    seen, at = points @ frame.T, places @ frame.T
    low = seen[:, :2].min(axis=0)
    scale = (SHADOW_MAP - 2) / float(np.ptp(seen[:, :2], axis=0).max())
    depths = rasterize(np.c_[(seen[:, :2] - low) * scale, seen[:, 2], edges], faces, (SHADOW_MAP, SHADOW_MAP))[2]
    columns, rows = ((at[:, :2] - low) * scale + 0.5).astype(int).clip(0, SHADOW_MAP - 1).T
    hidden: Floats = (at[:, 2] > depths[rows, columns] + OFF).astype(float)
    return hidden


def occlude(depths: Floats, covered: npt.NDArray[Any], height: float) -> Floats:
    """Find how much light reaches what lies deeper than what is around it, ``(P,)`` of the covered pixels, to 1.

    Args:
        depths: ``(H, W)`` decimetres.
        covered: ``(H, W)`` bool.
        height: Of the person, in pixels.
    """
    filled, weight = np.where(covered, depths, 0).astype(np.float32), covered.astype(np.float32)
    left = np.ones(int(covered.sum()))
    for wide, deep in AROUND:
        around, much = (cv2.GaussianBlur(each, (0, 0), wide * height) for each in (filled, weight))
        left -= 0.3 * np.clip((filled - around / np.maximum(much, 1e-6))[covered] / deep, 0, 1)
    return left
