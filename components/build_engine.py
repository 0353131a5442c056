"""build_engine: an exported network compiled for GPUs."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def build_engine(
    onnx: dsl.Input[artifacts.OnnxPoseModel],
    inference_spec: dict,
    engine_for: list,
    engine: dsl.Output[artifacts.PoseEngine],
    metrics: dsl.Output[dsl.Metrics],
    data_type: str = "",
    max_batch_size: int = 1,
) -> None:
    """Compile a network with TensorRT-RTX for kinds of GPU that are named, or with TensorRT for the GPU at hand.

    Args:
        onnx: Exported or quantized network.
        inference_spec: A TAO inference spec; its input_shape is the engine's.
        engine_for: Kinds of GPU by compute capability, such as sm86; none is the GPU of the task, with TensorRT.
        engine: The engine and its card, which runners need.
        metrics: File size in bytes and seconds of building.
        data_type: fp16 halves a float network before; empty takes it as it is.
        max_batch_size: Most pictures at once.
    """
    from bodyposenet.common import tasks

    numbers = tasks.build_engine(
        onnx.path, inference_spec, engine.path, metrics.path,
        gpus=engine_for, data_type=data_type, max_batch=max_batch_size,
    )  # fmt: skip
    metrics.metadata.update(numbers)
