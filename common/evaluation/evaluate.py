"""Evaluate: a model's AP on the test half of a dataset."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodyposenet.common.data.annotations.coco import CocoSet, Photo
from bodyposenet.common.data.annotations.emptiness import count_problems, require_people
from bodyposenet.common.data.suspects.sides import find_exchange
from bodyposenet.common.data.suspects.write import SuspectChoice
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.evaluation.coco_metrics import score_people, write_csv
from bodyposenet.common.evaluation.evaluation_page import PAGE, Looks, write_evaluation_page
from bodyposenet.common.evaluation.false_positives import count_false_positives
from bodyposenet.common.evaluation.ground_truth import AnnotatedPhotos, read_test_set, require_common_joints, sigmas_for
from bodyposenet.common.evaluation.joint_errors import diagnose_joints, write_joint_errors
from bodyposenet.common.evaluation.outcome import Evaluation
from bodyposenet.common.evaluation.suspects import list_suspects
from bodyposenet.common.imaging.orientation import Frame, Turn, describe_turns
from bodyposenet.common.imaging.photo import Reduce, decode_annotated, make_room
from bodyposenet.common.inference.detections import (
    COCO_DETECTIONS,
    dump_coco,
    entry,
    to_coco,
    write_detections,
    write_items,
)
from bodyposenet.common.inference.detector import choose_decoding, find_people, open_model
from bodyposenet.common.inference.many import look_at_all
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.photo_store import PhotoStore, open_photos
from bodyposenet.common.storage.status_log import StatusLog
from bodyposenet.common.storage.together import appear_together

if TYPE_CHECKING:
    from bodyposenet.common.deploy.runner import Runner
    from bodyposenet.common.spec.words import Device, RunnerName

log = logging.getLogger(__name__)


def evaluate(
    model: "Path | Runner",
    spec: InferenceSpec | None,
    dataset: DatasetSpec,
    results_dir: str | Path | Location,
    *,
    progress: bool | None = None,
    device: "Device" = "auto",
    runner: "RunnerName | None" = None,
    suspects: bool | SuspectChoice = False,
) -> Evaluation:
    """Find the people in a dataset's test photos, score them, and write what was found.

    ``results_dir`` gets ``detections.json``, ``detections_coco_format.json``, ``results.csv``, ``joint_errors.csv``, a
    page, ``evaluation.html``, and lines in ``status.json``.

    Args:
        model: A Keras or ONNX model's file, an engine's, or a runner.
        spec: How to find people; None takes what was tuned for the model, at the size that it was trained at.
        dataset: Its test half is used.
        results_dir: Is made.
        progress: Show a progress bar; by default on terminals.
        device: What to compute on.
        runner: What to run an ONNX model with; the spec's if None.
        suspects: List the labels that are likely wrong, too: ``suspects.csv``, a page, ``suspects.html``, and their
            photos for a labelling tool, COCO's unless a choice says which.

    Raises:
        UserError: The model or the annotations cannot be used, nobody in them is labelled, or none of the photos can.

    Examples:
        >>> found = bodyposenet.evaluate(small.cpu_path, how, dataset, Path("evaluation"))
        >>> found.images, found.ap > 0.3
        (4, True)
    """
    where = locate(results_dir)
    status = StatusLog(where)
    status.write("STARTED", "Starting evaluation.")
    opened, spec = open_model(model, spec, device, runner, photos=None)
    truth, folder = read_test_set(dataset), dataset.locate_half("test").images
    for line in count_problems(truth.problems):
        log.warning("%s", line)
    require_people(truth)
    require_common_joints(truth, opened.card.skeleton)
    found, skipped = _find_all(opened, spec, truth, folder, dataset.unclear_orientation, progress)
    with appear_together(where, "evaluate") as staged:
        outcome = _score(opened, spec, truth, folder, found, skipped, staged)
        photos = AnnotatedPhotos(truth, folder, dataset.unclear_orientation)
        _write_page(staged, outcome, photos, found, opened.card.skeleton)
        if suspects:
            wanted = suspects if isinstance(suspects, SuspectChoice) else SuspectChoice()
            detections = _detect(truth, found, opened.card.skeleton)
            listed = list_suspects(photos, detections, opened.card.skeleton, staged, wanted)
            outcome = replace(outcome, suspects=listed)
    outcome = replace(outcome, results_dir=where)
    log.info(outcome.summary())
    status.write("SUCCESS", outcome.summary(), kpi=outcome.metrics | outcome.false_positives.numbers())
    return outcome


def _find_all(
    runner: "Runner", spec: InferenceSpec, truth: CocoSet, folder: Location, unclear: Frame, progress: bool | None
) -> tuple[list[People | None], list[str]]:
    """The people in each photo, None where it cannot be used, and what is wrong with those."""
    found: list[People | None] = []
    skipped: list[str] = []
    turns = Counter[str]()
    if not truth.photos:
        return found, skipped
    eye = _Eye(runner, spec.model_copy(update={"min_score": 0.0}), open_photos(folder), folder, unclear)
    looked, hidden = look_at_all(truth.photos, eye.look), None if progress is None else not progress
    for seen in Bar(looked, "evaluate", len(truth.photos), unit="photo", disable=hidden):
        if isinstance(seen, str):
            found.append(None)
            skipped.append(seen)
            log.warning("skipped %s", seen)
        else:
            people, turn = seen
            found.append(people)
            turns[turn.reason] += 1
    if len(skipped) == len(truth.photos):
        raise UserError(
            f"none of the {len(skipped)} test photos can be used; the first: {skipped[0]}",
            where=str(folder),
            fix="where they are missing, check root_directory_path and test_data.images_root_dir_path",
        )
    if line := describe_turns(turns, unclear):
        log.info("%s: %s", truth.path, line)
    return found, skipped


@dataclass(frozen=True)
class _Eye:
    """Looks at test photos, from any thread."""

    runner: "Runner"
    spec: InferenceSpec
    photos: PhotoStore
    folder: Location
    unclear: Frame

    @cached_property
    def _reduce(self) -> Reduce:
        return choose_decoding(self.runner, self.spec)

    def look(self, photo: Photo) -> tuple[People, Turn] | str:
        """The people, and how the photo was turned; or what is wrong with it."""
        told, where = (photo.height, photo.width), str(self.folder / photo.file_name)
        try:
            data = self.photos.read(photo.file_name)
            with make_room(data):
                image, turn = decode_annotated(data, told, unclear=self.unclear, where=where, reduce=self._reduce)
                return find_people(self.runner, image, self.spec), turn
        except AwayError:
            raise
        except UserError as error:
            return f"image {photo.image_id}: {error}"


def _score(
    runner: "Runner",
    spec: InferenceSpec,
    truth: CocoSet,
    folder: Location,
    found: Sequence[People | None],
    skipped: list[str],
    results_dir: Location,
) -> Evaluation:
    """Write the files, and score."""
    from bodyposenet.common.deploy.runtime.runners import describe_runner, measure_speed_up

    skeleton = runner.card.skeleton
    pairs = list(zip(truth.photos, found, strict=True))
    entries = [entry(folder / photo.file_name, people, {"image_meta": _meta(photo)}) for photo, people in pairs]
    write_detections(results_dir, skeleton, spec, entries)
    detections = _detect(truth, found, skeleton)
    write_items(results_dir / COCO_DETECTIONS, _dump(truth, found, skeleton))
    sigmas = sigmas_for(truth.joints, skeleton)
    scores = score_people(truth, detections, sigmas=sigmas)
    write_csv(results_dir, scores.metrics)
    looked_at = [photo.image_id for photo, people in pairs if people is not None]
    told = [each for each in detections if each["score"] >= spec.min_score]
    order = find_exchange(truth.joints, skeleton.flip_pairs)
    errors = diagnose_joints(truth, told, sigmas=sigmas, order=order)
    write_joint_errors(results_dir, errors)
    return Evaluation(
        metrics=scores.metrics,
        joint_errors=errors,
        false_positives=count_false_positives(truth, told, sigmas=sigmas, photos=looked_at),
        images=len(truth.photos),
        people=len(told),
        labelled=sum(person.labelled for photo in truth.photos for person in photo.people),
        empty=sum(people is not None and not len(people) for people in found),
        skipped=skipped,
        results_dir=results_dir,
        ran=describe_runner(runner),
        speed_up=measure_speed_up(runner),
        spec=spec,
        precisions=scores.precisions,
    )


def _detect(truth: CocoSet, found: Sequence[People | None], skeleton: Skeleton) -> list[dict[str, Any]]:
    return [
        detection
        for photo, people in zip(truth.photos, found, strict=True)
        if people is not None
        for detection in to_coco(people, skeleton, truth.joints, photo.image_id)
    ]


def _dump(truth: CocoSet, found: Sequence[People | None], skeleton: Skeleton) -> Iterator[str]:
    """Write what :func:`_detect` lists."""
    for photo, people in zip(truth.photos, found, strict=True):
        if people is not None:
            yield from dump_coco(people, skeleton, truth.joints, photo.image_id)


def _write_page(
    folder: Location, done: Evaluation, photos: AnnotatedPhotos, found: Sequence[People | None], skeleton: Skeleton
) -> None:
    """Write the page with the photos that went best and worst, and who is told of in them."""
    pairs = zip(photos.truth.photos, found, strict=True)
    told = [(photo, some.keep(some.scores >= done.spec.min_score)) for photo, some in pairs if some is not None]
    facts = {"Annotations": str(photos.truth.path), "Photos": str(photos.folder), "Ran in": done.ran}
    write_evaluation_page(folder / PAGE, done, Looks(told, photos.read, skeleton), facts)


def _meta(photo: Photo) -> dict[str, Any]:
    return {"id": photo.image_id, "file_name": photo.file_name, "height": photo.height, "width": photo.width}
