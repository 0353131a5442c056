"""Field check: whether an adopted network's maps of photos are what its card says they are.

A limb's field points from its first joint to its second. Whoever guessed wrongly the order of the channels, or the
joints at the ends of limbs, sees fields that point elsewhere. A network that is shown wrong colours or scales sees
little, or, where its layers pass on whatever size its input has, much that contradicts itself: fields longer than 1,
joints where the background is, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bodyposenet.common.adopt.conventions import Colours, Convention
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.fit import fit_image, normalise
from bodyposenet.common.pose.peaks import find_peaks
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import Skeleton

PEAK = 0.15  # least heatmap value of a joint that counts
CLEAR = 0.3  # least mean field along a limb, or against it, that says something
SAMPLES = np.linspace(0, 1, 10)
SIZE = (256, 256)  # pixels; the shorter side of the photos
BETTER = 1.1  # times as much must another feeding show before this one is called wrong
LEAST_CLASH = 0.005  # of heatmaps and background, on the average: less is told from none by nothing
FEW = 12  # photos by which ways to feed it are compared; by six, one in eight wrong orders of colours passes
FEEDINGS: Sequence[tuple[float, float]] = ((1.0, 0.0), (256.0, 0.5), (255.0, 0.0), (127.5, 1.0))


@dataclass(frozen=True)
class Evidence:
    """What photos show of a network.

    Attributes:
        along: ``(L,)``, of each limb: pairs of joints between which the field points from the first to the second.
        against: The same of fields that point back.
        strength: How much each limb's fields agree on one way, added up over limbs; a field counts by how near its mean
            is to 1, from 0 at none or 2.
        clash: Mean difference of the background's map and what all joints leave of 1.
    """

    along: np.ndarray
    against: np.ndarray
    strength: float
    clash: float

    @property
    def clarity(self) -> float:
        """How much is seen, and how little of it contradicts itself: to be compared between ways to feed a network."""
        return self.strength / (self.clash + LEAST_CLASH)

    @property
    def seen(self) -> int:
        """How many limbs were seen."""
        return int(np.count_nonzero(self.along + self.against))

    @property
    def right(self) -> int:
        """How many of them point the right way more often than not."""
        return int(np.count_nonzero(self.along > self.against))


def gather_evidence(model: Any, card: Card, photos: Sequence[np.ndarray], *, swapped: bool = False) -> Evidence:
    """Look at photos, and add up what the limbs' fields do between the joints that are found.

    Args:
        model: A ``keras.Model``.
        card: How it is fed and read.
        photos: ``(H, W, 3)`` RGB uint8 each.
        swapped: Show it blue first.
    """
    limbs = card.skeleton.num_limbs
    along, against, agreed, clash = np.zeros(limbs, int), np.zeros(limbs, int), np.zeros(limbs), 0.0
    for photo in photos:
        fitted = fit_image(photo, SIZE, "adjust_network_input", card.stride).image
        picture = normalise(np.ascontiguousarray(fitted[..., ::-1]) if swapped else fitted, card)
        maps = [np.asarray(each, np.float32)[0] for each in model(picture[None])]
        heatmaps, pafs = maps[len(maps) // 2 - 1], maps[-1]
        clash += float(np.abs(1 - heatmaps[..., :-1].max(axis=-1) - heatmaps[..., -1]).mean()) / len(photos)
        for limb, means in enumerate(score_pairs(heatmaps, pafs, card.skeleton, card.sigma / card.stride)):
            clear = means[np.abs(means) > CLEAR]
            along[limb] += np.count_nonzero(clear > 0)
            against[limb] += np.count_nonzero(clear < 0)
            agreed[limb] += float(np.sum(np.sign(clear) * np.maximum(1 - np.abs(1 - np.abs(clear)), 0)))
    return Evidence(along, against, float(np.abs(agreed).sum()), clash)


def score_pairs(heatmaps: np.ndarray, pafs: np.ndarray, skeleton: Skeleton, spread: float) -> list[np.ndarray]:
    """Of each limb and each of its first joints: the mean field towards that second joint which it is clearest for.

    Args:
        heatmaps: ``(H, W, K + 1)`` float32.
        pafs: ``(H, W, 2 L)`` float32.
        skeleton: Names the channels.
        spread: Sigma of a peak in cells.

    Returns:
        For each limb ``(S,)`` means of the field along the way, negative where it points back.
    """
    points, _, bounds, _ = find_peaks(np.ascontiguousarray(heatmaps), skeleton.num_joints, np.float32(PEAK), spread)
    scores = []
    for limb, (start, end) in enumerate(skeleton.limbs):
        starts, ends = (points[bounds[joint] : bounds[joint + 1]] for joint in (start, end))
        way = ends[None] - starts[:, None]  # (S, E, 2)
        lengths = np.linalg.norm(way, axis=-1)
        if not lengths.size:
            scores.append(np.zeros(0))
            continue
        places = starts[:, None, None] + SAMPLES[:, None] * way[:, :, None]  # (S, E, samples, 2)
        cells = np.clip(np.rint(places).astype(int), 0, np.array(pafs.shape[1::-1]) - 1)
        found = pafs[cells[..., 1], cells[..., 0], 2 * limb : 2 * limb + 2]  # (S, E, samples, 2)
        means = np.einsum("sepx,sex->se", found, way) / np.maximum(lengths, 1e-6) / len(SAMPLES)
        means[lengths < 1] = 0  # both ends in one cell: no way
        scores.append(means[np.arange(len(means)), np.abs(means).argmax(axis=1)])
    return scores


def require_evidence(
    model: Any, card: Card, convention: Convention, photos: Sequence[np.ndarray], *, where: str
) -> Evidence:
    """Look at photos, and refuse a network whose maps are not what its card says.

    Args:
        model: The Keras network.
        card: What it is said to be.
        convention: Whose form it has.
        photos: ``(H, W, 3)`` uint8 RGB each.
        where: The network's file, for the message.

    Raises:
        UserError: Fields point back, nobody is seen in any photo, or people are clearer when it is fed otherwise.
    """
    few = photos[:FEW]
    known = gather_evidence(model, card, few)
    best, named = max(
        ((gather_evidence(model, other, few, swapped=swap), told) for other, swap, told in _others(card, convention)),
        key=lambda way: way[0].clarity,
    )
    if best.clarity > BETTER * known.clarity and best.strength > 1:
        raise UserError(
            f"it sees people more clearly in the photos when it is fed otherwise (clarity "
            f"{best.clarity:.0f}, not {known.clarity:.0f})",
            where=where, fix=f"give {named}",
        )  # fmt: skip
    evidence = known if len(photos) <= FEW else gather_evidence(model, card, photos)
    if not evidence.seen:
        raise UserError(
            f"it sees nobody in {len(photos)} photos, so nothing tells whether its channels are these joints'",
            where=where, fix="give photos with people, large ones: --photos FOLDER",
        )  # fmt: skip
    if evidence.right < evidence.seen * 0.8:
        names = card.skeleton.joints
        wrong = [
            f"{names[start]} to {names[end]}"
            for (start, end), on, back in zip(card.skeleton.limbs, evidence.along, evidence.against, strict=True)
            if on + back and on <= back
        ]
        raise UserError(
            f"the fields of {len(wrong)} of {evidence.seen} limbs do not point from the first joint to the second: "
            f"{', '.join(wrong[:5])}{', …' if len(wrong) > 5 else ''}",
            where=where, fix="name its joints and limbs in the order of its channels: --pose_config FILE",
        )  # fmt: skip
    return evidence


def _others(card: Card, convention: Convention) -> list[tuple[Card, bool, str]]:
    """Other ways to feed a network: its card, whether blue comes first, and the flags that ask for it."""
    others = []
    for scale, offset in FEEDINGS:
        for swap in (False, True):
            if (scale, offset, swap) == (convention.scale, convention.offset, False):
                continue
            factor = np.array(card.image_scale) / convention.scale  # what the network itself divides by
            shift = np.array(card.image_offset) - convention.offset / factor
            fed = replace(card, image_scale=tuple(scale * factor), image_offset=tuple(offset / factor + shift))
            others.append((fed, swap, _flags(convention, scale, offset, swap)))
    return others


def _flags(convention: Convention, scale: float, offset: float, swap: bool) -> str:
    other: dict[Colours, Colours] = {"rgb": "bgr", "bgr": "rgb"}
    flags = [f"--colours {other[convention.colours]}"] if swap else []
    if (scale, offset) != (convention.scale, convention.offset):
        flags += [f"--scale {scale:g} --offset {offset:g}"]
    return " ".join(flags)
