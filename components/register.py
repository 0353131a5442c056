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
    base: dsl.Input[artifacts.PoseModel] = None,
    hold_out: dsl.Input[artifacts.HoldOut] = None,
    challenger_ap: float = -1.0,
    champion_new_ap: float = -1.0,
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
        base: The network before pruning, kept with the version: later trainings start from it.
        hold_out: The photos that it met the champion on, kept with the version.
        challenger_ap: AP of the network on those photos; -1 where they are the ones of ap.
        champion_new_ap: AP of the champion on the photos of ap, where these are others; else -1.

    Returns:
        The version; empty where nothing is tracked.
    """
    from bodyposenet.common import tasks

    aps = {"ap": ap, "hold_out_ap": challenger_ap, "champion_new_ap": champion_new_ap}
    aps |= {"int8_ap": int8_ap} if int8 else {}
    kept = {"base": base.path if base else "", "hold_out": hold_out.path if hold_out else ""}
    networks = onnx.path, int8.path if int8 else None
    tags = {**onnx.metadata, "inputs": inputs}
    return tasks.register(
        *networks, inference_spec, name, aps, decision.path, champion=champion, champion_ap=champion_ap, tags=tags,
        kept=kept,
    )  # fmt: skip
