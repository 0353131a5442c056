"""Runners: any model file as one function from pictures to maps."""

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.deploy.input_sizes import InputSizes, in_batches
from bodyposenet.common.deploy.onnx_bounds import hold_onnx_maps
from bodyposenet.common.deploy.onnx_file import AXES, read_card, require_outputs
from bodyposenet.common.deploy.runner import (
    EXPORT_AGAIN,
    Maps,
    Runner,
    as_pixels,
    require_images,
    require_maps,
    running,
)
from bodyposenet.common.deploy.runtime.chooser import Chooser, draw_photo
from bodyposenet.common.deploy.runtime.forms import Compute, bind_session
from bodyposenet.common.deploy.runtime.keras_runner import KerasRunner
from bodyposenet.common.deploy.runtime.providers import CPU, limit_keras, require_gpu
from bodyposenet.common.deploy.runtime.runner_choice import EXACT, Choice
from bodyposenet.common.deploy.runtime.sessions import open_session, read_content, share_threads
from bodyposenet.common.deploy.tensorrt.engine_file import ENGINE_SUFFIXES
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.processor import Processor, read_processor
from bodyposenet.common.model.files.bundled import is_shipped
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.spec.runner_names import resolve_runner
from bodyposenet.common.spec.words import Device, RunnerName
from bodyposenet.common.storage.model_key import foreign, open_model_file
from bodyposenet.common.storage.unpacking import begins_zip

ONNX_SUFFIXES = (".onnx", ".etlt")

UNBOUNDED = 1 << 30  # pixels


def open_runner(
    path: Path,
    *,
    stage: int | None = None,
    threads: int | None = None,
    device: Device = "auto",
    runner: RunnerName | None = None,
    processor: Processor | None = None,
    at_once: int = 1,
) -> Runner:
    """Open a model file.

    Args:
        path: A Keras model (of any suffix, or its folder), an ONNX one (``.onnx``, ``.etlt``), or an engine
            (``.engine``, ``.plan``, ``.trt``).
        stage: Stage whose maps to return, from 1; the last one if None. ONNX models and engines have only that.
        threads: Processor threads; as many as there are cores if None. TensorFlow heeds it only until it has started.
        device: What to compute on; ``auto`` is a GPU where the library that runs the model can use one.
        runner: What runs an ONNX model on a processor: ``auto``, the fastest that is right; ``exact``, ONNX Runtime in
            the way that is the same on every machine; or the fastest of ``onnxruntime`` or ``openvino``. If None, what
            ``BODYPOSENET_RUNNER`` names, else ``auto``.
        processor: What to suppose for the choice; the one at hand if None.
        at_once: Calls that will come at the same time, from a thread each: an ONNX model gives each its share of the
            processor's threads. More may come, or fewer.

    Raises:
        UserError: The file is missing, is locked, is none of these, does not have that stage, or cannot run on the
            device or with the runner.

    Examples:
        >>> import numpy as np
        >>> network = bodyposenet.open_runner(Path("model.onnx"))
        >>> heatmaps, pafs = network(np.zeros((1, 192, 256, 3), np.float32))
        >>> heatmaps.shape, pafs.shape
        ((1, 24, 32, 19), (1, 24, 32, 38))
    """
    path = Path(path)
    if not path.exists():
        raise UserError("no such model", where=str(path))
    if path.is_dir() or _is_keras(path):
        require_onnx(runner, "a Keras model", path)
        limit_keras(device, str(path))
        return KerasRunner(path, stage=stage, threads=threads)
    if path.suffix not in ONNX_SUFFIXES + ENGINE_SUFFIXES:
        kinds = "neither a Keras nor an ONNX model, nor an engine"
        raise foreign(path, kinds, "give a .keras, .onnx or .engine file")
    if stage is not None:
        kind = "an engine" if path.suffix in ENGINE_SUFFIXES else "an ONNX model"
        raise UserError(f"{kind} has only its last stage", where=str(path), fix="give the Keras model")
    if path.suffix in ONNX_SUFFIXES:
        return OnnxRunner(path, threads=threads, device=device, runner=runner, processor=processor, at_once=at_once)
    require_onnx(runner, "an engine", path)
    require_gpu(device, str(path))
    from bodyposenet.common.deploy.tensorrt.engine_runner import EngineRunner

    return EngineRunner(path)


def require_onnx(runner: RunnerName | None, kind: str, where: Path) -> None:
    """Refuse a library that runs ONNX models for a model of another kind.

    Raises:
        UserError: It was asked for.
    """
    if runner in ("onnxruntime", "openvino"):
        fix = "export it to ONNX: bpnet export, or leave --runner out"
        raise UserError(f"{runner} does not run {kind}", where=str(where), fix=fix)


def describe_runner(runner: Runner) -> str:
    """Say what runs a model, on which instruction set and how fast as far as it was measured; nothing if unknown."""
    choice: Choice | None = getattr(runner, "choice", None)
    return choice.describe() if choice else getattr(runner, "library", "")


def measure_speed_up(runner: Runner) -> float | None:
    """Return how many times as fast as the float network in ONNX Runtime a runner was measured to be; None if not."""
    choice: Choice | None = getattr(runner, "choice", None)
    return choice.speed_up if choice else None


