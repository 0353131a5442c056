"""BpNetLite: a shared trunk, and stages that refine heatmaps and part affinity fields.

The layout is that of TAO's ``BpNetLiteModel``, after Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part
Affinity Fields" (CVPR 2017, section 2.2). Layer names are TAO's with ``_`` for ``/``, which Keras 3 does not take.
"""

from typing import Any

import keras

from bodyposenet.common.model.backbones import backbone
from bodyposenet.common.model.layers import Style, conv, output
from bodyposenet.common.skeleton import Skeleton
from bodyposenet.common.spec.train import ModelSpec

STRIDE = 8
TRUNK = 128  # channels of the features that every stage sees


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
    style = Style.of(spec)
    image = keras.Input((None, None, 3), name="input_1")
    features = backbone(image, spec.backbone_attributes, style)
    features = conv(features, TRUNK, 3, name="channel_reduction_conv", style=style)
    maps = [first_stage(features, skeleton, spec, style)]
    for index in range(2, spec.stages + 1):
        maps.append(refine(features, maps[-1], skeleton, spec, style, index=index))
    heatmaps, pafs = zip(*maps, strict=True)
    return keras.Model(image, [*heatmaps, *pafs], name="bpnet")


def first_stage(features: Any, skeleton: Skeleton, spec: ModelSpec, style: Style) -> tuple[Any, Any]:
    """The first guess: features to heatmaps and part affinity fields."""
    x = features
    kernels = spec.stage1_kernel_sizes or (3, 3, 3)
    for n, kernel in enumerate(kernels, 1):
        x = conv(x, 128, kernel, name=f"stage1_conv{n}", style=style)
    last = len(kernels) + 1
    paf = conv(x, 512, 1, name=f"stage1_paf_conv{last}", style=style)
    heat = conv(x, 512, 1, name=f"stage1_cmap_conv{last}", style=style)
    return (
        output(heat, skeleton.num_joints + 1, name="stage1_heat_branch_out", style=style),
        output(paf, 2 * skeleton.num_limbs, name="stage1_paf_branch_out", style=style),
    )


def refine(
    features: Any, maps: tuple[Any, Any], skeleton: Skeleton, spec: ModelSpec, style: Style, *, index: int
) -> tuple[Any, Any]:
    """One refinement stage: features and the previous maps in, better maps out."""
    x = keras.layers.Concatenate(name=f"stage{index}_in")([features, *maps])
    kernels = spec.stageT_kernel_sizes or (7, 7, 7, 7, 7)
    for n, kernel in enumerate(kernels, 1):
        x = conv(x, 128, kernel, name=f"stage{index}_conv{n}", style=style)
    last = len(kernels) + 1
    paf = branch(x, f"stage{index}_paf", last, "tanh", spec, style)
    heat = branch(x, f"stage{index}_cmap", last, "sigmoid", spec, style)
    final = index == spec.stages
    return (
        output(
            heat, skeleton.num_joints + 1, name="heatmap_out" if final else f"stage{index}_heat_branch_out", style=style
        ),
        output(paf, 2 * skeleton.num_limbs, name="paf_out" if final else f"stage{index}_paf_branch_out", style=style),
    )


def branch(x: Any, prefix: str, number: int, gate: str, spec: ModelSpec, style: Style) -> Any:
    """A stage's own features for one kind of map, weighted by a gate where the spec asks for attention."""
    x = conv(x, 128, 1, name=f"{prefix}_conv{number}", style=style)
    if not spec.use_self_attention:
        return x
    attention = conv(x, 128, 3, name=f"{prefix}_attention_conv", style=style, activation=gate)
    return keras.layers.Multiply(name=f"{prefix}_attention")([x, attention])
