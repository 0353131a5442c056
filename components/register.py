"""register: put an exported network into MLflow's registry."""

from kfp import dsl

from bodyposenet.common import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def register(
    onnx: dsl.Input[artifacts.OnnxPoseModel],
    int8: dsl.Input[artifacts.OnnxPoseModel],
    spec: dict,
    ap: float,
    int8_ap: float,
    name: str = "bodyposenet",
) -> str:
    """Register a network so that models:/NAME@candidate takes a photo and returns people.

    Args:
        onnx: Exported network.
        int8: Its quantized files; they join the run.
        spec: The TAO inference spec it was evaluated with.
        ap: AP of the exported network.
        int8_ap: AP of the quantized network.
        name: The registered model.

    Returns:
        The version; empty where nothing is tracked.
    """
    from bodyposenet.common import tasks

    return tasks.register(onnx.path, int8.path, spec, name, {"ap": ap, "int8_ap": int8_ap})
