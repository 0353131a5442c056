"""Extras: what a run here measures beside the pipeline: what training started from, and people in a real photo."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bodyposenet.common.report.run_report import add_pictures
from bodyposenet.common.storage.location import locate


def start_numbers(
    training: Mapping[str, Any], inference: Mapping[str, Any], results: str, made: Mapping[str, Mapping[str, str]]
) -> dict[str, float]:
    """AP of the weights that the training started from, before any training, on the same held-out photos.

    Args:
        training: The train spec.
        inference: The inference spec.
        results: Folder that gets what was found.
        made: Where the pipeline's artifacts are.

    Returns:
        ``ap``; nothing where training starts from scratch.
    """
    from bodyposenet.common.data.photo_set import spec_in
    from bodyposenet.common.evaluation.evaluate import evaluate
    from bodyposenet.common.model.files.bundled import weights_path
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.inference import InferenceSpec

    weights = training.get("pretrained_weights")
    if not weights:
        return {}
    spec = parse_spec(inference, InferenceSpec, where="inference_spec")
    return {"ap": evaluate(weights_path(weights), spec, spec_in(Path(made["Join"]["dataset"])), Path(results)).ap}


def look_at_photo(results: str, made: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    """Find people in a real photo with the network that ships, whatever the run's own network knows.

    Args:
        results: Folder that gets what was found.
        made: Where the pipeline's artifacts are.

    Returns:
        ``people``, how many were found; nothing where matplotlib, with which the photo comes, is not installed.
    """
    from bodyposenet.common.inference.inference import infer
    from bodyposenet.common.model.files.bundled import PEOPLE as NETWORK
    from bodyposenet.common.model.files.bundled import runnable_path

    try:
        import matplotlib
    except ModuleNotFoundError:
        return {}
    photo = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    found = infer(
        runnable_path(NETWORK), None, input_type="image", input=photo, results_dir=results, dump_visualizations=True
    )
    return {"people": float(found.people)}


def add_photo(page: str, results: Path) -> str:
    """The report with the photo that was looked at, where one was."""
    from bodyposenet.common.imaging.photo import read_image
    from bodyposenet.common.inference.inference import PICTURES

    picture = results / PICTURES / "0.png"
    if not picture.is_file():
        return page
    caption = "Grace Hopper, by James S. Davis, U.S. Navy: in the public domain; from matplotlib's sample data"
    hint = "What pretrained:people finds in a photo; the network of this run has no part in it."
    return add_pictures(page, "A real photo", hint, [(caption, read_image(locate(picture)))])
