"""Prefetch: results come in order, no more is begun than may be, and what nobody takes is cancelled."""

from itertools import islice

import pytest

from bodyposenet.common.machine.prefetch import keep_ahead


class Works:
    """Pieces of work that note what is done to them; one of them may fail, and so may beginning another after them."""

    def __init__(self, failing=None):
        self.failing, self.begun, self.cancelled = failing, [], []

    def begin(self, count, ending=None):
        for number in range(count):
            self.begun.append(number)
            yield Piece(self, number)
        if ending is not None:
            raise ending


class Piece:
    def __init__(self, works, number):
        self.works, self.number = works, number

    def result(self):
        if self.number == self.works.failing:
            raise ValueError(f"piece {self.number}")
        return self.number

    def cancel(self):
        self.works.cancelled.append(self.number)


@pytest.mark.parametrize("ahead", [0, 1, 3, 9])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_results_come_in_order_and_nothing_is_cancelled(count, ahead):
    works = Works()
    assert list(keep_ahead(works.begin(count), ahead)) == works.begun == list(range(count))
    assert works.cancelled == []


def test_no_more_is_begun_than_may_be_ahead():
    works = Works()
    results = keep_ahead(works.begin(9), 2)
    assert works.begun == []
    assert [(next(results), len(works.begun)) for _ in range(4)] == [(0, 3), (1, 4), (2, 5), (3, 6)]


def test_a_result_that_is_there_does_not_wait_until_more_is_begun():
    works = Works()
    results = keep_ahead(works.begin(9), 5, is_done=lambda piece: piece.number != 2)
    begun = [(next(results), len(works.begun)) for _ in range(4)]
    assert begun == [(0, 1), (1, 2), (2, 8), (3, 9)]


def test_what_nobody_takes_is_cancelled():
    works = Works()
    results = keep_ahead(works.begin(9), 2)
    next(results)
    results.close()
    assert (works.begun, works.cancelled) == ([0, 1, 2], [1, 2])


def test_after_an_error_the_rest_is_cancelled():
    works = Works(failing=1)
    results = keep_ahead(works.begin(9), 2)
    assert next(results) == 0
    with pytest.raises(ValueError, match="piece 1"):
        next(results)
    assert (works.begun, works.cancelled) == ([0, 1, 2, 3], [2, 3])


@pytest.mark.parametrize("ahead", [0, 1, 3, 9])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_where_no_more_can_be_begun_the_results_of_what_is_come_before_the_error(count, ahead):
    works, found = Works(), []
    with pytest.raises(OSError, match="no more"):
        found.extend(keep_ahead(works.begin(count, OSError("no more")), ahead))
    assert found == works.begun == list(range(count))
    assert works.cancelled == []


def test_an_error_of_what_is_begun_comes_in_its_turn_though_no_more_can_be():
    works, found = Works(failing=2), []
    with pytest.raises(ValueError, match="piece 2"):
        found.extend(keep_ahead(works.begin(5, OSError("no more")), 9))
    assert (found, works.cancelled) == ([0, 1], [3, 4])


def test_what_nobody_takes_is_cancelled_though_no_more_can_be_begun():
    works = Works()
    results = keep_ahead(works.begin(5, OSError("no more")), 9)
    assert list(islice(results, 2)) == [0, 1]
    results.close()
    assert works.cancelled == [2, 3, 4]


def test_an_interrupt_waits_for_no_results():
    works = Works()
    with pytest.raises(KeyboardInterrupt):
        list(keep_ahead(works.begin(3, KeyboardInterrupt()), 9))
    assert works.cancelled == [0, 1, 2]
