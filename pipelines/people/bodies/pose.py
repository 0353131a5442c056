"""Pose: bones that turn, and a mesh that follows them (linear blend skinning)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from bodyposenet.pipelines.people.bodies.files import Body, Floats

SIDES = {"l": 1.0, "r": -1.0}
LIFTED, COLLAR = 50.0, 0.3  # degrees above which the collar bone goes along with an arm, and how much
SPINE = ("spine_01", "spine_02", "spine_03")


def turn(axis: str, degrees: float) -> Floats:
    """Make the rotation about x, y or z, ``(3, 3)``, counter-clockwise as seen against the axis."""
    sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[[first, first, second, second], [first, second, first, second]] = cosine, -sine, sine, cosine
    return matrix


def turn_about(axis: Floats, degrees: float) -> Floats:
    """Make the rotation about a unit vector (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    matrix: Floats = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return matrix


def place_bones(body: Body, heads: Floats, turns: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Turn bones, each in the frame that its parent has turned; axes are those of the body at rest.

    Args:
        body: Whose bones.
        heads: ``(J, 3)`` at rest.
        turns: ``(3, 3)`` of bones that turn, by name.

    Returns:
        ``(J, 3, 3)`` each bone's whole rotation, and ``(J, 3)`` where its head is.
    """
    whole, places = np.empty((len(heads), 3, 3)), np.empty_like(heads)
    for number, bone in enumerate(body.bones):
        own = turns.get(bone.name, np.eye(3))
        if bone.parent < 0:
            whole[number], places[number] = own, heads[number]
        else:
            whole[number] = whole[bone.parent] @ own
            places[number] = places[bone.parent] + whole[bone.parent] @ (heads[number] - heads[bone.parent])
    return whole, places


def skin(points: Floats, pull: Floats, heads: Floats, whole: Floats, places: Floats) -> Floats:
    """Move vertices with the bones that they follow, ``(V, 3)``; arguments as :func:`place_bones` gives them."""
    shifts = places - np.einsum("jab,jb->ja", whole, heads)
    moved: Floats = np.einsum("vab,vb->va", np.tensordot(pull, whole, 1), points) + pull @ shifts
    return moved


class Arm(NamedTuple):
    """Degrees: raised to the front, to the side, turned inwards about itself, the elbow bent, the hand turned."""

    front: float
    side: float
    inward: float
    elbow: float
    hand: float = 0.0


class Leg(NamedTuple):
    """Degrees: raised to the front, to the side, turned outwards, the knee bent, the foot's tip raised."""

    front: float
    side: float
    outward: float
    knee: float
    tip: float = 0.0


class Trunk(NamedTuple):
    """Degrees: bent to the front, to the left, turned to the left; and the head likewise."""

    front: float = 0.0
    side: float = 0.0
    turned: float = 0.0
    nod: float = 0.0
    tilt: float = 0.0
    look: float = 0.0


class Pose(NamedTuple):
    """How a body is held, its left side first."""

    trunk: Trunk
    arms: tuple[Arm, Arm]
    legs: tuple[Leg, Leg]
    fingers: float = 30.0


def turn_bones(body: Body, heads: Floats, pose: Pose) -> dict[str, Floats]:
    """Find how the bones of a body turn for a pose."""
    at = {name: heads[number] for name, number in body.numbers.items()}
    trunk = pose.trunk
    turns = {name: _bend(trunk.front / 3, trunk.side / 3, trunk.turned / 3) for name in SPINE}
    turns |= {name: _bend(trunk.nod / 2, trunk.tilt / 2, trunk.look / 2) for name in ("neck_01", "head")}
    for (side, sign), arm, leg in zip(SIDES.items(), pose.arms, pose.legs, strict=True):
        turns |= _turn_arm(at, side, sign, arm) | _turn_leg(side, sign, leg)
        names = [f"{finger}_0{joint}_{side}" for finger in ("index", "middle", "ring", "pinky") for joint in (1, 2, 3)]
        turns |= {name: turn("z", -sign * pose.fingers) for name in names if name in at}
    return turns


def _bend(front: float, side: float, turned: float) -> Floats:
    bent: Floats = turn("y", turned) @ turn("z", -side) @ turn("x", front)
    return bent


def _turn_arm(at: Mapping[str, Floats], side: str, sign: float, arm: Arm) -> dict[str, Floats]:
    """Hang the arm down with the elbow to the back, then turn and raise it, and bend the elbow about its hinge."""
    shoulder, elbow, wrist = (at[f"{name}_{side}"] for name in ("upperarm", "lowerarm", "hand"))
    upper, lower = _unit(elbow - shoulder), _unit(wrist - elbow)
    hinge = _unit(np.cross(upper, lower))
    down, back = np.array([0.0, -1.0, 0.0]), np.array([-1.0, 0.0, 0.0])
    hang = np.stack([down, back, np.cross(down, back)], 1) @ np.stack([upper, hinge, np.cross(upper, hinge)])
    bent = float(np.rad2deg(np.arccos(np.clip(upper @ lower, -1, 1))))
    raise_ = turn("x", -arm.front) @ turn("z", sign * arm.side) @ turn("y", -sign * arm.inward) @ hang
    lifted = float(np.rad2deg(np.arccos(np.clip(-(raise_ @ upper)[1], -1, 1))))
    collar = turn("z", sign * COLLAR * max(0.0, lifted - LIFTED))
    return {
        f"clavicle_{side}": collar,
        f"upperarm_{side}": collar.T @ raise_,
        f"lowerarm_{side}": turn_about(hinge, arm.elbow - bent),
        f"hand_{side}": turn_about(lower, sign * arm.hand),
    }


def _turn_leg(side: str, sign: float, leg: Leg) -> dict[str, Floats]:
    thigh = turn("x", -leg.front) @ turn("z", sign * leg.side) @ turn("y", sign * leg.outward)
    return {f"thigh_{side}": thigh, f"calf_{side}": turn("x", leg.knee), f"foot_{side}": turn("x", -leg.tip)}


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.linalg.norm(vector)
    return unit


Draw = Callable[[np.random.Generator], Pose]


def random_pose(rng: np.random.Generator) -> Pose:
    """Choose a pose that people are seen in."""
    kinds = (_stand, _walk, _run, _sit, _crouch, _leap)
    return kinds[rng.choice(len(kinds), p=(0.34, 0.2, 0.1, 0.14, 0.14, 0.08))](rng)


def _trunk(rng: np.random.Generator, front: float, spread: float) -> Trunk:
    bent = rng.normal(front, spread)
    return Trunk(
        bent, rng.normal() * spread / 2, rng.normal() * spread, rng.normal(4 - bent / 3, 13),
        rng.normal() * 7, rng.normal() * 28,
    )  # fmt: skip


def _arm(rng: np.random.Generator) -> Arm:
    """An arm that hangs, holds, props, reaches, or is raised."""
    u = rng.uniform
    kinds = (
        (0.4, Arm(rng.normal(2, 10), u(4, 18), u(-10, 40), u(5, 40))),
        (0.2, Arm(u(5, 50), u(0, 25), u(0, 60), u(60, 135))),
        (0.08, Arm(u(-35, -5), u(35, 55), u(40, 80), u(80, 115))),
        (0.12, Arm(u(40, 105), u(-10, 35), u(-20, 40), u(0, 60))),
        (0.1, Arm(u(-10, 30), u(45, 110), u(-40, 40), u(0, 90))),
        (0.1, Arm(u(110, 175), u(-10, 30), u(-40, 40), u(0, 100))),
    )
    chosen = kinds[rng.choice(len(kinds), p=[odds for odds, _ in kinds])][1]
    return chosen._replace(hand=u(-60, 60))


def _arms(rng: np.random.Generator) -> tuple[Arm, Arm]:
    first = _arm(rng)
    if rng.random() < 0.45:
        return first, Arm(*(value + rng.normal() * 7 for value in first))
    return first, _arm(rng)


def _stand(rng: np.random.Generator) -> Pose:
    legs = [Leg(rng.normal() * 5, rng.uniform(0, 9), rng.uniform(0, 22), abs(rng.normal()) * 7) for _ in range(2)]
    return Pose(_trunk(rng, 2, 9), _arms(rng), (legs[0], legs[1]), rng.uniform(5, 60))


def _swing(rng: np.random.Generator, stride: float, knees: tuple[float, float], elbows: tuple[float, float]) -> Pose:
    ahead = Leg(stride, rng.uniform(-2, 5), rng.uniform(0, 10), rng.uniform(*knees), rng.uniform(-5, 15))
    behind = Leg(-0.7 * stride, rng.uniform(-2, 5), rng.uniform(0, 15), rng.uniform(*knees), rng.uniform(-25, 5))
    swings = [Arm(way * stride * rng.uniform(0.4, 1.1), rng.uniform(4, 18), rng.uniform(0, 40), rng.uniform(*elbows))
              for way in (-1, 1)]  # fmt: skip
    if rng.random() < 0.35:
        swings[rng.integers(2)] = _arm(rng)
    pose = Pose(_trunk(rng, 4 + stride / 6, 7), (swings[0], swings[1]), (ahead, behind), rng.uniform(20, 70))
    return pose if rng.random() < 0.5 else pose._replace(arms=pose.arms[::-1], legs=pose.legs[::-1])


def _walk(rng: np.random.Generator) -> Pose:
    return _swing(rng, rng.uniform(8, 30), (2, 45), (8, 55))


def _run(rng: np.random.Generator) -> Pose:
    return _swing(rng, rng.uniform(28, 65), (15, 105), (65, 115))


def _sit(rng: np.random.Generator) -> Pose:
    both = Leg(rng.uniform(62, 98), rng.uniform(0, 22), rng.uniform(-5, 20), rng.uniform(45, 110), rng.uniform(-10, 20))
    legs = [Leg(*(value + rng.normal() * 6 for value in both)) for _ in range(2)]
    return Pose(_trunk(rng, 8, 12), _arms(rng), (legs[0], legs[1]), rng.uniform(10, 70))


def _crouch(rng: np.random.Generator) -> Pose:
    both = Leg(rng.uniform(25, 90), rng.uniform(2, 28), rng.uniform(0, 25), rng.uniform(30, 105), rng.uniform(-5, 25))
    legs = [Leg(*(value + rng.normal() * 10 for value in both)) for _ in range(2)]
    return Pose(_trunk(rng, 28, 15), _arms(rng), (legs[0], legs[1]), rng.uniform(20, 75))


def _leap(rng: np.random.Generator) -> Pose:
    u = rng.uniform
    legs = [Leg(u(-35, 85), u(-5, 45), u(-10, 35), u(0, 110), u(-40, 15)) for _ in range(2)]
    return Pose(_trunk(rng, 8, 20), _arms(rng), (legs[0], legs[1]), u(5, 70))
