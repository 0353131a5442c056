"""Patience: how long requests to a store are repeated."""

import itertools
import random
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")

TRIES = 6  # where the server answers that it is busy, or broken
PATIENCE = 15.0  # seconds after which a server that does not answer at all is given up
PAUSE = 1.0  # seconds, about, before a request is made again; twice as long each time
CONNECT, ANSWER = 5, 30  # seconds
BUSY = (408, 429, 500, 502, 503, 504)
CHANCE = random.Random()  # of our own: from the common one a seeded training draws its weights meanwhile


class Failing(NamedTuple):
    """What is made of a failed request.

    Attributes:
        told: What to raise in its place.
        hopeful: The same request may succeed later.
        silent: Nobody answered.
    """

    told: Exception
    hopeful: bool = False
    silent: bool = False


def persist(act: Callable[[], T], judge: Callable[[Exception], Failing]) -> T:
    """Make a request, again where that may help.

    Args:
        act: One request, without repeats of its own.
        judge: Judges its failure.

    Returns:
        What it returns.

    Raises:
        Exception: What the last failure is told as.
    """
    start = time.monotonic()
    for number in itertools.count(1):
        try:
            return act()
        except Exception as error:
            told, hopeful, silent = judge(error)
            pause = choose_pause(number, start, silent=silent)
            if not hopeful or pause is None:
                raise told from error
        time.sleep(pause)
    raise AssertionError("the numbers do not end")


def choose_pause(number: int, start: float, *, silent: bool) -> float | None:
    """Choose the seconds after which a request is made again; None where it is given up.

    Args:
        number: How often it was made.
        start: When it was made first, by ``time.monotonic``.
        silent: Nobody answered it.
    """
    pause = PAUSE * (CHANCE.random() + 2 ** (number - 1))
    late = silent and time.monotonic() - start + pause > PATIENCE
    return None if late or number >= TRIES else pause
