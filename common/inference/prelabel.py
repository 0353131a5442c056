"""Prelabel: what a network finds in new photos, as drafts for a labelling tool, the photos worth most first."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.data.exporters.labels import (
    UNCERTAIN,
    LabelSet,
    PhotoLabels,
    choose_skeleton,
    label_people,
)
from bodyposenet.common.data.exporters.write import write_labels
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.photo import DecodedPhoto
from bodyposenet.common.inference.batch import (
    TOLD,
    Parts,
    count_parts,
    digest_work,
    find_all,
    list_source,
    refuse_unreadable,
)
from bodyposenet.common.inference.detections import Entry, read_people, summarize
from bodyposenet.common.inference.detector import open_model
from bodyposenet.common.inference.label_order import (
    count_uncertain,
    describe_photo,
    measure_difficulty,
    order_photos,
    shrink_photo,
)
from bodyposenet.common.inference.photo_reader import PhotoReader
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.words import LabelFormat
from bodyposenet.common.storage.files import whole_file, write_table
from bodyposenet.common.storage.location import Location, join, locate
from bodyposenet.common.storage.photo_store import PhotoStore, open_photos
from bodyposenet.common.storage.status_log import StatusLog
from bodyposenet.common.storage.together import appear_together

if TYPE_CHECKING:
    from bodyposenet.common.spec.words import Device, RunnerName

log = logging.getLogger(__name__)

ORDER = "order.csv"
COLUMNS = ("rank", "photo", "difficulty", "people", "lowest_score", "uncertain_joints")
COPIES = "images/train"  # where YOLO's files say that the photos are


@dataclass(frozen=True)
class LabelChoice:
    """What is to be written.

    Attributes:
        form: Which tool's files.
        limit: Photos, at most; 0 takes all.
        least: Score below which a joint is uncertain: it is written with the flag 1.
        prefix: What stands before a photo's name in Label Studio's tasks.
        copy: Also copy the photos that were chosen, to ``images/train``.
    """

    form: LabelFormat = "coco"
    limit: int = 0
    least: float = UNCERTAIN
    prefix: str = ""
    copy: bool = False


@dataclass
class Prelabels:
    """What was written.

    Attributes:
        file: The file to import.
        order: The list of the photos, hardest first.
        photos: Photos in it.
        people: People in these photos.
        uncertain: Joints of these people that are uncertain or were not found.
        empty: Photos with nobody.
        seen: Photos that were looked at, of all.
        problems: What is wrong with the first photos that could not be used.
        unreadable: How many could not.
    """

    file: Location
    order: Location
    photos: int = 0
    people: int = 0
    uncertain: int = 0
    empty: int = 0
    seen: int = 0
    problems: list[str] = field(default_factory=list)
    unreadable: int = 0

    def summary(self) -> str:
        """Say the outcome in one or two sentences."""
        chosen = f", the hardest of {self.seen:,}" if self.photos < self.seen else ""
        return summarize(self.people, self.photos, self.empty, self.unreadable, chosen)


class DraftReader(PhotoReader):
    """Looks at one photo after another; also keeps the joints' scores and the photo as a small grey picture."""

    def describe(self, path: Location, people: People, photo: DecodedPhoto, given: Mapping[str, Any]) -> Entry:
        """Tell of a photo with its people."""
        scores = people.keypoints[..., 2].astype(float).round(6).tolist()
        return super().describe(path, people, photo, given) | {
            "joint_scores": scores,
            "picture": shrink_photo(photo.pixels),
        }


def prelabel(
    model: Path,
    spec: InferenceSpec | None,
    source: str,
    results_dir: str | Path | Location,
    choice: LabelChoice,
    *,
    name: str = "",
    work: str = "",
    progress: bool | None = None,
    device: "Device" = "auto",
    runner: "RunnerName | None" = None,
) -> Prelabels:
    """Find the people in the photos of a folder and below it, and write them for a labelling tool.

    Photos come in an order in which labelling them is worth most: hard ones first, and not all of them alike. The same
    photos and the same network give the same order. ``order.csv`` lists them.

    Args:
        model: The network's file.
        spec: How to find people; None takes what was tuned for the model.
        source: A folder or zip archive, on a disk or in a bucket. Hidden files are passed over.
        results_dir: Gets the files.
        choice: What to write.
        name: The network's, in the files; by default that of its file.
        work: Where finished parts are kept until all are there; by default ``results_dir``.
        progress: Show a progress bar; by default on terminals.
        device: What to compute on.
        runner: What to run an ONNX model with; the spec's if None.

    Raises:
        UserError: The model cannot be used, or there are no photos, or none that can be read. One that cannot, among
            others, is reported instead.
    """
    folder = locate(results_dir)
    status = StatusLog(folder)
    status.write("STARTED", "Starting prelabel.")
    store = open_photos(source)
    listed = list_source(store, source)
    opened, filled = open_model(model, spec, device, runner, photos=len(listed))
    key = digest_work(model, filled, source, listed, "prelabel")
    parts = Parts(locate(work or folder), key)
    with parts.use():
        find_all(DraftReader(opened, filled, store, source), parts, list(listed), progress)
        skeleton = opened.card.skeleton
        ranked = _Ranked.read(parts, count_parts(listed), skeleton, choice)
        if not len(ranked.numbers):
            raise refuse_unreadable(len(listed), ranked.problems)
        entries, lost = ranked.fetch(parts), list[str]()
        with appear_together(folder, "prelabel") as staged:
            if choice.copy:
                entries, lost = _copy(entries, store, staged / COPIES)
            if not entries:
                raise refuse_unreadable(len(listed), lost)
            done = _write(staged, entries, skeleton, choice, name or model.stem)
        done.file, done.order = folder / done.file.name, folder / done.order.name
        done.seen, done.problems = len(ranked.numbers) - len(lost), [*ranked.problems, *lost][:TOLD]
        done.unreadable = len(listed) - done.seen
        parts.remove()
    log.info(done.summary())
    status.write("SUCCESS", done.summary())
    return done


