"""Figures: articulated people, posed at random and ready to draw.

A figure is a set of joints (COCO's 17) and of convex shapes in drawing order. Left limbs are warm-coloured and right
limbs cool-coloured, so that a network can tell the sides of a figure seen from the front from those of one seen from
behind.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from bodyposenet.common.skeleton.skeleton import COCO_17

# Lengths as fractions of a standing figure's height, near the proportions of an adult.
HEAD, NECK, TORSO = 0.075, 0.06, 0.29
SHOULDER, HIP = 0.105, 0.07
UPPER_ARM, FOREARM, THIGH, SHANK = 0.165, 0.145, 0.235, 0.235
ARM_WIDTH, LEG_WIDTH = 0.062, 0.085
PAD = 0.05  # discs on shoulders, elbows, hips and knees: the figures dress for sports

INDEX = {name: number for number, name in enumerate(COCO_17.joints)}
SUBPIXEL = 3  # fractional bits of the coordinates handed to OpenCV
BACK_VIEW = -0.15  # below this cosine of the yaw a face is turned away

Point = np.ndarray
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Shape:
    """A thick line, a disc (both ends equal) or a polygon, in figure units or pixels."""

    points: np.ndarray  # (P, 2) x, y
    width: float  # thickness of the line, diameter of the disc; 0 for a polygon
    colour: Colour  # RGB


@dataclass(frozen=True)
class Figure:
    """One person: where the joints are, what was labelled, and how to draw it.

    Attributes:
        joints: ``(17, 2)`` x, y in pixels, in COCO's order.
        labelled: ``(17,)`` False where an annotator would not place the joint: a face turned away, a far ear.
        shapes: What to draw, back to front.
    """

    joints: np.ndarray
    labelled: np.ndarray
    shapes: tuple[Shape, ...]

    @cached_property
    def extent(self) -> np.ndarray:
        """``(2, 2)``: least and greatest x, y that the drawing reaches."""
        points = np.concatenate([shape.points for shape in self.shapes])
        reach = np.repeat([shape.width / 2 for shape in self.shapes], [len(shape.points) for shape in self.shapes])
        return np.array([(points - reach[:, None]).min(axis=0), (points + reach[:, None]).max(axis=0)])

    def moved(self, scale: float, shift: Point) -> "Figure":
        """Return this figure, scaled about the origin and shifted."""
        shapes = tuple(Shape(s.points * scale + shift, s.width * scale, s.colour) for s in self.shapes)
        return Figure(self.joints * scale + shift, self.labelled, shapes)


def random_figure(rng: np.random.Generator, height: float) -> Figure:
    """Make a figure in a random pose, view and dress, ``height`` pixels tall, its top left at the origin."""
    yaw = rng.choice([rng.normal(0, 0.5), rng.normal(np.pi, 0.4), rng.uniform(-np.pi, np.pi)], p=[0.7, 0.2, 0.1])
    upright, angle = _pose(rng, float(yaw)), float(rng.normal(0, 0.1))
    joints = upright @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).T
    labelled = _find_labelled(float(yaw))
    shapes = dress(joints, float(yaw), rng)
    figure = Figure(joints, labelled, shapes)
    low, high = figure.extent
    scale = height / (high[1] - low[1])
    return figure.moved(scale, -low * scale)


def draw(shapes: tuple[Shape, ...], image: np.ndarray, label: np.ndarray, number: int) -> None:
    """Draw shapes into a picture, and a number wherever they cover a pixel.

    Args:
        shapes: The first is drawn first.
        image: ``(H, W, 3)`` uint8 RGB, drawn into.
        label: ``(H, W)``, drawn into.
        number: What stands in ``label`` afterwards.
    """
    for shape in shapes:
        corners = np.round(shape.points * (1 << SUBPIXEL)).astype(np.int32)
        if shape.width == 0:
            cv2.fillConvexPoly(image, corners, shape.colour, cv2.LINE_AA, SUBPIXEL)
            cv2.fillConvexPoly(label, corners, number, cv2.LINE_8, SUBPIXEL)
        elif len(corners) == 1:
            radius = max(1, round(shape.width / 2 * (1 << SUBPIXEL)))
            cv2.circle(image, corners[0].tolist(), radius, shape.colour, -1, cv2.LINE_AA, SUBPIXEL)
            cv2.circle(label, corners[0].tolist(), radius, number, -1, cv2.LINE_8, SUBPIXEL)
        else:
            thick = max(1, round(shape.width))
            ends = corners.tolist()
            cv2.line(image, ends[0], ends[1], shape.colour, thick, cv2.LINE_AA, SUBPIXEL)
            cv2.line(label, ends[0], ends[1], number, thick, cv2.LINE_8, SUBPIXEL)


def _pose(rng: np.random.Generator, yaw: float) -> np.ndarray:
    """Place the joints of a figure one unit tall, hips near the origin, y down."""
    across, ahead = np.cos(yaw), np.sin(yaw)  # the left side is at +x for a figure that faces the viewer
    joints = np.zeros((17, 2))
    head = np.array([0.02 * ahead, -TORSO - NECK - HEAD])
    joints[INDEX["nose"]] = head + np.array([0.075 * ahead, 0.012])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        outward = sign * across
        joints[INDEX[f"{side}_eye"]] = head + np.array([0.03 * outward + 0.055 * ahead, -0.015])
        joints[INDEX[f"{side}_ear"]] = head + np.array([0.07 * outward - 0.01 * ahead, -0.002])
        joints[INDEX[f"{side}_shoulder"]] = [SHOULDER * outward, -TORSO]
        joints[INDEX[f"{side}_hip"]] = [HIP * outward, 0.0]
        _arm(rng, joints, side, outward)
        _leg(rng, joints, side, outward)
    return joints


def _arm(rng: np.random.Generator, joints: np.ndarray, side: str, outward: float) -> None:
    swing = rng.choice([rng.normal(0.25, 0.2), rng.uniform(0.6, 2.9), rng.normal(0.5, 0.5)], p=[0.5, 0.25, 0.25])
    bend = swing + rng.choice([rng.uniform(0, 0.5), rng.uniform(0.5, 2.2), -rng.uniform(0, 1.2)], p=[0.5, 0.35, 0.15])
    sign = 1.0 if outward >= 0 else -1.0
    elbow = joints[INDEX[f"{side}_shoulder"]] + UPPER_ARM * rng.uniform(0.75, 1) * _down(sign * swing)
    joints[INDEX[f"{side}_elbow"]] = elbow
    joints[INDEX[f"{side}_wrist"]] = elbow + FOREARM * rng.uniform(0.75, 1) * _down(sign * bend)


def _leg(rng: np.random.Generator, joints: np.ndarray, side: str, outward: float) -> None:
    sign = 1.0 if outward >= 0 else -1.0
    swing = rng.choice([rng.normal(0.08, 0.08), rng.normal(0.15, 0.35), rng.uniform(0.3, 1.4)], p=[0.5, 0.4, 0.1])
    knee = joints[INDEX[f"{side}_hip"]] + THIGH * rng.uniform(0.8, 1) * _down(sign * swing)
    bend = swing - abs(rng.normal(0, 0.3))
    joints[INDEX[f"{side}_knee"]] = knee
    joints[INDEX[f"{side}_ankle"]] = knee + SHANK * rng.uniform(0.85, 1) * _down(sign * bend)


def _down(angle: float) -> Point:
    """Return the unit vector ``angle`` radians from straight down, positive toward +x."""
    return np.array([np.sin(angle), np.cos(angle)])


def _find_labelled(yaw: float) -> np.ndarray:
    """Tell what an annotator would place: no face from behind, no ear on the far side of the head."""
    labelled = np.ones(17, bool)
    if np.cos(yaw) < BACK_VIEW:
        labelled[[INDEX["nose"], INDEX["left_eye"], INDEX["right_eye"]]] = False
    if np.sin(yaw) > 0.6:
        labelled[INDEX["left_ear"]] = False
    if np.sin(yaw) < -0.6:
        labelled[INDEX["right_ear"]] = False
    return labelled


def dress(joints: np.ndarray, yaw: float, rng: np.random.Generator) -> tuple[Shape, ...]:
    """Dress a posed figure, far limbs first.

    Args:
        joints: ``(17, 2)`` of a figure one unit tall.
        yaw: Radians by which it is turned away from the viewer's direction.
        rng: Chooses its colours, and nothing of its shape.
    """
    at = {name: joints[number] for name, number in INDEX.items()}
    near, far = ("right", "left") if np.sin(yaw) > 0 else ("left", "right")
    colours = {"left": _side_colours(rng, 0), "right": _side_colours(rng, 105)}
    skin = _colour(rng, (8, 20), (60, 130), (150, 240))
    return (
        *_leg_shapes(at, far, colours[far]),
        *_arm_shapes(at, far, colours[far], skin),
        *_leg_shapes(at, near, colours[near]),
        *_torso_shapes(at, rng),
        *(Shape(at[f"{side}_hip"][None], PAD, colours[side][4]) for side in ("left", "right")),
        *_head_shapes(at, yaw, skin, rng),
        *_arm_shapes(at, near, colours[near], skin),
    )


def _side_colours(rng: np.random.Generator, hue: int) -> tuple[Colour, ...]:
    """Choose sleeve, trouser, shin, shoe and pads of one side: hues from ``hue`` on (OpenCV's 0..179)."""
    sleeve = _colour(rng, (hue, hue + 18), (150, 255), (130, 250))
    trouser = _colour(rng, (hue, hue + 18), (120, 230), (70, 170))
    shin = _colour(rng, (hue, hue + 18), (90, 200), (150, 250))
    shoe = _colour(rng, (hue, hue + 18), (60, 255), (20, 90))
    pad = _colour(rng, (hue, hue + 18), (60, 140), (225, 255))
    return sleeve, trouser, shin, shoe, pad


def _arm_shapes(at: dict[str, Point], side: str, colours: tuple[Colour, ...], skin: Colour) -> list[Shape]:
    shoulder, elbow, wrist = (at[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
    red, green, blue = (int(0.55 * a + 0.45 * b) for a, b in zip(skin, colours[2], strict=True))
    return [
        Shape(np.array([elbow, wrist]), ARM_WIDTH * 0.75, (red, green, blue)),
        Shape(np.array([shoulder, elbow]), ARM_WIDTH, colours[0]),
        Shape(shoulder[None], PAD, colours[4]),
        Shape(elbow[None], PAD, colours[4]),
        Shape(wrist[None], ARM_WIDTH * 1.1, skin),
    ]


def _leg_shapes(at: dict[str, Point], side: str, colours: tuple[Colour, ...]) -> list[Shape]:
    hip, knee, ankle = (at[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    return [
        Shape(ankle[None] + [0, 0.012], LEG_WIDTH * 0.95, colours[3]),
        Shape(np.array([knee, ankle]), LEG_WIDTH * 0.75, colours[2]),
        Shape(np.array([hip, knee]), LEG_WIDTH, colours[1]),
        Shape(knee[None], 1.15 * PAD, colours[4]),
    ]


def _torso_shapes(at: dict[str, Point], rng: np.random.Generator) -> list[Shape]:
    left, right = at["left_shoulder"], at["right_shoulder"]
    neck, hips = (left + right) / 2, (at["left_hip"] + at["right_hip"]) / 2
    shirt = _colour(rng, (0, 179), (0, 120), (60, 250))
    body = np.array([left, right, at["right_hip"], at["left_hip"]])
    hull = cv2.convexHull(body.astype(np.float32))[:, 0].astype(float)
    return [
        Shape(np.array([neck, hips]), 0.11, shirt),
        Shape(np.array([at["left_hip"], at["right_hip"]]), 0.09, _darken(shirt, 0.6)),
        Shape(hull, 0, shirt),
        Shape(np.array([left, right]), 0.055, shirt),
    ]


def _head_shapes(at: dict[str, Point], yaw: float, skin: Colour, rng: np.random.Generator) -> list[Shape]:
    head = (at["left_ear"] + at["right_ear"]) / 2
    neck = (at["left_shoulder"] + at["right_shoulder"]) / 2
    hair = _colour(rng, (5, 25), (40, 200), (20, 110))
    dark = _darken(skin, 0.7)
    shapes = [
        Shape(np.array([neck, head]), 0.05, dark),
        Shape(head[None] + [0, -0.018], 2.15 * HEAD, hair),
    ]
    away = np.cos(yaw) < BACK_VIEW
    ears = [Shape(at[f"{side}_ear"][None], 0.034, dark) for side in ("left", "right")]
    if away:
        return [*shapes, Shape(head[None], 1.9 * HEAD, hair), *ears]
    return [
        *ears,
        *shapes,
        Shape(head[None] + [0.012 * np.sin(yaw), 0.008], 1.8 * HEAD, skin),
        *ears,
        Shape(at["left_eye"][None], 0.022, (235, 90, 40)),
        Shape(at["right_eye"][None], 0.022, (30, 60, 190)),
        Shape(at["nose"][None], 0.026, dark),
    ]


def _colour(
    rng: np.random.Generator, hue: tuple[int, int], saturation: tuple[int, int], value: tuple[int, int]
) -> Colour:
    """Choose a random RGB colour; the ranges are OpenCV's: hue 0..179, the others 0..255."""
    h, s, v = (int(rng.integers(low, high + 1)) for low, high in (hue, saturation, value))
    red, green, blue = _hsv_to_rgb(h % 180 / 30, s / 255, v)
    return red, green, blue


def _darken(colour: Colour, share: float) -> Colour:
    """Return the colour with this share of its light."""
    red, green, blue = (int(share * channel) for channel in colour)
    return red, green, blue


def _hsv_to_rgb(sector: float, saturation: float, value: int) -> Colour:
    """Turn hue as a sector in [0, 6), saturation in [0, 1], value in [0, 255] into RGB in [0, 255]."""

    def channel(offset: float) -> int:
        k = (offset + sector) % 6
        return int(value - value * saturation * max(0.0, min(k, 4 - k, 1.0)))

    return channel(5), channel(3), channel(1)
