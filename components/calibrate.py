"""calibrate: an ONNX network with 8-bit weights and activations."""

from kfp import dsl

from bodyposenet.common import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def calibrate(
    onnx: dsl.Input[artifacts.OnnxPoseModel],
    photos: dsl.Input[artifacts.CalibrationPhotos],
    spec: dict,
    int8: dsl.Output[artifacts.OnnxPoseModel],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Measure what the activations hold on photos and write explicit Q/DQ networks.

    Args:
        onnx: Exported network.
        photos: What to look at.
        spec: A TAO inference spec; says how photos are fitted to the input.
        int8: One file for TensorRT, one for ONNX Runtime on a CPU, and a cache for TensorRT up to version 10.
        metrics: Photos seen and file sizes in bytes.
    """
    from bodyposenet.common import tasks

    metrics.metadata.update(tasks.calibrate(onnx.path, photos.path, spec, int8.path, metrics.path))
