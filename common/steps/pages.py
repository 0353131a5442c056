"""Pages of steps: written where the face wants them, or only for the record."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bodyposenet.common.storage.locking import scratch_folder


@contextmanager
def page_path(wanted: Path | None, name: str) -> Iterator[Path]:
    """Give the file that a page is written to: the one that is wanted, or one that is gone after the block."""
    if wanted is not None:
        yield wanted
        return
    with scratch_folder() as folder:
        yield Path(folder) / name
