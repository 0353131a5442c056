"""Detector: the people in one photo, in its own pixels."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bodyposenet.common.deploy.input_sizes import InputSizes, read_sizes
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.fit import Fit, choose_reduction, fit_photo, normalise, plan_fit
from bodyposenet.common.imaging.photo import DecodedPhoto, Reduce, keep_whole
from bodyposenet.common.inference.many import count_at_once
from bodyposenet.common.pose import People, decode, fill_missing
from bodyposenet.common.pose.flip import mirror_maps
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.inference import InferenceSpec, fill_from_card

if TYPE_CHECKING:
    from bodyposenet.common.deploy.runner import Maps, Runner
    from bodyposenet.common.spec.words import Device, RunnerName

log = logging.getLogger(__name__)
PAD = "pad_image_input"


def find_people(runner: "Runner", photo: DecodedPhoto | np.ndarray, spec: InferenceSpec) -> People:
    """Find the people in a photo.

    Args:
        runner: The network.
        photo: As it was decoded, or all its pixels, ``(H, W, 3)`` RGB uint8.
        spec: Input size, scales and thresholds.

    Returns:
        The people, best first, x and y in the photo's pixels.

    Examples:
        >>> import cv2
        >>> photo = cv2.cvtColor(cv2.imread("photos/images/train_000000.jpg"), cv2.COLOR_BGR2RGB)
        >>> how = bodyposenet.load_spec("infer.yaml", bodyposenet.InferenceSpec)
        >>> people = bodyposenet.find_people(network, photo, how)
        >>> people.keypoints.shape[1:]
        (18, 3)
    """
    maps, fit = _maps(runner, DecodedPhoto.whole(photo) if isinstance(photo, np.ndarray) else photo, spec)
    card = runner.card
    across = 0.0 if spec.flip else card.paf_shift  # a mirror moves cells the other way, and the mean of both not at all
    shift = across, card.paf_shift
    return read_maps(maps, fit, spec, card.skeleton, stride=card.stride, sigma=card.sigma, paf_shift=shift)


def read_maps(
    maps: "Maps",
    fit: Fit,
    spec: InferenceSpec,
    skeleton: Skeleton,
    *,
    stride: int,
    sigma: float,
    paf_shift: tuple[float, float] = (0.0, 0.0),
) -> People:
    """Read one photo's maps.

    Args:
        maps: Heatmaps ``(H, W, K + 1)`` and PAFs ``(H, W, 2L)``.
        fit: How the photo lies on the network's input.
        spec: Thresholds.
        skeleton: Names the channels.
        stride: Input pixels per cell.
        sigma: Spread of a heatmap peak, in input pixels.
        paf_shift: Input pixels from a cell of the fields to the heatmaps' cell of that place.

    Returns:
        The people, best first, x and y in the photo's pixels; joints that were not found are at (0, 0).
    """
    found = decode(
        *maps,
        skeleton,
        stride=stride,
        sigma=sigma,
        paf_shift=paf_shift,
        heatmap_threshold=spec.heatmap_threshold,
        paf_threshold=spec.paf_threshold,
        min_parts=spec.min_parts,
        max_people=spec.max_people,
    )
    found = found.keep(found.scores >= spec.min_score)
    keypoints = (fill_missing(found, skeleton) if spec.fill_missing else found).keypoints.copy()
    placed = keypoints.any(axis=-1)
    keypoints[placed, :2] = fit.to_photo(keypoints[placed, :2])
    return People(keypoints, found.scores)


def choose_decoding(runner: "Runner", spec: InferenceSpec) -> Reduce:
    """Say by how much photos may be reduced when they are decoded for a network to see no less of them.

    Args:
        runner: The network.
        spec: Input size, scales, and whether photos are decoded whole.
    """
    if spec.decode_whole:
        return keep_whole
    size = _scale(spec, _list_scales(spec)[-1])

    def reduce(photo: tuple[int, int]) -> int:
        try:
            return choose_reduction(photo, size, _choose_mode(runner, photo, size, spec))
        except UserError:  # it is a line rather than a photo, which fitting it tells
            return 1

    return reduce


def _list_scales(spec: InferenceSpec) -> list[float]:
    return sorted(spec.scales) if spec.multi_scale_inference else [1.0]


def _scale(spec: InferenceSpec, scale: float) -> tuple[int, int]:
    rows, columns = (max(1, round(side * scale)) for side in spec.input_shape)
    return rows, columns


def _maps(runner: "Runner", photo: DecodedPhoto, spec: InferenceSpec) -> tuple["Maps", Fit]:
    """The photo's maps ``(H, W, C)``, and how they lie on it; with several scales their mean, on the largest's grid."""
    found = [_maps_at(runner, photo, spec, scale) for scale in _list_scales(spec)]
    (heatmaps, pafs), fit = found[-1]
    if len(found) == 1:
        return (heatmaps, pafs), fit
    shape, stride = (heatmaps.shape[0], heatmaps.shape[1]), runner.card.stride
    means = [
        np.mean([resample(maps[kind], _grid_to_grid(fit, other, stride), shape) for maps, other in found], axis=0)
        for kind in (0, 1)
    ]
    return (means[0], means[1]), fit


def _maps_at(runner: "Runner", photo: DecodedPhoto, spec: InferenceSpec, scale: float) -> tuple["Maps", Fit]:
    size = _scale(spec, scale)
    fitted = fit_photo(photo, size, _choose_mode(runner, photo.size, size, spec), runner.card.stride)
    image = fitted.image if getattr(runner, "takes_pixels", False) else normalise(fitted.image, runner.card)
    heatmaps, pafs = (maps[0] for maps in runner(image[None]))
    if spec.flip:
        mirrored = runner(np.ascontiguousarray(image[None, :, ::-1]))
        other, others = mirror_maps(mirrored[0][0], mirrored[1][0], runner.card.skeleton)
        heatmaps = (heatmaps + other) / 2
        pafs = (pafs + np.where(np.isnan(others), pafs, others)) / 2  # limbs that have no mirror image
    return (heatmaps, pafs), fitted.fit


def _choose_mode(runner: "Runner", photo: tuple[int, int], size: tuple[int, int], spec: InferenceSpec) -> str | None:
    """As the spec wants it; padded where the network does not take what photos would be adjusted to."""
    sizes, mode, stride = read_sizes(runner), spec.keep_aspect_ratio_mode, runner.card.stride
    if sizes is not None and not sizes.hold(plan_fit(photo, size, mode, stride).size):
        return PAD
    return mode


def _grid_to_grid(one: Fit, other: Fit, stride: int) -> np.ndarray:
    """``(3, 3)``: cells of one fit's grid to cells of another's, over the photo that both show."""
    offset = (stride - 1) / 2
    to_pixels = np.array([[stride, 0, offset], [0, stride, offset], [0, 0, 1.0]])
    matrix: np.ndarray = np.linalg.inv(to_pixels) @ other.matrix @ np.linalg.inv(one.matrix) @ to_pixels
    return matrix


def resample(maps: np.ndarray, matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Read maps on another grid, by cubic convolution; beyond their border they go on as they end.

    Args:
        maps: ``(h, w, C)``.
        matrix: ``(3, 3)``, cells of the new grid to cells of ``maps``; it neither turns nor shears.
        shape: ``(H, W)`` of the new grid.

    Returns:
        ``(H, W, C)`` float32.
    """
    rows = _cubic(matrix[1, 1] * np.arange(shape[0]) + matrix[1, 2], maps.shape[0])
    columns = _cubic(matrix[0, 0] * np.arange(shape[1]) + matrix[0, 2], maps.shape[1])
    tall = np.tensordot(rows, maps, axes=(1, 0))  # (H, w, C)
    return np.moveaxis(np.tensordot(columns, tall, axes=(1, 1)), 0, 1).astype(np.float32)


