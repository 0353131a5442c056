"""Ceiling: the AP that a perfect network would have, since maps and their decoding lose something too."""

from pathlib import Path

import numpy as np

from bodyposenet.common.data.annotations.coco import CocoSet, Photo, read_annotations
from bodyposenet.common.evaluation.coco_metrics import MAIN, coco_metrics
from bodyposenet.common.evaluation.ground_truth import read_test_set, sigmas_for
from bodyposenet.common.imaging.fit import plan_fit
from bodyposenet.common.inference.detections import to_coco
from bodyposenet.common.inference.detector import read_maps
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec


def ceiling_ap(
    dataset: DatasetSpec, spec: InferenceSpec, skeleton: Skeleton, *, stride: int = 8, sigma: float = 7.0
) -> float:
    """The ceiling AP of a dataset's test half, with an inference spec's geometry and thresholds, at one scale.

    Only the annotations are read, no photo.

    Args:
        dataset: Its test annotations are read.
        spec: Input size, mode and decoding.
        skeleton: The network's.
        stride: Input pixels per cell.
        sigma: Spread of a heatmap peak, in input pixels.

    Raises:
        UserError: The annotations cannot be used.
    """
    return ceiling_metrics(read_test_set(dataset), spec, skeleton, stride=stride, sigma=sigma)[MAIN]


def compute_ceiling_ap(
    annotations: Path,
    skeleton: Skeleton,
    *,
    input_shape: tuple[int, int],
    mode: str | None = "adjust_network_input",
    stride: int = 8,
    sigma: float = 7.0,
    min_parts: int = 3,
    fill_missing: bool = False,
) -> float:
    """The ceiling AP of one annotation file.

    Args:
        annotations: A COCO keypoints file, gzipped or not.
        skeleton: The network's.
        input_shape: ``(height, width)`` of the network input.
        mode: How photos are fitted to it.
        stride: Input pixels per cell.
        sigma: Spread of a heatmap peak, in input pixels.
        min_parts: Joints that make a person.
        fill_missing: Guess joints that were not found.

    Raises:
        UserError: The annotations cannot be used.
    """
    given = {"input_shape": input_shape, "keep_aspect_ratio_mode": mode}
    spec = InferenceSpec.model_validate({**given, "min_parts": min_parts, "fill_missing": fill_missing})
    return ceiling_metrics(read_annotations(annotations), spec, skeleton, stride=stride, sigma=sigma)[MAIN]


def ceiling_metrics(
    truth: CocoSet, spec: InferenceSpec, skeleton: Skeleton, *, stride: int = 8, sigma: float = 7.0
) -> dict[str, float]:
    """COCO's ten numbers of people drawn as maps and read back, see :func:`ceiling_ap`."""
    detections = [
        detection
        for photo in truth.photos
        for detection in to_coco(
            _read_back(photo, truth.joints, spec, skeleton, stride, sigma), skeleton, truth.joints, photo.image_id
        )
    ]
    return coco_metrics(truth, detections, sigmas=sigmas_for(truth.joints, skeleton))


def _read_back(
    photo: Photo, joints: tuple[str, ...], spec: InferenceSpec, skeleton: Skeleton, stride: int, sigma: float
) -> People:
    """The photo's people, in its pixels, as perfect maps would show them."""
    fit = plan_fit((photo.height, photo.width), spec.input_shape, spec.keep_aspect_ratio_mode, stride)
    labelled = [person.keypoints for person in photo.people if person.labelled]
    people = skeleton.take(joints, np.array(labelled).reshape(-1, len(joints), 3))
    maps = encode(
        fit.to_input(people[..., :2]),
        people[..., 2] > 0,
        skeleton,
        size=(fit.size[0] // stride, fit.size[1] // stride),
        stride=stride,
        sigma=sigma,
    )
    return read_maps(maps, fit, spec, skeleton, stride=stride, sigma=sigma)
