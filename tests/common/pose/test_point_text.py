"""Point text: numbers come out as Python's own encoder writes them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bodyposenet.common.pose.point_text import LIMIT, write_points

NUMBERS = st.one_of(
    st.floats(-2000, 2000),
    st.floats(-LIMIT, LIMIT),
    st.floats(width=32),
    st.integers(-(10**6), 10**6).map(lambda n: n / 2000),
)


def as_python_does(values):
    return [json.dumps(item) for item in np.asarray(values, float).round(3).tolist()]


@settings(deadline=None)  # the first call compiles
@given(values=arrays(float, array_shapes(min_dims=3, max_dims=3, max_side=4), elements=NUMBERS))
def test_the_text_is_that_of_pythons_encoder(values):
    assert write_points(values) == as_python_does(values)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-4, 1e-3, 0.1, 10, 640, 1e5])
def test_so_it_is_for_pixels_of_any_precision(kind, size):
    values = np.random.default_rng(0).normal(0, size, (20, 18, 2)).astype(kind)
    values[:, ::4] = 0
    assert write_points(values) == as_python_does(values)
    assert write_points(values[::2, :, ::-1]) == as_python_does(values[::2, :, ::-1])  # however they lie in memory


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2), (2, 1, 0)])
def test_nothing_is_written_as_empty_lists(shape):
    assert write_points(np.zeros(shape)) == as_python_does(np.zeros(shape))


@pytest.mark.parametrize("largest", [LIMIT - 1.001, np.nextafter(LIMIT, 0)])  # one digit more when it is rounded
@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 1, 60)])
def test_the_longest_numbers_have_room(largest, shape):
    values = np.full(shape, -largest)
    values[0, 0, 0] = -0.0004
    assert write_points(values) == as_python_does(values)
