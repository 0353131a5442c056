"""BpNet: a backbone, and stages that refine heatmaps and part affinity fields.

The layouts are those of TAO's ``BpNetLiteModel``, whose stages share a trunk, and of its older ``BpNetModel``, with a
tower for each kind of map, and that of :mod:`~bodyposenet.common.model.network.lightweight`; all after Cao et al.,
"Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields" (CVPR 2017, section 2.2). Layer names are TAO's
with ``_`` for ``/``, which Keras 3 does not take.
"""

from collections.abc import Sequence
from typing import Any

import keras

from bodyposenet.common.model.network.backbones import backbone
from bodyposenet.common.model.network.layers import Style, conv, output
from bodyposenet.common.model.network.lightweight import align, begin_stage, refine
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.train import ModelSpec

STRIDE = 8
TRUNK = 128  # channels of the features that every stage sees
FIRST_STAGE = 512  # channels of the first stage's last convolution

Maps = tuple[Any, Any]  # heatmaps (B, H, W, K + 1) and part affinity fields (B, H, W, 2 L)


def build_model(spec: ModelSpec, skeleton: Skeleton) -> Any:
    """Build the network of a train spec.

    Args:
        spec: The ``model`` section.
        skeleton: Says how many maps there are.

    Returns:
        A functional ``keras.Model``. Input ``input_1``: ``(B, H, W, 3)`` float32, any H and W that 8 divides. Outputs:
        heatmaps of stage 1 to T, each ``(B, H/8, W/8, K + 1)``, then the part affinity fields of stage 1 to T, each
        ``(B, H/8, W/8, 2 L)``, all linear float32.
    """
    style = Style.read(spec)
    image = keras.Input((None, None, 3), name="input_1")
    features = backbone(image, spec.backbone_attributes, style)
    if spec.class_name == "LightweightOpenPoseModel":
        features = align(features, style)
    else:
        features = conv(features, TRUNK, 3, name="channel_reduction_conv", style=style)
    maps: list[Maps] = []
    for index in range(1, spec.stages + 1):
        paf, heat = branches(features, maps[-1] if maps else None, spec, style, index=index)
        maps.append(draw_maps(heat, paf, skeleton, style, prefix=f"stage{index}", final=1 < index == spec.stages))
    heatmaps, pafs = zip(*maps, strict=True)
    return keras.Model(image, [*heatmaps, *pafs], name="bpnet")


def branches(features: Any, before: Maps | None, spec: ModelSpec, style: Style, *, index: int) -> tuple[Any, Any]:
    """What a stage makes of the features and the maps before it: features for the fields, and for the heatmaps.

    Args:
        features: ``(B, H, W, F)``.
        before: The previous stage's maps; None for the first stage.
        spec: Kernel sizes, kind of stage, attention.
        style: How convolutions are built.
        index: Of the stage, from 1.
    """
    if spec.class_name == "LightweightOpenPoseModel":
        return begin_stage(features, style) if before is None else refine(features, before, index, style)
    x = features if before is None else keras.layers.Concatenate(name=f"stage{index}_in")([features, *before])
    kernels = spec.stage1_kernel_sizes if index == 1 else spec.stageT_kernel_sizes
    prefix = f"stage{index}"
    if spec.class_name == "BpNetModel":
        names = (f"{prefix}_paf_branch", f"{prefix}_heat_branch")
        paf, heat = (tower(x, kernels, name, style) for name in names)
    else:
        names = (f"{prefix}_paf", f"{prefix}_cmap")
        paf = heat = tower(x, kernels, prefix, style)
    channels, last = (FIRST_STAGE if index == 1 else TRUNK), len(kernels) + 1
    paf = conv(paf, channels, 1, name=f"{names[0]}_conv{last}", style=style)
    heat = conv(heat, channels, 1, name=f"{names[1]}_conv{last}", style=style)
    if index > 1 and spec.use_self_attention:
        return apply_gate(paf, names[0], "tanh", style), apply_gate(heat, names[1], "sigmoid", style)
    return paf, heat


def tower(x: Any, kernels: Sequence[int], prefix: str, style: Style) -> Any:
    """Convolutions of these sizes, one after another."""
    for n, kernel in enumerate(kernels, 1):
        x = conv(x, 128, kernel, name=f"{prefix}_conv{n}", style=style)
    return x


def apply_gate(x: Any, prefix: str, gate: str, style: Style) -> Any:
    """Features weighted by what a convolution makes of them: self-attention, as TAO has it."""
    attention = conv(x, 128, 3, name=f"{prefix}_attention_conv", style=style, activation=gate)
    return keras.layers.Multiply(name=f"{prefix}_attention")([x, attention])


def draw_maps(heat: Any, paf: Any, skeleton: Skeleton, style: Style, *, prefix: str, final: bool) -> Maps:
    """The maps of a stage, from the features for each kind."""
    heat_name, paf_name = f"{prefix}_heat_branch_out", f"{prefix}_paf_branch_out"
    if final:
        heat_name, paf_name = "heatmap_out", "paf_out"
    return (
        output(heat, skeleton.num_joints + 1, name=heat_name, style=style),
        output(paf, 2 * skeleton.num_limbs, name=paf_name, style=style),
    )
