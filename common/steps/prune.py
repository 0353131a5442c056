"""Prune step: a smaller network as a file, and what is recorded of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.steps.pages import page_path

if TYPE_CHECKING:
    from bodyposenet.common.prune.prune import PruneOutcome
    from bodyposenet.common.prune.taylor import TrainingData
    from bodyposenet.common.spec.prune import PruneSpec
    from bodyposenet.common.tracking import TrackedRun


def run_prune(
    run: "TrackedRun", source: Path, output: Path, prune_spec: "PruneSpec", *,
    size: tuple[int, int] | None = None, data: "TrainingData | None" = None, page: Path | None = None,
) -> "tuple[PruneOutcome, dict[str, float]]":  # fmt: skip
    """Prune a model file into another, and log the spec, the numbers, the network and a page to the run.

    Args:
        run: The tracked run.
        source: The network to prune.
        output: The file to write.
        prune_spec: What to cut.
        size: Of the pictures that FLOPs are counted for, ``(height, width)`` in pixels; by default the card's.
        data: For the criterion ``taylor``.
        page: Keeps the page; without it the page is only in the run.

    Returns:
        What pruning came to, and the numbers that are logged.

    Raises:
        UserError: See :func:`bodyposenet.common.prune.prune.prune_file`.
    """
    from bodyposenet.common.prune.prune import prune_file
    from bodyposenet.common.report.pruning_page import write_pruning_page

    run.log_params(prune_spec.model_dump(mode="json"), prefix="spec")
    done = prune_file(source, output, prune_spec, size=size, data=data)
    numbers = {"params_before": float(done.params_before), "params": float(done.params_after), "kept": done.kept}
    numbers |= {"gflops_before": done.gflops_before, "gflops": done.gflops_after, "threshold": done.threshold}
    run.log_metrics(numbers)
    run.log_artifact(done.path, "model")
    with page_path(page, "pruned.html") as path:
        write_pruning_page(path, done, prune_spec)
        run.log_artifact(path, "report")
    return done, numbers
