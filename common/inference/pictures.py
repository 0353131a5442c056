"""Pictures: people drawn on the photos that somebody names, and files that say where they are."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.inference.batch import BatchInference, refuse_unreadable
from bodyposenet.common.inference.detections import COCO_DETECTIONS, DETECTIONS, Entry, dump_photo, write_files
from bodyposenet.common.inference.detector import open_model
from bodyposenet.common.inference.estimator import PoseEstimator
from bodyposenet.common.inference.inputs import NamedPhoto
from bodyposenet.common.inference.many import look_at_all
from bodyposenet.common.inference.photo_people import PhotoPeople
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.pose.draw import draw_people
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.files import write_unsynced
from bodyposenet.common.storage.location import Location, join, locate
from bodyposenet.common.storage.status_log import StatusLog
from bodyposenet.common.storage.together import appear_together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodyposenet.common.deploy.runner import Runner
    from bodyposenet.common.spec.words import Device, RunnerName

log = logging.getLogger(__name__)

FOLDER = "bpnet-people"  # of results, where one stands
QUALITY = 92  # of the JPEG files
JPEG_SIDE = 65_500  # pixels that OpenCV writes as a JPEG


@dataclass(frozen=True)
class Pictures:
    """What was found and drawn.

    Attributes:
        detections: The people of each photo.
        coco: The same as COCO's results.
        pictures: The photos with people drawn on them.
        found: Numbers, and what is wrong with the first photos that could not be used.
        ran: What ran the network.
    """

    detections: Location
    coco: Location
    pictures: list[Location]
    found: BatchInference
    ran: str


def draw_photos(
    model: "Path | Runner",
    spec: InferenceSpec | None,
    photos: "Sequence[NamedPhoto]",
    results_dir: str | Path | Location,
    *,
    progress: bool | None = None,
    device: "Device" = "auto",
    runner: "RunnerName | None" = None,
) -> Pictures:
    """Find the people in photos, and write a picture of each, ``detections.json`` and ``detections_coco_format.json``.

    Args:
        model: A Keras or ONNX model's file, an engine's, or a runner.
        spec: How to find people; None takes what was tuned for the model, at the size that it was trained at.
        photos: As :func:`~bodyposenet.common.inference.inputs.find_photos` finds them. They are numbered from 1: COCO's
            ``image_id``, and ``image_meta`` in ``detections.json``, where ``picture`` is the picture's name.
        results_dir: Where to write.
        progress: Show a progress bar; by default on terminals.
        device: What to compute on.
        runner: What to run an ONNX model with; the spec's if None.

    Raises:
        UserError: The model cannot be used, nothing can be written, or no photo can be read. One that cannot, among
            others, is reported instead.
    """
    from bodyposenet.common.deploy.runtime.runners import describe_runner

    folder = locate(results_dir)
    status = StatusLog(folder)
    status.write("STARTED", "Starting inference.")
    estimator = PoseEstimator(*open_model(model, spec, device, runner, photos=len(photos)))
    hidden = None if progress is None else not progress
    found, entries = BatchInference(folder), []
    with appear_together(folder, "inference") as staged:
        all_found = look_at_all(enumerate(photos, 1), lambda each: _look(estimator, staged, *each))
        for made in Bar(all_found, "inference", len(photos), unit="photo", disable=hidden):
            found.count(made)
            entries.append(made)
        if found.unreadable == found.photos:  # what an earlier run found stays
            raise refuse_unreadable(found.photos, found.problems)
        skeleton = estimator.runner.card.skeleton
        write_files(staged, skeleton, estimator.spec, (dump_photo(made, skeleton) for made in entries), {})
    log.info(found.summary())
    status.write("SUCCESS", found.summary())
    pictures = [join(folder, made["picture"]) for made in entries if "picture" in made]
    ran = describe_runner(estimator.runner)
    return Pictures(folder / DETECTIONS, folder / COCO_DETECTIONS, pictures, found, ran)


def _look(estimator: PoseEstimator, folder: Location, number: int, photo: NamedPhoto) -> Entry:
    """Draw one photo's picture, and return its entry."""
    drawn: Entry = {}

    def draw(pixels: np.ndarray, found: PhotoPeople) -> None:
        drawn["picture"] = _write(folder, photo.picture, draw_people(pixels, found.found, found.skeleton))

    found = estimator.try_to_look(photo.path, str(photo.path), see=draw)
    return found.to_entry(number, photo.name) | drawn


def _write(folder: Location, name: str, image: np.ndarray) -> str:
    """Write a picture, RGB, and return its name: one that is longer than a JPEG can be is a PNG."""
    if max(image.shape) > JPEG_SIDE:
        name = f"{name.removesuffix('.jpg')}.png"
    how = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if name.endswith(".jpg") else []
    encoded = cv2.imencode(Path(name).suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), how)[1]
    path = join(folder, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_unsynced(path) as file:
            file.write(encoded.tobytes())
    except UserError as error:  # the disk is at fault, not the photo
        raise AwayError(error.problem, where=error.where, fix=error.fix) from None
    return name
