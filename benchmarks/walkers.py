"""Walkers: a clip of people who cross each other's way, as joints, and how well numbers tell who is who."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

# A walking person of 18 joints, in the order of the built-in skeleton, 157 pixels high.
WALKING = np.array(
    [(40, 10), (40, 34), (24, 35), (14, 62), (9, 88), (56, 35), (66, 62), (71, 88), (30, 90),
     (28, 124), (27, 157), (50, 90), (52, 124), (53, 157), (36, 6), (45, 5), (30, 11), (51, 10)], float
)  # fmt: skip

FRAMES, HIDDEN = 300, 15
SWINGING = {3: 1, 4: 2, 6: -1, 7: -2, 9: -1, 10: -2, 12: 1, 13: 2}  # elbows, wrists, knees and ankles, by how far
FROM = np.array([60.0, 200, 340, 980, 1110, 1240])  # pixels, of 1,280
STEP = np.array([3.0, 3.6, 2.6, -3.2, -3.2, -3.2])  # pixels a frame


@dataclass
class Walk:
    """A clip.

    Attributes:
        truth: ``(F, N, 18, 2)`` where everybody's joints are.
        seen: ``(F, N)`` who is not hidden.
        frames: What is found in each frame, in any order: jitters, and without some joints.
        crossings: How often somebody passes somebody else.
    """

    truth: np.ndarray
    seen: np.ndarray
    frames: list[People]
    crossings: int

    def take(self, first: int, last: int) -> "Walk":
        """Take the frames from one to before another."""
        return replace(
            self, truth=self.truth[first:last], seen=self.seen[first:last], frames=self.frames[first:last]
        )  # fmt: skip


def draw_walk(seed=0, jitter=2.0, missing=0.1):
    """Six people, of whom five meet at different moments; who walks behind another is hidden for a while."""
    rng = np.random.default_rng(seed)
    start, step = FROM + rng.uniform(-8, 8, 6), STEP + rng.uniform(-0.05, 0.05, 6)
    scale, low, phase = rng.uniform(1.2, 1.6, 6), rng.uniform(200, 240, 6), rng.uniform(0, 6, 6)
    time = np.arange(FRAMES)[:, None]
    left = start + step * time
    truth = WALKING * scale[None, :, None, None] + np.stack([left, np.broadcast_to(low, left.shape)], -1)[:, :, None]
    for joint, far in SWINGING.items():
        truth[:, :, joint, 0] += 7 * far * np.sin(time / 5 + phase)
    seen, crossings = np.ones((FRAMES, 6), bool), 0
    for one in range(6):
        for other in range(one + 1, 6):
            (when,) = np.nonzero(np.diff(np.sign(left[:, one] - left[:, other])))
            crossings += len(when)
            for frame in when:
                long = int(rng.integers(8, HIDDEN + 1))
                seen[max(0, frame - long // 2) : frame - long // 2 + long, other] = False
    return Walk(
        truth, limit_hidden(seen), [find(rng, truth[f], seen[f], jitter, missing) for f in time[:, 0]], crossings
    )


def limit_hidden(seen):
    """Nobody is hidden for longer than ``HIDDEN`` frames: where one crossing follows another they are seen between."""
    for person in range(seen.shape[1]):
        run = 0
        for frame in range(len(seen)):
            run = 0 if seen[frame, person] else run + 1
            if run > HIDDEN:
                seen[frame, person], run = True, 0
    return seen


def find(rng, joints, seen, jitter, missing):
    """What a network finds of a frame."""
    order = rng.permutation(np.flatnonzero(seen))
    places = joints[order] + rng.normal(0, jitter, (len(order), 18, 2))
    there = rng.random((len(order), 18)) >= missing
    keypoints = np.where(there[..., None], np.concatenate([places, np.full((len(order), 18, 1), 0.8)], -1), 0)
    return People(keypoints.astype(np.float32), np.full(len(order), 0.7, np.float32))


def tell_similarity(truth, people):
    """``(N, M)`` OKS of everybody there with everybody found, as COCO computes it: over half the area of the box."""
    spread = (2 * np.asarray(BODYPOSENET_18.sigmas)) ** 2
    area = np.prod(np.ptp(truth, axis=1), axis=1) / 2
    apart = ((people.keypoints[None, :, :, :2] - truth[:, None]) ** 2).sum(-1)
    alike = np.exp(-apart / (2 * area[:, None, None] * spread)) * (people.keypoints[None, :, :, 2] > 0)
    return alike.sum(-1) / np.maximum((people.keypoints[None, :, :, 2] > 0).sum(-1), 1)


def score_identities(walk, numbered):
    """IDF1 (Ristani et al. 2016): of all that is there and all that is told, the part with one number a person.

    Who is hidden counts as there.
    """
    ids = sorted({number for frame in numbered for number in frame})
    matches = np.zeros((walk.truth.shape[1], len(ids)))
    for truth, people, frame in zip(walk.truth, walk.frames, numbered, strict=True):
        alike = tell_similarity(truth, people) >= 0.5
        matches[:, [ids.index(number) for number in frame]] += alike
    right = matches[linear_sum_assignment(matches, maximize=True)].sum()
    told = sum(map(len, numbered))
    return 2 * right / (walk.truth.shape[0] * walk.truth.shape[1] + told)


def score_at_most(walk):
    """IDF1 if all who are like somebody there (OKS .5) had that person's number, and the others new ones."""
    numbered, new = [], walk.truth.shape[1]
    for truth, people in zip(walk.truth, walk.frames, strict=True):
        numbers = list(range(new, new + len(people)))
        alike = tell_similarity(truth, people)
        for person, place in zip(*linear_sum_assignment(alike, maximize=True), strict=True):
            if alike[person, place] >= 0.5:
                numbers[place] = int(person)
        numbered.append(tuple(numbers))
        new += len(people)
    return score_identities(walk, numbered)
