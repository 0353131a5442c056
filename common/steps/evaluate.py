"""Evaluate step: a network's scores on held-out photos, and what is recorded of them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodyposenet.common.data.suspects.write import SuspectChoice
    from bodyposenet.common.evaluation.outcome import Evaluation
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.spec.words import Device, RunnerName
    from bodyposenet.common.storage.location import Location
    from bodyposenet.common.tracking import TrackedRun


def run_evaluate(
    run: "TrackedRun", model: Path, inference_spec: "InferenceSpec | None", dataset_spec: "DatasetSpec",
    folder: "Path | Location", *,
    name: str, device: "Device" = "auto", runner: "RunnerName | None" = None,
    suspects: "bool | SuspectChoice" = False,
) -> "tuple[Evaluation, dict[str, float]]":  # fmt: skip
    """Score a network, and log the spec, what it ran in and the numbers to the run.

    Args:
        run: The tracked run.
        model: File of the network.
        inference_spec: How photos are fitted and people found; None takes what was tuned for the network.
        dataset_spec: Its set ``test`` is used.
        folder: Gets the detections and ``results.csv``.
        name: What the run calls the network.
        device: What to compute on.
        runner: What runs an ONNX file on a processor.
        suspects: List the labels that are likely wrong, too; a choice says for which labelling tool.

    Returns:
        What came out, and the numbers that are logged.

    Raises:
        UserError: See :func:`bodyposenet.common.evaluation.evaluate.evaluate`.
    """
    from bodyposenet.common.evaluation.evaluate import evaluate
    from bodyposenet.common.tracking.annotated_photos import describe_half

    if inference_spec:
        run.log_params({**inference_spec.model_dump(mode="json"), "model": name}, prefix="spec")
    done = evaluate(model, inference_spec, dataset_spec, folder, device=device, runner=runner, suspects=suspects)
    if not inference_spec:
        run.log_params({**done.spec.model_dump(mode="json"), "model": name}, prefix="spec")
    run.log_dataset(partial(describe_half, dataset_spec, "test", "evaluation", {"images": done.images}))
    numbers = {rename_metric(key): value for key, value in done.metrics.items()}
    numbers |= done.false_positives.numbers()
    numbers |= {} if done.speed_up is None else {"speed_up": done.speed_up}
    numbers |= {"people_found": done.people, "people_labelled": done.labelled, "skipped": len(done.skipped)}
    run.log_params({"ran": done.ran}, prefix="data")
    run.log_metrics(numbers)
    return done, numbers


def rename_metric(name: str) -> str:
    """Replace colons, which some stores of MLflow refuse: ``AP_0.50:0.95_all`` becomes ``AP_0.50-0.95_all``."""
    return name.replace(":", "-")
