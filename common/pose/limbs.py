"""Limbs: which peaks the part affinity fields join.

The score of a pair is the line integral of the field along it: Cao et al., "Realtime Multi-Person 2D Pose Estimation
using Part Affinity Fields" (CVPR 2017, equation 10), sampled at ten points.
"""

import numpy as np

from bodyposenet.common.machine.compiling import njit

SAMPLES = 10
NEEDED = 9  # samples that must point along the pair, as in TAO
# Places of the samples between the ends, from 0 to 1; the first tell most wrong pairs.
INNER = np.array([4, 5, 2, 7, 6, 3, 8, 1], np.float32) / np.float32(SAMPLES - 1)
INFINITE = np.float32(np.inf)
FAR = 1 << 30  # more rows and columns than a grid has
# Of a float16, by its exponent's bits: what its fraction counts in; numbers that are not finite have the last.
EXPONENTS = np.array([2.0**-24, *(2.0 ** (power - 25) for power in range(1, 31)), np.nan], np.float32)
NO_NUMBERS, NO_BITS = np.empty(0, np.float32), np.empty(0, np.uint16)
TOTAL, GOOD, LENGTH = 0, 1, 2  # of a pair: sum of its good samples times its length, their number, its length in cells


Steps = tuple[int, int, int]
Fields = tuple[np.ndarray, np.ndarray, Steps, Steps]


def lay_flat(pafs: np.ndarray) -> Fields:
    """Return fields as compiled code takes them, float32 and float16 in either layout without a copy.

    Args:
        pafs: ``(H, W, 2 L)``, whose channels lie side by side or plane after plane; others are copied.

    Returns:
        Their numbers as they lie in memory, flat: those that are float32; the bits of those that are float16, as
        uint16; one of both is empty. Then ``(H, W, 2 L)``, and how many numbers it is from one row, column and channel
        to the next.
    """
    rows, columns, channels = pafs.shape
    given = pafs if pafs.dtype == np.float16 else pafs.astype(np.float32, copy=False)
    planes, steps = given.transpose(2, 0, 1), (columns, 1, rows * columns)
    if not planes.flags.c_contiguous:
        planes, steps = np.ascontiguousarray(given), (columns * channels, channels, 1)
    numbers = planes.reshape(-1)
    halves = numbers.dtype == np.float16
    both = (NO_NUMBERS, numbers.view(np.uint16)) if halves else (numbers, NO_BITS)
    return *both, (rows, columns, channels), steps


