"""Sources: the file, archive or folder that annotations are read from, and which part of it."""

from collections.abc import Callable
from dataclasses import dataclass

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.headers import read_header_size
from bodyposenet.common.imaging.orientation import read_orientation, turn_size
from bodyposenet.common.imaging.pixels import decode_size
from bodyposenet.common.storage.digests import digest_bytes, digest_settings
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.photo_store import FolderPhotos, PhotoStore, is_hidden, is_photo

YAML = (".yaml", ".yml")
_TEXTS = (".txt", ".json", ".xml", *YAML)
_PARTED = (".zip", ".xml", *YAML)  # files of which a part is named after a #


@dataclass(frozen=True)
class Source:
    """Where annotations are.

    Attributes:
        place: A file, an archive or a folder.
        choice: Which part of it, as named after a ``#``; empty is all, or the only one.
    """

    place: Location
    choice: str

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder; a file is told by its ending, so that buckets are not asked."""
        return self.place.suffix.lower() not in (".json", ".gz", *_PARTED) and is_dir(self.place)


def find_source(path: object) -> Source:
    """Part ``export.zip#Train`` and ``data.yaml#val``, and ``folder#val`` where there is such a folder."""
    text = str(path)
    stem, mark, choice = text.rpartition("#")
    if mark and (locate(stem).name.lower().endswith(_PARTED) or (not is_file(locate(text)) and is_dir(locate(stem)))):
        return Source(locate(stem), choice)
    return Source(locate(text), "")


def is_file(place: Location) -> bool:
    """Tell whether there is such a file; what goes wrong in a bucket is told."""
    with translate_errors(place):
        return place.is_file()


def is_dir(place: Location) -> bool:
    """Tell whether there is such a folder; what goes wrong in a bucket is told."""
    with translate_errors(place):
        return place.is_dir()


class SourceFiles:
    """Files that lie together: a folder's or an archive's.

    Args:
        store: Reads them.
        where: Their folder or archive, for messages.
    """

    def __init__(self, store: PhotoStore, where: str) -> None:
        self.store, self.where = store, where
        self.names = sorted(name for name in store.listing() if not is_hidden(name))
        self.known = frozenset(self.names)

    @classmethod
    def below(cls, folder: Location) -> "SourceFiles":
        """Take those of a folder."""
        return cls(FolderPhotos(folder), str(folder))

    def tell(self, name: str) -> str:
        """Name a file in messages."""
        return f"{self.where}/{name}"

    def read(self, name: str) -> bytes:
        """Read a file."""
        return self.store.read(name)

    def fits(self, name: str, tells: Callable[[bytes], bool]) -> bool:
        """Tell whether a file is of some kind by its content; one that cannot be read, as it is too large, is not."""
        try:
            return tells(self.read(name))
        except AwayError:
            raise
        except UserError:
            return False

    def digest(self) -> str:
        """Digest what annotations may be in: all but photos."""
        texts = [name for name in self.names if name.lower().endswith(_TEXTS)]
        return digest_settings([(name, digest_bytes(self.read(name))) for name in texts])

    def list_photos(self) -> list[str]:
        """List the photos among the files."""
        return [name for name in self.names if is_photo(name)]

    def read_size(self, name: str) -> tuple[int, int] | None:
        """Read ``(height, width)`` of a photo as it is shown; None where it is none."""
        try:
            data = self.store.read(name)
        except AwayError:
            raise
        except UserError:
            return None
        stored = read_header_size(data) or decode_size(data)
        return None if stored is None else turn_size(stored, read_orientation(data))
