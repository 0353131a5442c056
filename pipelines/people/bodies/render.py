"""Render: a picture of a dressed body in a pose, seen from somewhere, lit and shaded, and where its joints are."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from bodyposenet.pipelines.people.bodies.dress import Layer, Map, random_outfit
from bodyposenet.pipelines.people.bodies.files import Body, Floats, Ints, reshape
from bodyposenet.pipelines.people.bodies.light import Light, find_shadow, occlude, random_light, shade
from bodyposenet.pipelines.people.bodies.paint import Picture
from bodyposenet.pipelines.people.bodies.pose import Pose, place_bones, random_pose, skin, turn, turn_bones
from bodyposenet.pipelines.people.bodies.raster import rasterize
from bodyposenet.pipelines.people.bodies.shape import random_shape

FINER = 2  # times, before it is shrunk: smooth edges
MARGIN = 4  # pixels around
NEAREST, FARTHEST = 25.0, 150.0  # decimetres from the eye
LIMBS = (
    "upperarm_r", "lowerarm_r", "hand_r", "upperarm_l", "lowerarm_l", "hand_l",
    "thigh_r", "calf_r", "foot_r", "thigh_l", "calf_l", "foot_l",
)  # fmt: skip
BELOW_EYES = 0.35  # decimetres: about where the nose's tip is


class Cutout(NamedTuple):
    """A person and nothing else.

    Attributes:
        image: ``(H, W, 4)`` uint8: red, green, blue, and how much of the pixel the person covers.
        joints: ``(18, 2)`` x, y in pixels, in the order of ``BODYPOSENET_18``.
    """

    image: Picture
    joints: Floats


class Eye(NamedTuple):
    """How a body is seen.

    Attributes:
        turned: ``(3, 3)`` from its frame to the eye's: x to the right, y up, z towards the eye.
        distance: Decimetres from the eye to the body's first bone.
        height: Pixels that the body is high, if it stands upright.
    """

    turned: Floats
    distance: float
    height: float


class Surface(NamedTuple):
    """All that is to be drawn.

    Attributes:
        points: ``(V, 3)`` posed, in the eye's frame, from the first bone.
        rest: ``(V, 3)`` where they are on the body at rest.
        edges: ``(V,)`` below 0 where a garment has ended.
        faces: ``(T, 3)`` triangles.
        layers: ``(T,)`` the number of the layer that each is of.
    """

    points: Floats
    rest: Floats
    edges: Floats
    faces: Ints
    layers: Ints


def random_cutout(rng: np.random.Generator, where: Map, height: float, prints: Sequence[Picture]) -> Cutout:
    """Draw a person of any shape, clothes, pose, view and light.

    Args:
        rng: Chance.
        where: The body.
        height: Pixels that the person is high, if they stand upright.
        prints: What cloth may be printed with.
    """
    look, shares = random_shape(rng)
    points, outfit = reshape(where.body, shares), random_outfit(rng, where, look, prints)
    return render(where.body, points, random_pose(rng), outfit, random_view(rng, height), random_light(rng))


def random_view(rng: np.random.Generator, height: float) -> Eye:
    """Choose how a body is seen: mostly upright, more often from the front, at about its own height."""
    facing = rng.normal() * 60 if rng.random() < 0.65 else rng.uniform(-180, 180)
    roll = rng.uniform(-180, 180) if rng.random() < 0.05 else rng.normal() * 6
    turned = turn("z", roll) @ turn("x", rng.normal(8, 10)) @ turn("y", facing)
    return Eye(turned, rng.uniform(NEAREST, FARTHEST), height)


def render(body: Body, points: Floats, pose: Pose, outfit: Sequence[Layer], view: Eye, light: Light) -> Cutout:
    """Draw a person.

    Args:
        body: The body.
        points: ``(V, 3)`` its shape.
        pose: How it is held.
        outfit: What it wears, and its skin.
        view: How it is seen.
        light: How it is lit.
    """
    heads = body.heads(points)
    held = (heads, *place_bones(body, heads, turn_bones(body, heads, pose)))
    surface = build_surface(body, points, outfit, held, view)
    scale = FINER * view.height / float(np.ptp(points[body.quads["body"], 1]))
    flat = project(surface.points, view.distance, scale)
    low = flat.min(axis=0)[:2] - MARGIN * FINER
    size = np.ceil((np.ptp(flat[:, :2], axis=0) + 2 * MARGIN * FINER) / FINER).astype(int)[::-1]
    flat[:, :2] -= low
    height, width = (FINER * size).tolist()
    seen, parts, depths = rasterize(np.c_[flat, surface.edges], surface.faces, (height, width))
    covered = seen >= 0
    lit = paint_surface(surface, outfit, light, seen[covered], parts[covered])
    lit *= occlude(depths, covered, FINER * view.height)[:, None]
    image = np.zeros((height, width, 4), np.float32)
    image[covered] = np.c_[np.clip(lit, 0, 1), np.ones(len(lit))]
    small = cv2.resize(image, size[::-1].tolist(), interpolation=cv2.INTER_AREA)
    small[..., :3] = small[..., :3] / np.maximum(small[..., 3:], 1e-6)
    joints = (find_joints(body, points, *held) - held[2][0]) @ view.turned.T
    at = (project(joints, view.distance, scale)[:, :2] - low - (FINER - 1) / 2) / FINER
    return Cutout((255 * np.clip(small, 0, 1) + 0.5).astype(np.uint8), at)


def project(points: Floats, distance: float, scale: float) -> Floats:
    """See points of the eye's frame in perspective: x and y in pixels, y down, and the depth, ``(V, 3)``."""
    nearer = scale * distance / (distance - points[:, 2])
    return np.stack([points[:, 0] * nearer, -points[:, 1] * nearer, -points[:, 2]], axis=1)


