"""Album: the photos that annotations are of: what their files are called, and how large they are."""

import logging
from collections.abc import Sequence
from functools import cached_property

from bodyposenet.common.data.importers.photo_names import PhotoNames, path_in
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.headers import Size, read_header_size
from bodyposenet.common.imaging.orientation import Frame, read_orientation, turn_size
from bodyposenet.common.imaging.pixels import decode_size
from bodyposenet.common.storage.inside import stays_inside
from bodyposenet.common.storage.location import Location, Stat
from bodyposenet.common.storage.photo_store import PhotoStore, open_photos

log = logging.getLogger(__name__)


class Album:
    """Photos of a folder or an archive, looked at when they are first asked for.

    Where there is no such folder there are no photos: whoever needs them says so.

    Args:
        folder: The folder or the archive; None where the store is given.
        store: The opened store.
        unclear: Whether annotations are of photos as shown or as stored, where nothing tells.
    """

    def __init__(
        self, folder: Location | None = None, store: PhotoStore | None = None, *, unclear: Frame = "shown"
    ) -> None:
        self.folder, self._opened, self.unclear = folder, store, unclear
        self._names: PhotoNames | None = None

    @cached_property
    def store(self) -> PhotoStore | None:
        """The photos; None where there are none."""
        if self.folder is None:
            return self._opened
        try:
            return open_photos(self.folder)
        except AwayError:
            raise
        except UserError:
            return None

    @cached_property
    def listing(self) -> dict[str, Stat]:
        """The files that are there."""
        try:
            return {} if self.store is None else self.store.listing()
        except AwayError:
            raise
        except UserError:
            return {}

    def find(self, names: Sequence[str], file: str = "") -> list[str]:
        """Find what the photos are called: annotation tools change names.

        Args:
            names: As the annotations tell them.
            file: The annotation file, for the log; empty where it is told otherwise.

        Returns:
            The name of each photo's file; names that mean no file, or several, stay as they are.
        """
        plain = [plain_name(path_in(name) if "://" in name else name) for name in names]
        absent = any(name not in self.listing and stays_inside(name) for name in plain)
        if absent and self._names is None:  # made once: a file whose photos have no sizes asks for each of them
            self._names = PhotoNames(self.listing)
        meant = self._names.match(plain) if absent and self._names else {}
        if meant and file:
            first = next(iter(meant))
            log.info("%s: %d images have another name, such as %r for %r", file, len(meant), meant[first], first)
        found = (meant.get(name, name) for name in plain)
        return [name if name in self.listing else old for name, old in zip(found, names, strict=True)]

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return plain_name(name) in self.listing

    def read_size(self, name: str) -> Size | None:
        """Read ``(height, width)`` of a photo, as annotations are taken to be; None where it is missing or no image."""
        sizes = self.read_sizes(name)
        if sizes is None:
            return None
        return sizes[0] if self.unclear == "shown" else sizes[1]

    def read_sizes(self, name: str) -> tuple[Size, Size] | None:
        """Read ``(height, width)`` of a photo as shown and as stored; None where it is missing or no image."""
        (found,) = self.find([name])
        if self.store is None or not self.has(found):
            return None
        try:
            data = self.store.read(found)
        except AwayError:
            raise
        except UserError:
            return None
        stored = read_header_size(data) or decode_size(data)
        return None if stored is None else (turn_size(stored, read_orientation(data)), stored)


def plain_name(name: str) -> str:
    """Return a name as a listing has it."""
    if "/" not in name and name != ".":
        return name
    return "/".join(part for part in name.split("/") if part not in ("", "."))
