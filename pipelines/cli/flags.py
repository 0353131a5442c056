"""Flags: the options that several verbs of Kubeflow share, and how their text becomes values."""

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from bodyposenet.pipelines.server.access import HOST, NAMESPACE

F = TypeVar("F", bound=Callable[..., Any])
CLUSTER = {  # options, and the variables that say the same
    "gpus": "BODYPOSENET_GPUS",
    "gpu_kind": "BODYPOSENET_GPU_KIND",
    "spot": "BODYPOSENET_SPOT",
    "volume": "BODYPOSENET_VOLUME",
    "mount": "BODYPOSENET_MOUNT",
    "retries": "BODYPOSENET_RETRIES",
    "run_as": "BODYPOSENET_RUN_AS",
}


def connection_options(function: F) -> F:
    """``--host`` and ``--namespace``: where Kubeflow Pipelines is."""
    host = click.option("--host", envvar=HOST, help=f"Address of Kubeflow Pipelines.  [default: ${HOST}]")
    whose = f"Of a Kubeflow with several users.  [default: ${NAMESPACE}]"
    return host(click.option("--namespace", envvar=NAMESPACE, help=whose)(function))


def parameter_options(function: F) -> F:
    """``-p``: parameters of a pipeline."""
    text = "Parameter of the pipeline; KEY=@FILE takes the file's text. May be repeated."
    return click.option("-p", "--parameter", "words", multiple=True, callback=pairs, metavar="KEY=VALUE", help=text)(
        function
    )


def cluster_options(function: F) -> F:
    """What differs from cluster to cluster; the pipelines read it from the environment when they are imported."""

    @functools.wraps(function)
    def with_cluster(*arguments: Any, **options: Any) -> Any:
        for name, variable in CLUSTER.items():
            value = options.pop(name)
            if value is not None:
                os.environ[variable] = str(value).lower() if isinstance(value, bool) else str(value)
        return function(*arguments, **options)

    options = (
        click.option("--gpus", type=click.IntRange(0), help="For each task that computes on GPUs.  [default: 0]"),
        click.option("--gpu-kind", help="Kubernetes' name of the resource.  [default: nvidia.com/gpu]"),
        click.option("--spot", is_flag=True, default=None, help="Trainings may run on GKE's spot nodes."),
        click.option("--volume", help="PersistentVolumeClaim that all tasks mount, for photos and checkpoints."),
        click.option("--mount", help="Where.  [default: /data]"),
        click.option("--retries", type=click.IntRange(0), help="Of a task that failed.  [default: 3]"),
        click.option(
            "--run-as",
            metavar="USER:GROUP",
            help="Numbers that tasks run as; empty: the cluster's.  [default: 1000:1000]",
        ),
    )
    decorated: Any = with_cluster
    for option in reversed(options):
        decorated = option(decorated)
    return cast("F", decorated)


def pairs(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """``KEY=VALUE`` texts as a dict.

    Raises:
        click.BadParameter: One has no ``=``, or its key is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE, such as model_name=mine")
        if key in found:
            raise click.BadParameter(f"{key} is given twice")
        found[key] = value
    return found
