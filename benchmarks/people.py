"""People: an open network of people, adopted: what each form of it finds in real photos, and what decoding costs."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from benchmarks.codec import SKELETON, ap, paired
from benchmarks.upsampled import decode_upsampled
from bodyposenet.common.adopt.adopt import adopt
from bodyposenet.common.data.annotations.coco import CocoSet, read_annotations
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.runtime.keras_runner import LiveRunner
from bodyposenet.common.deploy.runtime.openvino_session import import_openvino
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.imaging.fit import Fit, fit_image, normalise
from bodyposenet.common.imaging.photo import read_image
from bodyposenet.common.inference.detections import to_coco
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.pose import People, decode
from bodyposenet.common.skeleton.card import Card

NETWORK = "weights/human-pose-estimation-0001.xml"
SIDE = (368, 368)
TIMED = 12  # photos whose decoding is timed

ROWS = {
    "people_openvino": ("AP of Intel's network on 36 val2017 photos, run by OpenVINO as it is, in 8 bits", ""),
    "people_floats": ("the same, weights computed by their scales, nothing rounded between the layers", ""),
    "people_keras": ("that as a Keras network, adopted", ""),
    "people_onnx": ("as ONNX exported from it", ""),
    "people_apart": ("greatest difference of the last three APs", "≤ 0.002"),
    "people_maps": ("greatest difference of their maps, all photos", "≤ 0.001"),
    "people_upsampled": ("the same maps, decoded as TAO does, upsampled x 4, minimum parts 4", ""),
    "people_upsampled_time": ("time of that over the time of our decoding, median of 12 photos", "≥ 3"),
}

Maps = tuple[np.ndarray, np.ndarray]


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    data = Path(os.environ["BODYPOSENET_TEST_DATA"])
    cv2.setNumThreads(1)
    done = adopt(data / NETWORK)
    truth = read_annotations(data / "coco_sample/annotations/person_keypoints_val.json")
    photos = list(read_photos(data, truth, done.card))
    with tempfile.TemporaryDirectory() as folder:
        save_model(done.model, Path(folder) / "net.keras", done.card)
        export_onnx(Path(folder) / "net.keras", Path(folder) / "net.onnx")
        runs: dict[str, Callable[[np.ndarray], Any]] = {
            "openvino": OpenVino(data / NETWORK, rounding=True),
            "floats": OpenVino(data / NETWORK, rounding=False),
            "keras": LiveRunner(done.model, done.card),
            "onnx": open_runner(Path(folder) / "net.onnx", runner="exact"),
        }
        maps = {name: [draw(run, picture) for _, picture, _ in photos] for name, run in runs.items()}
    aps = {name: score(truth, photos, each, read_here) for name, each in maps.items()}
    same = [aps[name] for name in ("floats", "keras", "onnx")]
    return {
        **{f"people_{name}": value for name, value in aps.items()},
        "people_apart": max(same) - min(same),
        "people_maps": max(difference(maps["floats"], maps[name]) for name in ("keras", "onnx")),
        "people_upsampled": score(truth, photos, maps["keras"], read_upsampled),
        "people_upsampled_time": median(
            slow / quick
            for one in maps["keras"][:TIMED]
            for slow, quick in [paired(lambda one=one: read_upsampled(*one), lambda one=one: read_here(*one), rounds=5)]
        ),
    }


def read_photos(data: Path, truth: CocoSet, card: Card) -> Iterator[tuple[int, np.ndarray, Fit]]:
    """Id of each photo, the network's input of it ``(1, H, W, 3)``, and how it lies on that."""
    for photo in truth.photos:
        image = read_image(data / "coco_sample/images" / photo.file_name, upright=False)
        fitted = fit_image(image, SIDE, "adjust_network_input", card.stride)
        yield photo.image_id, normalise(fitted.image, card)[None], fitted.fit


def draw(run: Callable[[np.ndarray], Any], picture: np.ndarray) -> Maps:
    """Heatmaps and fields ``(H, W, C)`` of one picture."""
    heatmaps, pafs = run(picture)
    return np.asarray(heatmaps, np.float32)[0], np.asarray(pafs, np.float32)[0]


def difference(some: list[Maps], others: list[Maps]) -> float:
    """The greatest difference of any cell."""
    return max(
        float(np.abs(a - b).max())
        for one, other in zip(some, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def read_here(heatmaps: np.ndarray, pafs: np.ndarray) -> People:
    """Our decoding, three parts a person."""
    return decode(heatmaps, pafs, SKELETON, min_parts=3)


def read_upsampled(heatmaps: np.ndarray, pafs: np.ndarray) -> People:
    """TAO's way."""
    return decode_upsampled(heatmaps, pafs, SKELETON)


def score(
    truth: CocoSet, photos: list[tuple[int, np.ndarray, Fit]], maps: list[Maps], read: Callable[..., People]
) -> float:
    """COCO's AP of what is read from the maps of all photos."""
    found = []
    for (image_id, _, fit), one in zip(photos, maps, strict=True):
        seen = read(*one)
        keypoints = seen.keypoints.copy()
        placed = keypoints.any(axis=-1)
        keypoints[placed, :2] = fit.to_photo(keypoints[placed, :2])
        found += to_coco(People(keypoints, seen.scores), SKELETON, truth.joints, image_id)
    return ap(truth, found)


class OpenVino:
    """The network as OpenVINO reads it, in float32 where it does not round.

    Args:
        path: The ``.xml``.
        rounding: Round between the layers, as the file says.
    """

    def __init__(self, path: Path, *, rounding: bool) -> None:
        core = import_openvino().Core()
        model = core.read_model(str(path))
        for op in [] if rounding else model.get_ordered_ops():
            source = op.input_value(0).get_node().get_type_name() if op.get_input_size() else ""
            if op.get_type_name() == "FakeQuantize" and source not in ("Constant", "Convert"):
                op.output(0).replace(op.input_value(0))
        model.reshape([1, 3, -1, -1])
        self._run = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def __call__(self, pictures: np.ndarray) -> Maps:
        """Maps of ``(1, H, W, 3)`` RGB / 256 - .5: blue first and from 0 to 255 there."""
        pixels = np.rint((pictures[..., ::-1] + 0.5) * 256).transpose(0, 3, 1, 2)
        maps = {each.shape[1]: each.transpose(0, 2, 3, 1) for each in self._run(np.ascontiguousarray(pixels)).values()}
        return maps[SKELETON.num_joints + 1], maps[2 * SKELETON.num_limbs]
