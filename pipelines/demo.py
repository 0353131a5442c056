"""Demo: the prune-and-retrain pipeline on this machine, without Kubernetes and without Docker.

python -m bodyposenet.pipelines.demo --output build/demo [--data FOLDER] [--epochs 2]
"""

import argparse
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.errors import UserError
from bodyposenet.common.exits import INTERRUPTED
from bodyposenet.common.kubeflow.parameter_values import to_kfp
from bodyposenet.common.pages.numbers import format_measure, precision
from bodyposenet.common.report.comparison_table import Stage, write_table
from bodyposenet.common.retention.local_runs import CACHE
from bodyposenet.common.retention.local_runs import PIPELINE as PIPELINE_FOLDER
from bodyposenet.common.storage.files import write_text
from bodyposenet.pipelines.here.extras import add_photo
from bodyposenet.pipelines.here.family import die_with_parent
from bodyposenet.pipelines.here.job import Extra, Job
from bodyposenet.pipelines.here.local import read_compiled
from bodyposenet.pipelines.here.messages import News
from bodyposenet.pipelines.here.past import code_digest, is_new, mark_complete, name_run, sole_user
from bodyposenet.pipelines.here.run import Places, run_here
from bodyposenet.pipelines.here.screen import Screen
from bodyposenet.pipelines.here.stages import titles
from bodyposenet.pipelines.specs import PEOPLE, default_for

