"""Services: whether MLflow and Kubeflow Pipelines answer where the environment says that they are."""

import os
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bodyposenet.common.doctor.line import Line
from bodyposenet.common.plain_text import bare_address

PATIENCE = 3.0  # seconds for an answer, name look-up and all
HEALTH = {  # service: its variable, and the path that answers without a login
    "MLflow": ("MLFLOW_TRACKING_URI", "/health"),
    "Kubeflow": ("KF_PIPELINES_ENDPOINT", "/apis/v2beta1/healthz"),
}
LOGIN = (401, 403)


@dataclass(frozen=True)
class Service:
    """A server or store that some verbs talk to.

    Attributes:
        name: ``MLflow`` or ``Kubeflow``.
        variable: The environment's variable that has its address.
        address: That, without user, password and query; None where it is not set.
        reachable: Whether it answers, or can be written; None where it is not set or of a kind that was not tried.
        detail: What it answered, or why not.
    """

    name: str
    variable: str
    address: str | None
    reachable: bool | None
    detail: str


def examine_services(environment: Mapping[str, str] = os.environ, patience: float = PATIENCE) -> list[Service]:
    """Ask each service whether it is there, all at once.

    Args:
        environment: Has their addresses.
        patience: Seconds to wait for all of them.
    """
    addresses = {name: environment.get(variable, "").strip() for name, (variable, _) in HEALTH.items()}
    waiting = {name: _ask(name, address, patience) for name, address in addresses.items()}
    return [_await(name, addresses[name], answer, patience) for name, answer in waiting.items()]


def describe_services(services: list[Service]) -> Iterator[Line]:
    """Tell whether they are there, a line each."""
    for service in services:
        where = service.address or f"{service.variable} is not set"
        text = f"{where}: {service.detail}" if service.detail else where
        yield Line(service.name, text, is_problem=service.reachable is False)


def _ask(name: str, address: str, patience: float) -> "queue.Queue[tuple[bool | None, str]]":
    """Ask in a thread, as looking up a name knows no time limit; the queue gets the answer."""
    answer: queue.Queue[tuple[bool | None, str]] = queue.Queue()
    threading.Thread(target=lambda: answer.put(ask_address(name, address, patience)), daemon=True).start()
    return answer


def _await(name: str, address: str, answer: "queue.Queue[tuple[bool | None, str]]", patience: float) -> Service:
    """Wait for an answer."""
    try:
        reachable, detail = answer.get(timeout=patience)
    except queue.Empty:
        reachable, detail = False, f"no answer within {patience:.3g} s"
    return Service(name, HEALTH[name][0], bare_address(address) if address else None, reachable, detail)


def ask_address(name: str, address: str, patience: float = PATIENCE) -> tuple[bool | None, str]:
    """Return whether a service is at an address, None where that cannot be tried, and what it said.

    Args:
        name: Of the service, a key of :data:`HEALTH`.
        address: A web address, or for MLflow a SQLite file or a folder; empty is not set.
        patience: Seconds to wait for a connection, and for an answer.
    """
    if not address:
        return None, ""
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        return _ask_web(address.rstrip("/") + HEALTH[name][1], patience)
    if name == "MLflow" and scheme in ("sqlite", "file", ""):
        return _look_at(address)
    return (None, f"{scheme}: is not tried") if name == "MLflow" else (False, "is no web address: http:// or https://")


def _ask_web(url: str, patience: float) -> tuple[bool, str]:
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    try:
        with urllib.request.urlopen(bare, timeout=patience) as answer:
            return True, f"answers ({answer.status})"
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in LOGIN:
            return True, f"answers, and asks for a login ({error.code})"
        return False, f"answers {error.code} {error.reason}; is the address right?"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return False, f"does not answer: {getattr(reason, 'strerror', None) or type(reason).__name__}"


def _look_at(address: str) -> tuple[bool, str]:
    """Tell whether a store on a disk can be written, or made."""
    parts = urlsplit(address)
    name = parts.path[1:] if parts.scheme == "sqlite" else parts.path  # three slashes precede a relative path
    path = Path(unquote(name) if parts.scheme == "file" else name)
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not os.access(nearest, os.W_OK):
        return False, "cannot be written"
    return True, "can be written" if path.exists() else "will be made"
