"""Prior: the build of bodies, by which decoding tells whose a piece is that no limb joins to anybody."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import numpy as np

from bodyposenet.common.errors import MALFORMED, UserError

LEAST_SPREAD = 1e-6  # of a logarithm: a millionth of a body's size
Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class BodyPrior:
    """How far the joints of one body are apart: what tells whether two pieces belong to one person.

    The logarithm of the distance of joints k and l is the body's own scale, plus ``means[k][l]``, give or take
    ``spreads[k][l]``. Distances do not change when a body turns.

    Attributes:
        means: ``(K, K)``, symmetric; the diagonal means nothing.
        spreads: ``(K, K)``, symmetric, positive.
    """

    means: Rows
    spreads: Rows

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """``(K, K)`` float64 means, and weights, one over the square of the spreads."""
        return np.array(self.means), 1 / np.array(self.spreads) ** 2

    def to_dict(self) -> dict[str, Any]:
        """Return this prior as plain JSON data: of each table the part below the diagonal."""
        return {
            "means": [list(row[:k]) for k, row in enumerate(self.means)],
            "spreads": [list(row[:k]) for k, row in enumerate(self.spreads)],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "BodyPrior":
        """Undo :meth:`to_dict`; the data may be anybody's.

        Raises:
            ValueError: Nothing can be weighed by them.
        """
        prior = cls(_whole_table(data["means"], 0.0), _whole_table(data["spreads"], 1.0))
        if not (np.isfinite([*prior.means, *prior.spreads]).all() and (np.array(prior.spreads) > LEAST_SPREAD).all()):
            raise ValueError("the prior's means are no numbers, or a spread of it is none, or 0")
        return prior


def _whole_table(below: Sequence[Sequence[float]], diagonal: float) -> Rows:
    count = len(below)
    return tuple(
        tuple(diagonal if k == m else float(below[max(k, m)][min(k, m)]) for m in range(count)) for k in range(count)
    )


def find_prior(joints: Sequence[str]) -> BodyPrior | None:
    """Return the prior of TAO's 18 joints, fitted to COCO train2017; others have none until one is fitted."""
    data = json.loads(resources.files(__package__).joinpath("priors/bpnet_18_joints.json").read_text(encoding="utf-8"))
    return BodyPrior.from_dict(data) if tuple(data["joints"]) == tuple(joints) else None


def load_prior(content: bytes, joints: Sequence[str], *, where: str) -> BodyPrior:
    """Read what a file of ``bpnet skeleton fit`` holds.

    Args:
        content: The file's, which may be anybody's.
        joints: Of the skeleton that it is for.
        where: What messages call it.

    Raises:
        UserError: It is no prior, or that of other joints.
    """
    fix = "write it with `bpnet skeleton fit`, with this pose config"
    try:
        data = json.loads(content)
        if tuple(data["joints"]) != tuple(joints):
            raise UserError("is the prior of other joints", where=where, fix=fix)
        prior = BodyPrior.from_dict(data)
        if not len(prior.means) == len(prior.spreads) == len(joints):
            raise ValueError("its tables are of another number of joints")
    except UserError:
        raise
    except MALFORMED:
        raise UserError("is no prior", where=where, fix=fix) from None
    return prior
