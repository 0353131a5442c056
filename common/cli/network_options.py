"""Network options: the flags of verbs that run a network, and the spec and the model that they name."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.options import WordType, find_model, log_notes, option
from bodyposenet.common.cli.printing import note
from bodyposenet.common.model.files.bundled import PEOPLE, PRETRAINED, runnable_path
from bodyposenet.common.spec.words import Device, RunnerName

if TYPE_CHECKING:
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.inference import InferenceSpec


def inference_flags(function: Any) -> Any:
    """Add the flags of verbs that run a network: spec, model, runner and device."""
    text = "What to compute on; auto is a GPU where the model's library can use one."
    function = option("--device", default="auto", type=WordType(Device), help=text)(function)
    text = "What runs an ONNX model on a processor: the fastest that is right, or the same on every machine (exact)."
    text += "  [default: runner of the spec, else BODYPOSENET_RUNNER, else auto]"
    function = option("--runner", type=WordType(RunnerName), help=text)(function)
    text = "Model, also pretrained:NAME.  [default: model_path of the spec, else pretrained:people]"
    function = option("-m", "--model_filename", help=text)(function)
    text = "Inference spec, YAML.  [default: what was tuned for the model]"
    return option("-i", "--inference_spec", type=click.Path(), help=text)(function)


def read_inference_spec(
    path: str | None, path_map: "PathMap", model: str | None, runner: RunnerName | None
) -> "tuple[InferenceSpec | None, Path]":
    """Read the inference spec, if one is named; and find the model: ``-m``'s, or the spec's, or the one that ships."""
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.inference import InferenceSpec

    spec = load_spec(path, InferenceSpec, path_map=path_map) if path else InferenceSpec()
    if path:
        log_notes(spec, path)
    name = model or spec.model_path or PEOPLE
    if model is None:
        told = f"taking model_path of {path}, {name}" if spec.model_path else f"taking {name}"
        note(f"note: -m is not given; {told}")
    return (spec if path else None), _find_runnable(name, spec, runner)


def _find_runnable(name: str, spec: "InferenceSpec", runner: RunnerName | None) -> Path:
    """A model's file; of those that came with the package the exported form, which has the last stage only."""
    if name.startswith(PRETRAINED) and spec.output_stage_to_use is None:
        return runnable_path(name, runner or spec.runner)
    return find_model(name)