def _cubic(places: np.ndarray, length: int) -> np.ndarray:
    """``(N, length)`` weights that read a line of cells at N places (Keys 1981, a = -1/2)."""
    weights = np.zeros((len(places), length))
    first = np.floor(places).astype(int)
    for tap in range(-1, 3):
        distance = np.abs(places - (first + tap))
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        cells = np.clip(first + tap, 0, length - 1)
        np.add.at(weights, (np.arange(len(places)), cells), np.where(distance <= 1, near, far))
    return weights


def open_model(
    model: "Path | Runner",
    spec: InferenceSpec | None,
    device: "Device" = "auto",
    runner: "RunnerName | None" = None,
    *,
    photos: int | None = 1,
) -> "tuple[Runner, InferenceSpec]":
    """Open a model; fill the spec with what the model's card tells, and change it to what the model can do.

    Args:
        model: Its file, or a runner.
        spec: How to find people; None takes what the card tells, else the size that the network was trained at.
        device: What to compute on, if the model is a file.
        runner: What to run an ONNX file with; the spec's if None.
        photos: How many will be looked at by :func:`~bodyposenet.common.inference.many.look_at_all`; None is
            many.

    Raises:
        UserError: The model cannot be used, or does not take the spec's input.
    """
    from bodyposenet.common.deploy.runtime.runners import open_runner

    asked, where = spec or InferenceSpec(), "the model" if not isinstance(model, str | Path) else str(model)
    if isinstance(model, str | Path):
        stage, runner = asked.output_stage_to_use, runner or asked.runner
        at_once = count_at_once() if photos is None else min(photos, count_at_once())
        model = open_runner(Path(model), stage=stage, device=device, runner=runner, at_once=at_once)
    filled = fill_from_card(asked, model.card)
    if spec is None and "input_shape" not in filled.model_fields_set:
        filled = filled.model_copy(update={"input_shape": model.card.input_size})
    return model, adapt_spec(filled, read_sizes(model), model.card.stride, where)


