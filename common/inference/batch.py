"""Batch: the people in a folder, bucket or archive of very many photos, in memory that does not grow with them."""

import hashlib
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.detections import DETECTIONS, Entry, summarize, write_files
from bodyposenet.common.inference.detector import open_model
from bodyposenet.common.inference.gallery_picks import PhotoSampler
from bodyposenet.common.inference.many import look_at_all
from bodyposenet.common.inference.photo_reader import PhotoReader
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.digests import digest_bytes, digest_file
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import listing, read_bytes, whole_file
from bodyposenet.common.storage.json_files import parse_json, take_mapping
from bodyposenet.common.storage.location import Location, Stat, locate
from bodyposenet.common.storage.photo_store import PHOTOS, PhotoStore, choose_photos, open_photos
from bodyposenet.common.storage.status_log import StatusLog
from bodyposenet.common.storage.together import appear_together, work_in

log = logging.getLogger(__name__)

PART = 100  # photos; at most twice so many, and the few that are begun ahead, are looked at again by one that goes on
TOLD = 50  # problems that are kept to be told; all are in the file

SUFFIX = ".jsonl"
TAB = "\t"


class Parts:
    """A folder of finished parts, a file each: a photo a line. A part is there whole or not at all.

    A line is the photo's entry and, behind tabs, what else was written of it: see :meth:`PhotoReader.dump`. JSON has no
    tabs and no ends of lines of its own. So nothing is computed again when the parts are put together.

    Args:
        work: The folder that it is made in, on a disk or in a bucket.
        key: Tells this inference from others in that folder: same photos, same network, same settings.
    """

    def __init__(self, work: Location, key: str) -> None:
        self.folder = work / f"parts-{key[:16]}"

    def use(self) -> AbstractContextManager[None]:
        """Be at work with them: who cleans up lets them be meanwhile."""
        return work_in(self.folder)

    def done(self) -> set[int]:
        """Numbers of the parts that are there."""
        if not self.folder.is_dir():
            return set()
        return {
            int(name.removesuffix(SUFFIX)) for name in listing(self.folder) if name.removesuffix(SUFFIX).isdecimal()
        }

    def keep(self, number: int, photos: Sequence[Sequence[str]]) -> None:
        """Write a part."""
        with whole_file(self._file(number)) as file:
            file.write("".join(TAB.join(photo) + "\n" for photo in photos).encode())

    def read(self, number: int) -> Iterator[tuple[Entry, list[str]]]:
        """A part's entries, each with what was written of the photo.

        Raises:
            UserError: It is no part of an inference.
        """
        path = self._file(number)
        for line in read_bytes(path).splitlines():
            entry, take = line.partition(TAB.encode())[0], partial(_take_photo, line)
            yield parse_json(entry, take, where=str(path), what="part of an inference", fix="remove the file")

    def remove(self) -> None:
        """Forget them all."""
        with translate_errors(self.folder):
            self.folder.remove_folder()

    def _file(self, number: int) -> Location:
        return self.folder / f"{number:06d}{SUFFIX}"


def _take_photo(line: bytes, data: Any) -> tuple[Entry, list[str]]:
    """Take a line, and the data that it begins with, for what was found in a photo, or what is wrong with it."""
    entry = take_mapping(data)
    if not isinstance(entry.get("problem", ""), str) or not ("problem" in entry or isinstance(entry["scores"], list)):
        raise TypeError("it is no photo's")
    return entry, line.decode("ascii").split(TAB)


@dataclass
class BatchInference:
    """What was found.

    Attributes:
        folder: Has ``detections.json`` and ``detections_coco_format.json``.
        photos: Photos that are there.
        people: People found in them.
        empty: Photos in which nobody was found.
        unreadable: Photos that could not be used.
        problems: What is wrong with the first of those.
        resumed: Photos that an earlier attempt had looked at.
        digest: Of names, sizes and versions of the photos.
        notable: Entries of photos worth a look, by what is notable about them.
    """

    folder: Location
    photos: int = 0
    people: int = 0
    empty: int = 0
    unreadable: int = 0
    problems: list[str] = field(default_factory=list)
    resumed: int = 0
    digest: str = ""
    notable: dict[str, list[Entry]] = field(default_factory=dict)

    def summary(self) -> str:
        """The outcome in one or two sentences."""
        return summarize(self.people, self.photos, self.empty, self.unreadable)

    def count(self, found: Entry) -> None:
        """Add a photo's entry to the numbers."""
        self.photos += 1
        if "problem" in found:
            self.unreadable += 1
            if len(self.problems) < TOLD:
                log.warning("skipped %s", found["problem"])
                self.problems.append(found["problem"])
            return
        self.people += len(found["scores"])
        self.empty += not found["scores"]


