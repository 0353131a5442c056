"""Gallery picks: of very many photos the few that a person should look at, picked as they come by."""

import heapq
from collections.abc import Callable

from bodyposenet.common.inference.detections import Entry
from bodyposenet.common.storage.digests import digest_bytes

Rank = Callable[[Entry], tuple[float, str]]


def _name(entry: Entry) -> str:
    """A text that is in no order, so that of equals not neighbours are picked, but always the same."""
    return digest_bytes(str(entry["full_image_path"]))


def _rank_crowded(entry: Entry) -> tuple[float, str]:
    return len(entry["scores"]), _name(entry)


def _rank_doubtful(entry: Entry) -> tuple[float, str]:
    return -min(entry["scores"]), _name(entry)


def _rank_empty(entry: Entry) -> tuple[float, str]:
    return 0.0, _name(entry)


KINDS: dict[str, Rank] = {"crowded": _rank_crowded, "doubtful": _rank_doubtful, "empty": _rank_empty}
SHARES = {"crowded": 0.5, "doubtful": 0.25, "empty": 0.25}


class PhotoSampler:
    """Photos with most people, with the least certain person, and with nobody; memory does not grow with the photos.

    Args:
        number: How many to pick, of all kinds together.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._best: dict[str, list[tuple[tuple[float, str], int, Entry]]] = {kind: [] for kind in KINDS}
        self._seen = 0

    def offer(self, entry: Entry) -> None:
        """Show it a photo's entry; one without ``scores`` could not be read, and is passed over."""
        if "scores" not in entry:
            return
        self._seen += 1
        for kind in ("crowded", "doubtful") if entry["scores"] else ("empty",):
            best = self._best[kind]
            heapq.heappush(best, (KINDS[kind](entry), self._seen, entry))
            if len(best) > self._number:
                heapq.heappop(best)

    def pick(self) -> dict[str, list[Entry]]:
        """The photos by kind, the most notable first; each once. What one kind lacks, the others make up for."""
        ranked = {kind: [entry for _, _, entry in sorted(best, reverse=True)] for kind, best in self._best.items()}
        found: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
        taken: set[str] = set()
        wanted = {kind: round(self._number * share) for kind, share in SHARES.items()}
        for most in (wanted, dict.fromkeys(KINDS, self._number)):
            for kind, entries in ranked.items():
                for entry in entries:
                    room = len(taken) < self._number and len(found[kind]) < most[kind]
                    if room and entry["full_image_path"] not in taken:
                        found[kind].append(entry)
                        taken.add(entry["full_image_path"])
        return found
