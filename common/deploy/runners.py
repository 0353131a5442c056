"""Runners: any model file as one function from pictures to maps."""

import zipfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS, card_of, require_outputs
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files import Card, load_model

ONNX_SUFFIXES = (".onnx", ".etlt")

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


def open_runner(path: Path, *, stage: int | None = None, threads: int | None = None) -> Runner:
    """Open a model file.

    Args:
        path: A Keras model (of any suffix, or its folder) or an ONNX one (``.onnx``, ``.etlt``).
        stage: Stage whose maps to return, from 1; the last one if None. ONNX models have only that.
        threads: Processor threads; as many as there are cores if None. TensorFlow heeds it only until it has started.

    Raises:
        UserError: The file is missing, is neither, or does not have that stage.
    """
    path = Path(path)
    if not path.exists():
        raise UserError("no such model", where=str(path))
    if path.is_dir() or zipfile.is_zipfile(path):
        return KerasRunner(path, stage=stage, threads=threads)
    if path.suffix not in ONNX_SUFFIXES:
        raise UserError("neither a Keras nor an ONNX model", where=str(path), fix="give a .keras or .onnx file")
    if stage is not None:
        raise UserError("an ONNX model has only its last stage", where=str(path), fix="give the Keras model")
    return OnnxRunner(path, threads=threads)


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
    """An ONNX model on the CPU, through ONNX Runtime.

    Args:
        path: What ``bpnet export`` wrote, in 32 or 8 bits.
        threads: Processor threads; as many as there are cores if None.

    Raises:
        UserError: The file is no ONNX model, has no card, or is no pose network.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        self._session = _session(path, threads)
        require_outputs([output.name for output in self._session.get_outputs()], path)
        self.card = card_of(self._session.get_modelmeta().custom_metadata_map, path)

    def __call__(self, images: np.ndarray) -> Maps:
        """See :class:`Runner`."""
        require_images(images, self.card.stride)
        heatmaps, pafs = self._session.run(list(OUTPUTS), {INPUT: np.asarray(images, np.float32)})
        return heatmaps, pafs


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


def _session(path: Path, threads: int | None) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    if not _has_vnni():
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no public class
        raise UserError(f"not a model that ONNX Runtime can run: {error}", where=str(path)) from error
