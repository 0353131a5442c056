"""Assignment: the pairs of the largest sum, by another library's account."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from bodyposenet.common.video.assignment import assign

FEW = settings(max_examples=30)
SCORES = st.tuples(st.integers(0, 7), st.integers(0, 7)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1).filter(lambda value: value == 0 or value > 1e-9))
)


@FEW
@given(SCORES)
def test_nobody_is_paired_twice_and_no_other_pairs_have_more(scores):
    pairs = assign(scores)
    assert pairs == sorted(pairs)
    for side in zip(*pairs, strict=True):
        assert len(set(side)) == len(side)
    assert all(scores[pair] > 0 for pair in pairs)
    best = scores[linear_sum_assignment(scores, maximize=True)].sum()
    assert abs(sum(scores[pair] for pair in pairs) - best) < 1e-9


@FEW
@given(SCORES, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_change_the_sum(scores, random):
    rows, columns = ([*range(count)] for count in scores.shape)
    random.shuffle(rows)
    random.shuffle(columns)
    other = scores[np.ix_(rows, columns)]
    assert abs(sum(other[pair] for pair in assign(other)) - sum(scores[pair] for pair in assign(scores))) < 1e-9
