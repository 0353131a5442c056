"""Pages of steps: written where the face wants them, or only for the record."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def page_path(wanted: Path | None, name: str) -> Iterator[Path]:
    """Give the file that a page is written to: the one that is wanted, or one that is gone after the block."""
    if wanted is not None:
        yield wanted
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / name
