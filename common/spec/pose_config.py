"""Pose config: the joints and limbs that a network learns, in TAO's JSON form."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from pydantic import ValidationInfo, field_validator

from bodyposenet.common.bounds import NOTE_BYTES
from bodyposenet.common.skeleton.prior import BodyPrior, load_prior
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, Skeleton, make_skeleton
from bodyposenet.common.spec.base import Int, Name, Natural, PathMap, PathText, Positive, Strict, load_spec
from bodyposenet.common.spec.document import Loc
from bodyposenet.common.spec.problems import SpecMisfitError, did_you_mean
from bodyposenet.common.storage.files import read_bytes

PERSON = "person"
Problems = Iterator[tuple[Loc, str]]
Limb = tuple[int, int]


class Category(Strict):
    """One kind of thing with keypoints.

    Attributes:
        supercategory: COCO's word for several kinds; not used here.
        id (number): Its number in the annotation file.
        name: Its name in the annotation file.
        keypoints: Joint names, in the order of the annotations' triplets.
        num_joints (joints): How many; given twice so that a forgotten name shows.
        skeleton (joint numbers): Limbs as pairs of joint numbers, counted from 1.
        skeleton_edge_names: The same limbs as pairs of names; without ``skeleton`` they are the limbs.
    """

    supercategory: str | None = None
    id: Int = 1
    name: Name
    keypoints: tuple[Name, ...]
    num_joints: Natural
    skeleton: tuple[tuple[Int, Int], ...] | None = None
    skeleton_edge_names: tuple[tuple[Name, Name], ...] | None = None

    @property
    def limbs(self) -> tuple[Limb, ...]:
        """Pairs of joint numbers, counted from 0."""
        if self.skeleton is not None:
            return tuple((start - 1, end - 1) for start, end in self.skeleton)
        place = self.keypoints.index
        return tuple((place(start), place(end)) for start, end in self.skeleton_edge_names or ())

    @field_validator("keypoints")
    @classmethod
    def _require_unique_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice: list[tuple[Loc, str]] = [
            ((index,), f"joint {name!r} is named twice") for index, name in enumerate(names) if name in names[:index]
        ]
        if twice:
            raise SpecMisfitError(*twice)
        return names

    @field_validator("num_joints")
    @classmethod
    def _counts_the_keypoints(cls, count: int, info: ValidationInfo) -> int:
        names = info.data.get("keypoints")
        if names is not None and count != len(names):
            raise SpecMisfitError(((), f"should be {len(names)}, the number of keypoints (got {count})"))
        return count

    @field_validator("skeleton")
    @classmethod
    def _limbs_end_at_joints(cls, limbs: tuple[Limb, ...] | None, info: ValidationInfo) -> object:
        count = len(info.data.get("keypoints", ()))
        wrong = [(index, limb) for index, limb in enumerate(limbs or ()) if not all(1 <= end <= count for end in limb)]
        if wrong and count:
            raise SpecMisfitError(
                *(((i,), f"joints are numbered 1 to {count} (got {list(limb)})") for i, limb in wrong)
            )
        return limbs

    @field_validator("skeleton_edge_names")
    @classmethod
    def _edges_name_joints(cls, edges: tuple[tuple[str, str], ...] | None, info: ValidationInfo) -> object:
        known = info.data.get("keypoints")
        problems = list(_unknown_names(edges or (), known)) if known else []
        limbs = info.data.get("skeleton")
        if edges is not None and limbs is not None and len(edges) != len(limbs):
            problems.append(((), f"should name the {len(limbs)} limbs of 'skeleton' (got {len(edges)} names)"))
        if problems:
            raise SpecMisfitError(*problems)
        return edges


def find_person(categories: Sequence[Category]) -> Category:
    """Find the category named ``person``, or the only one; validation has made sure that there is one."""
    return next((category for category in categories if category.name == PERSON), categories[0])


def lack_of_person(categories: Sequence[Category]) -> str:
    """Tell what keeps :func:`find_person` from telling the person: none is named so, several could be meant."""
    if len(categories) == 1 or any(category.name == PERSON for category in categories):
        return ""
    names = ", ".join(repr(category.name) for category in categories) or "none"
    return f"one category must be named {PERSON!r} (got {names})"


class PoseConfig(Strict):
    """The skeleton of a network.

    Attributes:
        pose_config_type: Its name.
        categories: One of them is the person; if there is one only, it may have any name.
        sigmas (share): Extension: OKS spread of each joint, of the root of the person's area; null takes COCO's, by the
            names of the joints.
        computed: Extension: joints that datasets lack, each the mean of others; null computes ``neck``.
        prior: Extension: file of ``bpnet skeleton fit``; null takes the built-in one, if the joints are TAO's 18.
        flip_pairs: Extension: the left and the right joint of each pair that a mirror swaps; null goes by their names.
    """

    pose_config_type: Name = "bpnet_18_joints"
    categories: tuple[Category, ...]
    sigmas: tuple[Positive, ...] | None = None
    computed: dict[Name, tuple[Name, ...]] | None = None
    prior: PathText | None = None
    flip_pairs: tuple[tuple[Name, Name], ...] | None = None

    @field_validator("categories")
    @classmethod
    def _has_a_skeleton(cls, categories: tuple[Category, ...]) -> tuple[Category, ...]:
        lack = lack_of_person(categories)
        if lack:
            raise SpecMisfitError(((), lack))
        person = find_person(categories)
        problems = list(_limb_problems(person))
        if problems:
            number = categories.index(person)
            raise SpecMisfitError(*(((number, *place), problem) for place, problem in problems))
        return categories

    @field_validator("sigmas")
    @classmethod
    def _one_sigma_a_joint(cls, sigmas: tuple[float, ...] | None, info: ValidationInfo) -> object:
        known = _joints_in(info)
        if sigmas is not None and known and len(sigmas) != len(known):
            raise SpecMisfitError(((), f"should hold {len(known)} numbers, one a joint (got {len(sigmas)})"))
        return sigmas

    @field_validator("computed")
    @classmethod
    def _require_computed_from_joints(cls, computed: dict[str, tuple[str, ...]] | None, info: ValidationInfo) -> object:
        problems = list(_computing_problems(computed or {}, _joints_in(info)))
        if problems:
            raise SpecMisfitError(*problems)
        return computed

    @field_validator("flip_pairs")
    @classmethod
    def _each_joint_in_one_pair(cls, pairs: tuple[tuple[str, str], ...] | None, info: ValidationInfo) -> object:
        problems = list(_pairing_problems(pairs or (), _joints_in(info)))
        if problems:
            raise SpecMisfitError(*problems)
        return pairs

    def skeleton(self) -> Skeleton:
        """Return the person's joints and limbs, counted from 0.

        Raises:
            UserError: The prior's file is missing, wrong, or of other joints.
        """
        person = find_person(self.categories)
        made = make_skeleton(self.pose_config_type, person.keypoints, person.limbs)
        return replace(
            made,
            sigmas=self.sigmas or made.sigmas,
            computed=made.computed if self.computed is None else tuple(_parents_first(self.computed)),
            prior=made.prior if self.prior is None else _read_prior(self.prior, made.joints),
            flip_pairs=self.flip_pairs,
        )


def _read_prior(place: str, joints: Sequence[str]) -> BodyPrior:
    """Read a file of ``bpnet skeleton fit``, from any store."""
    content = read_bytes(place, fix="write it with `bpnet skeleton fit`", most=NOTE_BYTES)
    return load_prior(content, joints, where=place)


def load_skeleton(path: str | Path | None, *, path_map: PathMap = ()) -> Skeleton:
    """Read the skeleton of a pose-config file; without one TAO's 18 joints.

    Raises:
        SpecError: The file cannot be used.
    """
    if path is None:
        return BODYPOSENET_18
    return load_spec(path, PoseConfig, path_map=path_map).skeleton()


def _joints_in(info: ValidationInfo) -> tuple[str, ...]:
    """List the joints of the config that is being validated; none if its categories are wrong."""
    categories = cast("tuple[Category, ...]", info.data.get("categories", ()))
    return find_person(categories).keypoints if categories else ()


def _unknown_names(edges: Sequence[Sequence[str]], known: Sequence[str]) -> Problems:
    for index, edge in enumerate(edges):
        for end, name in enumerate(edge):
            if name not in known:
                yield (index, end), f"no such joint (got {name!r}){did_you_mean(name, known)}"


def _limb_problems(person: Category) -> Problems:
    """Find what is wrong with limbs that a network is to learn; a dataset's are not used."""
    key = "skeleton_edge_names" if person.skeleton is None else "skeleton"
    seen: list[set[int]] = []
    for index, limb in enumerate(person.limbs):
        if limb[0] == limb[1]:
            yield (key, index), f"limb from joint {person.keypoints[limb[0]]!r} to itself"
        elif set(limb) in seen:
            yield (key, index), f"the same limb as number {seen.index(set(limb)) + 1}; give each once"
        seen.append(set(limb))
    if not seen:
        yield ("skeleton",), "missing; limbs join the joints of one person, so there must be one at least"
    if person.skeleton and person.skeleton_edge_names:
        for index, (limb, names) in enumerate(zip(person.limbs, person.skeleton_edge_names, strict=True)):
            meant = [person.keypoints[end] for end in limb]
            if {*meant} != {*names}:
                yield ("skeleton_edge_names", index), f"should be {meant}, as 'skeleton' has it (got {list(names)})"


