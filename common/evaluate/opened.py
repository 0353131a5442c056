"""Opened: a model ready to look at photos, and the inference spec as far as it can follow it."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.deploy.input_sizes import Sizes, sizes_of
from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.inference import InferenceSpec

if TYPE_CHECKING:
    from bodyposenet.common.deploy.runner import Runner
    from bodyposenet.common.deploy.runtime.providers import Device
    from bodyposenet.common.spec.runner_names import RunnerName

log = logging.getLogger(__name__)

PAD = "pad_image_input"


def open_model(
    model: "Path | Runner", spec: InferenceSpec, device: "Device" = "auto", runner: "RunnerName | None" = None
) -> "tuple[Runner, InferenceSpec]":
    """Open a model, and change the spec to what it can do.

    Args:
        model: Its file, or a runner.
        spec: How to find people.
        device: What to compute on, if the model is a file.
        runner: What to run an ONNX file with; the spec's if None.

    Raises:
        UserError: The model cannot be used, or does not take the spec's input.
    """
    from bodyposenet.common.deploy.runtime.runners import open_runner

    if not isinstance(model, str | Path):
        return model, followed(spec, sizes_of(model), model.card.stride, "the model")
    opened = open_runner(Path(model), stage=spec.output_stage_to_use, device=device, runner=runner or spec.runner)
    return opened, followed(spec, sizes_of(opened), opened.card.stride, str(model))


def followed(spec: InferenceSpec, sizes: Sizes | None, stride: int, where: str) -> InferenceSpec:
    """The spec as a network of limited sizes can follow it, as TAO does: photos padded to its one size, one scale.

    Args:
        spec: How to find people.
        sizes: What the network takes; None is any size.
        stride: What inputs are filled up to.
        where: What messages call it.

    Raises:
        UserError: It does not take the spec's input.
    """
    if sizes is None:
        return spec
    if not sizes.hold(_filled(spec, 1.0, stride)):
        problem = f"takes inputs of {sizes}, and the spec's input_shape is {'x'.join(map(str, spec.input_shape))}"
        fix = f"set input_shape to [{sizes.smallest[0]}, {sizes.smallest[1]}]" if sizes.fixed else "change input_shape"
        raise UserError(problem, where=where, fix=fix)
    changes: dict[str, object] = {}
    if spec.multi_scale_inference and not all(sizes.hold(_filled(spec, scale, stride)) for scale in spec.scales):
        log.warning("%s takes inputs of %s only: multi_scale_inference is off", where, sizes)
        changes["multi_scale_inference"] = False
    if sizes.fixed and spec.keep_aspect_ratio_mode == "adjust_network_input":
        log.warning("%s takes inputs of %s only: photos are padded (%s), not adjust_network_input", where, sizes, PAD)
        changes["keep_aspect_ratio_mode"] = PAD
    return spec.model_copy(update=changes) if changes else spec


def _filled(spec: InferenceSpec, scale: float, stride: int) -> tuple[int, int]:
    """The input at a scale, filled up to the stride."""
    height, width = (-(-max(1, round(side * scale)) // stride) * stride for side in spec.input_shape)
    return height, width