@dataclass
class _Ranked:
    """Photos in their order, by their numbers; memory holds some hundred numbers of each.

    Attributes:
        numbers: Of all photos that can be used.
        order: Of those that were chosen.
        problems: What is wrong with others.
        parted: The number of parts.
    """

    numbers: list[int]
    order: list[int]
    problems: list[str]
    parted: int

    @classmethod
    def read(cls, parts: Parts, parted: int, skeleton: Skeleton, choice: LabelChoice) -> "_Ranked":
        numbers, difficulties, descriptions = [], [], []
        problems: list[str] = []
        for found in _list_entries(parts, parted):
            if "problem" in found:
                problems += [found["problem"]] if len(problems) < TOLD else []
                continue
            people = restore_people(found, skeleton)
            numbers.append(found["image_meta"]["id"])
            difficulties.append(measure_difficulty(people, choice.least))
            descriptions.append(describe_photo(people, found["picture"]).astype(np.float32))
        for problem in problems:
            log.warning("skipped %s", problem)
        if not numbers:
            return cls([], [], problems, parted)
        order = order_photos(np.array(difficulties), np.stack(descriptions), choice.limit)
        return cls(numbers, [numbers[index] for index in order], problems, parted)

    def fetch(self, parts: Parts) -> list[Entry]:
        """Read the entries of the photos that were chosen, in their order."""
        wanted = set(self.order)
        found = {
            entry["image_meta"]["id"]: entry
            for entry in _list_entries(parts, self.parted)
            if entry["image_meta"]["id"] in wanted
        }
        return [found[number] for number in self.order]


def _list_entries(parts: Parts, number: int) -> Iterator[Entry]:
    return (found for part in range(number) for found, _ in parts.read(part))


def restore_people(found: Entry, skeleton: Skeleton) -> People:
    """Restore the people of an entry, with the scores of their joints."""
    people = read_people(found, skeleton)
    keypoints = people.keypoints.copy()
    keypoints[..., 2] = np.reshape(np.asarray(found["joint_scores"], np.float32), keypoints.shape[:2])
    return People(keypoints, people.scores)


def _write(
    folder: Location, entries: Sequence[Entry], skeleton: Skeleton, choice: LabelChoice, model: str
) -> Prelabels:
    crowds = [restore_people(entry, skeleton) for entry in entries]
    photos = [_label(entry, people, skeleton, choice.least) for entry, people in zip(entries, crowds, strict=True)]
    labels = LabelSet(choose_skeleton(skeleton), photos, model)
    file = write_labels(labels, folder, choice.form, prefix=choice.prefix)
    uncertain = [count_uncertain(people, choice.least) for people in crowds]
    _write_order(folder / ORDER, photos, [measure_difficulty(people, choice.least) for people in crowds], uncertain)
    empty = sum(not photo.people for photo in photos)
    return Prelabels(file, folder / ORDER, len(photos), labels.num_people, sum(uncertain), empty)


def _label(entry: Entry, people: People, skeleton: Skeleton, least: float) -> PhotoLabels:
    meta = entry["image_meta"]
    size = meta["height"], meta["width"]
    return PhotoLabels(meta["file_name"], size, label_people(people, skeleton, size, least=least))


def _write_order(
    path: Location, photos: Sequence[PhotoLabels], difficulties: Sequence[float], uncertain: Sequence[int]
) -> None:
    """Write the list of the photos: why each stands where it does."""
    rows = []
    for rank, (photo, difficulty, joints) in enumerate(zip(photos, difficulties, uncertain, strict=True), 1):
        lowest = f"{min(one.score for one in photo.people):.3f}" if photo.people else ""
        rows.append([rank, photo.name, f"{difficulty:.3f}", len(photo.people), lowest, joints])
    write_table(path, COLUMNS, rows)


def _copy(entries: Sequence[Entry], store: PhotoStore, folder: Location) -> tuple[list[Entry], list[str]]:
    """Copy the photos; returns the entries of those that are there still, and what is wrong with the others."""
    kept: list[Entry] = []
    lost: list[str] = []
    for entry in entries:
        name = entry["image_meta"]["file_name"]
        try:
            data = store.read(name)
        except AwayError:
            raise
        except UserError as error:
            log.warning("skipped %s", error)
            lost.append(str(error))
            continue
        with whole_file(join(folder, name)) as file:
            file.write(data)
        kept.append(entry)
    log.info("copied %s to %s", pluralize(len(kept), "photo"), folder)
    return kept, lost
