"""report: one page about a pipeline run."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def report(
    base: dsl.Input[artifacts.PoseModel],
    pruned: dsl.Input[artifacts.PoseModel],
    retrained: dsl.Input[artifacts.PoseModel],
    onnx: dsl.Input[artifacts.OnnxPoseModel],
    int8: dsl.Input[artifacts.OnnxPoseModel],
    dataset: dsl.Input[artifacts.PoseDataset],
    detections: dsl.Input[artifacts.Detections],
    inference_spec: dict,
    base_ap: float,
    pruned_ap: float,
    retrained_ap: float,
    int8_ap: float,
    page: dsl.Output[dsl.HTML],
    figures: dsl.Output[dsl.Metrics],
) -> None:
    """Measure base, pruned, retrained and INT8 network side by side and write a self-contained page.

    Args:
        base: Trained network.
        pruned: The same after pruning.
        retrained: The pruned one, trained again.
        onnx: The retrained one, exported.
        int8: The exported one, quantized.
        dataset: Whose held-out photos were used.
        detections: People found in them, for the pictures.
        inference_spec: The TAO inference spec of the evaluations.
        base_ap: AP of the trained network.
        pruned_ap: AP of the pruned one.
        retrained_ap: AP of the exported one.
        int8_ap: AP of the quantized one.
        page: The report.
        figures: What its table says, and the ceiling AP of the set.
    """
    from bodyposenet.common import tasks

    networks = {"base": base, "pruned": pruned, "retrained": retrained, "onnx": onnx, "int8": int8}
    paths = {name: artifact.path for name, artifact in networks.items()}
    aps = {"base": base_ap, "pruned": pruned_ap, "retrained": retrained_ap, "int8": int8_ap}
    outputs = page.path, figures.path
    figures.metadata.update(tasks.report(paths, dataset.path, inference_spec, detections.path, aps, *outputs))