@njit(nogil=True, cache=True, fastmath={"contract"})
def find_limbs(pafs, points, bounds, limbs, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Match the peaks at the two ends of every limb, best pair first, each peak once a limb.

    Args:
        pafs: ``(H, W, 2 L)``, as :func:`lay_flat` gives them.
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
    fields = _by_limb(pafs, _bound(points, bounds, limbs, pafs[2]))
    count, filled = 0, 0
    for limb in range(len(limbs)):
        start, end = limbs[limb]
        table = tables[filled : filled + counts[start] * counts[end]].reshape((counts[start], counts[end]))
        filled += table.size
        if table.size:
            starts = _with_field(points[bounds[start] : bounds[start + 1]], fields[limb])
            ends = _with_field(points[bounds[end] : bounds[end + 1]], fields[limb])
            likely = _agree(fields[limb], starts, ends, threshold, table)
            count = _pick(table, likely, limb, bounds[start], bounds[end], pairs, scores, count)
    return pairs[:count], scores[:count], tables


@njit(nogil=True, cache=True)
def _bound(points, bounds, limbs, shape):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Bound what is read of each limb's field.

    Returns:
        ``(L, 4)`` first row and column, and those after the last, of the cells around all places between its peaks, as
        they are moved inside the grid; none where one end has no peak.
    """
    most_x, most_y = np.float32(shape[1] - 1), np.float32(shape[0] - 1)
    boxes = np.zeros((len(limbs), 4), np.int64)
    for limb in range(len(limbs)):
        top, left, bottom, right, ends = FAR, FAR, 0, 0, 0
        for joint in limbs[limb]:
            ends += bounds[joint + 1] > bounds[joint]
            for point in range(bounds[joint], bounds[joint + 1]):
                column = int(min(max(points[point, 0], np.float32(0)), most_x))
                row = int(min(max(points[point, 1], np.float32(0)), most_y))
                top, left = min(top, row), min(left, column)
                bottom, right = max(bottom, row + 2), max(right, column + 2)
        if ends == 2:
            boxes[limb, 0], boxes[limb, 1], boxes[limb, 2], boxes[limb, 3] = top, left, bottom, right
    return boxes


@njit(nogil=True, cache=True)
def _by_limb(pafs, boxes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Copy the fields to ``(L, H + 1, W + 1, 2)``: one fits the fastest cache, and the last cells have neighbours.

    Outside a limb's box nothing is copied, and what is there is undefined.
    """
    values, bits, (rows, columns, channels), (below, right, deeper) = pafs
    fields = np.empty((channels // 2, rows + 1, columns + 1, 2), np.float32)
    fields[:, rows] = 0
    fields[:, :, columns] = 0
    for row in range(rows):  # all limbs of a row, as in most layouts their numbers of a cell lie side by side
        for limb in range(channels // 2):
            top, first, bottom, last = boxes[limb]
            if top <= row < bottom:
                u = np.uintp(row * below + first * right + 2 * limb * deeper)
                for column in range(first, min(last, columns)):
                    v = u + np.uintp(deeper)
                    if len(bits):
                        fields[limb, row, column, 0], fields[limb, row, column, 1] = _widen(bits[u]), _widen(bits[v])
                    else:
                        fields[limb, row, column, 0], fields[limb, row, column, 1] = values[u], values[v]
                    u += np.uintp(right)
    return fields


@njit(nogil=True, cache=True)
def _widen(bits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the float32 of a float16 by its bits, as numba knows no float16; what is not finite becomes NaN."""
    exponent, fraction = np.int32(bits >> 10 & 31), np.float32(bits & 1023)
    size = EXPONENTS[exponent] * (fraction + np.float32(1024 if exponent else 0))
    return -size if bits >> 15 else size


@njit(nogil=True, cache=True, fastmath={"contract"})
def _with_field(points, field):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return ``(4, P)`` float32: x and y of the points, moved inside the grid, and of the field there."""
    flat, width = field.reshape(-1), field.shape[1]
    most_x, most_y = np.float32(field.shape[1] - 2), np.float32(field.shape[0] - 2)
    ends = np.empty((4, len(points)), np.float32)
    for point in range(len(points)):
        x = min(max(points[point, 0], np.float32(0)), most_x)
        y = min(max(points[point, 1], np.float32(0)), most_y)
        ends[0, point], ends[1, point] = x, y
        ends[2, point], ends[3, point] = _vector(flat, width, x, y)
    return ends


@njit(nogil=True, cache=True, fastmath={"contract"})
def _agree(field, starts, ends, threshold, table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill the ``(S, E)`` table with the mean of the samples that are above the threshold, where enough are.

    The samples are taken of all pairs in turn, and those that have missed too often are left out; without
    branches, of which the processor would guess half wrong.

    Returns:
        ``(M, 2)`` uint32 row and column of the pairs that have enough.
    """
    flat, width = field.reshape(-1), field.shape[1]
    states = np.empty((table.shape[0], 3, table.shape[1]), np.float32)
    likely = np.empty((table.size + 1, 2), np.uint32)  # unsigned: numba then need not ask for negative ones
    count = 0
    for i in range(len(table)):
        _begin(starts[:, i], ends, threshold, states[i])
        for j in range(table.shape[1]):
            likely[count, 0], likely[count, 1] = i, j
            count += states[i, GOOD, j] > 0
    for sample in range(len(INNER)):
        needed = np.float32(NEEDED - len(INNER) + sample + 1)
        count = _sweep(flat, width, starts, ends, INNER[sample], threshold, needed, states, likely, count)
    for i, j in likely[:count]:
        table[i, j] = states[i, TOTAL, j] / (states[i, GOOD, j] * states[i, LENGTH, j])
    return likely[:count]


@njit(nogil=True, cache=True, fastmath={"contract"})
def _begin(start, ends, threshold, states):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill one start's states with the samples at both ends of its pairs; few arrays, so that it takes many at once."""
    x, y, u, v = start
    none = np.float32(0)
    for j in range(ends.shape[1]):
        dx, dy = ends[0, j] - x, ends[1, j] - y
        length = np.sqrt(dx * dx + dy * dy)
        first, last = u * dx + v * dy, ends[2, j] * dx + ends[3, j] * dy
        one = (first > threshold * length) & (first < INFINITE)
        other = (last > threshold * length) & (last < INFINITE)
        states[TOTAL, j] = (first if one else none) + (last if other else none)
        states[GOOD, j] = np.float32(one) + np.float32(other)
        states[LENGTH, j] = length


@njit(nogil=True, cache=True, fastmath={"contract"})
def _sweep(field, width, starts, ends, share, threshold, needed, states, likely, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Take one more sample of the likely pairs; move those that are still likely forward, return how many they are."""
    kept = 0
    for place in range(count):
        i, j = likely[place, 0], likely[place, 1]
        dx, dy = ends[0, j] - starts[0, i], ends[1, j] - starts[1, i]
        u, v = _vector(field, width, starts[0, i] + share * dx, starts[1, i] + share * dy)
        value = u * dx + v * dy
        fits = (value > threshold * states[i, LENGTH, j]) & (value < INFINITE)
        states[i, TOTAL, j] += value if fits else np.float32(0)
        states[i, GOOD, j] += np.float32(fits)
        likely[kept, 0], likely[kept, 1] = i, j
        kept += states[i, GOOD, j] >= needed
    return kept


@njit(nogil=True, cache=True)
def _pick(table, likely, limb, start, end, pairs, scores, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Append the likely pairs, best first, each row and column once; of equals the first. What is likely gets lost."""
    values = np.empty(len(likely), np.float32)
    for place in range(len(likely)):
        values[place] = table[likely[place, 0], likely[place, 1]]
    left = len(likely)
    while left > 0:
        best = 0
        for place in range(1, left):
            best = place if values[place] > values[best] else best
        row, column = likely[best]
        pairs[count, 0], pairs[count, 1], pairs[count, 2] = limb, start + row, end + column
        scores[count] = values[best]
        count, kept = count + 1, 0
        for place in range(left):
            i, j = likely[place, 0], likely[place, 1]
            likely[kept, 0], likely[kept, 1], values[kept] = i, j, values[place]
            kept += (i != row) & (j != column)
        left = kept
    return count


@njit(nogil=True, cache=True, inline="always")
def _vector(field, width, x, y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the flat field at x, y inside the grid, bilinear between cell centres."""
    column, row = int(x), int(y)
    fx, fy = x - np.float32(column), y - np.float32(row)
    a = 2 * (row * width + column)
    b, c, d = a + 2, a + 2 * width, a + 2 * width + 2  # unsigned below, as above
    left_u = field[np.uintp(a)] + fy * (field[np.uintp(c)] - field[np.uintp(a)])
    left_v = field[np.uintp(a + 1)] + fy * (field[np.uintp(c + 1)] - field[np.uintp(a + 1)])
    right_u = field[np.uintp(b)] + fy * (field[np.uintp(d)] - field[np.uintp(b)])
    right_v = field[np.uintp(b + 1)] + fy * (field[np.uintp(d + 1)] - field[np.uintp(b + 1)])
    return left_u + fx * (right_u - left_u), left_v + fx * (right_v - left_v)
