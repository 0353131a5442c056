"""export: a trained network as ONNX."""

from kfp import dsl

from bodyposenet.common import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def export(
    model: dsl.Input[artifacts.PoseModel],
    onnx: dsl.Output[artifacts.OnnxPoseModel],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Write the last stage of a network as ONNX, and hold it to the Keras network.

    Args:
        model: Trained network.
        onnx: The same network for ONNX Runtime and TensorRT, float32, any size that the stride divides.
        metrics: File size in bytes and the greatest relative difference from Keras.
    """
    from bodyposenet.common import tasks

    metrics.metadata.update(tasks.export(model.path, onnx.path, metrics.path))
