"""Batch inference: find people in very many photos with a registered network."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.spec.document import read_settings
from bodyposenet.common.steps.registered_network import Network, fetch_network
from bodyposenet.common.storage.locking import scratch_folder
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import Settings, note
from bodyposenet.common.tracking import Dataset, TrackedRun, task_run

if TYPE_CHECKING:
    import numpy as np

    from bodyposenet.common.inference.batch import BatchInference
    from bodyposenet.common.inference.detections import Entry
    from bodyposenet.common.report.gallery import Section
    from bodyposenet.common.skeleton.skeleton import Skeleton

DRAWN = "drawn"  # folder of drawn photos among the detections
MOST_PICTURES = 60
TITLE = "People found"
NUMBERS = ("photos", "people", "empty", "unreadable")
SECTIONS = {
    "crowded": ("Most people", "Photos in which most people were found."),
    "doubtful": ("Least certain", "Photos with the person of whom the network is least certain."),
    "empty": ("Nobody", "Photos in which nobody was found, taken at random."),
}


@report_failures
def infer_batch(
    source: str, name: str, alias: str, inference_spec: Settings, found: str, page: str, metrics: str, *,
    pictures: int = 24, draw: int = 24, work: str = "",
) -> tuple[str, dict[str, float]]:  # fmt: skip
    """Find the people in all photos of a place with a registered network.

    Args:
        source: A folder or zip archive, on a disk or in a bucket; empty draws people.
        name: The registered model.
        alias: Which of its versions: an alias, or a version's number.
        inference_spec: Keys of an inference spec that are to be others than those the network was registered with.
        found: Folder; gets ``detections.json`` and ``detections_coco_format.json``.
        page: Gets the gallery.
        metrics: Gets the numbers.
        pictures: Photos in the gallery, at most.
        draw: Photos to draw, without a source.
        work: Where finished parts are kept until all are there: a folder or bucket that a second attempt sees, too.

    Returns:
        The outcome in a sentence or two, and the numbers.

    Raises:
        UserError: The store does not answer or has no such version, or there are no photos that can be used. A photo
            that cannot, among others, is reported instead.
    """
    from bodyposenet.common.inference import batch

    if not 0 <= pictures <= MOST_PICTURES:
        fix = f"take 0 to {MOST_PICTURES}: the page holds 2 MB"
        raise UserError(f"a gallery of {pictures} pictures", where="pictures", fix=fix)
    folder = Path(found)
    with task_run("infer_batch", buffer=folder) as run, scratch_folder() as aside:
        network = fetch_network(
            name, alias, read_settings(restore_ints(inference_spec), "inference_spec").data, Path(aside)
        )
        source = source or _draw(folder / DRAWN, draw)
        model = {"name": name, "version": network.version.version}
        done = batch.infer_batch(
            network.file, network.spec, source, folder, work=work, extra={"model": model}, notable=pictures
        )
        _write_page(Path(page), done, network, source)
        _log(run, done, network, source)
        run.log_artifact(Path(page), "report")
    return done.summary(), note(_numbers(done), metrics)


def _draw(folder: Path, number: int) -> str:
    """A folder with drawn photos; they stay beside the detections, which name them."""
    from bodyposenet.common.data.synthetic.dataset import synthesize  # numba and OpenCV, which most tasks do without

    synthesize(folder, train=number, val=0)
    return str(folder / "images")


def _numbers(done: "BatchInference") -> dict[str, float]:
    return {name: float(getattr(done, name)) for name in NUMBERS}


def _log(run: TrackedRun, done: "BatchInference", network: Network, source: str) -> None:
    run.log_params(network.spec.model_dump(mode="json"), prefix="spec")
    run.log_params({"model": network.name, "version": network.version.version, "source": source}, prefix="data")
    run.log_dataset(lambda: Dataset(Path(source).name, done.digest, source, {"images": done.photos}, "inference"))
    run.log_metrics(_numbers(done))


def _write_page(page: Path, done: "BatchInference", network: Network, source: str) -> None:
    from bodyposenet.common.report.gallery import Gallery, write_gallery

    facts = {"network": network.title, "photos": source}
    settings = network.spec.model_dump(mode="json", exclude={"model_path", "train_spec"})
    facts |= {name.replace("_", " "): value for name, value in settings.items()}
    sections = _sections(done, network.skeleton, source)
    shown = Gallery(TITLE, done.summary(), _tiles(done), sections, done.problems, done.unreadable, facts)
    write_gallery(page, shown)


def _tiles(done: "BatchInference") -> Sequence[tuple[str, str, str]]:
    seen = done.photos - done.unreadable
    average = f"{done.people / seen:.1f} in a photo" if seen else ""
    tiles = [
        (done.photos, "photos", ""),
        (done.people, "people", average),
        (done.empty, "photos with nobody", ""),
        (done.unreadable, "photos not used", "listed below" if done.unreadable else ""),
    ]
    return [(f"{number:,}", name, hint) for number, name, hint in tiles]


def _sections(done: "BatchInference", skeleton: "Skeleton", source: str) -> "list[Section]":
    from bodyposenet.common.report.gallery import Section

    return [
        Section(*SECTIONS[kind], list(_pictures(entries, skeleton, source)))
        for kind, entries in done.notable.items()
        if entries
    ]


def _pictures(entries: "Sequence[Entry]", skeleton: "Skeleton", source: str) -> "Iterator[tuple[str, np.ndarray]]":
    """Caption and picture of each photo that can still be read."""
    from bodyposenet.common.imaging.photo import decode_image
    from bodyposenet.common.inference.detections import read_people
    from bodyposenet.common.report.gallery import draw
    from bodyposenet.common.storage.photo_store import open_photos

    store = open_photos(source)
    for entry in entries:
        name = entry["image_meta"]["file_name"]
        try:
            image = decode_image(store.read(name), where=name)
        except UserError:  # it has gone since
            continue
        yield _caption(entry, name), draw(image, read_people(entry, skeleton), skeleton)


def _caption(entry: "Entry", name: str) -> str:
    scores = entry["scores"]
    if len(scores) < 2:
        return f"{name}: 1 person, score {scores[0]:.2f}" if scores else f"{name}: nobody"
    return f"{name}: {len(scores)} people, lowest score {min(scores):.2f}"
