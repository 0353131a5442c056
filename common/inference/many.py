"""Many: photos through one network, several of them at once, and what was found in their order.

Each of a few threads takes a photo all the way: reads, decodes and fits it, runs the network, finds the people. While
one waits for a disk or decodes, another has the network, and no core idles, as libraries compute outside Python's lock.
"""

import math
import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.prefetch import keep_ahead
from bodyposenet.common.machine.processor import count_cores

AT_ONCE = "BODYPOSENET_PHOTOS_AT_ONCE"

Item = TypeVar("Item")
Found = TypeVar("Found")


def look_at_all(
    items: Iterable[Item], look: Callable[[Item], Found], *, most: Callable[[], float] = lambda: math.inf
) -> Generator[Found]:
    """Look at items, several at once.

    Args:
        items: Are taken from this thread, a few more than are looked at.
        look: Called from several threads.
        most: Tells how many items there may be at once, the one whose people are in use among them; one there always
            is. It is asked before each but the first.

    Yields:
        What was found, in the order of the items, as soon as it is when the next item is there: a camera's frames come
        one by one. If looking at one fails, or nobody takes more, no further one is begun.

    Raises:
        UserError: See :func:`count_at_once`.
    """
    workers = count_at_once()
    with ThreadPoolExecutor(workers, thread_name_prefix="photos") as threads:
        begun = (threads.submit(look, item) for item in items)
        yield from keep_ahead(begun, 2 * workers, is_done=Future.done, most=most)


def count_at_once() -> int:
    """How many photos are looked at at once: as many as there are cores and one more, or what the environment says.

    Raises:
        UserError: That is no number of photos.
    """
    told = os.environ.get(AT_ONCE, "")
    if told and not (told.isdecimal() and 0 < int(told) < 1000):
        raise UserError(f"{told!r} is no number of photos", where=AT_ONCE, fix="give 1 or more, or unset it")
    return int(told) if told else count_cores() + 1
