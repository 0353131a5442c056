"""Architecture: the settings by which networks have layers of one shape, told by a spec or by a file, and compared.

Neither TensorFlow nor Keras is needed to compare them: the task that does so has an image without.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.network import LAYERS, ModelSpec
from bodyposenet.common.storage.digests import digest_settings

if TYPE_CHECKING:
    from bodyposenet.common.model.files.weights_file import Stored

Architecture = Mapping[str, Any]  # settings by their names within the ``model`` section, with dots

WIDTH = "backbone_attributes.width_multiplier"
WIDEST, STEP = 512, 8  # filters of the layers by which widths are told apart, and what they are multiples of


def describe_spec(spec: ModelSpec) -> Architecture:
    """The architecture of the network that a spec's ``model`` section builds."""
    backbone, several = spec.backbone_attributes, spec.stages > 1
    layers = LAYERS.get(backbone.architecture, ())
    told = {
        "backbone_attributes.architecture": backbone.architecture,
        "backbone_attributes.nlayers": backbone.nlayers or (layers[0] if len(layers) == 1 else None),
        WIDTH: backbone.width_multiplier,
        "backbone_attributes.use_bias": backbone.use_bias,
        "backbone_attributes.use_batch_norm": backbone.use_batch_norm is not False,
        "__class_name__": spec.class_name,
        "stages": spec.stages,
        "stage1_kernel_sizes": list(spec.stage1_kernel_sizes),
        "stageT_kernel_sizes": list(spec.stageT_kernel_sizes) if several else None,
        "use_bias": spec.use_bias,
        "use_self_attention": spec.use_self_attention if several else None,
        "heat_channels": spec.heat_channels,
        "paf_channels": spec.paf_channels,
    }
    return {setting: value for setting, value in told.items() if value is not None}


def describe_weights(stored: "Stored") -> Architecture:
    """The architecture of the network whose weights are in a file, as far as their shapes tell it."""
    from bodyposenet.common.model.network.traits import TRAITS  # it draws in Keras
    from bodyposenet.common.model.network.transfer import list_shapes

    shapes = {name: list_shapes(arrays) for name, arrays in stored.layers.items()}
    told = {setting: read(shapes) for setting, read in TRAITS.items()}
    return {setting: value for setting, value in told.items() if value is not None}


def find_differences(wanted: Architecture, held: Architecture) -> list[str]:
    """In which settings a network differs from the one that is wanted; both sides are named.

    Args:
        wanted: Of the spec.
        held: Of the file; a width that it does not tell is that of a pruned network.
    """
    settings = [name for name in wanted if name in held or name == WIDTH]
    return [
        f"{name} {_show(wanted[name])} is wanted, it has {_show(held.get(name))}"
        for name in settings
        if not _agree(name, wanted[name], held.get(name))
    ]


def digest_skeleton(skeleton: Skeleton) -> str:
    """What tells skeletons apart that draw other joints or limbs; names do not count."""
    return digest_settings([list(skeleton.joints), [list(limb) for limb in skeleton.limbs]])


def _agree(setting: str, one: Any, other: Any) -> bool:
    if setting != WIDTH:
        return bool(one == other)
    return other is not None and round(WIDEST * one / STEP) == round(WIDEST * other / STEP)


def _show(value: Any) -> str:
    return "several widths, as after pruning" if value is None else str(value)
