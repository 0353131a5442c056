"""A body of boxes, written as the files of MakeHuman's are: same bones, groups of faces and names of shapes."""

import gzip
import json

import numpy as np

from bodyposenet.pipelines.people.bodies.files import MESH, PLACE, RIG, WEIGHTS
from bodyposenet.pipelines.people.bodies.shape import random_shape

SIDED = {  # decimetres, of the left side: x to the left, y up, z to the front
    "clavicle": ("spine_03", (0.2, 5.2, 0.2)), "upperarm": ("clavicle", (1.7, 5.0, 0.2)),
    "lowerarm": ("upperarm", (3.3, 3.2, 0.2)), "hand": ("lowerarm", (4.4, 2.0, 1.6)),
    "index_01": ("hand", (4.8, 1.5, 2.0)), "thigh": ("pelvis", (1.0, 0.5, 0.0)), "calf": ("thigh", (1.4, -3.4, 0.3)),
    "foot": ("calf", (1.8, -7.5, 0.0)), "ball": ("foot", (1.9, -8.0, 1.2)),
}  # fmt: skip
MIDDLE = {
    "Root": ("", (0.0, 0.0, 0.0)), "pelvis": ("Root", (0.0, 0.6, 0.1)), "spine_01": ("pelvis", (0.0, 1.4, 0.0)),
    "spine_02": ("spine_01", (0.0, 2.0, 0.0)), "spine_03": ("spine_02", (0.0, 2.8, 0.0)),
    "neck_01": ("spine_03", (0.0, 6.0, 0.0)), "head": ("neck_01", (0.0, 7.0, 0.4)),
}  # fmt: skip
BONES = MIDDLE | {
    f"{name}_{side}": (parent if parent in MIDDLE else f"{parent}_{side}", (sign * x, y, z))
    for side, sign in (("l", 1), ("r", -1))
    for name, (parent, (x, y, z)) in SIDED.items()
}
BOX = np.array([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])
CORNERS = np.array([[-1, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1], [-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])


def boxes():
    """Yield group, bone, middle and half extent of each box."""
    for name, (parent, at) in BONES.items():
        yield f"joint-{name}", name, at, 0.05
        if parent:
            middle = np.add(at, BONES[parent][1]) / 2
            half = np.abs(np.subtract(at, BONES[parent][1])) / 2 + 0.35
            for group in ("body", "helper-tights"):
                yield group, parent, middle, half
    for group in ("body", "helper-hair"):
        yield group, "head", (0.0, 7.4, 0.4), (0.7, 1.0, 1.0)
    yield "body", "head", (0.0, 6.95, 1.5), (0.08, 0.1, 0.15)  # the nose
    yield "helper-skirt", "pelvis", (0.0, -1.0, 0.1), (1.8, 1.6, 0.9)
    for side, sign in (("l", 1), ("r", -1)):
        yield f"helper-{side}-eye", "head", (0.31 * sign, 7.285, 1.3), 0.12
        yield "body", f"hand_{side}", BONES[f"index_01_{side}"][1], 0.3


def write_body(folder, seeds=()):
    """Write it below a folder, with the targets (that move little) which people of these seeds are made of."""
    place = folder / PLACE
    points, lines, weights = [], [], {name: [] for name in BONES}
    for group, bone, middle, half in boxes():
        first = len(points)
        points += (np.array(middle) + CORNERS * half).tolist()
        lines += [f"g {group}", *("f " + " ".join(f"{first + 1 + c}/1" for c in face) for face in BOX)]
        weights[bone] += [[first + corner, 1.0] for corner in range(8)]
    text = ["# a body", *(f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points), "vt 0 0", *lines]
    rig = {name: {"parent": parent, "head": {"cube_name": f"joint-{name}"}} for name, (parent, _) in BONES.items()}
    del rig["Root"]["head"]["cube_name"]
    lines.append("g joint-ground")
    text += ["g joint-ground", "f 1/1 2/1 3/1 4/1"]
    for name, said in ((MESH, "\n".join(text)), (RIG, json.dumps({"bones": dict(reversed(rig.items()))})),
                       (WEIGHTS, json.dumps({"weights": weights}))):  # fmt: skip
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(said, encoding="utf-8")
    names = {name for seed in seeds for name in random_shape(np.random.default_rng(seed))[1]}
    for number, name in enumerate(sorted(names)):
        path = place / "targets" / f"{name}.target.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(f"# moves one vertex\n{number} .01 0 -.01\n".encode()))
    return folder
