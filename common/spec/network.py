"""Network spec: the ``model`` part of a train spec."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from bodyposenet.common.spec.base import Bool, Fraction, Natural, NotNegative, Positive, Strict
from bodyposenet.common.spec.problems import SpecMisfitError
from bodyposenet.common.spec.words import DataFormat

LAYERS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"vgg": (19,), "helnet": (6, 10, 12, 18, 26, 34), "resnet": (18, 34, 50)}
)
UNKNOWN_HELNETS = (12, 26, 34)  # what is published of them does not tell how their blocks divide the layers


class BackboneAttributes(Strict):
    """The network's first part, which sees the image.

    Attributes:
        architecture: Kind of the backbone; ``mobilenet_v1`` and ``mobilenet_v2`` are extensions. TAO ends its resnet at
            stride 16.
        mtype: Where a helnet does not halve its resolution, to end at stride 8, and whether its kernels are dilated
            there instead. Other backbones end at stride 8, whatever it says.
        use_bias: Biases beside batch normalisation.
        nlayers (layers): Depth of the backbone; null is the only choice of vgg, 19, and of the mobilenets.
        use_batch_norm: Batch normalisation after each convolution; null is true. TAO keeps that of its vgg, whatever
            this says.
        add_final_c128_conv: Accepted; without effect, as in TAO.
        width_multiplier (share): Extension: share of the usual filters; null is 1.
        bn_momentum (share): Extension: share of its past that batch normalisation keeps at a step; null is Keras' .99.
    """

    architecture: Literal["vgg", "helnet", "resnet", "mobilenet_v1", "mobilenet_v2"] = "vgg"
    mtype: Literal["default", "s8_3rdblock", "s8_3rdblock_wdilation", "s8_1stlayer", "s8_1stlayer_wdilation"] = Field(
        default="default", validate_default=True
    )
    use_bias: Bool = False
    nlayers: Natural | None = Field(default=None, validate_default=True)
    use_batch_norm: Bool | None = None
    add_final_c128_conv: Bool | None = None
    width_multiplier: Positive = 1.0
    bn_momentum: Fraction | None = None

    @field_validator("nlayers")
    @classmethod
    def _require_known_depth(cls, nlayers: int | None, info: ValidationInfo) -> int | None:
        architecture = info.data.get("architecture")
        if nlayers is None and architecture in ("helnet", "resnet"):
            raise SpecMisfitError(((), f"missing; a {architecture} needs its number of layers"))
        choices = LAYERS.get(str(architecture))
        if nlayers is not None and choices and nlayers not in choices:
            raise SpecMisfitError(((), f"{architecture} has {', '.join(map(str, choices))} layers (got {nlayers})"))
        if str(architecture).startswith("mobilenet") and nlayers is not None:
            raise SpecMisfitError(((), f"a {architecture} has one depth; leave this out (got {nlayers})"))
        if architecture == "helnet" and nlayers in UNKNOWN_HELNETS:
            raise SpecMisfitError(
                ((), f"not built: what its blocks hold is not known; take 6, 10 or 18 (got {nlayers})")
            )
        return nlayers

    @field_validator("mtype")
    @classmethod
    def _at_stride_8(cls, mtype: str, info: ValidationInfo) -> str:
        if info.data.get("architecture") == "helnet" and mtype == "default":
            raise SpecMisfitError(((), "a helnet of this type ends at stride 16, labels are at 8; take 's8_3rdblock'"))
        return mtype

    @field_validator("width_multiplier", mode="before")
    @classmethod
    def _whole_width(cls, width: Any) -> Any:
        return 1.0 if width is None else width


class ModelSpec(Strict):
    """The network: a backbone, then stages that each draw all maps, the later from the earlier.

    Attributes:
        class_name: Stages of one trunk for both kinds of map, or of a tower for each. An extension are those of
            residual blocks, as Lightweight OpenPose has them, whose kernels are not the spec's.
        backbone_attributes: The network's first part, which sees the image.
        stages (stages): How often the maps are drawn, the later from the earlier.
        heat_channels (channels): Joints and the background.
        paf_channels (channels): Two for each limb.
        stage1_kernel_sizes (cells): Of the first stage's convolutions; null is three of 3.
        stageT_kernel_sizes (cells): Of the later stages' convolutions; null is five of 7.
        use_self_attention: Later stages weigh their maps by gates.
        data_format: Accepted; without effect here, as networks are channels_last.
        use_bias: Biases of the stages' convolutions.
        regularization_type: What weights are held small by: the sum of their sizes, of their squares, or of both. TAO
            takes l1_l2 for L1 only.
        kernel_regularization_factor (loss per weight): How much the kernels' regularisation counts.
        bias_regularization_factor (loss per weight): How much the biases' regularisation counts.
        kernel_initializer: Where the stages' kernels start; ``he_normal`` is an extension, for narrow networks.
    """

    class_name: Literal["BpNetLiteModel", "BpNetModel", "LightweightOpenPoseModel"] = Field(
        default="BpNetLiteModel", alias="__class_name__"
    )
    backbone_attributes: BackboneAttributes = BackboneAttributes()
    stages: Natural = Field(default=6, le=6)
    heat_channels: Natural = 19
    paf_channels: Natural = 38
    stage1_kernel_sizes: Annotated[tuple[Natural, ...], Field(min_length=1)] = (3, 3, 3)
    stageT_kernel_sizes: Annotated[tuple[Natural, ...], Field(min_length=1)] = (7, 7, 7, 7, 7)  # noqa: N815 - TAO's key
    use_self_attention: Bool = False
    data_format: DataFormat = "channels_last"
    use_bias: Bool = True
    regularization_type: Literal["l1", "l2", "l1_l2"] = "l1"
    kernel_regularization_factor: NotNegative = 1e-9
    bias_regularization_factor: NotNegative = 1e-9
    kernel_initializer: Literal["random_normal", "xavier", "he_normal"] = "random_normal"

    @field_validator("stage1_kernel_sizes", "stageT_kernel_sizes", mode="before")
    @classmethod
    def _usual_kernels(cls, sizes: Any, info: ValidationInfo) -> Any:
        return cls.model_fields[str(info.field_name)].default if sizes is None else sizes

    @field_validator("paf_channels")
    @classmethod
    def _two_a_limb(cls, channels: int) -> int:
        if channels % 2:
            raise SpecMisfitError(((), f"should be even, two channels a limb (got {channels})"))
        return channels
