"""Body prior: the build of bodies, fitted to the joints that people have in a dataset."""

import json
from pathlib import Path

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.prior import BodyPrior
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.storage.files import whole_file

MIN_LABELLED = 8  # joints of a person who counts; half of the skeleton's where that is fewer
NEEDED = 30  # people who show a pair of joints, for it to count
ROUNDS = 10  # means settle to three digits in half of them
UNKNOWN = 0.8  # spread of a pair that few people show: about that of the widest known
LEAST_SPREAD = 0.05


def fit_prior(people: np.ndarray, skeleton: Skeleton) -> BodyPrior:
    """Fit a prior: each person's scale and each pair's mean in turn.

    Args:
        people: ``(N, K, 3)`` x, y in pixels and visibility; those with few joints labelled do not count.
        skeleton: Whose joints they are.

    Raises:
        UserError: No pair of joints is labelled often enough.
    """
    first, second = np.tril_indices(skeleton.num_joints, -1)
    shown = people[..., 2] > 0
    whole = shown.sum(axis=1) >= min(MIN_LABELLED, max(2, skeleton.num_joints // 2))
    people, shown = people[whole], shown[whole]
    both = shown[:, first] & shown[:, second]
    known = both.sum(axis=0) >= NEEDED
    if not known.any():
        raise UserError(
            f"no two joints are labelled in {NEEDED} people or more",
            where=skeleton.name,
            fix="fit the prior to a larger dataset",
        )
    distances = np.linalg.norm(people[:, first, :2] - people[:, second, :2], axis=-1)
    logs = np.log(np.maximum(distances, 1))  # annotations are whole pixels
    means, spreads = np.zeros(len(first)), np.full(len(first), UNKNOWN)
    means[known], spreads[known] = _alternate(logs[:, known], both[:, known])
    return BodyPrior.from_dict({"means": _below(means, skeleton), "spreads": _below(spreads, skeleton)})


def write_prior(path: Path, prior: BodyPrior, skeleton: Skeleton) -> None:
    """Write a prior as JSON, with the names of the joints that it is of; the folder is made."""
    tables = prior.to_dict()
    rows = {name: ",\n".join(f"    {json.dumps(row)}" for row in table) for name, table in tables.items()}
    lists = ",\n".join(f'  "{name}": [\n{text}\n  ]' for name, text in rows.items())
    with whole_file(path) as file:
        file.write(f'{{\n  "joints": {json.dumps(skeleton.joints)},\n{lists}\n}}\n'.encode())


def _alternate(logs: np.ndarray, both: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit ``(C,)`` means and spreads to ``(N, C)`` log distances, and where they are known."""
    count = np.maximum(both.sum(axis=0), 1)
    means, spreads = np.where(both, logs, 0).sum(axis=0) / count, np.ones(logs.shape[1])
    for _ in range(ROUNDS):
        weights = both / spreads**2
        scales = (weights * (logs - means)).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
        rest = np.where(both, logs - scales[:, None], 0)
        means = rest.sum(axis=0) / count
        spreads = np.maximum(np.sqrt((both * (rest - means) ** 2).sum(axis=0) / count), LEAST_SPREAD)
        means -= means.mean()
    return means, spreads


def _below(values: np.ndarray, skeleton: Skeleton) -> list[list[float]]:
    """Lay ``(C,)`` values of pairs out as rows below the diagonal; both sides of the body get the same."""
    table = np.zeros((skeleton.num_joints, skeleton.num_joints))
    table[np.tril_indices_from(table, -1)] = values
    table += table.T
    order = skeleton.flip_order
    even = (table + table[order][:, order]) / 2
    return [[round(float(value), 3) for value in row[:k]] for k, row in enumerate(even)]