def build_surface(
    body: Body, points: Floats, outfit: Sequence[Layer], held: tuple[Floats, Floats, Floats], view: Eye
) -> Surface:
    """Lay out the layers of an outfit around a shape, and pose them; ``held`` as :func:`skin` takes it."""
    normals = find_normals(points, np.concatenate([layer.quads for layer in outfit]))
    posed, rest, edges, faces, layers = [], [], [], [], []
    first = 0
    for number, layer in enumerate(outfit):
        used, quads = np.unique(layer.quads, return_inverse=True)
        quads = quads.reshape(-1, 4) + first
        posed.append(skin(points[used] + layer.swell[used, None] * normals[used], body.pull[used], *held))
        rest.append(body.points[used])
        edges.append(layer.edge[used])
        faces += [quads[:, :3], quads[:, [0, 2, 3]]]
        layers.append(np.full(2 * len(quads), number))
        first += len(used)
    points = (np.concatenate(posed) - held[2][0]) @ view.turned.T
    return Surface(points, *(np.concatenate(each) for each in (rest, edges, faces, layers)))


def paint_surface(surface: Surface, outfit: Sequence[Layer], light: Light, seen: Ints, parts: Floats) -> Floats:
    """Find the colours ``(P, 3)`` of pixels that see triangles ``(P,)``, ``parts`` ``(P, 3)`` of their corners."""
    corners, layers = surface.faces[seen], surface.layers[seen]
    rest, space, normals = (
        np.einsum("pc,pcx->px", parts, values[corners])
        for values in (surface.rest, surface.points, find_normals(surface.points, surface.faces))
    )
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    normals *= np.where(normals[:, 2:] < 0, -1.0, 1.0)  # the inside of a skirt
    colours, gloss = np.zeros_like(rest), np.array([layer.gloss for layer in outfit])[layers]
    for number, layer in enumerate(outfit):
        own = layers == number
        if own.any():
            colours[own] = layer.paint(rest[own])
    shadow = find_shadow(light.sun, surface.points, surface.edges, surface.faces, space)
    return shade(light, colours, normals, gloss, shadow)


def find_normals(points: Floats, faces: Ints) -> Floats:
    """Find where the surface of triangles, or quads, looks at its vertices: ``(V, 3)`` unit vectors, or zeros."""
    a, b, c, d = (points[faces[:, corner]] for corner in (0, 1, 2, -1))
    across = np.cross(c - a, d - b) if faces.shape[1] == 4 else np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for corner in faces.T:
        for axis in range(3):
            normals[:, axis] += np.bincount(corner, across[:, axis], len(points))
    unit: Floats = normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)
    return unit


def find_joints(body: Body, points: Floats, heads: Floats, whole: Floats, places: Floats) -> Floats:
    """Find the joints of ``BODYPOSENET_18`` in space, ``(18, 3)``."""
    head = body.numbers["head"]
    limbs = [places[body.numbers[name]] for name in LIMBS]
    eyes = [points[np.unique(body.quads[f"helper-{side}-eye"])].mean(axis=0) for side in "rl"]
    face = np.unique(body.quads["body"])
    face = points[face[body.pull[face, head] > 0.5]]
    ears = [face[np.argmax(sign * face[:, 0])] for sign in (-1, 1)]
    middle = face[np.abs(face[:, 0]) < np.abs(eyes[0][0]) / 3]
    nose = middle[np.argmax(middle[:, 2] - 3 * np.abs(middle[:, 1] - eyes[0][1] + BELOW_EYES))]
    held = (np.array([nose, *eyes, *ears]) - heads[head]) @ whole[head].T + places[head]
    return np.array([held[0], (limbs[0] + limbs[3]) / 2, *limbs, *held[1:]])
