"""Facts: what there is to know of a network at a glance."""

from pathlib import Path
from typing import Any

from bodyposenet.common.model.files.model_file import load_model


def network_facts(path: Path) -> dict[str, Any]:
    """Parameters, GFLOPs of one picture at the size of training, skeleton and sizes of a network.

    Args:
        path: A model file.
    """
    from bodyposenet.common.model.network.flops import flops

    model, card = load_model(path)
    height, width = card.input_size
    return {
        "params": model.count_params(),
        "gflops": flops(model, card.input_size) / 1e9,
        "skeleton": card.skeleton.name,
        "joints": card.skeleton.num_joints,
        "stride": card.stride,
        "input_size": f"{height}x{width}",
    }
