"""challenge: the registered champion and a new network on the same photos, those that were kept with the champion."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def challenge(
    champion: str,
    dataset: dsl.Input[artifacts.PoseDataset],
    inference_spec: dict,
    kept: dsl.Output[artifacts.HoldOut],
    challenger_ap: dsl.OutputPath(float),
    champion_new_ap: dsl.OutputPath(float),
    onnx: dsl.Input[artifacts.OnnxPoseModel] = None,
    model_name: str = "bodyposenet",
    hold_out: str = "",
) -> float:
    """Evaluate champion and challenger on the photos that were kept with the champion, or else on the dataset's.

    Args:
        champion: Its version; empty where there is none.
        dataset: Whose held-out photos are kept where the champion has none.
        inference_spec: The TAO inference spec of the challenger's evaluation.
        kept: The photos, for register to keep; where the registry has them, their place.
        challenger_ap: AP of the new network on the champion's photos; -1 without champion or network.
        champion_new_ap: AP of the champion on the dataset's photos, where they met on others; else -1.
        onnx: The new network, exported; without it the champion is evaluated on the dataset's photos.
        model_name: The registered model.
        hold_out: Where the champion's photos are kept, as fingerprint tells it.

    Returns:
        AP of the champion; -1 where there is none.
    """
    from bodyposenet.common import tasks

    outputs = {"kept": kept.path, "challenger_ap": challenger_ap, "champion_new_ap": champion_new_ap}
    network = onnx.path if onnx else ""
    return tasks.challenge(
        champion, model_name, dataset.path, inference_spec, onnx=network, hold_out=hold_out, outputs=outputs
    )
