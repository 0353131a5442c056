"""calibrate: an ONNX network with 8-bit weights and activations."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def calibrate(
    onnx: dsl.Input[artifacts.OnnxPoseModel],
    photos: dsl.Input[artifacts.CalibrationPhotos],
    inference_spec: dict,
    int8: dsl.Output[artifacts.OnnxPoseModel],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    method: str = "entropy",
    keep: list = [],  # noqa: B006 - a task's function is called once, and Kubeflow keeps its source alone
    max_drop: float = 0.02,
    dataset: dsl.Input[artifacts.PoseDataset] = None,
) -> list:
    """Measure what the activations hold on photos and write explicit Q/DQ networks.

    Args:
        onnx: Exported network.
        photos: What to look at.
        inference_spec: A TAO inference spec; says how photos are fitted to the input.
        int8: One file for TensorRT, one for ONNX Runtime on a CPU, and a cache for TensorRT up to version 10.
        metrics: Photos seen, file sizes in bytes, convolutions in float.
        summary: Which convolutions stay in float, and what 8 bits do to each.
        method: How ranges are cut: entropy, percentile or minmax.
        keep: Names or patterns of convolutions that stay in float, or auto alone: the fewest that max_drop asks for.
        max_drop: Greatest loss by quantization that auto accepts.
        dataset: Its held-out photos tell the AP that max_drop is about; without it, it is the maps' relative error.

    Returns:
        The convolutions that stay in float.
    """
    from bodyposenet.common import tasks

    held_out = dataset.path if dataset else None
    outputs = int8.path, metrics.path, summary.path
    kept, numbers = tasks.calibrate(
        onnx.path, photos.path, inference_spec, *outputs, method=method, keep=keep, max_drop=max_drop, dataset=held_out
    )
    facts = {name: value for name, value in onnx.metadata.items() if name != "ap"}
    int8.metadata.update(facts, kept_in_float=kept)
    metrics.metadata.update(numbers)
    return kept
