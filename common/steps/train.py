"""Train step: a trained network in a folder, and what is recorded of the training."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.steps.pages import page_path
from bodyposenet.common.storage.locking import hold_alone

if TYPE_CHECKING:
    from bodyposenet.common.model.training.plan import Plan
    from bodyposenet.common.model.training.train import Training
    from bodyposenet.common.spec.train import TrainSpec
    from bodyposenet.common.steps.start_weights import Begin
    from bodyposenet.common.tracking import TrackedRun


def run_train(
    run: "TrackedRun", begin: "Begin", folder: Path, plan: "Plan", *,
    ending: str = ".keras", page: Path | None = None, on_checkpoint: Callable[[], None] | None = None,
) -> "Training":  # fmt: skip
    """Train in a folder, and log the spec, the curves, the machine, the network and a page to the run.

    Args:
        run: The tracked run.
        begin: What to train, and from which weights; the spec's model key is not logged.
        folder: Gets the network, its checkpoints and its history; a training that was stopped goes on there.
        plan: Of the spec, for the devices that take part.
        ending: Of the network's file.
        page: Keeps the page; without it the page is only in the run.
        on_checkpoint: Called after each checkpoint.

    Returns:
        What came out.

    Raises:
        UserError: See :func:`bodyposenet.common.model.training.train.train`.
    """
    from bodyposenet.common.evaluation.validation import make_validation
    from bodyposenet.common.model.training.train import train
    from bodyposenet.common.tracking.record_sets import describe_records

    train_spec = begin.spec
    folder.mkdir(parents=True, exist_ok=True)
    with hold_alone(folder) if plan.cluster.chief else contextlib.nullcontext(), run.system_metrics():
        begin.log(run)
        run.log_params(train_spec.model_dump(mode="json", by_alias=True, exclude={"key"}), prefix="spec")
        for names, records, context in _list_records(train_spec):
            run.log_dataset(partial(describe_records, records, names, context))
        done = train(
            train_spec, folder, source=plan.source, validate=make_validation(plan), on_epoch=run.log_curves,
            chosen=lambda choice: run.log_params({"precision": choice.name}, prefix="training"),
            cluster=plan.cluster, ending=ending, on_checkpoint=on_checkpoint,
        )  # fmt: skip
        run.log_metrics({"params": done.params})
        run.log_artifact(done.model, "model")
    if done.history:
        _log_page(run, done, train_spec, folder, page)
    return done


def _list_records(train_spec: "TrainSpec") -> "Iterator[tuple[Sequence[str], str, str]]":
    """Names, folder and use of the records that a spec trains on, and of those that it validates on."""
    config = train_spec.dataloader.dataset_config
    yield config.train_records_path, config.train_records_folder_path, "training"
    if config.val_records_path:
        yield config.val_records_path, config.val_records_folder_path or config.train_records_folder_path, "validation"


def _log_page(run: "TrackedRun", done: "Training", train_spec: "TrainSpec", folder: Path, page: Path | None) -> None:
    """Draw the training's curves, and log the page."""
    from bodyposenet.common.report.training_page import write_training_page

    with page_path(page, "training.html") as path:
        write_training_page(path, folder, train_spec, precision=str(done.precision))
        run.log_artifact(path, "report")
