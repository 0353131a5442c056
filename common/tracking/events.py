"""Events: what a run logs, as JSON data, and how MLflow is told: at once, or later from a buffer on disk."""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.plain_text import clean_message, hide_secrets
from bodyposenet.common.storage.inside import stays_inside
from bodyposenet.common.storage.stores.schemes import find_scheme
from bodyposenet.common.tracking.datasets import Dataset
from bodyposenet.common.tracking.mlflow_store import Store, impatient, is_refusal, log, quiet_mlflow

LONGEST_VALUE = 500  # characters of a parameter; MLflow 3 takes 6000, but nobody reads them in a table
LONGEST_TAG = 5000  # characters; MLflow's limit is 8000
LONGEST_DIGEST = 36  # characters; MLflow's limit
FAILURE_TAG = "bodyposenet.failure"
BATCH = 100  # MLflow's limit of parameters in one request; it takes more metrics
NEEDED = ("register", "keep")  # what must not be lost

Event = dict[str, Any]


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level with dotted names MLflow accepts: ``{"a": {"b": 1}}`` is ``{"a.b": 1}``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and value:
            found |= flat(value, key)
        else:
            found[re.sub(r"[^\w\-. :/]", "_", key, flags=re.ASCII)[:250]] = value
    return found


def param_text(value: Any) -> str:
    """A parameter as text: words as they are but for secrets of addresses, all else as JSON."""
    return hide_secrets(value if isinstance(value, str) else json.dumps(value, default=str))


def params(values: Mapping[str, Any], prefix: str) -> Event:
    """Parameters; a value too long for MLflow's table is cut there and kept whole as ``params/<name>.txt``."""
    texts = {name: param_text(value) for name, value in flat(values, prefix).items()}
    whole = {name: text for name, text in texts.items() if len(text) > LONGEST_VALUE}
    cut = {name: text if name not in whole else text[: LONGEST_VALUE - 1] + "…" for name, text in texts.items()}
    return {"op": "params", "values": cut, "whole": whole}


def metrics(rows: Sequence[tuple[int | None, Mapping[str, Any]]]) -> Event:
    """Metrics of one or more steps; what is no number (text, lists, None) is left out.

    Args:
        rows: ``(step, values)``; a step of None is MLflow's 0.
    """
    time_logged = now()
    values = [
        [re.sub(r"[^\w\-. :/]", "_", str(name), flags=re.ASCII)[:250], float(value), time_logged, step or 0]
        for step, row in rows
        for name, value in row.items()
        if isinstance(value, (int, float, np.number, np.bool_)) or getattr(value, "shape", None) == ()
    ]
    return {"op": "metrics", "values": values}


def artifact(path: Path, folder: str) -> Event:
    """A file, or a folder with all that is in it."""
    return {"op": "artifact", "path": str(path), "folder": folder}


def failure(error: BaseException) -> Event:
    """Why a run failed, as a tag."""
    text = str(error) or "no reason given"
    said = text if isinstance(error, UserError) else clean_message(f"{type(error).__name__}: {text}")
    return {"op": "tags", "values": {FAILURE_TAG: said[:LONGEST_TAG]}}


def dataset(used: Dataset) -> Event:
    """What a task worked on."""
    return {"op": "dataset", **asdict(used), "source": hide_secrets(used.source)}


def require_event(event: Any) -> None:
    """Refuse what is no event of a run that was kept; whoever kept it may be anybody.

    Raises:
        TypeError: It is no mapping with what its kind of event has.
    """
    forms = _FORMS.get(event.get("op") if isinstance(event, dict) else None)
    if forms is None or not all(isinstance(event.get(key), form) for key, form in forms.items()):
        raise TypeError(f"{str(event)[:80]!r} is no event")
    if event.get("folder") and not stays_inside(event["folder"]):
        raise ValueError(f"{event['folder']!r} is no folder of a run's")
    rows = event["values"] if event["op"] == "metrics" else event.get("metrics", ())
    if not all(map(_is_metric, rows)):
        raise TypeError("a metric is no name, number, time and step")
    if event["op"] in ("params", "tags"):
        texts = (*event["values"].values(), *event.get("whole", {}).values())
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"a value of {event['op']} is no text")


