"""Skeleton match: which joints and limbs of one skeleton are those of another, by the names of the joints."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bodyposenet.common.skeleton.joint_names import split_names
from bodyposenet.common.skeleton.skeleton import Skeleton

NEW = -1
SHOWN = 6  # names in a line


@dataclass(frozen=True)
class ChannelOrigin:
    """Where the channels of a map come from.

    Attributes:
        places: ``(C,)`` int64: the channel of the other skeleton's map; :data:`NEW` where it has none.
        signs: ``(C,)`` float32: what that channel is to be multiplied by, 1 or -1; 0 for new channels.
    """

    places: np.ndarray
    signs: np.ndarray


@dataclass(frozen=True)
class SkeletonMatch:
    """What a skeleton shares with an older one.

    Attributes:
        old: The skeleton of a network.
        new: The one that is wanted.
        joints: For each joint of the new skeleton its number in the old one, or :data:`NEW`.
        limbs: The same of the limbs.
        turned: For each limb of the new skeleton, whether the old one runs from its second joint to its first.
    """

    old: Skeleton
    new: Skeleton
    joints: tuple[int, ...]
    limbs: tuple[int, ...]
    turned: tuple[bool, ...]

    @property
    def heatmaps(self) -> ChannelOrigin:
        """Of the heatmaps, ``(K + 1,)``; the background stays the last."""
        places = np.array([*self.joints, self.old.num_joints], np.int64)
        return ChannelOrigin(places, (places != NEW).astype(np.float32))

    @property
    def fields(self) -> ChannelOrigin:
        """Of the part affinity fields, ``(2 L,)``: x and y of each limb."""
        limbs = np.array(self.limbs, np.int64).reshape(-1, 1)
        places = np.where(limbs == NEW, NEW, 2 * limbs + np.arange(2)).ravel()
        signs = np.where(np.repeat(self.turned, 2), -1, 1) * (places != NEW)
        return ChannelOrigin(places, signs.astype(np.float32))

    def drop_turned(self) -> "SkeletonMatch":
        """Count limbs that run the other way round as new."""
        limbs = tuple(NEW if turned else limb for limb, turned in zip(self.limbs, self.turned, strict=True))
        return replace(self, limbs=limbs, turned=(False,) * len(limbs))

    def summary(self) -> str:
        """How many joints and limbs are kept, and which are new, in a line."""
        kept = f"keeps {_count(self.joints)} joints and {_count(self.limbs)} limbs of skeleton {self.old.name!r}"
        turned = f" ({sum(self.turned)} of them turned round)" if any(self.turned) else ""
        names = self.new.joints
        limbs = [f"{names[start]}-{names[end]}" for start, end in self.new.limbs]
        new = [_list_new("joints", names, self.joints), _list_new("limbs", limbs, self.limbs)]
        return "; ".join([kept + turned, *filter(None, new)])


def match_skeletons(old: Skeleton, new: Skeleton) -> SkeletonMatch:
    """Find the joints of a skeleton in another one: by the same name, or by the same words and side in another style.

    A limb is found where both of its joints are and the other skeleton joins them, in whatever direction.
    """
    places = {name: number for number, name in enumerate(old.joints)}
    read = dict(zip(split_names(old.joints), range(old.num_joints), strict=True))
    joints = [places.get(name, NEW) for name in new.joints]
    for number, words in enumerate(split_names(new.joints)):
        if joints[number] == NEW and read.get(words, NEW) not in joints:
            joints[number] = read.get(words, NEW)
    limbs = [_find_limb(old, joints[start], joints[end]) for start, end in new.limbs]
    return SkeletonMatch(
        old, new, tuple(joints), tuple(limb for limb, _ in limbs), tuple(turned for _, turned in limbs)
    )


def _find_limb(old: Skeleton, start: int, end: int) -> tuple[int, bool]:
    for ends, turned in (((start, end), False), ((end, start), True)):
        if ends in old.limbs:
            return old.limbs.index(ends), turned
    return NEW, False


def _count(places: Sequence[int]) -> str:
    return f"{sum(place != NEW for place in places)} of {len(places)}"


def _list_new(kind: str, names: Sequence[str], places: Sequence[int]) -> str:
    new = [name for name, place in zip(names, places, strict=True) if place == NEW]
    more = f" and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
    return f"new {kind}: {', '.join(new[:SHOWN])}{more}" if new else ""
