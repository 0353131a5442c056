"""Skeleton: the joints of a body, the limbs between them, and how well a human places each."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.joint_names import names_part, pairs_by_name
from bodyposenet.common.skeleton.prior import BodyPrior, find_prior

DEFAULT_SIGMA = 0.079  # OKS spread of a joint nobody measured: that of COCO's shoulders

# OKS spreads of COCO's joints: cocodataset.org, keypoint evaluation; pycocotools Params.kpt_oks_sigmas.
COCO_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072,
    "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip


class _Taking(NamedTuple):
    """How a skeleton's joints are taken out of a dataset's.

    Attributes:
        parents: Columns whose mean each computed joint is; they stand behind the dataset's.
        columns: ``(K,)`` where each joint of the skeleton comes from; the last column of all is that of unknown ones.
    """

    parents: tuple[np.ndarray, ...]
    columns: np.ndarray


@dataclass(frozen=True)
class Skeleton:
    """Joints, limbs and their statistics, as data.

    Attributes:
        name: What the pose config calls it.
        joints: Joint names; their order is that of the heatmap channels.
        limbs: ``(start, end)`` joint indices; their order is that of the part affinity fields, two channels each.
        sigmas: OKS spread of each joint, as a fraction of the square root of the person's area.
        computed: Joints that datasets lack, and the joints whose mean they are: ``("neck", ("left_shoulder", …))``; a
            joint that is the mean of computed ones comes after these.
        prior: The build of bodies, by which decoding joins pieces that no limb does; None does without.
        flip_pairs: The left and the right joint of each pair that a mirror swaps; None finds them by their names.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    computed: tuple[tuple[str, tuple[str, ...]], ...] = ()
    prior: BodyPrior | None = None
    flip_pairs: tuple[tuple[str, str], ...] | None = None

    @property
    def num_joints(self) -> int:
        """How many joints: K."""
        return len(self.joints)

    @property
    def num_limbs(self) -> int:
        """How many limbs: L."""
        return len(self.limbs)

    @cached_property
    def limb_array(self) -> np.ndarray:
        """The limbs as ``(L, 2)`` int32."""
        return np.asarray(self.limbs, np.int32).reshape(-1, 2)

    @cached_property
    def flip_order(self) -> np.ndarray:
        """``(K,)`` int64: joint ``k`` of a mirrored person is joint ``flip_order[k]`` of the person."""
        pairs = pairs_by_name(self.joints) if self.flip_pairs is None else self.flip_pairs
        others = dict(pairs) | {right: left for left, right in pairs}
        return np.array([self.joints.index(others.get(name, name)) for name in self.joints], np.int64)

    def select_taught(self, names: Sequence[str]) -> set[str]:
        """Select the joints that a dataset with joints of these names has, or that are computed of them."""
        return {*names, *(joint for joint, _ in self._computable(names))} & {*self.joints}

    def _computable(self, names: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
        """List the computed joints that a dataset lacks and has the parents of."""
        known = {*names}
        computable = []
        for joint, parents in self.computed:
            if joint not in known and known.issuperset(parents):
                known.add(joint)
                computable.append((joint, parents))
        return computable

    def take(self, names: Sequence[str], keypoints: np.ndarray) -> np.ndarray:
        """Reorder a dataset's keypoints to this skeleton's joints, and compute the joints that the dataset lacks.

        Args:
            names: The dataset's joint names, K' of them.
            keypoints: ``(N, K', 3)`` x, y in pixels and visibility: 0 not labelled, 1 hidden, 2 visible.

        Returns:
            ``(N, K, 3)`` float64. A joint unknown to the dataset has visibility 0. A computed joint is labelled only
            where all of its parents are, and as visible as the worst of them; a parent named twice counts twice.
        """
        plan = self._plans.get(key := tuple(names))
        if plan is None:
            plan = self._plans[key] = self._plan_taking(key)
        known = np.empty((len(keypoints), len(names) + len(plan.parents) + 1, 3))
        known[:, : len(names)] = keypoints
        known[:, -1] = 0.0
        for column, parents in enumerate(plan.parents, len(names)):
            points = known.take(parents, axis=1)  # (N, P, 3)
            visibility = points[..., 2].min(axis=1)
            known[:, column] = points.sum(axis=1) / len(parents)
            known[:, column, 2] = visibility
            known[~(visibility > 0), column] = 0.0
        return known.take(plan.columns, axis=1)

    @cached_property
    def _plans(self) -> dict[tuple[str, ...], "_Taking"]:
        """How the joints of each dataset are taken that has been asked for; there are few, and samples ask often."""
        return {}

    def _plan_taking(self, names: tuple[str, ...]) -> "_Taking":
        computable = self._computable(names)
        columns = {name: column for column, name in enumerate((*names, *(joint for joint, _ in computable)))}
        return _Taking(
            parents=tuple(np.array([columns[parent] for parent in parents]) for _, parents in computable),
            columns=np.array([columns.get(joint, len(columns)) for joint in self.joints], np.int64),
        )

    def find_problems(self) -> Iterator[str]:
        """List what does not fit together, of a skeleton that somebody else wrote down."""
        joints = {*self.joints}
        if not isinstance(self.name, str) or not all(isinstance(joint, str) and joint for joint in self.joints):
            yield "a name is no text"
        if not joints or len(joints) < len(self.joints):
            yield "a joint is named twice, or none is named"
        if not all(0 <= end < len(self.joints) for limb in self.limbs for end in limb):
            yield "a limb ends at no joint"
        if len(self.sigmas) != len(self.joints) or not all(
            isinstance(sigma, int | float) and 0 < sigma < math.inf for sigma in self.sigmas
        ):
            yield "sigmas are not a number above 0 for each joint"
        if not all(isinstance(name, str) for joint, parents in self.computed for name in (joint, *parents)):
            yield "a computed joint is no text"
        if not {name for pair in self.flip_pairs or () for name in pair} <= joints:
            yield "flip_pairs name another joint"
        if self.prior and len(self.prior.means) != len(self.joints):
            yield "the prior is of another number of joints"

    def to_dict(self) -> dict[str, Any]:
        """Return this skeleton as plain JSON data."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "limbs": [list(limb) for limb in self.limbs],
            "sigmas": list(self.sigmas),
            "computed": {joint: list(parents) for joint, parents in self.computed},
            "prior": self.prior and self.prior.to_dict(),
            "flip_pairs": None if self.flip_pairs is None else [list(pair) for pair in self.flip_pairs],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Skeleton":
        """Undo :meth:`to_dict`; data without a word on a prior get that of their joints, if one is known."""
        joints = tuple(data["joints"])
        prior = data["prior"] and BodyPrior.from_dict(data["prior"]) if "prior" in data else find_prior(joints)
        pairs = data.get("flip_pairs")
        return cls(
            name=data["name"],
            joints=joints,
            limbs=tuple((int(a), int(b)) for a, b in data["limbs"]),
            sigmas=tuple(data["sigmas"]),
            computed=tuple((joint, tuple(parents)) for joint, parents in data.get("computed", {}).items()),
            prior=prior,
            flip_pairs=None if pairs is None else tuple((left, right) for left, right in pairs),
        )


def find_sigma(joint: str) -> float:
    """Find a joint's OKS spread by the body part in its name."""
    return next((sigma for part, sigma in COCO_SIGMAS.items() if names_part(joint, part)), DEFAULT_SIGMA)


def make_skeleton(name: str, joints: Sequence[str], limbs: Sequence[Sequence[int]]) -> Skeleton:
    """Build a skeleton from names and 0-based limbs; a ``neck`` becomes the mean of the shoulders.

    Raises:
        UserError: A joint is named twice or a limb ends at no joint.
    """
    twice = sorted({joint for joint in joints if list(joints).count(joint) > 1})
    if twice:
        raise UserError(f"joint {twice[0]!r} is named twice", where=name, fix="name every joint once")
    wrong = [limb for limb in limbs if len(limb) != 2 or not all(0 <= end < len(joints) for end in limb)]
    if wrong:
        raise UserError(
            f"limb {wrong[0]} ends at no joint", where=name, fix=f"joints are numbered to {len(joints) - 1}"
        )
    computed = (("neck", ("left_shoulder", "right_shoulder")),) if "neck" in joints else ()
    return Skeleton(
        name=name,
        joints=tuple(joints),
        limbs=tuple((int(a), int(b)) for a, b in limbs),
        sigmas=tuple(find_sigma(joint) for joint in joints),
        computed=computed,
        prior=find_prior(joints),
    )


COCO_17 = make_skeleton(
    "coco_17_joints",
    ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
     "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
     "right_ankle"),
    ((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
     (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)  # fmt: skip

BODYPOSENET_18 = make_skeleton(
    "bpnet_18_joints",
    ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
     "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
     "right_ear", "left_ear"),
    ((1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 2), (2, 3), (3, 4), (2, 16), (1, 5), (5, 6), (6, 7),
     (5, 17), (1, 0), (0, 14), (0, 15), (14, 16), (15, 17)),
)  # fmt: skip