def _is_metric(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 4 or not isinstance(value[0], str):
        return False
    return isinstance(value[1], int | float) and all(type(number) is int for number in value[2:])


# What each kind of event has at least
_FORMS: dict[object, dict[str, type]] = {
    "params": {"values": dict, "whole": dict},
    "metrics": {"values": list},
    "artifact": {"path": str, "folder": str},
    "keep": {"path": str, "folder": str},
    "model": {"model_id": str},
    "dataset": {"name": str, "digest": str, "source": str, "profile": dict, "context": str},
    "register": {"path": str, "name": str, "alias": str, "metrics": list, "tags": dict, "settings": dict},
    "tags": {"values": dict},
    "end": {"status": str, "time": int},
}


def tell(store: Store, run_id: str, event: Event) -> str:
    """Send one event.

    A request the store understood and rejected (a parameter logged before with another value) costs a warning; but
    that a network is not registered, or something is not kept with it, is no small matter.

    Returns:
        What the store answered: the version of a registered model, otherwise nothing.

    Raises:
        Exception: Whatever MLflow raises when the store does not answer, or rejects a network.
    """
    with impatient(upload=event["op"] in ("artifact", *NEEDED)):
        try:
            return _TELL[event["op"]](store, run_id, event)
        except Exception as error:
            if event["op"] in NEEDED or not is_refusal(error):
                raise
            log.warning("the tracking store refused %s: %s", event["op"], error)
            return ""


def _tell_params(store: Store, run_id: str, event: Event) -> str:
    from mlflow.entities import Param

    for batch in _batches([Param(name, text) for name, text in event["values"].items()]):
        try:
            store.client.log_batch(run_id, params=batch)
        except Exception as error:
            if not is_refusal(error):
                raise
            _tell_one_by_one(store, run_id, batch)
    for name, text in event.get("whole", {}).items():
        store.client.log_text(run_id, text, f"params/{name.replace('/', '_')}.txt")
    return ""


def _tell_one_by_one(store: Store, run_id: str, batch: list[Any]) -> None:
    """One parameter that is refused takes its whole batch with it; without the others' company only it is lost."""
    for param in batch:
        try:
            store.client.log_batch(run_id, params=[param])
        except Exception as error:
            if not is_refusal(error):
                raise
            log.warning("the tracking store refused parameter %s: %s", param.key, error)


def _tell_metrics(store: Store, run_id: str, event: Event) -> str:
    from mlflow.entities import Metric

    for batch in _batches([Metric(*value) for value in event["values"]]):
        store.client.log_batch(run_id, metrics=batch)
    return ""


def _tell_artifact(store: Store, run_id: str, event: Event) -> str:
    path, folder = Path(event["path"]), event["folder"]
    if path.is_dir():
        store.client.log_artifacts(run_id, str(path), f"{folder}/{path.name}".lstrip("/"))
    else:
        store.client.log_artifact(run_id, str(path), folder or None)
    return ""


def _tell_model(store: Store, run_id: str, event: Event) -> str:
    from mlflow.entities import LoggedModelInput

    store.client.log_inputs(run_id, models=[LoggedModelInput(event["model_id"])])
    return ""


def _tell_dataset(store: Store, run_id: str, event: Event) -> str:
    from mlflow.entities import Dataset as Stored
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    scheme = find_scheme(event["source"])
    source = json.dumps({"uri": event["source"]})
    profile = json.dumps(event["profile"] | {"sha256": event["digest"]})
    found = Stored(event["name"], event["digest"][:LONGEST_DIGEST], scheme or "local", source, profile=profile)
    tag = InputTag(MLFLOW_DATASET_CONTEXT, event["context"])
    store.client.log_inputs(run_id, datasets=[DatasetInput(found, [tag])])
    return ""


def _tell_register(store: Store, run_id: str, event: Event) -> str:
    from bodyposenet.common.tracking.versions import add_version

    with quiet_mlflow():
        return add_version(store, run_id, event)


def _batches(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def _tell_tags(store: Store, run_id: str, event: Event) -> str:
    for name, text in event["values"].items():
        store.client.set_tag(run_id, name, text)
    return ""


_TELL = {
    "params": _tell_params,
    "metrics": _tell_metrics,
    "artifact": _tell_artifact,
    "keep": _tell_artifact,
    "model": _tell_model,
    "dataset": _tell_dataset,
    "register": _tell_register,
    "tags": _tell_tags,
}
