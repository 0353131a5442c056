"""Prefetch: results of work that others began ahead of use, a bounded number of them at a time."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

Item_co = TypeVar("Item_co", covariant=True)
Item = TypeVar("Item")


class Begun(Protocol[Item_co]):
    """Work that has begun, such as a ``concurrent.futures.Future``."""

    def result(self) -> Item_co:
        """Wait for the work's result, or raise its error."""
        ...

    def cancel(self) -> object:
        """Begin no more of it."""
        ...


def keep_ahead(
    begin: Iterable[Begun[Item]],
    ahead: int,
    *,
    is_done: Callable[[Any], bool] = lambda begun: False,
    most: Callable[[], float] = lambda: math.inf,
) -> Iterator[Item]:
    """Take the results of work in order, while as much is begun ahead of whoever uses them.

    Args:
        begin: Begins one piece of work each time that it is asked for the next.
        ahead: Pieces that are begun beside the one whose result is waited for.
        is_done: Tells that a piece's result is there; it is given then, however few others are begun.
        most: Tells how many pieces may be begun whose results are not used up, before each but the first.

    Yields:
        Each result, in the order of ``begin``. If one fails, or nobody takes more, what is begun is cancelled. If
        ``begin`` fails, the results of what it has begun come first, and then its error; an interrupt waits for none.
    """
    waiting: deque[Begun[Item]] = deque()
    errors: list[Exception] = []
    try:
        for begun in _keep_error(begin, errors):
            waiting.append(begun)
            if len(waiting) > ahead or is_done(waiting[0]):
                yield waiting.popleft().result()
            while waiting and len(waiting) >= most():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if errors:
            raise errors.pop()  # kept here, it and this frame, which it names, would hold each other in memory
    finally:
        for begun in waiting:
            begun.cancel()


def _keep_error(begin: Iterable[Item], kept: list[Exception]) -> Iterator[Item]:
    """Give what another gives; its error ends this, and is kept."""
    try:
        yield from begin
    except Exception as error:
        kept.append(error)
