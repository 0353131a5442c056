"""Attachments: what is kept with a registered version beside the model that servers load.

They are artifacts of the version's run, which servers of MLflow 2 and 3 alike have, so that whoever serves or fetches
the network does not fetch them, too. A tag of the version names each by its run, its place and its digest.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.digests import digest_file
from bodyposenet.common.tracking.mlflow_store import tracking_uri
from bodyposenet.common.tracking.registry import ask_or_none, ask_store
from bodyposenet.common.tracking.runs import TrackedRun

BASE, HOLD_OUT = "base", "hold_out"  # tags of a version: its network before pruning, the photos that champions meet on
BYTES = "{}_bytes"  # tag: how large it is
PLACE = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)#(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True)
class Attachment:
    """A file among the artifacts of a run, and those beside it.

    Attributes:
        run: Its id.
        path: Where among its artifacts.
        sha256: Digest of the file.
    """

    run: str
    path: str
    sha256: str

    def __str__(self) -> str:
        return f"runs:/{self.run}/{self.path}#{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> "Attachment | None":
        """Undo ``str``; None for what is no such text."""
        found = PLACE.fullmatch(text)
        return cls(**found.groupdict()) if found else None


def attach(run: TrackedRun, kind: str, file: Path, *others: Path) -> dict[str, str]:
    """Keep a file with a run, in a folder named by its content.

    Args:
        run: The run that registers the version.
        kind: What it is, :data:`BASE` or :data:`HOLD_OUT`.
        file: What to keep.
        others: What to keep beside it.

    Returns:
        Tags for the version; none where nothing is tracked.

    Raises:
        UserError: The store does not take them.
    """
    digest = digest_file(file)
    folder = f"{kind}-{digest[:12]}"
    for each in (file, *others):
        run.keep_artifact(each, folder)
    if not run.id:
        return {}
    size = sum(each.stat().st_size for each in (file, *others))
    return {kind: str(Attachment(run.id, f"{folder}/{file.name}", digest)), BYTES.format(kind): str(size)}


def find_attachment(tags: Mapping[str, str], kind: str) -> Attachment | None:
    """What is kept with a version, by its tags; None where nothing of the kind is."""
    return Attachment.parse(tags.get(kind, ""))


def fetch_attachment(kept: Attachment, folder: Path, *, beside: str = "") -> Path | None:
    """Download a file that is kept with a version.

    Args:
        kept: Where it is.
        folder: Gets it; it must be there.
        beside: Name of another file there to download instead, whose digest is not known.

    Returns:
        The file; None where the store has it no longer.

    Raises:
        UserError: The store does not answer, or the file is another one.
    """
    name = beside or kept.path.rpartition("/")[2]
    with ask_store(str(kept), upload=True):
        place = ask_or_none(_locate_folder, kept)
        if place is None or name not in _list_names(place):
            return None
        found = _download(f"{place}/{name}", folder)
    if not beside and digest_file(found) != kept.sha256:
        raise UserError("is not the file that was kept there", where=str(kept), fix="register a network anew")
    return found


def _locate_folder(kept: Attachment) -> str:
    """The address of the folder itself: that of the run would be asked for logged models, which MLflow 2 has not."""
    from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

    inside = kept.path.rpartition("/")[0]
    return str(RunsArtifactRepository.get_underlying_uri(f"runs:/{kept.run}/{inside}", tracking_uri()))


def _list_names(place: str) -> list[str]:
    from mlflow.artifacts import list_artifacts

    found = list_artifacts(artifact_uri=place, tracking_uri=tracking_uri())
    return [each.path.rpartition("/")[2] for each in found]


def _download(place: str, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(artifact_uri=place, dst_path=str(folder), tracking_uri=tracking_uri()))
