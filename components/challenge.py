"""challenge: the registered champion on the photos that the new network was tested on."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def challenge(
    champion: str, dataset: dsl.Input[artifacts.PoseDataset], inference_spec: dict, model_name: str = "bodyposenet"
) -> float:
    """Evaluate the champion as the challenger was evaluated.

    Args:
        champion: Its version; empty where there is none.
        dataset: Whose held-out photos are looked at.
        inference_spec: The TAO inference spec of the challenger's evaluation.
        model_name: The registered model.

    Returns:
        AP of the champion; -1 where there is none.
    """
    from bodyposenet.common import tasks

    return tasks.challenge(champion, model_name, dataset.path, inference_spec)
