"""register: put an exported network into MLflow's registry."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def register(
    onnx: dsl.Input[artifacts.OnnxPoseModel],
    inference_spec: dict,
    ap: float,
    decision: dsl.Output[dsl.Markdown],
    int8: dsl.Input[artifacts.OnnxPoseModel] = None,
    int8_ap: float = -1.0,
    name: str = "bodyposenet",
    champion: str = "",
    champion_ap: float = -1.0,
    inputs: str = "",
) -> str:
    """Register a network so that models:/NAME@candidate takes a photo and returns people, @champion if it is better.

    Args:
        onnx: Exported network.
        inference_spec: The TAO inference spec it was evaluated with.
        ap: AP of the exported network.
        decision: What became of it, and why.
        int8: Its quantized files, if there are any; they join the run.
        int8_ap: AP of the quantized network.
        name: The registered model.
        champion: Version of the champion; empty where there is none.
        champion_ap: AP of the champion on the same photos.
        inputs: Digest of what the network was made from.

    Returns:
        The version; empty where nothing is tracked.
    """
    from bodyposenet.common import tasks

    aps = {"ap": ap, "int8_ap": int8_ap} if int8 else {"ap": ap}
    networks = onnx.path, int8.path if int8 else None
    tags = {**onnx.metadata, "inputs": inputs}
    return tasks.register(
        *networks, inference_spec, name, aps, decision.path, champion=champion, champion_ap=champion_ap, tags=tags
    )
