"""Pose config: the joints and limbs that a network learns, in TAO's JSON form."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationInfo, field_validator

from bodyposenet.common.skeleton import BODYPOSENET_18, Skeleton, load_prior, make_skeleton
from bodyposenet.common.spec.base import Int, Name, Natural, PathMap, PathText, Positive, Strict, load_spec
from bodyposenet.common.spec.document import Loc
from bodyposenet.common.spec.problems import MisfitError, did_you_mean


class Category(Strict):
    """One kind of thing with keypoints; only the one named ``person`` is used.

    Attributes:
        keypoints: Joint names, in the order of the annotations' triplets.
        num_joints: How many; given twice so that a forgotten name shows.
        skeleton: Limbs as pairs of joint numbers, counted from 1.
        skeleton_edge_names: The same limbs as pairs of names.
    """

    supercategory: str | None = None
    id: Int = 1
    name: Name
    keypoints: tuple[Name, ...]
    num_joints: Natural
    skeleton: tuple[tuple[Int, Int], ...] = ()
    skeleton_edge_names: tuple[tuple[Name, Name], ...] | None = None

    @field_validator("keypoints")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice: list[tuple[Loc, str]] = [
            ((index,), f"joint {name!r} is named twice") for index, name in enumerate(names) if name in names[:index]
        ]
        if twice:
            raise MisfitError(*twice)
        return names

    @field_validator("num_joints")
    @classmethod
    def _counts_the_keypoints(cls, count: int, info: ValidationInfo) -> int:
        names = info.data.get("keypoints")
        if names is not None and count != len(names):
            raise MisfitError(((), f"should be {len(names)}, the number of keypoints (got {count})"))
        return count

    @field_validator("skeleton")
    @classmethod
    def _limbs_end_at_joints(cls, limbs: tuple[tuple[int, int], ...], info: ValidationInfo) -> object:
        count = len(info.data.get("keypoints", ()))
        wrong = [(index, limb) for index, limb in enumerate(limbs) if not all(1 <= end <= count for end in limb)]
        if wrong and count:
            raise MisfitError(*(((i,), f"joints are numbered 1 to {count} (got {list(limb)})") for i, limb in wrong))
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
            raise MisfitError(*problems)
        return edges


def _unknown_names(edges: Sequence[Sequence[str]], known: Sequence[str]) -> Iterator[tuple[Loc, str]]:
    for index, edge in enumerate(edges):
        for end, name in enumerate(edge):
            if name not in known:
                yield (index, end), f"no such joint (got {name!r}){did_you_mean(name, known)}"


def person_of(categories: tuple[Category, ...]) -> Category:
    """The category named ``person``; validation has made sure that there is one."""
    return next(category for category in categories if category.name == "person")


def has_person(categories: tuple[Category, ...]) -> tuple[Category, ...]:
    """Validator: one of the categories must be the person.

    Raises:
        MisfitError: None is.
    """
    if not any(category.name == "person" for category in categories):
        names = ", ".join(repr(category.name) for category in categories) or "none"
        raise MisfitError(((), f"one category must be named 'person' (got {names})"))
    return categories


class PoseConfig(Strict):
    """The skeleton of a network.

    Attributes:
        pose_config_type: Its name.
        categories: One of them is the person.
        sigmas: Extension: OKS spread of each joint; null takes COCO's, by the names of the joints.
        computed: Extension: joints that datasets lack, each the mean of others; null computes ``neck``.
        prior: Extension: file of ``bpnet skeleton fit``; null takes the built-in one, if the joints are TAO's 18.
    """

    pose_config_type: Name = "bpnet_18_joints"
    categories: tuple[Category, ...]
    sigmas: tuple[Positive, ...] | None = None
    computed: dict[str, tuple[Name, ...]] | None = None
    prior: PathText | None = None

    _has_person = field_validator("categories")(has_person)

    @field_validator("sigmas")
    @classmethod
    def _one_sigma_a_joint(cls, sigmas: tuple[float, ...] | None, info: ValidationInfo) -> object:
        if sigmas is None or "categories" not in info.data:
            return sigmas
        count = len(person_of(info.data["categories"]).keypoints)
        if len(sigmas) != count:
            raise MisfitError(((), f"should hold {count} numbers, one a joint (got {len(sigmas)})"))
        return sigmas

    @field_validator("computed")
    @classmethod
    def _computed_from_joints(cls, computed: dict[str, tuple[str, ...]] | None, info: ValidationInfo) -> object:
        if not computed or "categories" not in info.data:
            return computed
        known = person_of(info.data["categories"]).keypoints
        wrong = [(joint, name) for joint, parents in computed.items() for name in (joint, *parents)]
        wrong = [(joint, name) for joint, name in wrong if name not in known]
        if wrong:
            raise MisfitError(
                *(((j,), f"no such joint (got {name!r}){did_you_mean(name, known)}") for j, name in wrong)
            )
        return computed

    def skeleton(self) -> Skeleton:
        """The person's joints and limbs, counted from 0.

        Raises:
            UserError: The prior's file is missing, wrong, or of other joints.
        """
        person = person_of(self.categories)
        limbs = [(start - 1, end - 1) for start, end in person.skeleton]
        made = make_skeleton(self.pose_config_type, person.keypoints, limbs)
        computed = made.computed if self.computed is None else tuple(self.computed.items())
        prior = made.prior if self.prior is None else load_prior(Path(self.prior), made.joints)
        return replace(made, sigmas=self.sigmas or made.sigmas, computed=computed, prior=prior)


def load_skeleton(path: str | Path | None, *, path_map: PathMap = ()) -> Skeleton:
    """The skeleton of a pose-config file; without one TAO's 18 joints.

    Raises:
        SpecError: The file cannot be used.
    """
    if path is None:
        return BODYPOSENET_18
    return load_spec(path, PoseConfig, path_map=path_map).skeleton()
