"""Tracking verbs: what there is to do with the MLflow store."""

from pathlib import Path

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import DiskType, example
from bodyposenet.common.cli.printing import json_option, say
from bodyposenet.common.cli.verb_group import WholeSentences
from bodyposenet.common.pages.numbers import pluralize


@click.group("tracking", cls=WholeSentences)
def tracking_group() -> None:
    """Send to the MLflow store that MLFLOW_TRACKING_URI names what it has missed."""


@tracking_group.command("send", cls=ErrorHandlingCommand, epilog=example("bpnet tracking send results/exp_m1_unpruned"))
@click.argument("folder", type=DiskType())
@json_option
def send(folder: Path) -> None:
    """Send what was kept in FOLDER while the store was away."""
    from bodyposenet.common.tracking import send_buffered

    sent = send_buffered(folder)
    say(f"sent {pluralize(len(sent), 'run')}" + "".join(f"\n  {run}" for run in sent), runs=sent)
