"""Estimator: a network with its settings, which is called with photos and gives their people."""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.inference.detections import dump_photo, write_files
from bodyposenet.common.inference.detector import find_people, open_model
from bodyposenet.common.inference.frame_people import FramePeople, watch
from bodyposenet.common.inference.given_photo import KINDS, Order, check_order, is_one_photo, name_photo, open_pixels
from bodyposenet.common.inference.many import look_at_all
from bodyposenet.common.inference.photo_people import PhotoPeople
from bodyposenet.common.model.files.bundled import PRETRAINED, list_shipped, runnable_path, weights_path
from bodyposenet.common.plain_text import hide_secrets
from bodyposenet.common.pose.people import People
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.errors import in_bucket
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.video.clip import Clip, open_clip
from bodyposenet.common.video.names import CAMERA
from bodyposenet.common.video.watch import Watch

if TYPE_CHECKING:
    from PIL.Image import Image

    from bodyposenet.common.deploy.runner import Runner
    from bodyposenet.common.spec.words import Device, RunnerName

    Photo = str | Path | bytes | np.ndarray | Image

log = logging.getLogger(__name__)

See = Callable[[np.ndarray, PhotoPeople], object]


class PoseEstimator:
    """Finds people and their joints in photos.

    A photo is a path, an address (``https://``, ``gs://``, ``s3://``, ``abfs://``), the bytes of a file, an array
    ``(H, W, 3)`` uint8, or a PIL image. Arrays are RGB; ``order="bgr"`` says that they are as OpenCV has them. All
    pixels of a photo are looked at, whatever it is given as, so that each way the same people are found.

    Args:
        runner: The network, as :func:`~bodyposenet.open_runner` opens it.
        spec: Input size and thresholds.

    Examples:
        >>> pose = bodyposenet.PoseEstimator.load("model.onnx")
        >>> people = pose("photos/images/train_000000.jpg")
        >>> people.keypoints.shape[1:], people.draw().shape == photo.shape
        ((18, 3), True)
        >>> len(pose([photo, "photos/images/train_000001.jpg"]))
        2
    """

    def __init__(self, runner: "Runner", spec: InferenceSpec) -> None:
        self.runner, self.spec = runner, spec

    @classmethod
    def load(
        cls,
        model: str | Path = "people",
        spec: InferenceSpec | None = None,
        *,
        device: "Device" = "auto",
        runner: "RunnerName | None" = None,
    ) -> "PoseEstimator":
        """Open a network.

        Args:
            model: ``people``, or the name of another network that came with the package; or the path of a Keras or ONNX
                model, or of an engine. An ONNX model, and ``people`` is one, needs no TensorFlow.
            spec: How to find people; None takes what was tuned for the network, at the size that it was trained at.
            device: What to compute on.
            runner: What to run an ONNX network with; the spec's if None.

        Raises:
            UserError: There is no such network, or it cannot be used.
        """
        return cls(*open_model(_find_model(str(model), spec, runner), spec, device, runner))

    @property
    def joints(self) -> tuple[str, ...]:
        """The names of the joints, in the order of ``keypoints``."""
        return self.runner.card.skeleton.joints

    @overload
    def __call__(self, photos: "Photo", *, order: Order = "rgb") -> PhotoPeople: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, photos: "list[Any] | tuple[Any, ...]", *, order: Order = "rgb") -> list[PhotoPeople]: ...
    @overload
    def __call__(self, photos: "Iterable[Photo]", *, order: Order = "rgb") -> Iterator[PhotoPeople]: ...

    def __call__(self, photos: Any, *, order: Order = "rgb") -> PhotoPeople | list[PhotoPeople] | Iterator[PhotoPeople]:
        """Find the people in a photo or several, which are looked at several at once.

        Args:
            photos: A photo; a list or tuple of some; or whatever else gives some one after another, such as a
                generator, of which a few are taken ahead: each needs an array of its own.
            order: Of the colours of arrays.

        Returns:
            The photo's people; of a list a list of those, else an iterator, in the photos' order. A photo of several
            that cannot be used keeps its place: nobody is found in it, and ``problem`` says why.

        Raises:
            UserError: It is no photo, or a single one cannot be used; or the server that has the photos is away.
        """
        check_order(order)
        if is_one_photo(photos):
            return self.look(photos, name_photo(photos, "the photo"), order=order)
        if isinstance(photos, dict) or not isinstance(photos, Iterable):
            raise UserError(f"{type(photos).__name__} is no photo", fix=f"give {KINDS}, or several")
        found = self._look_at_each(photos, order)
        return list(found) if isinstance(photos, list | tuple) else found

    def _look_at_each(self, photos: Iterable[Any], order: Order) -> Iterator[PhotoPeople]:
        numbered = ((photo, name_photo(photo, f"photos[{index}]")) for index, photo in enumerate(photos))
        for found in look_at_all(numbered, lambda each: self.try_to_look(*each, order=order)):
            if found.problem:
                log.warning("skipped %s", found.problem)
            yield found

    def try_to_look(self, photo: Any, name: str, *, order: Order = "rgb", see: See | None = None) -> PhotoPeople:
        """Do as :meth:`look` does; what is wrong with a photo is said in what is returned.

        Raises:
            AwayError: The server that has the photos is away.
        """
        try:
            return self.look(photo, name, order=order, see=see)
        except AwayError:
            raise
        except UserError as error:
            nobody = People(np.zeros((0, len(self.joints), 3), np.float32), np.zeros(0, np.float32))
            skeleton = self.runner.card.skeleton
            return PhotoPeople(hide_secrets(name), (0, 0), skeleton, nobody, str(error), photo, order)

    def look(self, photo: Any, name: str, *, order: Order = "rgb", see: See | None = None) -> PhotoPeople:
        """Find the people in one photo; from any thread.

        Args:
            photo: See the class.
            name: What messages and results call it.
            order: Of an array's colours.
            see: Is shown the photo, ``(H, W, 3)`` RGB uint8, with its people, while it is in memory.

        Raises:
            UserError: It cannot be used.
        """
        with open_pixels(photo, where=name, order=order) as pixels:
            try:
                people = find_people(self.runner, pixels, self.spec)
            except UserError as error:  # it is a line rather than a photo
                raise UserError(error.problem, where=name, fix=error.fix) from None
            size = (pixels.shape[0], pixels.shape[1])
            found = PhotoPeople(hide_secrets(name), size, self.runner.card.skeleton, people, "", photo, order)
            if see is not None:
                see(pixels, found)
        return found

    def video(
        self,
        source: str | Path | int,
        *,
        fps: float | None = None,
        max_frames: int | None = None,
        track: bool = True,
        smooth: bool = False,
    ) -> Generator[FramePeople]:
        """Find the people in a video or before a camera, frame by frame.

        Args:
            source: A file, or a camera: its number, or ``camera:0``.
            fps: Frames a second that are looked at, at most; None looks at all.
            max_frames: How many are looked at in all; a camera has no end of its own.
            track: Number the people, the same person by the same number in each frame: ``ids``.
            smooth: Steady their joints by the One-Euro filter.

        Returns:
            The people of each frame, as they are found. A video that ends too early is told by a warning.

        Raises:
            UserError: It is no video, or there is no such camera, which is told with the first frame.
        """
        how = Watch(fps, max_frames, track, smooth)
        return self._watch_source(f"{CAMERA}{source}" if isinstance(source, int) else str(source), how)

    def _watch_source(self, source: str, how: Watch) -> Generator[FramePeople]:
        with open_clip(source) as clip:
            yield from self.watch(clip, how)
            if clip.problem:
                log.warning("%s", clip.problem)

    def watch(self, clip: Clip, how: Watch) -> Generator[FramePeople]:
        """Do as :meth:`video` does, of a clip that is open."""
        return watch(clip, how, self.runner.card.skeleton, self.look)

    def save(self, found: PhotoPeople | Iterable[PhotoPeople], folder: str | Path | Location) -> None:
        """Write people as ``bpnet inference`` does: ``detections.json`` and ``detections_coco_format.json``.

        Args:
            found: What calls have returned; of an iterator no more than one photo is in memory. Photos are numbered
                from 1 in this order: COCO's ``image_id``.
            folder: Where, on a disk or in a store; it is made.

        Raises:
            UserError: It cannot be written to.
        """
        several = [found] if isinstance(found, PhotoPeople) else found
        skeleton = self.runner.card.skeleton
        entries = (each.to_entry(number, Path(each.name).name) for number, each in enumerate(several, 1))
        write_files(locate(folder), skeleton, self.spec, (dump_photo(found, skeleton) for found in entries), {})


def _find_model(model: str, spec: InferenceSpec | None, runner: "RunnerName | None") -> Path:
    """A network's file; of those that came with the package the exported form, which has the last stage only."""
    name = f"{PRETRAINED}{model}" if f"{PRETRAINED}{model}" in list_shipped() else model
    if in_bucket(name):
        raise UserError("models are read from a disk", where=name, fix="fetch it first")
    if name.startswith(PRETRAINED) and (spec is None or spec.output_stage_to_use is None):
        return runnable_path(name, runner or (spec.runner if spec else None))
    return weights_path(name, where="the model")
