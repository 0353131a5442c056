"""Limbs: which peaks the part affinity fields join.

The score of a pair is the line integral of the field along it: Cao et al., "Realtime Multi-Person 2D Pose Estimation
using Part Affinity Fields" (CVPR 2017, equation 10), sampled at ten points.
"""

import math

import numpy as np
from numba import njit

SAMPLES = 10
NEEDED = 9  # samples that must point along the pair (reference 9.6)
# Places of the samples between the ends, from 0 to 1; the first tell most wrong pairs.
INNER = np.array([4, 7, 2, 5, 8, 1, 6, 3], np.float32) / np.float32(SAMPLES - 1)
INFINITE = np.float32(np.inf)


@njit(nogil=True, cache=True, fastmath={"contract"})
def find_limbs(pafs, points, bounds, limbs, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Match the peaks at the two ends of every limb, best pair first, each peak once a limb.

    Args:
        pafs: ``(H, W, 2 L)`` float32.
        points: ``(P, 2)`` peaks, x, y in cells.
        bounds: ``(K + 1,)`` where each joint's peaks begin and end.
        limbs: ``(L, 2)`` joints at the ends.
        threshold: Least component of the field along the pair for a sample to count.

    Returns:
        ``(M, 3)`` int64: limb, peak at its start, peak at its end; ``(M,)`` float32, the mean of the samples that
        count; and the same for all pairs, 0 where there is no limb: limb after limb, each a table with a row for each
        peak at its start, flat.
    """
    counts = bounds[1:] - bounds[:-1]
    most, all_pairs = 0, 0
    for start, end in limbs:
        most += min(counts[start], counts[end])
        all_pairs += counts[start] * counts[end]
    pairs, scores = np.empty((most, 3), np.int64), np.empty(most, np.float32)
    tables = np.zeros(all_pairs, np.float32)
    x = np.minimum(np.maximum(points[:, 0], np.float32(0)), np.float32(pafs.shape[1] - 1))
    y = np.minimum(np.maximum(points[:, 1], np.float32(0)), np.float32(pafs.shape[0] - 1))
    count, filled = 0, 0
    for limb in range(len(limbs)):
        start, end = limbs[limb]
        size = counts[start] * counts[end]
        table = tables[filled : filled + size].reshape((counts[start], counts[end]))
        filled += size
        starts, ends = slice(bounds[start], bounds[start + 1]), slice(bounds[end], bounds[end + 1])
        _agree(pafs, x[starts], y[starts], x[ends], y[ends], limb, threshold, table)
        count = _pick(table.copy(), limb, bounds[start], bounds[end], pairs, scores, count)
    return pairs[:count], scores[:count], tables


@njit(nogil=True, cache=True, fastmath={"contract"})
def _agree(pafs, x0, y0, x1, y1, limb, threshold, table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill the ``(S, E)`` table with the mean of the samples that are above the threshold, where enough are.

    The samples are taken of all pairs in turn, and those that have missed too often are left out; without
    branches, of which the processor would guess half wrong.
    """
    field, grid = pafs.reshape(-1), _grid(pafs, limb)
    lines = np.empty((table.size, 6), np.float32)  # start, way and direction
    totals, found = np.empty(table.size, np.float32), np.empty(table.size, np.int64)
    likely = np.empty(table.size + 1, np.int64)
    starts, ends = (x0, y0, *_vectors(field, grid, x0, y0)), (x1, y1, *_vectors(field, grid, x1, y1))
    count = _begin(starts, ends, threshold, lines, totals, found, likely)
    for sample in range(len(INNER)):
        needed = NEEDED - len(INNER) + sample + 1
        count = _sweep(field, grid, INNER[sample], threshold, needed, lines, totals, found, likely, count)
    for pair in likely[:count]:
        table[pair // len(x1), pair % len(x1)] = totals[pair] / np.float32(found[pair])


@njit(nogil=True, cache=True, fastmath={"contract"})
def _begin(starts, ends, threshold, lines, totals, found, likely):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Take the samples at both ends of all pairs; return how many pairs are likely."""
    (x0, y0, u0, v0), (x1, y1, u1, v1) = starts, ends
    count = 0
    for i in range(len(x0)):
        before = count
        for j in range(len(x1)):  # saves the root of most
            dx, dy = x1[j] - x0[i], y1[j] - y0[i]
            first, last = u0[i] * dx + v0[i] * dy, u1[j] * dx + v1[j] * dy
            least = threshold * threshold * (dx * dx + dy * dy)
            likely[count] = i * len(x1) + j
            count += ((first > 0) & (first * first > least)) | ((last > 0) & (last * last > least))
        for pair in likely[before:count]:
            j = pair - i * len(x1)
            dx, dy = x1[j] - x0[i], y1[j] - y0[i]
            length = np.float32(math.sqrt(dx * dx + dy * dy))
            ux, uy = dx / length, dy / length
            lines[pair, 0], lines[pair, 1], lines[pair, 2] = x0[i], y0[i], dx
            lines[pair, 3], lines[pair, 4], lines[pair, 5] = dy, ux, uy
            first, last = u0[i] * ux + v0[i] * uy, u1[j] * ux + v1[j] * uy
            one, other = threshold < first < INFINITE, threshold < last < INFINITE
            totals[pair] = (first if one else np.float32(0)) + (last if other else np.float32(0))
            found[pair] = int(one) + int(other)
    return count


@njit(nogil=True, cache=True, fastmath={"contract"})
def _sweep(field, grid, share, threshold, needed, lines, totals, found, likely, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Take one more sample of the likely pairs; move those that are still likely forward, return how many they are."""
    kept = 0
    for place in range(count):
        pair = likely[place]
        x, y = lines[pair, 0] + share * lines[pair, 2], lines[pair, 1] + share * lines[pair, 3]
        value = _along(field, grid, x, y, lines[pair, 4], lines[pair, 5])
        good = threshold < value < INFINITE
        totals[pair] += value if good else np.float32(0)
        found[pair] += int(good)
        likely[kept] = pair
        kept += found[pair] >= needed
    return kept


@njit(nogil=True, cache=True, fastmath={"contract"})
def _vectors(field, grid, x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """``(P,)`` x and y of the field at each point."""
    u, v = np.empty_like(x), np.empty_like(x)
    one, none = np.float32(1), np.float32(0)
    for point in range(len(x)):
        u[point] = _along(field, grid, x[point], y[point], one, none)
        v[point] = _along(field, grid, x[point], y[point], none, one)
    return u, v


@njit(nogil=True, cache=True, fastmath={"contract"})
def _pick(table, limb, start, end, pairs, scores, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Append the table's pairs, best first, each row and column once; of equals the first."""
    rows, columns = table.shape
    best = np.empty(rows, np.int64)  # column of each row's greatest value
    for row in range(rows):
        best[row] = np.argmax(table[row]) if columns else 0
    for _ in range(min(rows, columns)):
        top = 0
        for row in range(1, rows):
            if table[row, best[row]] > table[top, best[top]]:
                top = row
        column = best[top]
        if table[top, column] <= 0:
            break
        pairs[count, 0], pairs[count, 1], pairs[count, 2] = limb, start + top, end + column
        scores[count] = table[top, column]
        count += 1
        table[top, :] = 0
        table[:, column] = 0
        for row in range(rows):
            if best[row] == column:
                best[row] = np.argmax(table[row])
    return count


@njit(nogil=True, cache=True, fastmath={"contract"})
def _grid(field, limb):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Where a limb's two channels are in the flat field: offset, steps, last cells with a neighbour, neighbours."""
    rows, columns, channels = field.shape
    right, below = channels if columns > 1 else 0, columns * channels if rows > 1 else 0
    return 2 * limb, channels, columns * channels, max(columns - 2, 0), max(rows - 2, 0), right, below


@njit(nogil=True, cache=True, inline="always")
def _along(field, grid, x, y, ux, uy):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The field's component along (ux, uy) at x, y inside the grid, bilinear between cell centres."""
    offset, step, stride, most_column, most_row, right, below = grid
    column, row = min(int(x), most_column), min(int(y), most_row)
    fx, fy = x - np.float32(column), y - np.float32(row)
    a = offset + row * stride + column * step
    b, c, d = a + right, a + below, a + right + below  # unsigned below: numba then need not ask for negative ones
    here = ux * field[np.uintp(a)] + uy * field[np.uintp(a + 1)]
    beside = ux * field[np.uintp(b)] + uy * field[np.uintp(b + 1)]
    under = ux * field[np.uintp(c)] + uy * field[np.uintp(c + 1)]
    across = ux * field[np.uintp(d)] + uy * field[np.uintp(d + 1)]
    top, low = here + fx * (beside - here), under + fx * (across - under)
    return top + fy * (low - top)
