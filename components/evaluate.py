"""evaluate: COCO AP of any model on the held-out photos."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def evaluate(
    dataset: dsl.Input[artifacts.PoseDataset],
    inference_spec: dict,
    detections: dsl.Output[artifacts.Detections],
    metrics: dsl.Output[dsl.Metrics],
    model: dsl.Input[artifacts.PoseModel] = None,
    onnx: dsl.Input[artifacts.OnnxPoseModel] = None,
    name: str = "model",
) -> float:
    """Find the people in every held-out photo and score them against the annotations.

    Args:
        dataset: Whose set val is used.
        inference_spec: A TAO inference spec.
        detections: People found, as TAO and as COCO write them.
        metrics: COCO's ten numbers and counts.
        model: A Keras network; or else give onnx.
        onnx: An exported network; of a quantized one the file for the CPU is run.
        name: Which model this is, for the tracking run.

    Returns:
        AP over OKS .50 to .95; -1 where nobody is labelled.
    """
    from bodyposenet.common import tasks

    given = model or onnx
    network = given.path if given else ""
    ap, numbers = tasks.evaluate(network, dataset.path, inference_spec, name, detections.path, metrics.path)
    metrics.metadata.update(numbers)
    return ap