def infer_batch(
    model: Path,
    spec: InferenceSpec,
    source: str,
    results_dir: str | Path | Location,
    *,
    work: str = "",
    extra: Mapping[str, Any] | None = None,
    notable: int = 24,
    progress: bool | None = None,
) -> BatchInference:
    """Find the people in all photos of a folder and below it, and write what was found.

    Photos are numbered from 1 in the order of their names: COCO's ``image_id``. Entries of ``detections.json`` have it
    in ``image_meta``; those of photos that cannot be used say why in ``problem``.

    Args:
        model: The network's file.
        spec: How to find people.
        source: A folder or zip archive, on a disk or in a bucket. Hidden files are passed over.
        results_dir: Gets the files.
        work: Where finished parts are kept until all are there, so that a second call goes on after a first that was
            killed; by default ``results_dir``.
        extra: Further keys of ``detections.json``.
        notable: How many photos worth a look to pick.
        progress: Show a progress bar; by default on terminals.

    Raises:
        UserError: The model cannot be used, or there are no photos, or none that can be read. One that cannot, among
            others, is reported instead.
    """
    folder = locate(results_dir)
    status = StatusLog(folder)
    status.write("STARTED", "Starting inference.")
    store = open_photos(source)
    listed = list_source(store, source)
    runner, spec = open_model(model, spec, photos=len(listed))
    reader = PhotoReader(runner, spec, store, source)
    parts = Parts(locate(work or folder), digest_work(model, spec, source, listed, "people"))
    with parts.use():
        resumed = find_all(reader, parts, list(listed), progress)
        batch = BatchInference(folder, resumed=resumed, digest=_digest(listed))
        picks = PhotoSampler(notable)
        photos = (photo for part in range(count_parts(listed)) for photo in parts.read(part))
        with appear_together(folder, "inference") as staged:
            shown = _show_all(photos, batch.count, picks.offer)
            write_files(staged, runner.card.skeleton, spec, shown, extra or {})
            if batch.unreadable == batch.photos and (folder / DETECTIONS).exists():  # what an earlier run found stays
                parts.remove()
                raise refuse_unreadable(batch.photos, batch.problems)
        batch.notable = picks.pick()
        parts.remove()
    if batch.unreadable == batch.photos:
        raise refuse_unreadable(batch.photos, batch.problems)
    log.info(batch.summary())
    status.write("SUCCESS", batch.summary())
    return batch


def refuse_unreadable(count: int, problems: Sequence[str]) -> UserError:
    """Say that no photo can be used, and what is wrong with the first; what that says is the remedy.

    It may be to give photos, or another disk: of few photos that a disk does not give none is at fault.
    """
    return UserError(f"none of the {count} photos can be used", where=problems[0])


def list_source(store: PhotoStore, source: str) -> dict[str, Stat]:
    """List the photos of a store by name, in order.

    Raises:
        UserError: There are none.
    """
    listed = store.listing()
    found = {name: listed[name] for name in choose_photos(listed, source, below=True)}
    if not found:
        raise UserError(f"has no photos ({PHOTOS})", where=source, fix="name the folder that your photos are in")
    return found


def _digest(listed: Mapping[str, Stat]) -> str:
    whole = hashlib.sha256()
    for name, (size, version) in listed.items():
        whole.update(f"{len(name)} {name} {size} {version}\n".encode("utf-8", "surrogatepass"))
    return whole.hexdigest()


def digest_work(model: Path, spec: InferenceSpec, source: str, listed: Mapping[str, Stat], purpose: str = "") -> str:
    """Digest all that decides what is found, and what is kept of it."""
    told = f"{digest_file(model)} {spec.model_dump_json()} {source} {_digest(listed)}{purpose}"
    return digest_bytes(told)


def find_all(reader: PhotoReader, parts: Parts, names: Sequence[str], progress: bool | None) -> int:
    """Make the parts that are not there; while one is written, and waits for the disk, the next is being made.

    Returns:
        The number of photos in those that are.
    """
    done = parts.done()
    chunks = [range(start, min(start + PART, len(names))) for start in range(0, len(names), PART)]
    resumed = sum(len(chunk) for number, chunk in enumerate(chunks) if number in done)
    if resumed:
        log.info("going on: an earlier attempt has looked at %d of %d photos", resumed, len(names))
    hidden = None if progress is None else not progress
    with (
        Bar(total=len(names), initial=resumed, desc="inference", unit="photo", disable=hidden) as bar,
        ThreadPoolExecutor(1, thread_name_prefix="parts") as writer,
        closing(look_at_all(_number(names, chunks, done), lambda photo: reader.dump(*photo))) as found,
    ):
        written: Future[None] | None = None
        for number, chunk in enumerate(chunks):
            if number not in done:
                made = []
                for photo in islice(found, len(chunk)):
                    made.append(photo)
                    bar.update()
                if written is not None:
                    written.result()
                written = writer.submit(parts.keep, number, made)
        if written is not None:
            written.result()
    return resumed


def _number(names: Sequence[str], chunks: Sequence[range], done: Container[int]) -> Iterator[tuple[int, str]]:
    """The photos of the chunks that are not done, each with its number."""
    for number, chunk in enumerate(chunks):
        if number not in done:
            yield from ((index + 1, names[index]) for index in chunk)


def count_parts(listed: Sized) -> int:
    """Count the parts of so many photos."""
    return -(-len(listed) // PART)


def _show_all(photos: Iterable[tuple[Entry, list[str]]], *eyes: Callable[[Entry], None]) -> Iterator[list[str]]:
    """What was written of the photos, whose entries are shown to all on their way."""
    for found, photo in photos:
        for eye in eyes:
            eye(found)
        yield photo
