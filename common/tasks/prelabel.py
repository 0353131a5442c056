"""Prelabel: drafts of labels for new photos, of people that a registered network finds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.spec.document import read_settings
from bodyposenet.common.spec.words import LabelFormat
from bodyposenet.common.steps.prelabel import run_prelabel
from bodyposenet.common.steps.registered_network import fetch_network
from bodyposenet.common.storage.locking import scratch_folder
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import Settings, note
from bodyposenet.common.tracking import task_run


@report_failures
def prelabel(
    source: str, name: str, alias: str, inference_spec: Settings, labels: str, metrics: str, *,
    choice: Mapping[str, Any], work: str = "",
) -> tuple[str, dict[str, float]]:  # fmt: skip
    """Write the people that a registered network finds in new photos for a labelling tool.

    Args:
        source: A folder or zip archive, on a disk or in a bucket.
        name: The registered model.
        alias: Which of its versions: an alias, or a version's number.
        inference_spec: Keys of an inference spec that are to be others than those the network was registered with.
        labels: Folder; gets the files to import, and ``order.csv``.
        metrics: Gets the numbers.
        choice: What to write: the fields of :class:`bodyposenet.common.inference.prelabel.LabelChoice`.
        work: Where finished parts are kept until all are there: a folder or bucket that a second attempt sees, too.

    Returns:
        The outcome in a sentence or two, and the numbers.

    Raises:
        UserError: The store does not answer or has no such version, the choice is none that there is, or there are no
            photos that can be used. A photo that cannot, among others, is reported instead.
    """
    from bodyposenet.common.inference.prelabel import LabelChoice

    wanted = LabelChoice(**choice)
    _check(wanted.form, wanted.limit, wanted.least)
    folder = Path(labels)
    with task_run("prelabel", buffer=folder) as run, scratch_folder() as aside:
        settings = read_settings(restore_ints(inference_spec), "inference_spec").data
        network = fetch_network(name, alias, settings, Path(aside))
        done, numbers = run_prelabel(
            run, network.file, network.spec, source, folder, wanted, name=network.title, work=work
        )
    return done.summary(), note(numbers, metrics)


def _check(form: str, limit: int, least: float) -> None:
    """Refuse what the command line would refuse.

    Raises:
        UserError: A value is none that there is.
    """
    known = get_args(LabelFormat)
    if form not in known:
        raise UserError(f"there is no format {form!r}", where="label_format", fix=f"take one of: {', '.join(known)}")
    if limit < 0:
        raise UserError(f"is {limit}", where="limit", fix="write how many photos, or 0 for all")
    if not 0 <= least <= 1:
        raise UserError(f"is {least:g}", where="least_score", fix="write a score from 0 to 1")
