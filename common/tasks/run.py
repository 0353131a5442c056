"""Tasks at a run's beginning and end: what the inputs are, whether they are new, and what became of them."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow.parameter_values import restore_ints, to_kfp
from bodyposenet.common.pages.markdown import keep_underscores
from bodyposenet.common.report.run_summary import describe_state, summarize
from bodyposenet.common.spec.deploy import DeploySpec
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import Settings, compute_digest
from bodyposenet.common.tracking import task_run
from bodyposenet.common.tracking.attachments import HOLD_OUT, find_attachment
from bodyposenet.common.tracking.history import (
    ASKED,
    COMPLETES,
    ENDINGS,
    SAME_AS,
    RunPages,
    find_completed,
    find_ending,
    find_pages,
    read_digest,
    task_rows,
)
from bodyposenet.common.tracking.mlflow_store import pipeline_run
from bodyposenet.common.tracking.registry import find_champion
from bodyposenet.common.tracking.start_weights import describe_start

UNKNOWN = "unknown"  # what was asked for, where the tracking store did not take it

log = logging.getLogger(__name__)


@report_failures
def fingerprint(
    given: Mapping[str, Settings], defaults: Settings, outputs: Mapping[str, str], *, data: str, start_weights: str,
    model_name: str, only_if_new: bool, salt: str, more: Settings | None = None, bound: float = 0.0,
) -> bool:  # fmt: skip
    """Read, check and digest the inputs of a run; whether there is anything to do.

    Args:
        given: For each spec its settings, or the place of their file; see :func:`read_inputs`.
        defaults: Settings of each spec where nothing is given; under ``photos`` those for photos.
        outputs: File of each output by its name.
        data: A folder with photos, or how many people to draw.
        start_weights: A model to start from, in place of the train spec's; see :func:`choose_start`.
        model_name: In MLflow's registry.
        only_if_new: There is nothing to do if a run that was asked for the very same came to a good end.
        salt: Another text makes every task run again.
        more: What else the tasks depend on: the ``cuts`` of a sweep; the ``gpus`` that train side by side, as more of
            them make larger batches.
        bound: Of the AP, or of its loss, with which a network is registered.

    Returns:
        False if such a run was, and that is all there is to do.
    """
    from bodyposenet.common.tasks.run_inputs import read_inputs

    with task_run("fingerprint", first=True) as run:
        if not 0 <= bound <= 1:
            problem = f"an AP, and a loss of it, is from 0 to 1 (got {bound:g})"
            raise UserError(problem, where="min_ap or max_ap_drop", fix="write 0.55 for 55 %")
        read = read_inputs(
            restore_ints(given), restore_ints(defaults), data=data, start_weights=start_weights,
            model_name=model_name, salt=salt, more=restore_ints({"cuts": [], "gpus": 1, **(more or {})}),
        )  # fmt: skip
        deploy = read.checked.get("deploy_spec", DeploySpec())
        asked = compute_digest([read.request, model_name, bound])
        run.log_params({"data": data, "photos": read.photos, "inputs": read.digest}, prefix="data")
        if read.wish:
            told = describe_start(read.start)
            log.info("%s", told)
            run.log_params({"start": told}, prefix="data")
        champion = find_champion(model_name, inputs=read.digest)
        done = find_completed(asked) if only_if_new else ""
        run.log_params({SAME_AS: done} if done else {ASKED: asked}, prefix="data")
    news = not done
    reason = "new inputs" if news else f"nothing new: run {done} had the same photos, weights and specs"
    log.info("%s", reason)
    _write(outputs, {**read.specs, **deploy.model_dump(mode="json")})
    _write(outputs, {"photos": read.photos, "weights": read.weights, "parts": read.parts, "inputs": read.digest})
    held_out = find_attachment(champion.tags, HOLD_OUT) if champion else None
    _write(outputs, {"champion": champion.version if champion else "", "hold_out": str(held_out or "")})
    _write(outputs, {"reason": reason})
    return news


@report_failures
def finish() -> None:
    """Note in the tracking store that a run came to a good end, where its summary and later fingerprints look.

    It is called where only a good end arrives. A store that does not answer costs the note, and not the run.
    """
    try:
        asked = read_digest(pipeline_run())
    except Exception as problem:
        log.warning("the tracking store does not tell what was asked for: %s", problem)
        asked = ""
    with task_run("finish") as run:
        run.log_params({COMPLETES: asked or UNKNOWN}, prefix="data")


@report_failures
def summary(name: str, data: str, state: str, error: str, page: str) -> None:
    """Write what became of a run, whatever happened: its tasks, why one failed, and their numbers.

    How it ended its own tasks tell, in the tracking store.

    Args:
        name: Of the pipeline.
        data: What it was given.
        state: Kubeflow's word for how it ended; a server's ``COMPLETE`` and ``RUNNING`` may mean anything.
        error: What Kubeflow says of a failure.
        page: Gets the summary, as Markdown.
    """
    try:
        rows, ending, pages = task_rows(pipeline_run()), find_ending(pipeline_run()), find_pages(pipeline_run())
    except Exception as problem:  # a summary is written whatever happened, to the tracking store too
        log.warning("the tracking store does not tell of the tasks: %s", problem)
        rows, ending, pages = [], "", RunPages()
    with task_run("summary", ending=ENDINGS.get(ending, "")):
        text = summarize(name, data, ending or describe_state(state), error, rows, pages.run)
    Path(page).parent.mkdir(parents=True, exist_ok=True)
    Path(page).write_text(keep_underscores(text), encoding="utf-8")
    print(text)


def _write(outputs: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Write each value that is asked for where Kubeflow looks for it."""
    for name, value in values.items():
        if name in outputs:
            Path(outputs[name]).parent.mkdir(parents=True, exist_ok=True)
            Path(outputs[name]).write_text(
                value if isinstance(value, str) else json.dumps(to_kfp(value)), encoding="utf-8"
            )
