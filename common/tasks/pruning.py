"""Tasks with pruning: cut a network once, or in rounds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bodyposenet.common.pages.markdown import keep_underscores
from bodyposenet.common.spec.document import read_settings
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.tasks.attempts import attempt, identify
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import MODEL, Settings, copy_whole, find_keras, note, read_spec
from bodyposenet.common.tasks.training import train_spec_for
from bodyposenet.common.tracking import task_run


@report_failures
def prune(
    model: str, prune_spec: Settings, pruned: str, metrics: str, summary: str, picture: str, *,
    cut: Settings | None = None, dataset: str | None = None, train_spec: Settings | None = None,
) -> tuple[float, dict[str, float]]:  # fmt: skip
    """Prune a network; returns the share of the parameters that is left, and the numbers.

    ``cut`` changes some keys; the criterion taylor needs a dataset and the spec of a training on it.
    """
    from bodyposenet.common.prune.rounds import training_data
    from bodyposenet.common.steps.prune import run_prune

    spec = read_spec(with_cut(read_settings(prune_spec, "prune_spec").data, cut or {}), PruneSpec, "prune_spec")
    training = train_spec_for(train_spec, dataset) if train_spec and dataset else None
    with task_run("prune", buffer=Path(pruned)) as run:
        data = training_data(spec, training) if training else None
        source, output = find_keras(model), Path(pruned) / MODEL
        done, numbers = run_prune(run, source, output, spec, data=data, page=Path(picture))
    Path(summary).write_text(keep_underscores(done.markdown()), encoding="utf-8")
    return done.kept, note(numbers, metrics)


def with_cut(prune_spec: Settings, cut: Settings) -> dict[str, Any]:
    """A prune spec's dict with some keys changed; a threshold or target in them replaces whichever there was."""
    amounts = ("pruning_threshold", "target_params", "target_flops")
    others = {name: value for name, value in prune_spec.items() if name not in amounts}
    return {**(others if any(name in cut for name in amounts) else prune_spec), **cut}


@report_failures
def prune_rounds(
    model: str, dataset: str, prune_spec: Settings, retrain_spec: Settings, pruned: str, metrics: str, *,
    work: str = "",
) -> tuple[dict[str, Any], dict[str, float]]:  # fmt: skip
    """Prune and retrain in all rounds but the last; returns the prune spec of that, and the numbers.

    With one round the network is handed on as it is. The network is also the teacher of every round's training, where
    the spec's distillation wants one and names none. ``work`` is as for a training.
    """
    from bodyposenet.common.prune.rounds import cut_left, prune_in_rounds

    source, folder = find_keras(model), Path(pruned)
    spec = read_spec(prune_spec, PruneSpec, "prune_spec")
    rounds = spec.rounds
    if rounds == 1:
        copy_whole(source, folder / MODEL)
        return _as_dict(spec), note({"rounds": 0.0}, metrics)
    retraining = train_spec_for(retrain_spec, dataset, teacher=model)
    rounds_folder = folder / "rounds"
    key = identify(dataset, model, _as_dict(spec), retrain_spec, files=retrain_spec) if work else ""
    with (
        task_run("prune_rounds", buffer=folder) as run,
        run.system_metrics(),
        attempt(work, rounds_folder, key, run) as keep,
    ):
        run.log_params(spec.model_dump(mode="json"), prefix="spec")

        def on_epoch(number: int, entries: Sequence[Settings]) -> None:
            run.log_curves([_rename(entry, f"round_{number}.") for entry in entries])

        done = prune_in_rounds(
            source, rounds_folder, spec, retraining, rounds=rounds, only=rounds - 1, on_epoch=on_epoch,
            on_checkpoint=keep,
        )  # fmt: skip
        for one in done:
            run.log_metrics({"params": one.params, "gflops": one.gflops, "threshold": one.threshold}, step=one.number)
        copy_whole(rounds_folder / f"round_{len(done)}" / MODEL, folder / MODEL)
        run.log_artifact(folder / MODEL, "model")
    numbers = {"rounds": float(len(done)), "params_before": done[0].params_before, "params": done[-1].params}
    numbers |= {"gflops_before": done[0].gflops_before, "gflops": done[-1].gflops}
    return _as_dict(cut_left(spec, done, to_go=1).model_copy(update={"rounds": 1})), note(numbers, metrics)


def _rename(entry: Settings, prefix: str) -> dict[str, Any]:
    """An epoch's entry with names of its own, but for the epoch."""
    return {name if name == "epoch" else prefix + name: value for name, value in entry.items()}


def _as_dict(spec: PruneSpec) -> dict[str, Any]:
    """A spec as Kubeflow takes it: what is null is left out."""
    return spec.model_dump(mode="json", exclude_none=True)
