"""Many people, strewn at random."""

from benchmarks.walkers import WALKING


def crowd(people, rng, size=(64, 80)):
    """Joints ``(N, 18, 2)`` of people of all sizes, anywhere."""
    scale = rng.uniform(0.3, 1.2, (people, 1, 1))
    corner = rng.uniform([0, 0], [8 * size[1], 8 * size[0]], (people, 2)) - 40
    return corner[:, None] + WALKING * scale
