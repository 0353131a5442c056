"""Registry: exported networks as versions of a registered model, and which of them is the champion."""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import PassingError, UserError
from bodyposenet.common.plain_text import hide_secrets
from bodyposenet.common.storage.digests import digest_settings
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.json_files import read_json, take_mapping
from bodyposenet.common.tracking import events
from bodyposenet.common.tracking.mlflow_store import (
    connect,
    impatient,
    quiet_mlflow,
    reason,
    tracking_uri,
)
from bodyposenet.common.tracking.model_names import require_model_name
from bodyposenet.common.tracking.runs import current_run, task_run
from bodyposenet.common.tracking.versions import download

log = logging.getLogger(__name__)

SERVER_AT_FAULT = 500  # and above, of HTTP's codes
CHAMPION, CANDIDATE = "champion", "candidate"  # aliases
INPUTS, BEAT, AP = "inputs", "beat", "metric.ap"  # tags of a version
NETWORK, SETTINGS = "model.onnx", "inference_spec.json"  # files of a fetched version
LOGGED = "models:/"  # where a version comes from that is a logged model; its id follows
ABSENT = "RESOURCE_DOES_NOT_EXIST"  # MLflow's word


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes:
        version: Its number, as text.
        ap: What it was registered with; None if nothing was measured.
        tags: What else was told of it.
        model_id: Of its logged model; nothing on servers of MLflow 2.
    """

    version: str
    ap: float | None
    tags: dict[str, str]
    model_id: str = ""


def register_model(
    onnx: Path,
    *,
    metrics: Mapping[str, Any],
    alias: str = CANDIDATE,
    name: str = "bodyposenet",
    tags: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    buffer: Path | None = None,
) -> str:
    """Register an exported network, so that ``models:/<name>@<alias>`` takes a photo and returns people.

    The version belongs to the run of the :func:`task_run` block around the call, or to a run of its own. Beside what is
    given it is tagged with its skeleton and with a digest of the settings.

    Args:
        onnx: What ``export`` or ``quantize`` wrote.
        metrics: What was measured of it; logged for the version and its run.
        alias: Moved to the new version.
        name: The registered model.
        tags: Where it comes from and what it is: ``inputs`` (a digest of all that it was made from), parameters,
            GFLOPs, digests of specs.
        settings: The inference spec's keys that it was evaluated with; those left out have their defaults, the input
            size that of the training. Paths in it mean nothing elsewhere and are dropped.
        buffer: As of :func:`task_run`, where there is no block around the call.

    Returns:
        The version; nothing where nothing is tracked, or where the store is away and there is a buffer (then it is
        registered when that is sent).

    Raises:
        UserError: There is no such file, it is no network, or the store did not register it and nothing keeps it.
    """
    require_model_name(name)
    if not onnx.is_file():
        raise UserError("no such model file", where=str(onnx), fix="export one: bpnet export")
    kept = {key: value for key, value in (settings or {}).items() if key not in ("model_path", "train_spec")}
    event = {
        "op": "register",
        "path": str(onnx),
        "metrics": events.metrics([(None, metrics)])["values"],
        "alias": alias,
        "name": name,
        "tags": {key: events.param_text(value) for key, value in (_facts(onnx, kept) | dict(tags or {})).items()},
        "settings": kept,
    }
    around = current_run()
    if around is not None:
        return around.deliver(event)
    with task_run("register", buffer=buffer) as run:
        return run.deliver(event)


def _facts(onnx: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    from bodyposenet.common.deploy.onnx_file import card_of_model, read_model

    card = card_of_model(read_model(onnx), onnx)
    return {"skeleton": card.skeleton.name, "spec_sha256": digest_settings(settings, default=str)}


def find_champion(name: str, *, inputs: str = "") -> Registered | None:
    """The version that a new network has to beat.

    Args:
        name: The registered model.
        inputs: Digest of all that the new network was made from. A champion with the same tag is this very network,
            made by an earlier attempt: then the one that it beat is the answer.

    Returns:
        The version, or None where there is none, or where nothing is tracked.

    Raises:
        UserError: The store does not answer: whoever took that for "no champion" might promote a worse network.
    """
    if not tracking_uri():
        log.info("MLFLOW_TRACKING_URI is not set: there is no champion of %s", name)
        return None
    with ask_store(name) as client:
        found = _at(client, name, _aliases(client, name).get(CHAMPION, ""))
        seen: set[str] = set()
        while found and inputs and found.tags.get(INPUTS) == inputs and found.version not in seen:
            seen.add(found.version)
            found = _at(client, name, found.tags.get(BEAT, ""))
        return None if found and found.version in seen else found


def find_registered(name: str, inputs: str, network: str) -> str:
    """The version that holds this very network, made from these inputs; nothing where there is none.

    Args:
        name: The registered model.
        inputs: Digest of all that it was made from, as in the tag ``inputs``.
        network: Digest of its file, as in the tag ``network_sha256``.

    Raises:
        UserError: The store does not answer.
    """
    if not tracking_uri():
        return ""
    with ask_store(name) as client:
        wanted = f"name = '{name}' AND tags.`{INPUTS}` = '{inputs}'"
        found = client.search_model_versions(wanted, max_results=100)
        return next((str(each.version) for each in found if each.tags.get("network_sha256") == network), "")


def promote(name: str, version: str, *, over: str = "") -> None:
    """Make a version the champion; where nothing is tracked, nothing happens.

    Args:
        name: The registered model.
        version: The version.
        over: The version that it beat, if there was one; see :func:`find_champion`.

    Raises:
        UserError: There is no such version, or the store does not answer.
    """
    if not tracking_uri():
        log.info("MLFLOW_TRACKING_URI is not set: nothing is promoted")
        return
    with ask_store(name) as client:
        if not _at(client, name, version):
            raise UserError(f"there is no version {version!r}", where=name, fix="name a registered version")
        client.set_model_version_tag(name, version, BEAT, over)
        client.set_registered_model_alias(name, CHAMPION, version)


def tag_version(name: str, version: str, tags: Mapping[str, str]) -> None:
    """Tell more of a version than was known when it was registered.

    Raises:
        UserError: There is no such version, or the store does not answer.
    """
    with ask_store(name) as client:
        for key, value in tags.items():
            client.set_model_version_tag(name, version, key, value)


def fetch(name: str, version_or_alias: str, folder: Path) -> Path:
    """Download a registered network and the settings it was evaluated with.

    Args:
        name: The registered model.
        version_or_alias: Which of its versions.
        folder: Is made; gets ``model.onnx`` and ``inference_spec.json``.

    Returns:
        The network's file.

    Raises:
        UserError: There is no such version, nothing is tracked, or the store does not answer.
    """
    found = find_version(name, version_or_alias)
    if found is None:
        raise UserError(f"has no version or alias {version_or_alias!r}", where=name, fix="register a network first")
    folder.mkdir(parents=True, exist_ok=True)
    with ask_store(name, upload=True), tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as aside:
        onnx, settings = download(f"models:/{name}/{found.version}", Path(aside), tracking_uri())
        with whole_file(folder / SETTINGS) as file:
            file.write(json.dumps(settings, indent=1).encode())
        shutil.move(onnx, folder / NETWORK)
    return folder / NETWORK


def settings_in(folder: Path) -> dict[str, Any]:
    """The settings that :func:`fetch` put beside a network."""
    return read_json(folder / SETTINGS, take_mapping, what="mapping of settings", fix="fetch the network again")


def find_version(name: str, version_or_alias: str) -> Registered | None:
    """A version by its number or by an alias, or None where there is none.

    Raises:
        UserError: Nothing is tracked, or the store does not answer.
    """
    if not tracking_uri():
        raise UserError("MLFLOW_TRACKING_URI is not set", where=name, fix="set it to the store that has the model")
    with ask_store(name) as client:
        given = version_or_alias
        return _at(client, name, given if given.isdecimal() else _aliases(client, name).get(given, ""))


@contextmanager
def ask_store(name: str, *, upload: bool = False) -> Iterator[Any]:
    """Open MLflow's client; whatever it raises within becomes a message.

    Args:
        name: What it is asked about.
        upload: Files are sent or fetched, which takes longer.

    Raises:
        UserError: It does not answer, or refuses.
        PassingError: That may pass by itself.
    """
    try:
        with impatient(upload=upload), quiet_mlflow():
            yield connect()
    except UserError:
        raise
    except Exception as error:
        problem = f"{hide_secrets(tracking_uri())} does not tell of it ({reason(error)})"
        kind = PassingError if _may_pass(error) else UserError
        raise kind(problem, where=name, fix="check MLFLOW_TRACKING_URI and that server, and run it again") from error


def _may_pass(error: Exception) -> bool:
    """Whether a server was away or at fault, and not what it was asked, nor this machine."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import HTTPError, Timeout

    if isinstance(error, MlflowException):
        return bool(error.get_http_status_code() >= SERVER_AT_FAULT)
    if isinstance(error, HTTPError) and error.response is not None:
        return bool(error.response.status_code >= SERVER_AT_FAULT)
    return isinstance(error, NoConnection | Timeout)


def _aliases(client: Any, name: str) -> dict[str, str]:
    """Version by alias; nothing of a model that there is not."""
    found = ask_or_none(client.get_registered_model, name)
    return {alias: str(version) for alias, version in found.aliases.items()} if found else {}


def _at(client: Any, name: str, version: str) -> Registered | None:
    found = ask_or_none(client.get_model_version, name, version) if version.isdecimal() else None
    if found is None:
        return None
    ap = found.tags.get(AP)
    model_id = str(found.source or "").removeprefix(LOGGED) if str(found.source).startswith(LOGGED) else ""
    return Registered(str(found.version), float(ap) if ap else None, dict(found.tags), model_id)


def ask_or_none(ask: Any, *what: Any) -> Any:
    """Call a method of the client; None where the store says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    try:
        return ask(*what)
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return None
