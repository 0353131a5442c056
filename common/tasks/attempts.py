"""Attempts: a training whose pod was lost goes on in another one, from what it kept in a work folder."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bodyposenet import __version__
from bodyposenet.common.data.photo_set import DATASET_SPEC
from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.model.training.checkpoints import list_lasting
from bodyposenet.common.storage.digests import digest_file, digest_settings, digest_stream
from bodyposenet.common.storage.files import find_bytes, whole_file
from bodyposenet.common.storage.json_files import read_json, take_mapping
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.model_key import open_model_file
from bodyposenet.common.storage.snapshots import NOTE, Snapshots, SnapshotThread
from bodyposenet.common.storage.together import work_in
from bodyposenet.common.tasks.files import compute_digest, find_dataset, find_keras
from bodyposenet.common.tracking import TrackedRun
from bodyposenet.common.tracking.record_sets import describe_records

log = logging.getLogger(__name__)

PROGRESS = "model."  # how the names of files begin that a training leaves which has come some way


@contextlib.contextmanager
def attempt(work: str, folder: Path, key: str, run: TrackedRun) -> Iterator[Callable[[], None] | None]:
    """Go on in a folder where an earlier attempt at the same training was, and keep how far this one comes.

    Args:
        work: Where that is kept until the block has ended well: a folder or bucket that a later attempt sees, too.
            Nothing: nowhere.
        folder: Where the training works; if it has not begun there, what is kept is fetched.
        key: Tells this training from others in that work folder.
        run: Of this attempt.

    Yields:
        What is called after each checkpoint; it returns at once.

    Raises:
        UserError: The work folder cannot be read or written.
    """
    if not work:
        yield None
        return
    place = locate(work) / f"{run.name}-{key}"
    snapshots = Snapshots(place)
    with work_in(place):
        if not any(path.name.startswith(PROGRESS) for path in list_lasting(folder)):
            kept = snapshots.restore(folder)
            log.info("%s: %s", place, f"going on from {kept}" if kept else "no earlier attempt came to a checkpoint")
        _note(place, run)
        with SnapshotThread(snapshots, folder, list_lasting) as thread:
            yield thread.take
        try:
            snapshots.remove()
        except UserError as error:
            log.warning("%s; what is left there is of no use any more", error)


def identify(
    dataset: str, start: str | None, *settings: Any, files: Mapping[str, Any], teacher: str | None = None
) -> str:
    """Digest all that makes a training this one: another one never goes on from its checkpoints.

    Args:
        dataset: Folder of the shards.
        start: Folder of the network that it begins with.
        *settings: Specs, numbers and digests, as JSON data.
        files: Settings in which the texts that are paths of files count by the files' contents.
        teacher: Folder of the network that it learns from.
    """
    networks = [_digest_network(each) if each else "" for each in (start, teacher)]
    contents = [*_digest_dataset(find_dataset(dataset)), *networks]
    return compute_digest([__version__, *settings, *contents, sorted(map(digest_file, _list_files(files)))])


def _digest_dataset(dataset: Path) -> tuple[str, str]:
    """Digest a dataset's records and its spec, wherever it is."""
    spec = read_json(dataset / DATASET_SPEC, take_mapping, what="dataset spec", fix="give what dataset_join wrote")
    spec.pop("root_directory_path", None)
    return describe_records(dataset, ("train", "val"), "").digest, digest_settings(spec)


def _digest_network(artifact: str) -> str:
    """Digest a network's content: a file encrypted again is another, its network the same."""
    with open_model_file(find_keras(artifact)) as file:
        return digest_stream(file)


def _list_files(value: Any) -> Iterator[str]:
    """The files that settings name."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _list_files(each)
    elif isinstance(value, str) and "\0" not in value and len(value) < 4096 and Path(value).is_file():
        yield value


def _note(place: Location, run: TrackedRun) -> None:
    """Say in the work folder who is at work, and end the tracked run of whoever was before and cannot any more."""
    before = find_bytes(place / NOTE)
    if before:
        with contextlib.suppress(*MALFORMED):
            run.end_lost(str(json.loads(before).get("run_id", "")))
    with whole_file(place / NOTE) as file:
        file.write(json.dumps({"task": run.name, "version": __version__, "run_id": run.id}, indent=1).encode())
