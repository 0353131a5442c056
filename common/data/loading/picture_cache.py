"""Picture cache: photos kept in memory as they were decoded, as many as a spec gives memory for."""

import logging
import threading
from dataclasses import replace

from bodyposenet.common.data.records.record import Record
from bodyposenet.common.imaging.pixels import Pixels

OBJECTS = 4096  # bytes, about, of Python's objects around a picture's pixels, and around a record's content

Place = tuple[int, int]  # numbers of a shard and of a record in it

log = logging.getLogger(__name__)


class PictureCache:
    """Keeps pictures, and the records that they are of, for several threads.

    What comes first stays, and what does not fit any more is not kept. Epochs ask for all photos about equally often,
    each in an order of its own, so that nothing would be gained by dropping one picture for another.

    Args:
        room: Bytes that may be kept.
    """

    def __init__(self, room: int) -> None:
        self._room, self._used, self._is_full = room, 0, False
        self._records: dict[Place, Record] = {}
        self._pictures: dict[tuple[Place, int], Pixels] = {}
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes that are kept."""
        return self._used

    def find_record(self, place: Place) -> Record | None:
        """Return the record of a picture that is kept, without its photo's file; None where none is."""
        return self._records.get(place)

    def find_picture(self, place: Place, factor: int) -> Pixels | None:
        """Return ``(H, W, 3)`` RGB that cannot be written to, or None; ``factor`` as it was decoded by."""
        return self._pictures.get((place, factor))

    def keep(self, place: Place, factor: int, record: Record, picture: Pixels) -> None:
        """Keep a picture and its record, if both fit; nobody may write to the picture afterwards.

        Args:
            place: Where the record is.
            factor: By how much the picture was reduced when it was decoded.
            record: Its file is not kept.
            picture: ``(H, W, 3)`` RGB.
        """
        if not self._room:
            return
        with self._lock:
            if (place, factor) in self._pictures:
                return  # another thread has decoded it, too
            size = OBJECTS + picture.nbytes
            if place not in self._records:
                size += OBJECTS + len(record.mask or b"") + record.joints.nbytes + record.boxes.nbytes
            if self._used + size > self._room:
                self._tell_full()
                return
            self._used += size
            picture.flags.writeable = False
            self._records.setdefault(place, replace(record, image=b""))
            self._pictures[place, factor] = picture

    def _tell_full(self) -> None:
        """Say once that the room is full."""
        if not self._is_full:
            self._is_full = True
            log.info(
                "%d photos fill the %.0f MB of dataloader.cache_megabytes; the others are decoded each time",
                len(self._records), self._room / 1e6,
            )  # fmt: skip