def _computing_problems(computed: Mapping[str, Sequence[str]], known: Sequence[str]) -> Problems:
    for joint, parents in computed.items():
        for name in (joint, *parents) if known else ():
            if name not in known:
                yield (joint,), f"no such joint (got {name!r}){did_you_mean(name, known)}"
        if not parents:
            yield (joint,), "should name the joints whose mean it is (got none)"
    settled = {joint for joint, _ in _parents_first(computed)}
    for joint in computed.keys() - settled:
        yield (joint,), f"is computed from itself (got {list(computed[joint])})"


def _parents_first(computed: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Order the joints that can be computed, each after those that it is computed from."""
    waiting = dict(computed)
    while ready := [joint for joint, parents in waiting.items() if not waiting.keys() & {*parents}]:
        for joint in ready:
            yield joint, tuple(waiting.pop(joint))


def _pairing_problems(pairs: Sequence[tuple[str, str]], known: Sequence[str]) -> Problems:
    if known:
        yield from _unknown_names(pairs, known)
    seen: dict[str, int] = {}
    for index, pair in enumerate(pairs):
        if pair[0] == pair[1]:
            yield (index,), f"joint {pair[0]!r} is its own partner; leave out joints that stay where they are"
            continue
        for name in pair:
            if name in seen:
                yield (index,), f"joint {name!r} is in pair {seen[name] + 1}, too"
            seen.setdefault(name, index)
