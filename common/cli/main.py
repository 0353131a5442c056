"""Command line: ``bpnet``, TAO's verbs and flags; each verb checks its input and calls one library function."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet import __version__
from bodyposenet.common.cli.build_engine import build_engine
from bodyposenet.common.cli.bundle import bundle
from bodyposenet.common.cli.convert import dataset_convert, dataset_join
from bodyposenet.common.cli.doctor import doctor
from bodyposenet.common.cli.evaluate import evaluate, inference
from bodyposenet.common.cli.export import export
from bodyposenet.common.cli.launcher import Guarded, Verb, Verbs, counted, launched, results_dir, task
from bodyposenet.common.cli.options import (
    DiskType,
    example,
    keyed,
    log_notes,
    mapped,
    option,
    shared,
)
from bodyposenet.common.cli.prune import prune
from bodyposenet.common.cli.sample_calibration import sample_calibration
from bodyposenet.common.cli.skeleton import skeleton
from bodyposenet.common.cli.synthesize import synthesize
from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.common.model.training.cluster import Cluster, cluster_of
from bodyposenet.common.storage.model_key import key_in_use, using_key

if TYPE_CHECKING:
    from bodyposenet.common.model.training.precision import PrecisionChoice
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.train import TrainSpec

NORMALIZE_DASHES = {"token_normalize_func": lambda name: name.replace("-", "_"), "max_content_width": 110}


@click.group(cls=Verbs, name="bpnet", context_settings=NORMALIZE_DASHES)
@click.version_option(__version__, prog_name="bpnet")
@click.pass_context
def main(ctx: click.Context, /, **launch: Any) -> None:
    """BodyPoseNet: find people's joints; train, prune, export and evaluate the network that does.

    Sizes are height, width in pixels. Wrong input ends with exit code 2 and says how to mend it.
    """
    ctx.obj = launch


main.add_command(bundle)
main.add_command(build_engine)
main.add_command(dataset_convert)
main.add_command(dataset_join)
main.add_command(doctor)
main.add_command(evaluate)
main.add_command(export)
main.add_command(inference)
main.add_command(prune)
main.add_command(sample_calibration)
main.add_command(skeleton)
main.add_command(synthesize)


@main.command("train", cls=Verb, epilog=example("bpnet train -e bpnet_train_coco.yaml -r results/exp_m1_unpruned"))
@option("-e", "--experiment_spec_file", required=True, type=click.Path(), help="Train spec, YAML.")
@option("--dry-run", is_flag=True, help="Print the resolved spec, steps, precision and memory; train nothing.")
@mapped
@keyed
@shared
def train(experiment_spec_file: str, path_map: "PathMap", dry_run: bool, **options: Any) -> None:
    """Train a network, or retrain a pruned one (load_graph: true); run it again to resume."""
    from bodyposenet.common.spec import load_spec
    from bodyposenet.common.spec.train import TrainSpec

    spec = load_spec(experiment_spec_file, TrainSpec, path_map=path_map)
    log_notes(spec, experiment_spec_file)
    if launched()["use_amp"] and spec.mixed_precision != "force":
        spec = spec.model_copy(update={"mixed_precision": True})
    cluster = cluster_of(os.environ, gpus=launched()["gpus"] or 1)
    named = options["results_dir"] or spec.checkpoint_dir
    with using_key(key_in_use() or spec.key):
        if dry_run:
            click.echo(_described(spec, cluster, Path(named) if named else None), nl=False)
        elif named:
            _train(spec, named, cluster)
        else:
            fix = "give -r, or checkpoint_dir in the spec"
            raise UserError("no results folder", where=experiment_spec_file, fix=fix)


def _train(spec: "TrainSpec", named: "str | Path", cluster: Cluster) -> None:
    """Train in the folder that the command line or the spec names."""
    folder = results_dir(named, Path()) if cluster.chief else Path(named)  # only the chief writes there
    spec = spec.model_copy(update={"checkpoint_dir": str(folder)})
    from bodyposenet.common.model.training.plan import make_plan

    plan = make_plan(spec, cluster=cluster)  # refuses what cannot be trained before TensorFlow is there
    from bodyposenet.common.evaluation.validation import validation_of
    from bodyposenet.common.model.training.train import train as train_model

    ending = ".keras" if key_in_use() is None else ".tlt"
    if not cluster.chief:
        train_model(spec, folder, source=plan.source, cluster=cluster)
        click.echo(f"worker {cluster.index} of {len(cluster.workers)} is done; worker 0 has what came out")
        return
    with task("train", folder, status=False) as run, run.system_metrics():

        def note(choice: "PrecisionChoice") -> None:
            run.log_params({"precision": choice.name}, prefix="training")

        run.log_params(spec.model_dump(mode="json", by_alias=True), prefix="spec")
        done = train_model(
            spec, folder, source=plan.source, validate=validation_of(plan), told=run.log_curves,
            chosen=note, cluster=cluster, ending=ending,
        )  # fmt: skip
        run.log_metrics({"params": done.params})
    loss = f", loss {done.history[-1]['loss']:.4g}" if done.history else ""
    click.echo(f"wrote {done.model}: {done.params:,} parameters, {counted(len(done.history), 'epoch')}{loss}")


def _described(spec: "TrainSpec", cluster: Cluster, folder: Path | None) -> str:
    from bodyposenet.common.model.training.plan import make_plan

    plan = make_plan(spec, cluster=cluster)
    from bodyposenet.common.model.training.dry_run import describe

    return describe(plan, folder)


@main.group("spec")
def spec_group() -> None:
    """Look at spec files."""


@spec_group.command("check", cls=Guarded, epilog=example("bpnet spec check train.yaml coco_spec.json"))
@click.argument("files", nargs=-1, required=True, type=click.Path())
@mapped
def check(files: tuple[str, ...], path_map: "PathMap") -> None:
    """Say what each spec is, or print every problem of every file and exit 2."""
    from bodyposenet.common.spec import load_spec
    from bodyposenet.common.spec.kinds import describe, detect_kind, notes

    problems = []
    for file in files:
        try:
            spec = load_spec(file, detect_kind(file), path_map=path_map)
        except SpecError as error:
            problems.append(str(error))
            continue
        click.echo(f"{file}: {describe(spec)}")
        for note in notes(spec):
            click.echo(f"{file}: note: {note}")
    if problems:
        raise SpecError(problems)


@main.group("tracking")
def tracking_group() -> None:
    """Work with the MLflow store that MLFLOW_TRACKING_URI names."""


@tracking_group.command("send", cls=Guarded, epilog=example("bpnet tracking send results/exp_m1_unpruned"))
@click.argument("folder", type=DiskType())
def send(folder: Path) -> None:
    """Send what was kept in FOLDER while the store was away."""
    from bodyposenet.common.tracking import send_buffered

    sent = send_buffered(folder)
    click.echo(f"sent {len(sent)} runs" + "".join(f"\n  {run}" for run in sent))


if __name__ == "__main__":
    main()
