"""Loader spec: the ``dataloader`` part of a train spec: records, sizes, augmentation and targets."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.augmentation import AugmentationConfig
from bodyposenet.common.spec.base import (
    Bool,
    Count,
    Float,
    Fraction,
    Name,
    Natural,
    NotNegative,
    PathText,
    Positive,
    Strict,
)
from bodyposenet.common.spec.pose_config import PoseConfig, load_skeleton
from bodyposenet.common.spec.problems import SpecMisfitError

STRIDE = 8  # input pixels per cell of the labels: TAO's, and that of every backbone here


class ImageDims(Strict):
    """Size of the network input, in pixels.

    Attributes:
        height (pixels): Height of the network input, a multiple of 8.
        width (pixels): Width of the network input, a multiple of 8.
        channels (channels): Red, green and blue.
    """

    height: Natural = 256
    width: Natural = 256
    channels: Literal[3] = 3

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return self.height, self.width


class ImageConfig(Strict):
    """Size of the network input, and how records hold images; the encoding is told by the bytes here.

    Attributes:
        image_dims: Size of the network input.
        image_encoding: Accepted; without effect, as a photo's own bytes tell it.
    """

    image_dims: ImageDims = ImageDims()
    image_encoding: Literal["jpg", "jpeg", "png", "fp16"] = "jpg"

    @field_validator("image_encoding", mode="before")
    @classmethod
    def _any_case(cls, encoding: Any) -> Any:
        return encoding.lower() if isinstance(encoding, str) else encoding


class PoseConfigRef(Strict):
    """Size of the labels, and the skeleton.

    Attributes:
        target_shape (cells): ``(height, width)`` of the labels: the network input's, divided by 8.
        pose_config_path: A pose-config file; null is TAO's 18 joints.
        pose_config: Extension: the pose config itself, for pipelines, whose tasks have no such file.
    """

    class_name: Literal["BpNetPoseConfig"] = Field(default="BpNetPoseConfig", alias="__class_name__")
    target_shape: tuple[Natural, Natural] = (32, 32)
    pose_config_path: PathText | None = None
    pose_config: PoseConfig | None = None

    @field_validator("pose_config")
    @classmethod
    def _require_one(cls, config: PoseConfig | None, info: ValidationInfo) -> PoseConfig | None:
        if config is not None and info.data.get("pose_config_path") is not None:
            raise SpecMisfitError(((), "pose_config_path names one already; give either of them"))
        return config

    def skeleton(self) -> Skeleton:
        """Return the skeleton that is meant.

        Raises:
            UserError: The file cannot be used, or the prior that it names.
        """
        return load_skeleton(self.pose_config_path) if self.pose_config is None else self.pose_config.skeleton()


class DatasetConfig(Strict):
    """Where the records are.

    Attributes:
        root_data_path: Folder of the images; without effect here, as records hold the photos' bytes.
        train_records_folder_path: Folder of the records to train on.
        train_records_path: File names in ``train_records_folder_path``.
        val_records_folder_path: Folder of the records to validate on; null is that of the others.
        val_records_path: File names in ``val_records_folder_path``; none: training is not validated. TAO does not read
            them.
        dataset_specs: Dataset spec file of each dataset that the records name.
    """

    root_data_path: PathText = "."
    train_records_folder_path: PathText
    train_records_path: tuple[Name, ...] = Field(min_length=1)
    val_records_folder_path: PathText | None = None
    val_records_path: tuple[Name, ...] = ()
    dataset_specs: dict[Name, PathText] = Field(default_factory=dict)

    @field_validator("val_records_path", mode="before")
    @classmethod
    def _none_is_empty(cls, names: Any) -> Any:
        return () if names is None else names


class NormalizationParams(Strict):
    """Network input = image / scale - offset, a number each for red, green, blue; the mask (255: counts) likewise.

    Attributes:
        image_scale (colour levels): What red, green and blue, 0 to 255, are divided by.
        image_offset (number): What is taken off red, green and blue then.
        mask_scale (levels): What the mask is divided by; 255 counts.
        mask_offset (number): What is taken off the mask then.
    """

    image_scale: tuple[Positive, Positive, Positive] = (256.0, 256.0, 256.0)
    image_offset: tuple[Float, Float, Float] = (0.5, 0.5, 0.5)
    mask_scale: tuple[Positive] = (255.0,)
    mask_offset: tuple[Float] = (0.0,)


class LabelProcessorConfig(Strict):
    """How targets are drawn.

    Attributes:
        heatmap_gaussian_sigma (pixels): Spread of a joint's peak, in pixels of the network input.
        paf_ortho_dist_thresh (cells): Half the width of a limb's band.
        paf_gaussian_sigma (cells): Accepted; without effect, as in TAO.
    """

    heatmap_gaussian_sigma: Positive = 7.0
    paf_ortho_dist_thresh: Positive = 1.0
    paf_gaussian_sigma: NotNegative = 0.03


class Dataloader(Strict):
    """The ``dataloader`` of a train spec.

    Attributes:
        batch_size (images): Images a step, on each device.
        negatives (share): Extension: share of the images that show nobody. They come out of records that
            ``negative_photos`` of a dataset spec brings.
        decode_whole: Extension: decode all pixels of JPEG photos; by default a photo that the augmentation shrinks to a
            half, a quarter or an eighth, or below, is decoded at that size.
        cache_megabytes (MB): Extension: memory, in each process that trains, for photos that are kept as they were
            decoded, so that later epochs do not decode them again; those are kept that come first. 0 keeps none.
        shuffle_buffer_size (samples): Accepted; without effect, as every epoch is a permutation of all samples.
        image_config: Size of the network input.
        pose_config: Size of the labels, and the skeleton.
        dataset_config: Where the records are.
        normalization_params: How colours become the network's numbers.
        augmentation_config: How training images vary.
        label_processor_config: How targets are drawn.
    """

    class_name: Literal["BpNetDataloader"] = Field(default="BpNetDataloader", alias="__class_name__")
    batch_size: Natural
    negatives: Annotated[Fraction, Field(lt=1)] = 0.0
    decode_whole: Bool = False
    cache_megabytes: Count = 0
    shuffle_buffer_size: Natural = 20000
    image_config: ImageConfig = ImageConfig()
    pose_config: PoseConfigRef = PoseConfigRef()
    dataset_config: DatasetConfig
    normalization_params: NormalizationParams = NormalizationParams()
    augmentation_config: AugmentationConfig = AugmentationConfig()
    label_processor_config: LabelProcessorConfig = LabelProcessorConfig()

    @property
    def cache_bytes(self) -> int:
        """Bytes of ``cache_megabytes``."""
        return self.cache_megabytes * 10**6

    @field_validator("shuffle_buffer_size", mode="before")
    @classmethod
    def _usual_buffer(cls, size: Any) -> Any:
        return 20000 if size is None else size

    @field_validator("pose_config")
    @classmethod
    def _labels_cover_the_input(cls, pose: PoseConfigRef, info: ValidationInfo) -> PoseConfigRef:
        if "image_config" not in info.data:
            return pose
        height, width = info.data["image_config"].image_dims.size
        if (pose.target_shape[0] * STRIDE, pose.target_shape[1] * STRIDE) != (height, width):
            need = f"image_dims divided by {STRIDE}: {height}x{width} needs [{height / STRIDE:g}, {width / STRIDE:g}]"
            raise SpecMisfitError((("target_shape",), f"should be {need} (got {list(pose.target_shape)})"))
        return pose
