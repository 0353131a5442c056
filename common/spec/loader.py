"""Loader spec: the ``dataloader`` part of a train spec: records, sizes, augmentation and targets."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from bodyposenet.common.skeleton.skeleton import Skeleton
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


class SpatialAugParams(Strict):
    """How images are moved, turned and zoomed; a least value of null is minus the greatest.

    Attributes:
        flip_lr_prob (share): Share of images mirrored; left and right joints change names.
        flip_tb_prob (share): Share of images turned upside down; joints keep their names, as with TAO.
        rotate_deg_max (degrees): Greatest turn, clockwise on the screen. TAO distorts inputs that are not square.
        rotate_deg_min (degrees): Least turn; null is minus the greatest.
        zoom_prob (share): Share of images zoomed.
        zoom_ratio_max (times): Greatest zoom; above 1 zooms out. TAO zooms in or out, by mode.
        zoom_ratio_min (times): Least zoom.
        translate_max_x (pixels): Greatest move to the right, in pixels of the original image.
        translate_min_x (pixels): Least move to the right; null is minus the greatest.
        translate_max_y (pixels): Greatest move down, in pixels of the original image.
        translate_min_y (pixels): Least move down; null is minus the greatest.
        use_translate_ratio: Translate by a share of the original image instead.
        translate_ratio_max (share): Greatest move, of the original image's width and height.
        translate_ratio_min (share): Least move; null is minus the greatest.
        target_person_scale (share): Height of the person in the centre, of the input's height. TAO takes it of the
            input's width.
    """

    flip_lr_prob: Fraction = 0.0
    flip_tb_prob: Fraction = 0.0
    rotate_deg_max: Float = 0.0
    rotate_deg_min: Float = Field(default=None, validate_default=True)
    zoom_prob: Fraction = 0.0
    zoom_ratio_max: Positive = 1.0
    zoom_ratio_min: Positive = 1.0
    translate_max_x: Float = 0.0
    translate_min_x: Float = Field(default=None, validate_default=True)
    translate_max_y: Float = 0.0
    translate_min_y: Float = Field(default=None, validate_default=True)
    use_translate_ratio: Bool = False
    translate_ratio_max: Float = 0.0
    translate_ratio_min: Float = Field(default=None, validate_default=True)
    target_person_scale: Positive = 0.6

    @field_validator("rotate_deg_min", "translate_min_x", "translate_min_y", "translate_ratio_min", mode="before")
    @classmethod
    def _mirror(cls, least: Any, info: ValidationInfo) -> Any:
        greatest = str(info.field_name).replace("_min", "_max")
        return -info.data.get(greatest, 0.0) if least is None else least

    @field_validator("rotate_deg_min", "zoom_ratio_min", "translate_min_x", "translate_min_y", "translate_ratio_min")
    @classmethod
    def _in_order(cls, least: float, info: ValidationInfo) -> float:
        greatest = str(info.field_name).replace("_min", "_max")
        if least > info.data.get(greatest, least):
            raise SpecMisfitError(((), f"should be at most {greatest}, {info.data[greatest]:g} (got {least:g})"))
        return least


class ColorAugParams(Strict):
    """Extension: how colours vary, RGB in 0 to 255, in this order; zeros leave them alone, as the grey around a photo.

    Attributes:
        color_prob (share): Share of images whose colours are varied.
        brightness_max (share): Adds 255 b to every channel, b evenly in [-max, max].
        contrast_max (share): Multiplies the distance from the middle grey, 127, by c, evenly in [1 - max, 1 + max].
        saturation_max (share): Multiplies the distance from the pixel's own grey (.299 R + .587 G + .114 B) by s,
            likewise.
        hue_deg_max (degrees): Turns the hue, evenly in [-max, max], at the same grey (in the plane of I and Q of YIQ).
    """

    color_prob: Fraction = 1.0
    brightness_max: Fraction = 0.0
    contrast_max: Fraction = 0.0
    saturation_max: Fraction = 0.0
    hue_deg_max: Annotated[NotNegative, Field(le=180)] = 0.0


class AugmentationConfig(Strict):
    """How training images vary.

    Attributes:
        spatial_augmentation_mode: Around a person, the whole image letterboxed, or the whole image stretched.
        spatial_aug_params: How images are moved, turned and zoomed; null leaves them where they are.
        color_aug_params: How colours vary; null leaves them alone. TAO takes none.
        identity_spatial_aug_params: What takes the place of ``spatial_aug_params`` on the validation records. Null
            shows whole photos as they are, whatever the mode. TAO does not use it.
    """

    class_name: Literal["AugmentationConfig"] = Field(default="AugmentationConfig", alias="__class_name__")
    spatial_augmentation_mode: Literal["person_centric", "standard", "standard_with_fixed_aspect_ratio"] = (
        "person_centric"
    )
    spatial_aug_params: SpatialAugParams = SpatialAugParams()
    color_aug_params: ColorAugParams | None = None
    identity_spatial_aug_params: SpatialAugParams | None = None

    @field_validator("spatial_augmentation_mode", mode="before")
    @classmethod
    def _around_a_person(cls, mode: Any) -> Any:
        return "person_centric" if mode is None else mode

    @field_validator("spatial_aug_params", mode="before")
    @classmethod
    def _require_unmoved(cls, params: Any) -> Any:
        return SpatialAugParams() if params is None else params

    def switch_off(self) -> "AugmentationConfig":
        """Return what shows the validation records: nothing varied but by ``identity_spatial_aug_params``."""
        params = self.identity_spatial_aug_params
        if params is None:
            return AugmentationConfig(spatial_augmentation_mode="standard")
        return AugmentationConfig(spatial_augmentation_mode=self.spatial_augmentation_mode, spatial_aug_params=params)


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
