"""Train verb: the flags of ``bpnet train``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.dry_run import dry_run_option
from bodyposenet.common.cli.launcher import Verb, launch_options, results_dir, task
from bodyposenet.common.cli.options import common_options, example, key_option, log_notes, option, path_map_option
from bodyposenet.common.cli.printing import say
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.cluster import TrainingCluster, read_cluster
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.storage.model_key import key_in_use, using_key

if TYPE_CHECKING:
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.train import TrainSpec


@click.command("train", cls=Verb, epilog=example("bpnet train -e bpnet_train_coco.yaml -r results/exp_m1_unpruned"))
@option("-e", "--experiment_spec_file", required=True, type=click.Path(), help="Train spec, YAML.")
@dry_run_option
@path_map_option
@key_option
@common_options
def train(experiment_spec_file: str, path_map: "PathMap", dry_run: bool, **options: Any) -> None:
    """Train a network, or retrain a pruned one (load_graph: true); run it again to resume."""
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.train import TrainSpec

    spec = load_spec(experiment_spec_file, TrainSpec, path_map=path_map)
    log_notes(spec, experiment_spec_file)
    if launch_options()["use_amp"] and spec.mixed_precision != "force":
        spec = spec.model_copy(update={"mixed_precision": True})
    cluster = read_cluster(os.environ, gpus=launch_options()["gpus"] or 1)
    named = options["results_dir"] or spec.checkpoint_dir
    with using_key(key_in_use() or spec.key):
        if dry_run:
            _describe(spec, cluster, Path(named) if named else None)
        elif named:
            _train(spec, named, cluster)
        else:
            fix = "give -r, or checkpoint_dir in the spec"
            raise UserError("no results folder", where=experiment_spec_file, fix=fix)


def _train(spec: "TrainSpec", named: "str | Path", cluster: TrainingCluster) -> None:
    """Train in the folder that the command line or the spec names."""
    folder = results_dir(named, Path()) if cluster.chief else Path(named)  # only the chief writes there
    spec = spec.model_copy(update={"checkpoint_dir": str(folder)})
    from bodyposenet.common.model.training.plan import make_plan
    from bodyposenet.common.steps.start_weights import take_start

    with take_start(spec, folder if cluster.chief else None) as begin:
        plan = make_plan(begin.spec, cluster=cluster)  # refuses what cannot be trained before TensorFlow is there
        if not cluster.chief:
            from bodyposenet.common.model.training.train import train as train_model

            train_model(begin.spec, folder, source=plan.source, cluster=cluster)
            say(f"worker {cluster.index} of {len(cluster.workers)} is done; worker 0 has what came out")
            return
        from bodyposenet.common.steps.train import run_train

        ending = ".keras" if key_in_use() is None else ".tlt"
        with task("train", folder, status=False) as run:
            done = run_train(run, begin, folder, plan, ending=ending)
    loss = done.history[-1]["loss"] if done.history else None
    told = "" if loss is None else f", loss {loss:.4g}"
    say(
        f"wrote {done.model}: {done.params:,} parameters, {pluralize(len(done.history), 'epoch')}{told}",
        model=done.model, parameters=done.params, epochs=len(done.history), loss=loss,
    )  # fmt: skip


def _describe(spec: "TrainSpec", cluster: TrainingCluster, folder: Path | None) -> None:
    """Say what a training would do: its spec, as YAML, and at the end steps, precision and memory.

    Raises:
        UserError: It could not be begun, or not in this folder.
    """
    from bodyposenet.common.steps.preview import examine_folder

    free = None if folder is None else examine_folder(folder)
    from bodyposenet.common.model.training.plan import make_plan
    from bodyposenet.common.steps.start_weights import take_start

    with take_start(spec) as begin:
        plan = make_plan(begin.spec, cluster=cluster)
        from bodyposenet.common.model.training.dry_run import describe

        text, numbers = describe(plan, folder)
    click.echo(text, nl=False)  # as it is: a spec to be read again
    say(**numbers, dry_run=True, folder=folder, free_bytes=free)
