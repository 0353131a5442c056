"""export: a trained network as ONNX."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def export(
    model: dsl.Input[artifacts.PoseModel],
    onnx: dsl.Output[artifacts.OnnxPoseModel],
    metrics: dsl.Output[dsl.Metrics],
    data_type: str = "fp32",
    uint8_input: bool = False,
    static_batch_size: int = 0,
    sdk_compatible_model: bool = False,
    upsample_ratio: int = 4,
) -> None:
    """Write the last stage of a network as ONNX, and hold it to the Keras network.

    Args:
        model: Trained network.
        onnx: The same network for ONNX Runtime and TensorRT, float32, any size that the stride divides.
        metrics: File size in bytes and the greatest relative difference from Keras.
        data_type: fp32, or fp16 for one more file in half precision.
        uint8_input: Take RGB pixels, which the network normalises itself; such a network is not calibrated.
        static_batch_size: Fix the input to so many pictures of the size of training; 0 leaves it open.
        sdk_compatible_model: Outputs as NVIDIA's DeepStream parser reads them; such a network is not evaluated.
        upsample_ratio: How much finer its PAFs are.
    """
    from bodyposenet.common import tasks

    wanted = {"pixels": uint8_input, "batch": static_batch_size}
    wanted["sdk_ratio"] = upsample_ratio if sdk_compatible_model else 0
    numbers = tasks.export(model.path, onnx.path, metrics.path, data_type=data_type, interface=wanted)
    onnx.metadata.update(model.metadata)
    metrics.metadata.update(numbers)
