"""Shape: who a person is: woman or man, age, build, skin; and the targets that make the body so."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

RACES = ("african", "asian", "caucasian")  # as MakeHuman names its targets
TONES = (0.85, 0.3, 0.15)  # how dark their skin is, more or less
AGES, AGE_NAMES = (0.0, 0.19, 0.5, 1.0), ("baby", "child", "young", "old")
LEVELS, LEVEL_NAMES = (0.0, 0.5, 1.0), ("min", "average", "max")


class Look(NamedTuple):
    """Who it is.

    Attributes:
        female: Whether.
        age: 0 a baby, .19 a child, .5 young, 1 old.
        tone: How dark the skin is, 0 to 1.
    """

    female: bool
    age: float
    tone: float


def random_shape(rng: np.random.Generator) -> tuple[Look, dict[str, float]]:
    """Choose who it is, and the shares of the targets that make the body so."""
    ages = [rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.75), rng.uniform(0.75, 1.0)]
    age, races = float(rng.choice(ages, p=(0.15, 0.7, 0.15))), rng.dirichlet([0.35] * 3)
    look = Look(bool(rng.random() < 0.5), age, float(np.clip(races @ TONES + rng.normal() * 0.12, 0, 1)))
    return look, choose_targets(look, races.tolist(), rng.beta(2, 2, 2).tolist(), rng.uniform(-1, 1, 2).tolist())


def choose_targets(
    look: Look, races: Sequence[float], build: Sequence[float], form: Sequence[float]
) -> dict[str, float]:
    """Find the targets that make a body, and how much of each.

    Between two ages, and two levels of muscle and of weight, whose targets there are, shares are linear, as MakeHuman
    has it (``macro.json`` beside the targets).

    Args:
        look: Woman or man, and the age.
        races: The shares of ``RACES``.
        build: Muscle and weight, 0 to 1.
        form: Height from -1, small, to 1, and how usual the proportions are, likewise.
    """
    gender = ("male", "female")[look.female]
    ages = share(look.age, AGES, AGE_NAMES)
    shares = {
        f"macrodetails/{race}-{gender}-{age}": a * r
        for age, a in ages.items()
        for race, r in zip(RACES, races, strict=True)
    }
    muscles, weights = (share(value, LEVELS, LEVEL_NAMES) for value in build)
    tall, ideal = form
    for (age, a), (muscle, m), (weight, w) in product(ages.items(), muscles.items(), weights.items()):
        kind = f"{gender}-{age}-{muscle}muscle-{weight}weight"
        shares[f"macrodetails/universal-{kind}"] = a * m * w
        shares[f"macrodetails/height/{kind}-{'max' if tall > 0 else 'min'}height"] = a * m * w * abs(tall)
        if age != "baby":  # which has none
            usual = "ideal" if ideal > 0 else "uncommon"
            shares[f"macrodetails/proportions/{kind}-{usual}proportions"] = a * m * w * abs(ideal)
    return shares


def share(value: float, places: Sequence[float], names: Sequence[str]) -> dict[str, float]:
    """Share one between the two names whose places are beside a value, ``0 < share``."""
    above = int(np.clip(np.searchsorted(places, value), 1, len(places) - 1))
    part = float(np.clip((value - places[above - 1]) / (places[above] - places[above - 1]), 0, 1))
    return {name: much for name, much in ((names[above - 1], 1 - part), (names[above], part)) if much > 0}
