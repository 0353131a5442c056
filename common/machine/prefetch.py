"""Prefetch: results of work that others began ahead of use, a bounded number of them at a time."""

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
    begin: Iterable[Begun[Item]], ahead: int, *, is_done: Callable[[Any], bool] = lambda begun: False
) -> Iterator[Item]:
    """Take the results of work in order, while as much is begun ahead of whoever uses them.

    Args:
        begin: Begins one piece of work each time that it is asked for the next.
        ahead: Pieces that are begun beside the one whose result is waited for.
        is_done: Tells that a piece's result is there; it is given then, however few others are begun.

    Yields:
        Each result, in the order of ``begin``. If one fails, or nobody takes more, what is begun is cancelled.
    """
    waiting: deque[Begun[Item]] = deque()
    try:
        for begun in begin:
            waiting.append(begun)
            if len(waiting) > ahead or is_done(waiting[0]):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for begun in waiting:
            begun.cancel()
