"""Schemes: what the address of a store begins with, and what it takes to reach it."""

import re
from importlib import import_module
from typing import NamedTuple, cast

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.stores.store import Location

HERE = ("127.0.0.1", "localhost", "[::1]")  # hosts to which nothing can be read on the way
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # two letters at least: C:/ is a drive


class Scheme(NamedTuple):
    """A kind of store.

    Attributes:
        place: Its class of locations, ``module:class``.
        extra: What is to be installed for it; nothing where Python alone will do.
        denied: What to do where the server refuses to let somebody in.
    """

    place: str
    extra: str
    denied: str


_MODULES = "bodyposenet.common.storage.stores"
_GOOGLE = Scheme(f"{_MODULES}.gcs:BucketLocation", "gcs", "let this account read and write the bucket")
_AMAZON = Scheme(
    f"{_MODULES}.s3:S3Location",
    "s3",
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), and let them read and write the bucket",
)
_AZURE = Scheme(
    f"{_MODULES}.azure:AzureLocation",
    "azure",
    "check AZURE_STORAGE_CONNECTION_STRING (or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY), and let them"
    " read and write the container",
)
_WEB = Scheme(
    f"{_MODULES}.web:WebLocation",
    "",
    "give an address that may be read, or a user and password for its host in ~/.netrc",
)
SCHEMES = {
    "gs": _GOOGLE,
    "s3": _AMAZON,
    "abfs": _AZURE,
    "abfss": _AZURE,
    "az": _AZURE,
    "https": _WEB,
    "http": _WEB,
}
FORMS = "gs://bucket/path, s3://bucket/path, abfs://container/path or https://host/path"


def find_scheme(text: str) -> str:
    """Return what a text begins with if it means to be an address, in small letters; nothing for a path on a disk."""
    found = _ADDRESS.match(text)
    return found[1].lower() if found else ""


def names_store(text: str) -> bool:
    """Tell whether a text is the address of a store: ``gs://``, ``s3://``, ``abfs://`` or ``https://``."""
    return find_scheme(text) in SCHEMES and bool(re.match(r"[^:]+://", text))


def locate_remote(text: str) -> Location:
    """Make a location of an address.

    Raises:
        UserError: It is none, or what it needs is not installed.
    """
    scheme = find_scheme(text)
    kind = SCHEMES.get(scheme)
    if kind is None or not re.match(r"[^:]+://[^/]", text):
        raise UserError("this is no path that can be read", where=text, fix=f"give a local path, {FORMS}")
    module, _, name = kind.place.partition(":")
    try:
        place = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise UserError(
            f"{scheme}:// needs {missing}", where=text, fix=f"pip install 'bodyposenet[{kind.extra}]'"
        ) from None
    return cast("Location", place(text))


def report_denial(error: OSError, path: str) -> UserError:
    """What to say where somebody may not do something in a store."""
    return UserError(f"permission denied ({error})", where=path, fix=SCHEMES[find_scheme(path)].denied)
