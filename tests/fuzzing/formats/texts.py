"""Texts: addresses, names and what servers answer."""

import json

from fuzzing.parser import Parser, json_files, text_files

from bodyposenet.common.errors import UserError


def addresses(folder):
    return text_files(
        "gs://bucket/a/b", "s3://bucket/a", "abfs://container@account.dfs.core.windows.net/a", "az://c/a",
        "https://user:SECRET@host:80/a/b?token=SECRET#x", "http://[::1]:8080/a", "/data/photos", "photos/a.jpg",
        "C:/photos",
        "sqlite:///m.db", "postgresql://h/db?user=u&password=SECRET", "models:/a@b", "runs:/a/b", "file:///a",
    )  # fmt: skip


def _address(path):
    from bodyposenet.common.plain_text import bare_address, clean_message
    from bodyposenet.common.storage.files import find_bytes
    from bodyposenet.common.storage.location import locate

    text = path.read_bytes().decode(errors="surrogateescape")
    clean_message(text)
    bare_address(text)
    place = locate(text)
    place / "below", place.name, place.parent, place.suffix, str(place)
    if not place.remote:
        find_bytes(place)


def _tracking_address(path):
    from bodyposenet.common.plain_text import hide_secrets
    from bodyposenet.common.tracking.mlflow_store import tracking_uri

    text = path.read_bytes().decode(errors="replace").replace("\0", "")
    with _variable("MLFLOW_TRACKING_URI", text):
        hide_secrets(tracking_uri() or "")


def _variable(name, value):
    import os
    from unittest import mock

    return mock.patch.dict(os.environ, {name: value})


def _status_line(path):
    """What a stranger's texts become in a message, a status line and a log line."""
    from bodyposenet.common.storage.status_log import StatusLog

    text = path.read_bytes().decode(errors="surrogateescape")
    said = str(UserError(text, where=text, fix=text))
    assert all(each.isprintable() or each in "\n\t" for each in said)
    StatusLog(path.parent).write("FAILURE", message=said)
    json.loads((path.parent / "status.json").read_text(encoding="utf-8").splitlines()[-1])
    (path.parent / "status.json").unlink()


def network_names(folder):
    return text_files(
        "pretrained:people", "models:/bodyposenet@champion", "models:/bodyposenet/3", "auto", "net.keras", "a/b"
    )


def _network_name(path):
    from bodyposenet.common.model.files.bundled import is_registered, runnable_path, weights_path
    from bodyposenet.common.tracking.model_names import require_model_name
    from bodyposenet.common.tracking.start_weights import parse_reference

    text = path.read_bytes().decode(errors="surrogateescape")
    for read in (weights_path, runnable_path, require_model_name, parse_reference):
        try:
            is_registered(text)
            read(text)
        except UserError:
            continue


def clusters(folder):
    return json_files(
        {"cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]}, "task": {"type": "worker", "index": 1}},
        {"cluster": {"worker": ["b:2"]}, "task": {"type": "worker", "index": 0}},
    )


def _cluster(path):
    from bodyposenet.common.model.training.cluster import read_cluster

    read_cluster({"TF_CONFIG": path.read_bytes().decode(errors="surrogateescape")})


def answers(folder):
    account = {"client_email": "a@b", "private_key": "key", "token_uri": "https://oauth2.googleapis.com/token"}
    return json_files({"error": {"message": "denied", "code": 403}}, {"message": "InvalidInputError: no"}, account)


def _answers(path):
    """What servers answer, and a key that somebody has put into a variable."""
    from bodyposenet.common.storage.stores import gcs, gcs_requests
    from bodyposenet.pipelines.server import errors

    content = path.read_bytes()
    errors._read_reason(content)
    gcs_requests._read_reason(content)
    gcs._read_account(content.decode(errors="replace"))


PARSERS = (
    Parser("address", addresses, _address),
    Parser("tracking-address", addresses, _tracking_address),
    Parser("network-name", network_names, _network_name),
    Parser("cluster", clusters, _cluster, form="json"),
    Parser("answer", answers, _answers, form="json"),
    Parser("message", addresses, _status_line),
)
