"""Access: where a server of Kubeflow Pipelines is, and how the environment says it is reached and asked."""

import os
import ssl
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from bodyposenet.common.errors import UserError
from bodyposenet.pipelines.server.errors import AUTHORITIES, LOGIN, TOKEN, TOKEN_FILE

HOST, NAMESPACE = "KF_PIPELINES_ENDPOINT", "KFP_NAMESPACE"
HERE = ("localhost", "127.0.0.1", "::1")  # never asked through a proxy: a forwarded port


def read_address(host: str | None) -> str:
    """The address of the API, without what a browser shows behind it: ``?ns=me#/runs``.

    Raises:
        UserError: There is none, or it is no address of http or https, or has a password in it.
    """
    text = (host or "").strip()
    if not text:
        raise UserError("no address of Kubeflow Pipelines", fix=f"give --host, or set {HOST}")
    try:
        parts = urlsplit(text)
        whole = parts.port != 0 and parts.hostname and text.isprintable() and " " not in text
    except ValueError:  # its port, or an address of IPv6
        parts, whole = SplitResult("http", "", "", "", ""), None
    if parts.scheme not in ("http", "https"):
        raise UserError("no web address", where=text, fix="begin with http:// or https://")
    if not whole:
        raise UserError("no web address", where=text, fix="give one such as https://HOST/pipeline")
    if "@" in parts.netloc:
        raise UserError("an address holds no user and password here", where=text, fix=LOGIN)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def configure(host: str) -> Any:
    """Set a client up as the environment says: who asks, whose certificates count, and through which proxy."""
    import kfp_server_api as api

    made = api.Configuration()
    made.host, made.retries = host, 0
    made.ssl_ca_cert = _find_authorities(host)
    made.proxy, made.proxy_headers = _find_proxy(host)
    token = read_header(TOKEN) or _token_file()
    if token:
        made.api_key["authorization"], made.api_key_prefix["authorization"] = token, "Bearer"
    return made


def _find_authorities(host: str) -> str | None:
    """The file of certificates that the environment names for a server."""
    path = os.environ.get(AUTHORITIES)
    if path and host.startswith("https:"):
        try:
            ssl.create_default_context(cafile=path)
        except OSError as error:
            fix = f"name a file of certificates in {AUTHORITIES}, or unset it"
            raise UserError(f"no certificates can be read ({error.strerror})", where=path, fix=fix) from None
    return path or None


def _find_proxy(host: str) -> tuple[str | None, dict[str, str] | None]:
    """The proxy that the environment names for a server, and the headers that let us through."""
    parts = urlsplit(host)
    direct = parts.hostname in HERE or urllib.request.proxy_bypass(parts.netloc)
    proxy = "" if direct else urllib.request.getproxies().get(parts.scheme, "")
    if not proxy:
        return None, None
    try:
        way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        whole = way.scheme in ("http", "https") and way.hostname and way.port != 0
    except ValueError:
        whole = None
    if not whole:
        fix = "name an http:// proxy, or put the server into NO_PROXY"
        raise UserError("no address of a proxy", where=proxy, fix=fix)
    place = way.netloc.rpartition("@")[2]
    login = f"{unquote(way.username)}:{unquote(way.password or '')}" if way.username else ""
    headers = {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else None
    return f"{way.scheme}://{place}", headers


def read_header(name: str, text: str | None = None) -> str:
    """A secret of the environment, or another text, as it travels in a header; no message shows it.

    Raises:
        UserError: No header can hold it.
    """
    found = (os.environ.get(name, "") if text is None else text).strip()
    if not (found.isascii() and found.isprintable()):
        raise UserError("has characters that no header can hold", where=name, fix="set it to what was issued, alone")
    return found


def _token_file() -> str:
    """The token that Kubernetes keeps fresh in a pod's file, where there is one."""
    path = os.environ.get(TOKEN_FILE)
    try:
        return read_header(TOKEN_FILE, Path(path).read_text(encoding="utf-8", errors="replace")) if path else ""
    except OSError as error:
        raise UserError(
            f"the token cannot be read ({error.strerror})", where=str(path), fix=f"unset {TOKEN_FILE}"
        ) from None
