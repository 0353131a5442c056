"""Augmentation spec: how far people are turned, moved, scaled and mirrored in training, and how colours change."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from bodyposenet.common.spec.base import (
    Bool,
    Float,
    Fraction,
    NotNegative,
    Positive,
    Strict,
)
from bodyposenet.common.spec.problems import SpecMisfitError


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
