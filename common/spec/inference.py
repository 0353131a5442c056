"""Inference spec: which model finds people, at which size, and when a peak is a joint."""

from typing import Any, Literal

from pydantic import field_validator

from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.spec.base import Bool, Fraction, Natural, PathText, Positive, Strict, parse_spec
from bodyposenet.common.spec.problems import SpecMisfitError
from bodyposenet.common.spec.words import RunnerName


class InferenceSpec(Strict):
    """What ``bpnet evaluate`` and ``bpnet inference`` read.

    Attributes:
        model_path: The model, where the command line names none.
        train_spec: Not needed and without effect: model files carry what it would tell.
        input_shape (pixels): ``(height, width)`` of the network input.
        keep_aspect_ratio_mode: Pad the image, or adjust the network input to its shape; null stretches it.
        output_stage_to_use (stage): Counted from 1; null is the last. An ONNX file holds only that one.
        output_upsampling_factor (times): Accepted; without effect here, decoding is sub-cell.
        heatmap_threshold (map): Least height of a peak. TAO ignores it, and uses 0.1.
        paf_threshold (map): Least agreement of a limb with the part affinity field, at a sample. TAO ignores it, and
            uses 0.05.
        multi_scale_inference: Look at each photo in all ``scales``, and average.
        scales (times): Of the network input, for ``multi_scale_inference``.
        min_parts (joints): Extension: joints that make a person. TAO takes 4, and a mean score of 0.4.
        min_score (score): Extension: least score of a person. COCO's numbers count everybody, as AP only loses by such
            a bound; false positives are counted with it.
        fill_missing: Extension: guess joints that were not found.
        max_people (people): Extension: the best so many; null is all.
        flip: Extension: look at the mirrored photo too, and average.
        decode_whole: Extension: decode all pixels of JPEG files, and average them then, as those of other files and of
            videos are. By default they are decoded at a half of their size if that is no smaller than the network's
            input, at a quarter or an eighth if that is twice as large.
        runner: Extension: what runs an ONNX model on a processor; null leaves it to flag and environment. ``exact`` is
            the same on every machine.
    """

    model_path: PathText | None = None
    train_spec: PathText | None = None
    input_shape: tuple[Natural, Natural] = (256, 256)
    keep_aspect_ratio_mode: Literal["pad_image_input", "adjust_network_input"] | None = "adjust_network_input"
    output_stage_to_use: Natural | None = None
    output_upsampling_factor: tuple[Natural, Natural] | None = (8, 8)
    heatmap_threshold: Fraction = 0.1
    paf_threshold: Fraction = 0.05
    multi_scale_inference: Bool = False
    scales: tuple[Positive, ...] = (1.0,)
    min_parts: Natural = 3
    min_score: Fraction = 0.0
    fill_missing: Bool = False
    max_people: Natural | None = None
    flip: Bool = False
    decode_whole: Bool = False
    runner: RunnerName | None = None

    @field_validator("scales", mode="before")
    @classmethod
    def _one_scale(cls, scales: Any) -> Any:
        return (1.0,) if scales is None or scales == [] else scales

    @field_validator("keep_aspect_ratio_mode", mode="before")
    @classmethod
    def _null_is_not_none(cls, mode: Any) -> Any:
        if mode == "None":
            raise SpecMisfitError(((), "'None' is text in YAML; did you mean null, without quotes?"))
        return mode


TUNED = {
    "input_shape",
    "keep_aspect_ratio_mode",
    "heatmap_threshold",
    "paf_threshold",
    "min_parts",
    "min_score",
    "max_people",
    "flip",
}


def fill_from_card(spec: InferenceSpec, card: Card) -> InferenceSpec:
    """Fill what a spec leaves open with what was tuned for the network; what the spec says stays.

    Raises:
        SpecError: The card's settings are none of an inference spec.
    """
    if not card.decoding:
        return spec
    tuned = parse_spec(card.decoding, InferenceSpec, where="the model's card: decoding")
    open_keys = (tuned.model_fields_set & TUNED) - spec.model_fields_set
    return spec.model_copy(update={name: getattr(tuned, name) for name in open_keys})
