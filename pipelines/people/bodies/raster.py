"""Raster: which triangle is seen at each pixel (a depth buffer)."""

import numpy as np

from bodyposenet.common.machine.compiling import njit
from bodyposenet.pipelines.people.bodies.files import Floats, Ints

NOTHING = -1


def rasterize(points: Floats, triangles: Ints, size: tuple[int, int]) -> tuple[Ints, Floats, Floats]:
    """Find what is seen.

    Args:
        points: ``(V, 4)`` x, y in pixels, the middle of the first pixel at 0, the depth, less is nearer, and what makes
            an edge: where it is less than 0 the surface is cut off.
        triangles: ``(T, 3)`` vertices; both sides are seen.
        size: ``(H, W)``.

    Returns:
        ``(H, W)`` the triangle, ``NOTHING`` where there is none; ``(H, W, 3)`` how much of each of its corners;
        ``(H, W)`` the depth, infinite where there is nothing.
    """
    found: tuple[Ints, Floats, Floats] = _fill(
        np.ascontiguousarray(points, np.float64), np.ascontiguousarray(triangles, np.int64), *size
    )
    return found


@njit(cache=False)  # few need it, so it is not among what is compiled ahead
def _fill(points: Floats, triangles: Ints, height: int, width: int) -> tuple[Ints, Floats, Floats]:
    seen = np.full((height, width), NOTHING, np.int64)
    parts = np.zeros((height, width, 3))
    depths = np.full((height, width), np.inf)
    for number in range(len(triangles)):
        a, b, c = points[triangles[number, 0]], points[triangles[number, 1]], points[triangles[number, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(area) < 1e-12:
            continue
        first, last = max(0, int(np.ceil(min(a[0], b[0], c[0])))), min(width - 1, int(max(a[0], b[0], c[0])))
        for y in range(max(0, int(np.ceil(min(a[1], b[1], c[1])))), min(height - 1, int(max(a[1], b[1], c[1]))) + 1):
            for x in range(first, last + 1):
                u = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
                v = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
                w = 1 - u - v
                if u < -1e-9 or v < -1e-9 or w < -1e-9:
                    continue
                depth = u * a[2] + v * b[2] + w * c[2]
                if depth < depths[y, x] and u * a[3] + v * b[3] + w * c[3] >= 0:
                    depths[y, x], seen[y, x] = depth, number
                    parts[y, x, 0], parts[y, x, 1], parts[y, x, 2] = u, v, w
    return seen, parts, depths
