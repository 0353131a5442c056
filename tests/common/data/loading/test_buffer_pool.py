"""Leases: memory is lent again when nobody can see it any more, and not before."""

import gc
import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.data.loading.buffer_pool import ALIGNMENT, BufferPool

SHAPES = [((2, 3, 5), np.float32), ((7,), np.int64), ((4, 4), np.uint8)]


def address(array):
    return array.ctypes.data


def test_arrays_have_the_shapes_and_types_asked_for_and_do_not_overlap():
    arrays = BufferPool(keep=2).acquire(SHAPES)
    assert [(array.shape, array.dtype) for array in arrays] == [(shape, np.dtype(kind)) for shape, kind in SHAPES]
    for number, array in enumerate(arrays):
        array[:] = number + 1
        assert address(array) % ALIGNMENT == 0
        assert array.flags.c_contiguous
        assert array.flags.writeable
    assert [set(array.ravel().tolist()) for array in arrays] == [{1}, {2}, {3}]


def test_memory_comes_back_once_its_last_array_is_gone():
    pool = BufferPool(keep=2)
    arrays = pool.acquire(SHAPES)
    where = address(arrays[0])
    last = arrays[1][2:4]  # a view of one array holds the block of all
    del arrays
    gc.collect()
    assert address(pool.acquire(SHAPES)[0]) != where
    del last
    assert where in {address(pool.acquire(SHAPES)[0]), address(pool.acquire(SHAPES)[0])}


def test_a_buffer_that_is_held_by_others_is_not_lent():
    pool = BufferPool(keep=2)
    arrays = pool.acquire(SHAPES)
    where, held = address(arrays[0]), memoryview(arrays[0])
    del arrays
    assert address(pool.acquire(SHAPES)[0]) != where
    del held


def test_memory_of_another_size_is_not_lent():
    pool = BufferPool(keep=2)
    pool.acquire(SHAPES)
    (large,) = pool.acquire([((1000, 1000), np.float32)])
    large[:] = 1
    assert large.sum() == 1e6


def test_no_more_is_kept_than_was_asked_for():
    pool = BufferPool(keep=2)
    held = [pool.acquire(SHAPES) for _ in range(10)]
    del held
    assert len(pool._free) == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60))
def test_arrays_that_are_held_keep_what_was_written(steps):
    """Whatever is lent and given back in whatever order, nobody writes into another's memory."""
    pool, held = BufferPool(keep=3), []
    for number, (gives, place) in enumerate(steps):
        if gives and held:
            held.pop(place % len(held))
        arrays = pool.acquire(SHAPES)
        for array in arrays:
            array[:] = number
        held.append((number, arrays))
        assert all((array == wrote).all() for wrote, arrays in held for array in arrays)


def test_threads_never_share_memory():
    pool, wrong = BufferPool(keep=4), []

    def use(number):
        for _ in range(300):
            arrays = pool.acquire(SHAPES)
            arrays[0][:] = number
            wrong.extend(array for array in arrays[:1] if (array != number).any())

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
