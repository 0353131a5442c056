"""Photos that are looked at several at once: in order, no more of them than needed, and what a failure ends."""

import contextlib
import threading
import time

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.many import AT_ONCE, count_at_once, look_at_all

PATIENCE = 30  # seconds


def test_what_is_found_comes_in_the_order_of_the_items():
    first = threading.Event()

    def look(item):
        if item == 0:
            assert first.wait(PATIENCE)  # it ends after the second
        first.set()
        return 10 * item

    assert list(look_at_all(range(50), look)) == [10 * item for item in range(50)]


def test_items_are_taken_a_few_ahead_and_no_further():
    taken = []
    looked = look_at_all((taken.append(item) or item for item in range(1000)), lambda item: item)
    assert next(looked) == 0
    assert len(taken) < 500
    looked.close()
    assert len(taken) < 500


@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_no_more_items_are_held_than_may_be(most, monkeypatch):
    monkeypatch.setenv(AT_ONCE, "9")
    taken, too_many = [], threading.Event()

    def come():
        for item in range(30):
            taken.append(item)
            if item >= max(1, most):
                too_many.set()
            yield item

    def look(item):
        if item == 0:
            too_many.wait(0.2)
        return item

    for number, item in enumerate(look_at_all(come(), look, most=lambda: most)):
        assert item == number
        assert len(taken) - number <= max(1, most), "all that were taken, but for those that were used"
    assert taken == list(range(30))


def test_what_is_found_does_not_wait_for_items_that_come_slowly(monkeypatch):
    monkeypatch.setenv(AT_ONCE, "50")
    taken = []

    def come():
        for item in range(1000):
            taken.append(item)
            yield item
            time.sleep(0.01)

    with contextlib.closing(look_at_all(come(), lambda item: item)) as found:
        assert next(found) == 0
        assert len(taken) < 50


def test_a_failure_is_raised_in_its_turn_and_ends_the_rest():
    seen = []

    def look(item):
        seen.append(item)
        if item == 3:
            raise UserError("the disk has gone")
        return item

    found = []
    with pytest.raises(UserError, match="the disk has gone"):
        found.extend(look_at_all(range(1000), look))
    assert found == [0, 1, 2]
    assert len(seen) < 500


def test_the_environment_says_how_many_at_once(monkeypatch):
    monkeypatch.setenv(AT_ONCE, "1")
    threads = set(look_at_all(range(20), lambda item: threading.get_ident()))
    assert len(threads) == 1
    for wrong in ("0", "-1", "two", "1000"):
        monkeypatch.setenv(AT_ONCE, wrong)
        with pytest.raises(UserError, match="is no number of photos; give 1 or more"):
            count_at_once()
