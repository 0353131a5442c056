"""Challenge task: the champion and a new network on the same photos, those that were kept with the champion."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bodyposenet.common.data.hold_out import ARCHIVE, PHOTOS, open_hold_out, read_photos, write_hold_out
from bodyposenet.common.data.photo_set import spec_in
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.digests import digest_file
from bodyposenet.common.storage.locking import scratch_folder
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import NOBODY, Settings, find_dataset, find_onnx, read_spec
from bodyposenet.common.tracking import task_run
from bodyposenet.common.tracking.attachments import Attachment, fetch_attachment
from bodyposenet.common.tracking.mlflow_store import log, tracking_uri
from bodyposenet.common.tracking.registry import fetch

REFERENCE = "reference.txt"  # in the place of a hold-out's files: where the champion has them
SCORES = ("challenger_ap", "champion_new_ap")  # outputs, beside the AP that is returned


@dataclass(frozen=True)
class Arena:
    """The photos that a champion and a new network meet on.

    Attributes:
        spec: Its test half is these photos.
        today: They are those of the new network's dataset, and no others.
        described: In a few words.
    """

    spec: DatasetSpec
    today: bool
    described: str


@report_failures
def challenge(
    champion: str, name: str, dataset: str, inference_spec: Settings, *, onnx: str = "", hold_out: str = "",
    outputs: Mapping[str, str] | None = None,
) -> float:  # fmt: skip
    """AP of the registered champion on the photos that were kept with it; -1 where there is no champion.

    Args:
        champion: Its version; nothing where there is none.
        name: The registered model.
        dataset: Of the new network. Its held-out photos are kept, and met on, where the champion has none.
        inference_spec: The inference spec that the challenger was evaluated with.
        onnx: Folder of the exported new network; without it both are held against each other on the dataset's photos.
        hold_out: Where the champion's photos are, as a text of :class:`Attachment`.
        outputs: Files for :data:`SCORES`: AP of the new network on the same photos, and of the champion on the
            dataset's, where these are others, or else -1; and the folder ``kept``, which gets the photos or, where the
            registry has them, their place.

    Raises:
        UserError: The registry does not answer, or has no such version.
    """
    spec = read_spec(inference_spec, InferenceSpec, "inference_spec")
    outputs = dict(outputs or {})
    scores = dict.fromkeys(SCORES, NOBODY)
    ap = NOBODY
    with scratch_folder() as aside, task_run("challenge", buffer=Path(aside)) as run:
        folder = Path(aside)
        kept = Path(outputs.get("kept") or folder / "kept")
        wanted = champion or "kept" in outputs
        arena = _choose_photos(hold_out, dataset, folder, kept, bool(onnx)) if wanted else None
        if champion and arena:
            network = fetch(name, champion, folder / "champion")
            ap = _score(network, spec, arena.spec, folder / "found")
            if onnx:
                scores["challenger_ap"] = _score(find_onnx(onnx), spec, arena.spec, folder / "found-new")
            if not arena.today:
                scores["champion_new_ap"] = _score(network, spec, spec_in(find_dataset(dataset)), folder / "today")
            run.log_params({"champion": champion, "photos": arena.described}, prefix="data")
            measured = {"champion_ap": ap, **scores}
            run.log_metrics({key: value for key, value in measured.items() if value != NOBODY})
    for each in SCORES:
        if each in outputs:
            _write(Path(outputs[each]), json.dumps(scores[each]))
    return ap


def _score(network: Path, spec: InferenceSpec, photos: DatasetSpec, folder: Path) -> float:
    from bodyposenet.common.evaluation.evaluate import evaluate

    return evaluate(network, spec, photos, folder).ap


def _choose_photos(hold_out: str, dataset: str, folder: Path, kept: Path, compares: bool) -> Arena | None:
    """The photos to meet on, and in ``kept`` what is to be kept of them; None where nothing is tracked.

    Args:
        hold_out: Where the champion's are.
        dataset: Folder of the new network's dataset.
        folder: For what is fetched.
        kept: Is made.
        compares: The new network is here, so that it can be scored on other photos than its dataset's.
    """
    if not tracking_uri():
        _write(kept / REFERENCE, "")
        return None
    place = find_dataset(dataset)
    today = Arena(spec_in(place), True, "the dataset's held-out photos")
    found = Attachment.parse(hold_out)
    photos = fetch_attachment(found, folder) if found and compares else None
    archive = fetch_attachment(found, folder, beside=ARCHIVE) if found and photos else None
    if photos and archive:
        _write(kept / REFERENCE, hold_out)
        told = f"{pluralize(len(read_photos(photos)), 'photo')} kept with the champion"
        if _holds(place, folder / "today-kept", photos):
            return today
        return Arena(open_hold_out(photos, archive, folder / "unpacked"), False, told)
    if found and compares:
        log.warning("%s: the photos kept with the champion are there no longer: the dataset's are kept anew", found)
    if found and not compares:
        _write(kept / REFERENCE, hold_out)
        return today
    made = write_hold_out(place, kept)
    if made.kept < made.of:
        log.info("of %d held-out photos %d are kept with the network, as many as fit", made.of, made.kept)
        return Arena(open_hold_out(made.photos, made.archive, folder / "unpacked"), False, f"{made.kept} photos kept")
    return today


def _holds(dataset: Path, folder: Path, photos: Path) -> bool:
    """Whether a dataset's held-out photos are those that were kept, whole."""
    made = write_hold_out(dataset, folder)
    return made.kept == made.of and digest_file(folder / PHOTOS) == digest_file(photos)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
