"""Prelabel step: what a network finds in new photos, as drafts for a labelling tool, and what is recorded of it."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bodyposenet.common.inference.prelabel import LabelChoice, Prelabels
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.spec.words import Device, RunnerName
    from bodyposenet.common.storage.location import Location
    from bodyposenet.common.tracking import TrackedRun


def run_prelabel(
    run: "TrackedRun", model: Path, spec: "InferenceSpec | None", source: str, folder: "Path | Location",
    choice: "LabelChoice", *,
    name: str, work: str = "", device: "Device" = "auto", runner: "RunnerName | None" = None,
) -> "tuple[Prelabels, dict[str, float]]":  # fmt: skip
    """Write drafts of labels, and log what they are of and the numbers to the run.

    Args:
        run: The tracked run.
        model: File of the network.
        spec: How to find people; None takes what was tuned for the network.
        source: The photos.
        folder: Gets the files.
        choice: What to write.
        name: What the files and the run call the network.
        work: Where finished parts are kept until all are there.
        device: What to compute on.
        runner: What runs an ONNX file on a processor.

    Returns:
        What came out, and the numbers that are logged.

    Raises:
        UserError: See :func:`bodyposenet.common.inference.prelabel.prelabel`.
    """
    from bodyposenet.common.inference.prelabel import prelabel

    run.log_params({"model": name, "source": source, "format": choice.form, "limit": choice.limit}, prefix="data")
    done = prelabel(model, spec, source, folder, choice, name=name, work=work, device=device, runner=runner)
    told = {"photos": done.photos, "people": done.people, "uncertain_joints": done.uncertain, "empty": done.empty}
    numbers = {key: float(value) for key, value in {**told, "seen": done.seen, "unreadable": done.unreadable}.items()}
    run.log_metrics(numbers)
    return done, numbers
