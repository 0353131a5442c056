"""Assignment: pairs of rows and columns whose scores come to the most, as Kuhn (1955) and Munkres (1957) find them."""

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


def assign(scores: Scores) -> list[tuple[int, int]]:
    """Pair rows with columns, each at most once, for the largest sum.

    Each row in turn enters by the cheapest chain of changes (Jonker and Volgenant 1987): potentials of rows and columns
    keep all costs at 0 or above, so that the chain is a shortest path.

    Args:
        scores: ``(R, C)``, 0 or above.

    Returns:
        Pairs of a row and a column, by rows; those of score 0 are left out.
    """
    wide = scores if scores.shape[0] <= scores.shape[1] else scores.T
    rows, columns = wide.shape
    costs = wide.max(initial=0.0) - wide
    of_rows, of_columns = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1)  # the row of each column
    for row in range(rows):
        _enter(row, costs, of_rows, of_columns, owner)
    pairs = [(int(owner[column]), column) for column in range(columns) if owner[column] >= 0]
    chosen = [(row, column) for row, column in pairs if wide[row, column] > 0]
    return sorted(chosen if wide is scores else [(column, row) for row, column in chosen])


def _enter(row: int, costs: Scores, of_rows: Scores, of_columns: Scores, owner: npt.NDArray[np.int_]) -> None:
    """Give a row a column, and others on the way another one."""
    columns = len(owner)
    distance, before = (
        np.full(columns, np.inf),
        np.full(columns, -1),
    )  # of the shortest way to each column, and its last
    done = np.zeros(columns, bool)
    at, from_column, length = row, -1, 0.0
    while True:
        step = length + costs[at] - of_rows[at] - of_columns
        nearer = ~done & (step < distance)
        distance[nearer], before[nearer] = step[nearer], from_column
        from_column = int(np.where(done, np.inf, distance).argmin())
        length, done[from_column] = float(distance[from_column]), True
        if owner[from_column] < 0:
            break
        at = int(owner[from_column])
    visited = done & (owner >= 0)
    of_rows[owner[visited]] += length - distance[visited]
    of_rows[row] += length
    of_columns[done] += distance[done] - length
    while from_column >= 0:  # each column on the way takes the row that came from the one before
        earlier = int(before[from_column])
        owner[from_column] = row if earlier < 0 else owner[earlier]
        from_column = earlier
