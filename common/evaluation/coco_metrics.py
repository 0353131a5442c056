"""COCO metrics: how well people were found, in COCO's ten numbers."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.data.annotations.coco import CocoSet, Floats, Person, read_annotations
from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.detections import PERSON
from bodyposenet.common.skeleton.skeleton import find_sigma
from bodyposenet.common.storage.files import write_table
from bodyposenet.common.storage.location import Location

NOTHING = -1.0  # the value, COCO's, of a metric that has no people to be measured on
MAX_DETECTIONS = 20  # a photo, best first

# Metric, IoU and area as TAO's results.csv has them, in the order of pycocotools' summary.
_KINDS = (("0.50:0.95", "all"), ("0.5", "all"), ("0.75", "all"), ("0.50:0.95", "medium"), ("0.50:0.95", "large"))
METRICS = tuple((metric, iou, area) for metric in ("AP", "AR") for iou, area in _KINDS)
NAMES = tuple(f"{metric}_{iou}" + (f"_{area}" if ":" in iou else "") for metric, iou, area in METRICS)
MAIN = NAMES[0]

RESULTS = "results.csv"
RECALLS = np.linspace(0, 1, 101)  # where COCO reads precision


@dataclass(frozen=True)
class CocoScores:
    """How well people were found.

    Attributes:
        metrics: TAO's ten names and their values in [0, 1]; -1 where the photos show no such people.
        precisions: Of people of all sizes, by the least OKS of a match: precision at ``RECALLS``; 0 where so many are
            not found.
    """

    metrics: dict[str, float]
    precisions: dict[float, Floats] = field(default_factory=dict)


def coco_metrics(
    annotations: Path | Location | CocoSet,
    detections: Sequence[dict[str, Any]],
    joints: Sequence[str] | None = None,
    *,
    sigmas: Sequence[float] | None = None,
) -> dict[str, float]:
    """Score detections as COCO's keypoint challenge does, with pycocotools.

    Args:
        annotations: A COCO keypoints file, gzipped or not, or one that has been read.
        detections: COCO detections, coordinates to a fraction of a pixel.
        joints: Names of the annotations' joints; by default those of the file.
        sigmas: OKS spread of each of those joints; by default COCO's, by name.

    Returns:
        TAO's ten names and their values in [0, 1]; -1 where the photos show no such people (COCO's convention).

    Raises:
        UserError: The file is wrong, or a detection is of no photo of it.
    """
    return score_people(annotations, detections, joints, sigmas=sigmas).metrics


def score_people(
    annotations: Path | Location | CocoSet,
    detections: Sequence[dict[str, Any]],
    joints: Sequence[str] | None = None,
    *,
    sigmas: Sequence[float] | None = None,
) -> CocoScores:
    """Score detections as :func:`coco_metrics` does, and tell the curves, too."""
    truth = annotations if isinstance(annotations, CocoSet) else read_annotations(annotations, joints)
    refuse_strangers(truth, detections)
    spreads = np.array([find_sigma(joint) for joint in truth.joints] if sigmas is None else sigmas)
    if len(spreads) != len(truth.joints):
        raise UserError(f"{len(spreads)} OKS sigmas for {len(truth.joints)} joints", where=str(truth.path))
    if not truth.photos:
        return CocoScores(dict.fromkeys(NAMES, NOTHING))
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = _evaluate(truth, detections, spreads)
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]  # (T, R) of the one class, all sizes
    curves = dict(zip(evaluation.params.iouThrs.round(2).tolist(), precision, strict=True))
    known = {least: curve for least, curve in curves.items() if (curve >= 0).all()}
    return CocoScores(dict(zip(NAMES, map(float, evaluation.stats), strict=True)), known)


def compare_people(truth: CocoSet, people: Sequence[dict[str, Any]], sigmas: Sequence[float]) -> dict[int, Floats]:
    """Compute the OKS of people with the annotations of their photo, with pycocotools.

    Somebody in the surroundings of an annotation without joints, as crowds are, has an OKS of 1 with it.

    Args:
        truth: The annotations.
        people: COCO detections, any number in a photo.
        sigmas: OKS spread of each of the annotations' joints.

    Returns:
        For each photo by its id ``(D, A)``: its D people and A annotations in the order in which they are given.
    """
    scores: dict[int, list[float]] = {photo.image_id: [] for photo in truth.photos}
    for person in people:
        scores[person["image_id"]].append(person["score"])
    tables = {photo.image_id: np.zeros((len(scores[photo.image_id]), len(photo.people))) for photo in truth.photos}
    if not people:
        return tables
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = _open(truth, people, np.array(sigmas))
        evaluation.params.maxDets = [len(people)]
        evaluation.evaluate()
    for image_id, table in tables.items():
        if table.size:  # pycocotools' rows are best first
            table[np.argsort(-np.array(scores[image_id]), kind="stable")] = evaluation.ious[image_id, PERSON]
    return tables


def refuse_strangers(truth: CocoSet, detections: Sequence[dict[str, Any]]) -> None:
    """Refuse detections of photos that are not annotated.

    Raises:
        UserError: There are some.
    """
    strangers = {detection["image_id"] for detection in detections} - {photo.image_id for photo in truth.photos}
    if strangers:
        raise UserError(
            f"{len(strangers)} photos with detections are not annotated, such as image {min(strangers, key=str)}",
            where=str(truth.path),
            fix="score them against the annotations of the same photos",
        )


def _evaluate(truth: CocoSet, detections: Sequence[dict[str, Any]], sigmas: np.ndarray) -> Any:
    evaluation = _open(truth, detections, sigmas)
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def _open(truth: CocoSet, detections: Sequence[dict[str, Any]], sigmas: np.ndarray) -> Any:
    from bodyposenet.common.evaluation.oks import KeypointEvaluation

    given = _coco(truth)
    copies = [dict(detection) for detection in detections]  # pycocotools writes into them
    evaluation = KeypointEvaluation(given, given.loadRes(copies) if copies else _coco(truth, empty=True), "keypoints")
    evaluation.params.kpt_oks_sigmas = sigmas
    return evaluation


def _coco(truth: CocoSet, *, empty: bool = False) -> Any:
    """The annotations as pycocotools holds them; ids count from 1, as it takes 0 for no match."""
    from pycocotools.coco import COCO

    pairs = [] if empty else [(photo.image_id, person) for photo in truth.photos for person in photo.people]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": p.image_id, "height": p.height, "width": p.width} for p in truth.photos],
        "categories": [{"id": PERSON, "name": "person"}],
        "annotations": [_annotation(n, image_id, person) for n, (image_id, person) in enumerate(pairs, 1)],
    }
    coco.createIndex()
    return coco


def _annotation(number: int, image_id: int, person: Person) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": PERSON,
        "keypoints": person.keypoints.ravel().tolist(),
        "num_keypoints": person.num_keypoints,
        "bbox": person.box.tolist(),
        "area": person.area,
        "iscrowd": int(person.crowd),
    }


def write_csv(folder: Location, metrics: Mapping[str, float]) -> Location:
    """Write ``results.csv``: the ten numbers of COCO's metrics, a row each."""
    path = folder / RESULTS
    rows = [
        [row, metric, iou, area, MAX_DETECTIONS, metrics[name]]
        for row, (name, (metric, iou, area)) in enumerate(zip(NAMES, METRICS, strict=True))
    ]
    write_table(path, ["", "metric", "IoU", "area", "maxDets", "score"], rows)
    return path
