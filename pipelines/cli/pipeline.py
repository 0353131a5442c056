"""Command line of the pipelines: ``bpnet pipeline …``, joined to ``bpnet`` through its entry-point group."""

from pathlib import Path

import click
from click.core import ParameterSource

from bodyposenet.common.cli.dry_run import dry_run_option
from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import example
from bodyposenet.common.cli.printing import json_option, say
from bodyposenet.common.cli.verb_group import WholeSentences
from bodyposenet.pipelines.cli.demo import say_run
from bodyposenet.pipelines.cli.flags import cluster_options, connection_options, parameter_options
from bodyposenet.pipelines.cli.runs import follow_run, list_runs, stop_run, wait_for_run
from bodyposenet.pipelines.cli.schedule import schedule_one

LOCAL, REMOTE = ("output", "data", "epochs"), ("host", "words", "experiment", "run_name", "wait", "no_cache")
MANIFEST = "Write Pipeline and PipelineVersion resources, for Kubeflow's Kubernetes-native mode."


@click.group("pipeline", cls=WholeSentences)
def pipeline() -> None:
    """Compile the Kubeflow pipelines, upload and submit them, see to their runs, or run one here."""


for verb in (schedule_one, wait_for_run, stop_run, list_runs):
    pipeline.add_command(verb)


@pipeline.command(
    "compile", cls=ErrorHandlingCommand, epilog=example("bpnet pipeline compile -o compiled --gpus 1 --volume photos")
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder.  [default: the package's]"
)
@click.option("--kubernetes-manifest-format", "kubernetes_manifest", is_flag=True, help=MANIFEST)
@click.option("--namespace", default="kubeflow", show_default=True, help="Of these resources.")
@cluster_options
@json_option
def compile_pipelines(output: Path | None, kubernetes_manifest: bool, namespace: str) -> None:
    """Compile every pipeline to YAML for Kubeflow Pipelines."""
    from bodyposenet.pipelines.compile import compile_all
    from bodyposenet.pipelines.manifests import write_manifests
    from bodyposenet.pipelines.package import read_package
    from bodyposenet.pipelines.workflow_size import LIMIT, estimate_workflow

    if kubernetes_manifest and output is None:
        raise click.UsageError("--kubernetes-manifest-format wants a folder: -o build/kubernetes")
    if kubernetes_manifest and output:
        written = write_manifests(output, namespace)
        say("\n".join(f"wrote {path}" for path in written), manifests=written)
        return
    sizes = {path: estimate_workflow(read_package(path)) for path in compile_all(output)}
    lines = (
        f"wrote {path}: a run's workflow will have about {size / 1e6:.2f} MB, of {LIMIT / 1e6:.2f}"
        for path, size in sizes.items()
    )
    packages = [{"file": path, "estimated_workflow_bytes": size} for path, size in sizes.items()]
    say("\n".join(lines), packages=packages, most_workflow_bytes=LIMIT)


@pipeline.command(
    "upload", cls=ErrorHandlingCommand, epilog=example("bpnet pipeline upload prune_retrain --host http://kfp:8080")
)
@click.argument("named", metavar="NAME|FILE")
@connection_options
def upload(named: str, host: str | None, namespace: str | None) -> None:
    """Upload a new version of a pipeline; one that is there already is left alone."""
    from bodyposenet.pipelines.names import check_name
    from bodyposenet.pipelines.package import find_package
    from bodyposenet.pipelines.server.connection import Server
    from bodyposenet.pipelines.submit import upload as upload_package

    package = find_package(named)
    check_name("pipeline", package.name)
    check_name("version", package.version)
    done = upload_package(Server(host, namespace), package)
    say(f"{package.name} {package.version}: {'uploaded' if done.new else 'is there already, nothing to do'}")


@pipeline.command(
    "run",
    cls=ErrorHandlingCommand,
    epilog=example(
        "bpnet pipeline run -o build/mine --data /data/mine --epochs 2",
        "bpnet pipeline run prune_retrain -p model_name=mine --host http://kfp:8080 --wait",
    ),
)
@click.argument("named", metavar="[NAME|FILE]", required=False)
@click.option(
    "-o", "--output", default="build/demo", type=click.Path(path_type=Path), help="Here: folder.", show_default=True
)
@click.option("--data", default="", help="Here: folder with images/ and COCO keypoint files.  [default: drawn people]")
@click.option("--epochs", type=click.IntRange(1), help="Here: of both trainings.  [default: the specs']")
@connection_options
@parameter_options
@click.option("--experiment", default="bodyposenet", show_default=True, help="Where the run is filed.")
@click.option("--run-name", default="", help="Of the run.  [default: the pipeline's, and the time]")
@click.option("--wait", is_flag=True, help="Follow the run to its end; exit code 1 if it does not succeed.")
@click.option("--no-cache", is_flag=True, help="Take no task from Kubeflow's cache.")
@dry_run_option
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    named: str | None,
    output: Path,
    data: str,
    epochs: int | None,
    dry_run: bool,
    **submission: object,
) -> None:
    """Start a pipeline on Kubeflow; or, without NAME, run prune_retrain on this machine."""
    _refuse(ctx, REMOTE if named is None else LOCAL, named)
    if named is not None:
        _submit(named, dry_run=dry_run, **submission)  # type: ignore[arg-type]
        return
    if dry_run:
        say_run(output, data, epochs)
        return
    from bodyposenet.pipelines.demo import demo, show

    summary = demo(output, data=data, epochs=epochs)
    say(show(summary, output), **summary, output=output)


def _submit(
    named: str, *, host: str | None, namespace: str | None, words: dict[str, str], experiment: str, run_name: str,
    wait: bool, no_cache: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Start a run on Kubeflow; nothing is sent before its parameters are known to fit."""
    from bodyposenet.pipelines.names import check_name
    from bodyposenet.pipelines.package import find_package
    from bodyposenet.pipelines.parameters import from_words
    from bodyposenet.pipelines.server.connection import Server
    from bodyposenet.pipelines.submit import check, start

    package = find_package(named)
    values = from_words(words, package.inputs)
    check(values, package)
    check_name("pipeline", package.name)
    check_name("experiment", experiment)
    if run_name:
        check_name("run", run_name)
    if dry_run:
        what = f"would start a run of {package.name} {package.version} in the experiment {experiment}; nothing was sent"
        say(what, dry_run=True, pipeline=package.name, version=package.version, experiment=experiment)
        return
    server = Server(host, namespace)
    sent = package.without_cache() if no_cache else package
    run_id = start(server, sent, values, experiment=experiment, name=run_name)
    say(f"run {run_id}: {server.page(run_id)}", run=run_id, page=server.page(run_id))
    if wait:
        follow_run(server, run_id)


def _refuse(ctx: click.Context, names: tuple[str, ...], named: str | None) -> None:
    """Tell of flags that mean nothing here; what the environment says of a server is no flag."""
    for param in ctx.command.params:
        if param.name in names and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            where = "without a pipeline's NAME it runs here" if named is None else "a run on Kubeflow does not take it"
            raise click.UsageError(f"{param.opts[-1]}: {where}; see bpnet pipeline run --help")