PIPELINE = "prune_retrain"
STAGES = ("base", "pruned", "retrained", "int8")
FIGURES = ("ap", "params", "gflops", "bytes", "latency_ms")
# A plain machine is to be done in some minutes. The start weights know drawn people already, so a little training keeps
# every row of the table within .02 of the one above; the specs' own epochs, for photos, are more.
DRAWN = "synthetic:300,200"
TRAININGS = {"train": 2, "retrain": 3}  # and their epochs
ELSEWHERE = re.compile(r"synthetic:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)  # what the pipeline takes on Kubeflow
EVERY = ("checkpoint_n_epoch", "validation_every_n_epoch")  # keys that count epochs, of which there may be fewer
PHOTO = "photo"  # folder of what was found in a real photo
NOBODY = -1.0  # COCO's AP of a set without labelled people


def demo(
    output: Path, *, data: str = "", epochs: int | None = None, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Run the pipeline under ``kfp.local`` and write ``summary.json`` and ``report.html``.

    Args:
        output: Gets everything: the pipeline's artifacts, the MLflow store, the summary and the report.
        data: Folder with ``images/`` and annotations, as any verb reads them; empty draws people.
        epochs: Of both trainings; by default those of the specs for photos, and fewer for drawn people.
        changes: Arguments of the pipeline that are not to have their defaults, specs as dicts among them.

    Returns:
        The summary: ceiling and start AP, the figures of each stage, and the seconds it all took.

    Raises:
        UserError: ``data`` has no photos, or no keypoint files.
    """
    begun = time.monotonic()
    if data:
        _check_data(data, (changes or {}).get("dataset_spec"))  # now, rather than by the task that would find out
    output = Path(output).resolve()
    output.mkdir(parents=True, exist_ok=True)
    arguments = {
        **_specs(epochs, drawn=not data),
        "data": str(Path(data).resolve()) if data else DRAWN,
        **(changes or {}),
    }
    with sole_user(output) as held:
        with _surroundings(output, name_run(output, arguments)):
            ended = run_here(_job(arguments, output), Places(output), _screen(output), held)
        summary = _summarize(ended, output, time.monotonic() - begun)
        mark_complete(output, [Path(path) for news in ended.values() for path in news.files.values()])
    return summary


def preview(data: str) -> list[str]:
    """Read the annotations, if data are given, and name the tasks that a run would have.

    Raises:
        UserError: ``data`` has no photos, or no keypoint files.
    """
    if data:
        _check_data(data, None)
    return titles(read_compiled(PIPELINE)[0])


def _check_data(data: str, spec: Any) -> None:
    """Read the annotations of a folder."""
    if ELSEWHERE.match(data):
        fix = "download it first; without data people are drawn"
        raise UserError("a run on this machine takes a folder of its disks", where=data, fix=fix)
    make_dataset_spec(Path(data), spec)


def _screen(output: Path) -> Screen:
    screen = Screen(len(titles(read_compiled(PIPELINE)[0])) + 2)
    screen.say(f"All that the stages print goes to {Places(output).log}")
    return screen


def _specs(epochs: int | None, *, drawn: bool) -> dict[str, Any]:
    specs = {f"{name}_spec": default_for(name, drawn=drawn) for name in PEOPLE}
    for name, few in TRAININGS.items():
        if wanted := epochs or (few if drawn else None):
            spec = specs[f"{name}_spec"]
            kept = {key: min(spec[key], wanted) for key in EVERY if key in spec}
            specs[f"{name}_spec"] = {**spec, **kept, "num_epoch": wanted}
    return specs


def _job(arguments: Mapping[str, Any], output: Path) -> Job:
    """The pipeline with its arguments, and what is measured beside it."""
    given = {name: arguments[f"{name}_spec"] for name in ("train", "inference")}
    start = {"training": given["train"], "inference": given["inference"], "results": str(output / "start")}
    epochs = [arguments[f"{name}_spec"].get("num_epoch", 1) for name in TRAININGS]
    cache = output / CACHE / code_digest()
    forecast = {"Forecast": _extra("forecast", "here.forecast:foresee", data=arguments["data"], epochs=epochs)}
    return Job(
        PIPELINE,
        {**to_kfp(arguments), "work": str(output / "checkpoints")},
        root=str(output / PIPELINE_FOLDER),
        cache=str(cache),
        before=forecast if is_new(cache) else {},
        after={
            "Start weights": _extra("start", "here.extras:start_numbers", **start),
            "A photo": _extra("photo", "here.extras:look_at_photo", results=str(output / PHOTO)),
        },
        results=str(output),
    )


def _extra(component: str, function: str, **arguments: Any) -> Extra:
    return {"component": component, "target": f"bodyposenet.pipelines.{function}", "arguments": arguments}


def _summarize(ended: Mapping[str, News], output: Path, seconds: float) -> dict[str, Any]:
    """Write the summary and the report beside the pipeline's artifacts."""
    report = {name: Path(path) for name, path in ended["Report"].files.items()}
    page = report["page"].read_text(encoding="utf-8")
    write_text(output / "report.html", add_photo(page, output / PHOTO))
    figures = unflatten(json.loads(report["figures"].read_text(encoding="utf-8")))
    start = ended["Start weights"].numbers.get("ap", NOBODY)
    summary = {
        "ceiling_ap": figures.pop("ceiling_ap"),
        "start_ap": None if start == NOBODY else start,
        **{name: {key: figures[name].get(key) for key in FIGURES} for name in STAGES},
        "forecast_seconds": ended["Forecast"].numbers.get("seconds") if "Forecast" in ended else None,
        "seconds": round(seconds, 1),
    }
    write_text(output / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary


def unflatten(figures: Mapping[str, float]) -> dict[str, Any]:
    """``{"base.ap": 0.6}`` as ``{"base": {"ap": 0.6}}``."""
    nested: dict[str, Any] = {}
    for name, value in figures.items():
        stage, dot, key = name.partition(".")
        if dot:
            nested.setdefault(stage, {})[key] = value
        else:
            nested[name] = value
    return nested


def show(summary: dict[str, Any], output: Path) -> str:
    """The summary as a table, and where to look further."""
    stages = [Stage(name=name, **summary[name]) for name in STAGES]
    return "\n".join((
        "",
        write_table(stages, summary["ceiling_ap"]),
        "",
        f"start weights AP {format_measure(summary['start_ap'], precision)}, "
        f"ceiling AP of the set {format_measure(summary['ceiling_ap'], precision)}",
        f"report   {output / 'report.html'}",
        f"summary  {output / 'summary.json'}",
        f"MLflow   {_describe_store(find_store(output))}",
        f"log      {Places(output).log}",
        f"took     {summary['seconds'] / 60:.1f} minutes",
    ))  # fmt: skip


def _describe_store(uri: str) -> str:
    """Say where to look at the tracked runs: a server's address, or how to start one on the store."""
    return uri if uri.startswith("http") else f"mlflow server --backend-store-uri {uri}"


def find_store(output: Path) -> str:
    """Return where a demo's runs are tracked: where the environment says, else in a file of its folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{output / 'mlflow.db'}"


@contextlib.contextmanager
def _surroundings(output: Path, run: str) -> Iterator[None]:
    """Give the tasks the environment that they need, and leave it as it was: another demo has another store."""
    given = {
        "MLFLOW_TRACKING_URI": find_store(output),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "BODYPOSENET_PIPELINE_RUN": run,
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Train, prune, retrain, quantize and evaluate on this machine.")
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="where everything goes")
    parser.add_argument("--data", default="", help="folder with images/ and annotations; default: drawn people")
    parser.add_argument("--epochs", type=int, help="of both trainings")
    parser.add_argument("--with-parent", action="store_true", help="end when the process ends that started this")
    given = parser.parse_args()
    if given.with_parent:
        die_with_parent(signal.SIGTERM)
    if given.epochs is not None and given.epochs < 1:
        parser.error(f"--epochs must be 1 or more (got {given.epochs})")
    try:
        print(show(demo(given.output, data=given.data, epochs=given.epochs), given.output))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))
    except KeyboardInterrupt:
        print("interrupted; run it again: it goes on where it was", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
