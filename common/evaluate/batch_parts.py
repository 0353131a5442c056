"""Batch parts: what a long inference has found so far, kept so that one that was killed goes on where it was."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from bodyposenet.common.inference.detections import Entry
from bodyposenet.common.storage.files import is_remote, joined, listing, read_bytes, whole_file

SUFFIX = ".jsonl"


class Parts:
    """A folder of finished parts, a file each: an entry a line. A part is there whole or not at all.

    Args:
        work: The folder that it is made in, on a disk or in a bucket.
        key: Tells this inference from others in that folder: same photos, same network, same settings.
    """

    def __init__(self, work: Path, key: str) -> None:
        self.folder = joined(work, f"parts-{key[:16]}")

    def done(self) -> set[int]:
        """Numbers of the parts that are there."""
        if not self.folder.is_dir():
            return set()
        return {
            int(name.removesuffix(SUFFIX)) for name in listing(self.folder) if name.removesuffix(SUFFIX).isdecimal()
        }

    def keep(self, number: int, entries: Sequence[Entry]) -> None:
        """Write a part."""
        with whole_file(self._file(number)) as file:
            file.write("".join(json.dumps(entry) + "\n" for entry in entries).encode())

    def read(self, number: int) -> Iterator[Entry]:
        """A part's entries."""
        return map(json.loads, read_bytes(self._file(number)).splitlines())

    def remove(self) -> None:
        """Forget them all."""
        if not is_remote(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        for number in self.done():
            self._file(number).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return joined(self.folder, f"{number:06d}{SUFFIX}")