def adapt_spec(spec: InferenceSpec, sizes: InputSizes | None, stride: int, where: str) -> InferenceSpec:
    """The spec as a network of limited sizes can follow it, as TAO does: photos padded to its one size, one scale.

    Args:
        spec: How to find people.
        sizes: What the network takes; None is any size.
        stride: What inputs are filled up to.
        where: What messages call it.

    Raises:
        UserError: It does not take the spec's input.
    """
    if sizes is None:
        return spec
    if not sizes.hold(_round_up(spec, 1.0, stride)):
        problem = f"takes inputs of {sizes}, and the spec's input_shape is {'x'.join(map(str, spec.input_shape))}"
        fix = f"set input_shape to [{sizes.smallest[0]}, {sizes.smallest[1]}]" if sizes.fixed else "change input_shape"
        raise UserError(problem, where=where, fix=fix)
    changes: dict[str, object] = {}
    if spec.multi_scale_inference and not all(sizes.hold(_round_up(spec, scale, stride)) for scale in spec.scales):
        log.warning("%s takes inputs of %s only: multi_scale_inference is off", where, sizes)
        changes["multi_scale_inference"] = False
    if sizes.fixed and spec.keep_aspect_ratio_mode == "adjust_network_input":
        log.warning("%s takes inputs of %s only: photos are padded (%s), not adjust_network_input", where, sizes, PAD)
        changes["keep_aspect_ratio_mode"] = PAD
    return spec.model_copy(update=changes) if changes else spec


def _round_up(spec: InferenceSpec, scale: float, stride: int) -> tuple[int, int]:
    """The input at a scale, filled up to the stride."""
    height, width = (-(-max(1, round(side * scale)) // stride) * stride for side in spec.input_shape)
    return height, width
