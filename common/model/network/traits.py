"""Traits: what the shapes of a network's weights tell of the spec that it was built from, and where two differ."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from types import MappingProxyType
from typing import Any

from bodyposenet.common.model.network.backbones import VGG_UNITS
from bodyposenet.common.model.network.bpnet import FIRST_STAGE, TRUNK
from bodyposenet.common.model.network.layers import CHANNEL_STEP

Shapes = tuple[tuple[int, ...], ...]
Network = Mapping[str, Shapes]  # the shapes of each layer's weights, the kernel's first

VGG = MappingProxyType({f"{block}_conv_1": channels for block, channels, _ in VGG_UNITS})
HELNETS = MappingProxyType({1: 6, 2: 10, 4: 18})  # convolutions in a block -> layers
RESNETS = MappingProxyType({(8, False): 18, (16, False): 34, (16, True): 50})  # blocks, with bottlenecks -> layers
CONVOLUTION = re.compile(r"stage(\d+)_(?:paf_branch_)?conv(\d+)")
BACKBONE = re.compile(r"(stem|block_\d+[a-z])_(conv|bn|depthwise)")


@dataclass(frozen=True)
class Difference:
    """A setting in which two networks differ.

    Attributes:
        setting: Its name within the ``model`` section, with dots.
        ours: The network's.
        theirs: The file's.
    """

    setting: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"the network has {self.setting.rpartition('.')[2]} {self.ours}, the file's is {self.theirs}"

    @property
    def remedy(self) -> str:
        """What to set, so that the network is as the file's; nothing where the skeleton decides."""
        return "" if self.setting in SKELETONS else f"{self.setting}: {self.theirs}"


def compare(ours: Network, theirs: Network) -> list[Difference]:
    """The settings that both networks tell, and in which they differ."""
    pairs = [(setting, read(ours), read(theirs)) for setting, read in TRAITS.items()]
    known = [(setting, one, other) for setting, one, other in pairs if one is not None or setting == DEPTH]
    return [Difference(*pair) for pair in known if pair[2] not in (None, pair[1])]


def find_architecture(network: Network) -> str | None:
    """The backbone's name."""
    names = [name for name in network if BACKBONE.match(name)]
    if any("_depthwise" in name for name in names):
        return (
            "mobilenet_v2" if any(name.endswith("_conv_1") and "stem" not in name for name in names) else "mobilenet_v1"
        )
    marks = (("_conv_shortcut", "resnet"), ("stem_", "helnet"), ("block_1a", "vgg"))
    return next((kind for mark, kind in marks if any(mark in name for name in names)), None)


def count_layers(network: Network) -> int | None:
    """``nlayers``, which a mobilenet has not."""
    blocks = {name[:8] for name in network if re.match(r"block_\d[a-z]_conv", name)}
    kind = find_architecture(network)
    if kind == "helnet":
        return HELNETS.get(sum(f"block_1{letter}" in blocks for letter in ascii_lowercase))
    if kind == "resnet":
        return RESNETS.get((len(blocks), "block_1a_conv_3" in network))
    return 19 if kind == "vgg" else None


def find_width(network: Network) -> float | None:
    """The width multiplier; None where layers tell several, as after pruning, or none is wide enough to tell."""
    told = tell_filters(network)
    width = max((full, found / full) for full, found in told)[1] if told else None
    return width if width and all(found == round_filters(full * width) for full, found in told) else None


def is_pruned(network: Network) -> bool:
    """Whether the layers' filters are of no one width."""
    return bool(tell_filters(network)) and find_width(network) is None


def tell_filters(network: Network) -> list[tuple[int, int]]:
    """Of each layer whose filters at width 1 are known, these and those that it has."""
    full = {"channel_reduction_conv": TRUNK, **(VGG if find_architecture(network) == "vgg" else {})}
    last = len(find_kernels(network, 1) or ()) + 1
    full |= {f"stage1_{kind}_conv{last}": FIRST_STAGE for kind in ("paf", "paf_branch")}
    return [(channels, find_kernel(network[name])[-1]) for name, channels in full.items() if name in network]


def round_filters(filters: float) -> int:
    """Filters as a layer of that many would have them."""
    return max(CHANNEL_STEP, CHANNEL_STEP * round(filters / CHANNEL_STEP))


def find_class(network: Network) -> str | None:
    """Whether stages are towers or trunks."""
    if "stage1_paf_branch_conv1" in network:
        return "BpNetModel"
    if "align_conv" in network:
        return "LightweightOpenPoseModel"
    return "BpNetLiteModel" if "stage1_conv1" in network else None


def count_stages(network: Network) -> int | None:
    """How many stages there are."""
    return max((int(found[1]) for name in network if (found := re.match(r"stage(\d+)_", name))), default=None)


def find_kernels(network: Network, stage: int) -> list[int] | None:
    """The kernels of a stage's convolutions, in their order; the last convolution, of 1, is not the spec's."""
    found = {
        int(match[2]): find_kernel(network[name])[0]
        for name in network
        if (match := CONVOLUTION.fullmatch(name)) and int(match[1]) == stage
    }
    kernels = [found[number] for number in sorted(found)]
    return (kernels[:-1] if find_class(network) == "BpNetModel" else kernels) or None


def has_biases(network: Network, pattern: re.Pattern[str]) -> bool | None:
    """Whether convolutions have biases beside their kernels."""
    counts = {len(shapes) for name, shapes in network.items() if pattern.fullmatch(name) and shapes}
    return counts == {2} if len(counts) == 1 else None


def has_norms(network: Network) -> bool | None:
    """Whether the backbone has batch normalization."""
    return any("_bn_" in name for name in network) if find_architecture(network) else None


def has_attention(network: Network) -> bool | None:
    """Whether stages have self-attention."""
    return any("_attention_" in name for name in network) if (count_stages(network) or 0) > 1 else None


def count_maps(network: Network, name: str) -> int | None:
    """The channels of the last maps of a kind."""
    return find_kernel(network[name])[-1] if network.get(name) else None


def find_kernel(shapes: Shapes) -> tuple[int, ...]:
    """The shape of a layer's kernel."""
    return shapes[0] if shapes else (0,)


STAGES_CONV = re.compile(r"stage\d+_(?:\w+_)?conv\d+")
BACKBONE_CONV = re.compile(r"(stem|block_\d+[a-z])_conv_\w+")
DEPTH = "backbone_attributes.nlayers"
SKELETONS: Sequence[str] = ("heat_channels", "paf_channels")
TRAITS: Mapping[str, Callable[[Network], Any]] = MappingProxyType(
    {
        "backbone_attributes.architecture": find_architecture,
        DEPTH: count_layers,
        "backbone_attributes.width_multiplier": find_width,
        "backbone_attributes.use_bias": lambda network: has_biases(network, BACKBONE_CONV),
        "backbone_attributes.use_batch_norm": has_norms,
        "__class_name__": find_class,
        "stages": count_stages,
        "stage1_kernel_sizes": lambda network: find_kernels(network, 1),
        "stageT_kernel_sizes": lambda network: find_kernels(network, 2),
        "use_bias": lambda network: has_biases(network, STAGES_CONV),
        "use_self_attention": has_attention,
        "heat_channels": lambda network: count_maps(network, "heatmap_out"),
        "paf_channels": lambda network: count_maps(network, "paf_out"),
    }
)
