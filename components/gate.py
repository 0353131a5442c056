"""gate: whether a quantized network is good enough to be registered."""

from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def gate(reference_ap: float, candidate_ap: float, max_drop: float = 0.02) -> bool:
    """Compare two APs.

    Args:
        reference_ap: Of the float network.
        candidate_ap: Of the quantized network, on the same photos.
        max_drop: Greatest loss of AP that passes.

    Returns:
        True if there was something to measure, and the candidate is at most that much worse.
    """
    return reference_ap >= 0 and candidate_ap >= reference_ap - max_drop
