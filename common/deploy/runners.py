"""Runners: any model file as one function from pictures to maps."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bodyposenet.common.crypto import is_encrypted
from bodyposenet.common.deploy.engine_file import ENGINE_SUFFIXES
from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS, card_of, require_outputs
from bodyposenet.common.deploy.providers import Device, limit_keras, providers_for, require_gpu, require_provider
from bodyposenet.common.deploy.sizes import Sizes, in_batches
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files import Card, load_model
from bodyposenet.common.model_key import foreign, opened

ONNX_SUFFIXES = (".onnx", ".etlt")

UNBOUNDED = 1 << 30  # pixels

Maps = tuple[np.ndarray, np.ndarray]


class Runner(Protocol):
    """A network, whatever runs it."""

    card: Card

    def __call__(self, images: np.ndarray) -> Maps:
        """Compute the last stage's maps.

        Args:
            images: ``(B, H, W, 3)`` float32, normalised as the card says; the stride divides H and W.

        Returns:
            Heatmaps ``(B, H / stride, W / stride, K + 1)`` and PAFs ``(B, H / stride, W / stride, 2L)``, float32.
        """
        ...


def open_runner(path: Path, *, stage: int | None = None, threads: int | None = None, device: Device = "auto") -> Runner:
    """Open a model file.

    Args:
        path: A Keras model (of any suffix, or its folder), an ONNX one (``.onnx``, ``.etlt``), or an engine
            (``.engine``, ``.plan``, ``.trt``).
        stage: Stage whose maps to return, from 1; the last one if None. ONNX models and engines have only that.
        threads: Processor threads; as many as there are cores if None. TensorFlow heeds it only until it has started.
        device: What to compute on; ``auto`` is a GPU where the library that runs the model can use one.

    Raises:
        UserError: The file is missing, is locked, is none of these, does not have that stage, or cannot run on the
            device.
    """
    path = Path(path)
    if not path.exists():
        raise UserError("no such model", where=str(path))
    if path.is_dir() or _is_keras(path):
        limit_keras(device, str(path))
        return KerasRunner(path, stage=stage, threads=threads)
    if path.suffix not in ONNX_SUFFIXES + ENGINE_SUFFIXES:
        kinds = "neither a Keras nor an ONNX model, nor an engine"
        raise foreign(path, kinds, "give a .keras, .onnx or .engine file")
    if stage is not None:
        kind = "an engine" if path.suffix in ENGINE_SUFFIXES else "an ONNX model"
        raise UserError(f"{kind} has only its last stage", where=str(path), fix="give the Keras model")
    if path.suffix in ONNX_SUFFIXES:
        return OnnxRunner(path, threads=threads, device=device)
    require_gpu(device, str(path))
    from bodyposenet.common.deploy.engine_runner import EngineRunner

    return EngineRunner(path)


def _is_keras(path: Path) -> bool:
    with opened(path) as file:
        return zipfile.is_zipfile(file)


class LiveRunner:
    """A Keras network in memory, traced once for pictures of any size; its weights may go on changing.

    Args:
        model: A ``keras.Model``.
        card: How to feed and read it.
        stage: Stage whose maps to return, from 1; the last one if None.
        where: What messages call it.
    """

    def __init__(self, model: Any, card: Card, *, stage: int | None = None, where: str = "the network") -> None:
        import keras

        self.card = card
        stages = len(model.outputs) // 2
        chosen = stages if stage is None else stage
        if not 1 <= chosen <= stages:
            raise UserError(f"there is no stage {stage}", where=where, fix=f"the network has stages 1 to {stages}")
        maps = [model.outputs[chosen - 1], model.outputs[stages + chosen - 1]]
        self._maps = _traced(keras.Model(model.inputs[0], maps))

    def __call__(self, images: np.ndarray) -> Maps:
        """See :class:`Runner`."""
        require_images(images, self.card.stride)
        heatmaps, pafs = self._maps(np.asarray(images, np.float32))
        return heatmaps.numpy(), pafs.numpy()


class KerasRunner(LiveRunner):
    """A Keras model file.

    Args:
        path: File or folder.
        stage: Stage whose maps to return, from 1; the last one if None.
        threads: Processor threads, see :func:`open_runner`.
    """

    def __init__(self, path: Path, *, stage: int | None = None, threads: int | None = None) -> None:
        _limit_tensorflow(threads)
        model, card = load_model(path)
        super().__init__(model, card, stage=stage, where=str(path))


class OnnxRunner:
    """An ONNX model through ONNX Runtime.

    Args:
        path: What ``bpnet export`` wrote, in 32, 16 or 8 bits.
        threads: Processor threads; as many as there are cores if None.
        device: What to compute on.

    Raises:
        UserError: The file is no ONNX model, has no card, is no pose network, or cannot run on the device.
    """

    def __init__(self, path: Path, *, threads: int | None = None, device: Device = "auto") -> None:
        self._session = open_session(path, threads, device)
        require_outputs([output.name for output in self._session.get_outputs()], path)
        self.card = card_of(self._session.get_modelmeta().custom_metadata_map, path)
        self.sizes = _fixed_sizes(self._session.get_inputs()[0].shape)
        self._pixels = self._session.get_inputs()[0].type == "tensor(uint8)"
        self._where = str(path)

    def __call__(self, images: np.ndarray) -> Maps:
        """See :class:`Runner`."""
        require_images(images, self.card.stride)
        images = np.asarray(images, np.float32)
        if self.sizes is None:
            return self._run(images)
        self.sizes.require((images.shape[1], images.shape[2]), where=self._where)
        return in_batches(self._run, images, self.sizes)

    def _run(self, images: np.ndarray) -> Maps:
        given = as_pixels(images, self.card) if self._pixels else images
        heatmaps, pafs = self._session.run(list(OUTPUTS), {INPUT: given})
        return heatmaps, pafs


def as_pixels(images: np.ndarray, card: Card) -> np.ndarray:
    """Normalised pictures as the RGB uint8 pixels that they were made of, for a network that normalises itself."""
    pixels = (images + np.array(card.image_offset, np.float32)) * np.array(card.image_scale, np.float32)
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


def require_images(images: np.ndarray, stride: int, *, where: str = "pictures") -> None:
    """Refuse a batch that the network's grid does not fit.

    Raises:
        UserError: The shape is not ``(B, H, W, 3)`` or the stride does not divide H and W.
    """
    fits = images.ndim == 4 and images.shape[3] == 3
    if not fits or not all(size and size % stride == 0 for size in images.shape[1:3]):
        shape = "x".join(map(str, images.shape))
        fix = f"give (batch, height, width, 3), height and width multiples of {stride}"
        raise UserError(f"shape {shape} does not fit the network", where=where, fix=fix)


def _traced(model: Any) -> Any:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)], autograph=False)
    def maps(images: Any) -> tuple[Any, ...]:
        return tuple(tf.cast(output, tf.float32) for output in model(images, training=False))

    return maps


def _limit_tensorflow(threads: int | None) -> None:
    import tensorflow as tf

    if threads is None:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow has started: its threads are what they are
        return


def _has_vnni() -> bool:
    """Whether the processor adds 8-bit products in 32 bits.

    An x86 without VNNI adds pairs of them in 16 bits, which overflows, unless told to go a slower way that a processor
    with VNNI should be spared: it takes three times as long there. Where nobody knows, right goes before fast.
    """
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def open_session(model: Path | bytes, threads: int | None = None, device: Device = "cpu") -> Any:
    """An ONNX Runtime session, in which 8-bit products are right whatever the processor.

    Args:
        model: The file, or its bytes.
        threads: As many as there are cores if None.
        device: What to compute on.

    Raises:
        UserError: ONNX Runtime cannot run the model, or not on the device.
    """
    import onnxruntime as ort

    providers = providers_for(device, ort.get_available_providers())
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    if not _has_vnni():
        options.add_session_config_entry("session.x64quantprecision", "1")
    where = "the model" if isinstance(model, bytes) else str(model)
    given = _given(model)
    try:
        session = ort.InferenceSession(given, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors share no public class
        if isinstance(model, Path) and type(error).__name__ == "InvalidProtobuf":
            raise foreign(model, "no ONNX model", "give a file that `bpnet export` wrote") from error
        raise UserError(f"not a model that ONNX Runtime can run: {error}", where=where) from error
    require_provider(device, session.get_providers(), where)
    return session


def _given(model: Path | bytes) -> bytes | str:
    """A model as ONNX Runtime takes it: an encrypted one as its content."""
    if isinstance(model, bytes) or not is_encrypted(model):
        return model if isinstance(model, bytes) else str(model)
    with opened(model) as file:
        return file.read()


def _fixed_sizes(shape: Sequence[int | str | None]) -> Sizes | None:
    """What an ONNX model's input takes; None where it takes anything."""
    batch, height, width = (side if isinstance(side, int) else 0 for side in shape[:3])
    if not (batch or height or width):
        return None
    size = (height, width)
    largest = (height or UNBOUNDED, width or UNBOUNDED)
    return Sizes(size, largest, batch or 1, batch or None)
