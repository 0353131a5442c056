"""gate: whether a network is good enough to be registered."""

from kfp import dsl

from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def gate(
    float_ap: float,
    int8_ap: float,
    decision: dsl.Output[dsl.Markdown],
    min_ap: float = 0.0,
    max_int8_drop: float = 0.02,
) -> bool:
    """Hold a network's AP, and what quantization cost of it, against what is wanted.

    Args:
        float_ap: AP of the float network.
        int8_ap: AP of the quantized network, on the same photos.
        decision: Why it passes, or why not.
        min_ap: Least AP that passes; 0 never does.
        max_int8_drop: Greatest loss of AP by quantization that passes.

    Returns:
        True if it passes.
    """
    from bodyposenet.common import tasks

    return tasks.gate(float_ap, int8_ap, min_ap=min_ap, max_int8_drop=max_int8_drop, page=decision.path)
