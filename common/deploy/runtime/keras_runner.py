"""Keras runner: a Keras network, in memory or of a file, as a function from pictures to maps."""

from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.deploy.runner import Maps, require_images
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.skeleton.card import Card


class LiveRunner:
    """A Keras network in memory, traced once for pictures of any size; its weights may go on changing.

    Args:
        model: A ``keras.Model``.
        card: How to feed and read it.
        stage: Stage whose maps to return, from 1; the last one if None.
        where: What messages call it.
    """

    library = "TensorFlow"

    def __init__(self, model: Any, card: Card, *, stage: int | None = None, where: str = "the network") -> None:
        import keras

        self.card = card
        stages = len(model.outputs) // 2
        chosen = stages if stage is None else stage
        if not 1 <= chosen <= stages:
            raise UserError(f"there is no stage {stage}", where=where, fix=f"the network has stages 1 to {stages}")
        maps = [model.outputs[chosen - 1], model.outputs[stages + chosen - 1]]
        self._maps = _trace(keras.Model(model.inputs[0], maps))

    def __call__(self, images: np.ndarray) -> Maps:
        """See :class:`Runner`."""
        require_images(images, self.card.stride)
        heatmaps, pafs = self._maps(np.asarray(images, np.float32))
        return heatmaps.numpy(), pafs.numpy()


class KerasRunner(LiveRunner):
    """A Keras model file, computed in float32: not every processor has the 16 bits that it may have been saved with.

    Args:
        path: File or folder.
        stage: Stage whose maps to return, from 1; the last one if None.
        threads: Processor threads, see :func:`open_runner`.
    """

    def __init__(self, path: Path, *, stage: int | None = None, threads: int | None = None) -> None:
        _limit_tensorflow(threads)
        model, card = load_model(path)
        super().__init__(_widen(model), card, stage=stage, where=str(path))


def _widen(model: Any) -> Any:
    """Return a network that computes in float32."""
    from bodyposenet.common.model.network.dtype_policy import FLOAT32, convert_policy, is_mixed

    return convert_policy(model, FLOAT32) if is_mixed(model) else model


def _trace(model: Any) -> Any:
    import keras
    import tensorflow as tf

    enlarging = [each for each in model._flatten_layers() if isinstance(each, keras.layers.UpSampling2D)]
    by_size = any(each.interpolation != "nearest" for each in enlarging)  # which Keras traces of known sizes only
    signature = None if by_size else [tf.TensorSpec((None, None, None, 3), tf.float32)]

    @tf.function(input_signature=signature, autograph=False)
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