def _is_keras(path: Path) -> bool:
    with open_model_file(path) as file:
        return begins_zip(file)


class OnnxRunner:
    """An ONNX model: through ONNX Runtime, or on a processor in whatever form is fastest and right there.

    Any thread may call it. The form is chosen when the first pictures come, as it is measured at their size.

    Args:
        path: What ``bpnet export`` wrote, in 32, 16 or 8 bits.
        threads: Processor threads; as many as there are cores if None.
        device: What to compute on.
        runner: What to run it with; what the environment names if None, see :func:`resolve_runner`.
        processor: What to suppose; the one at hand if None.
        at_once: Calls that will come at the same time, see :func:`open_runner`.

    Raises:
        UserError: The file is no ONNX model, has no card, is no pose network, would take all memory, or cannot run on
            the device.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        device: Device = "auto",
        runner: RunnerName | None = None,
        processor: Processor | None = None,
        at_once: int = 1,
    ) -> None:
        processor = processor or read_processor()
        content, wanted = read_content(path), resolve_runner(runner)
        if not is_shipped(path):  # to tell takes a library and a tenth of a second
            hold_onnx_maps(content, str(path))
        self._session = open_session(path, share_threads(threads, at_once), device, processor=processor)
        with running(str(path)):  # a name or a text in it may be none
            require_outputs([output.name for output in self._session.get_outputs()], path)
            self.card = read_card(self._session.get_modelmeta().custom_metadata_map, path)
            taken = [given.shape for given in self._session.get_inputs()]
        if not taken or len(taken[0]) != AXES:
            raise UserError("the network takes no pictures", where=str(path), fix=EXPORT_AGAIN)
        self.sizes = _read_sizes(taken[0])
        self.takes_pixels = self._session.get_inputs()[0].type == "tensor(uint8)"
        self._where = str(path)
        self._compute: Compute | None = None
        self._choosing = threading.Lock()
        exact = bind_session(self._session)
        self._chooser: Any = Chooser(content, wanted, threads, processor, str(path), exact, at_once)
        self.choice = self._chooser.describe_exact()
        self._settle(self._session.get_providers()[0])

    def _settle(self, provider: str) -> None:
        """Stay with the session where there is nothing to choose."""
        if provider != CPU and self._chooser.runner == "openvino":
            fix = "use --device cpu with it"
            raise UserError("OpenVINO runs networks on the processor only", where="--runner", fix=fix)
        if provider != CPU:
            self.choice = Choice(EXACT, f"ONNX Runtime, {provider}")
        if provider != CPU or self._chooser.runner == EXACT:
            self._compute = bind_session(self._session)

    def __call__(self, images: np.ndarray) -> Maps:
        """See :class:`Runner`."""
        require_images(images, self.card.stride)
        images = self._prepare(images)
        if self.sizes is None:
            return self._run(images)
        self.sizes.require((images.shape[1], images.shape[2]), where=self._where)
        return in_batches(self._run, images, self.sizes)

    def _prepare(self, images: np.ndarray) -> np.ndarray:
        """The pictures as the network takes them; pixels for one that takes those are left as they are."""
        if not self.takes_pixels:
            return np.asarray(images, np.float32)
        return images if images.dtype == np.uint8 else as_pixels(np.asarray(images, np.float32), self.card)

    def _run(self, images: np.ndarray) -> Maps:
        with running(self._where):
            compute = self._compute or self._choose(images.shape)
            maps = compute(images)
        return require_maps(maps, len(images), self._where)

    def _choose(self, shape: tuple[int, ...]) -> Compute:
        """Choose the form, once, whoever comes first; the others wait."""
        with self._choosing:
            if self._compute is None:
                self._compute, self.choice = self._chooser.choose(partial(self._make_picture, shape))
                self._session = self._chooser = None  # the network's other copies
            return self._compute

    def _make_picture(self, shape: tuple[int, ...]) -> np.ndarray:
        """Draw what forms are tried on, of the size at hand, as many as the network must have at once."""
        photo = draw_photo((shape[1], shape[2]))
        given = photo if self.takes_pixels else from_pixels(photo, self.card)
        count = self.sizes.least if self.sizes else 1
        return np.repeat(given[None], count, axis=0)


def from_pixels(pixels: np.ndarray, card: Card) -> np.ndarray:
    """Normalise RGB uint8 pixels as the card says: the way back of :func:`as_pixels`.

    Args:
        pixels: ``(..., 3)`` uint8 RGB.
        card: How to normalise.

    Returns:
        ``(..., 3)`` float32.
    """
    scaled = pixels.astype(np.float32) / np.array(card.image_scale, np.float32)
    normalised: np.ndarray = scaled - np.array(card.image_offset, np.float32)
    return normalised


def _read_sizes(shape: Sequence[int | str | None]) -> InputSizes | None:
    """What an ONNX model's input takes; None where it takes anything."""
    batch, height, width = (side if isinstance(side, int) else 0 for side in shape[:3])
    if not (batch or height or width):
        return None
    size = (height, width)
    largest = (height or UNBOUNDED, width or UNBOUNDED)
    return InputSizes(size, largest, batch or 1, batch or None)
