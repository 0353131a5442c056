"""Photo names: what a tool calls a photo, and the file that it means."""

import base64
import binascii
import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

_ADDED = re.compile(r"^[0-9a-f]{6,8}(-|__)(?=.)")  # what Label Studio puts before the name of an upload or a download
_BUCKETS = ("s3", "gs", "azure-blob")
_UPLOAD = re.compile(r"^/?(data/)?upload/\d+/")


def path_in(reference: str) -> str:
    """Find the path in a reference to a photo as Label Studio's tasks hold it.

    ======================================  ==================
    reference                               path
    ======================================  ==================
    ``/data/upload/3/1a2b3c4d-a.jpg``       ``1a2b3c4d-a.jpg``
    ``/data/local-files/?d=x/a.jpg``        ``x/a.jpg``
    ``gs://bucket/x/a.jpg``                 ``bucket/x/a.jpg``
    ``https://host/x/a%20b.jpg?key=1``      ``host/x/a b.jpg``
    ``x/a.jpg``                             ``x/a.jpg``
    ======================================  ==================
    """
    if "://" not in reference and not reference.startswith(("/data/", "data/", "/tasks/", "/storage-data/")):
        return _upload(reference)
    try:
        url = urlsplit(reference)
    except ValueError:  # brackets that look like an address
        return _upload(reference)
    if url.scheme in _BUCKETS:
        return reference.split("://", 1)[1]
    query = parse_qs(url.query)
    if "fileuri" in query:
        return _decode(query["fileuri"][0]).split("://", 1)[-1]
    for key in ("d", "filepath"):
        if key in query:
            return _upload(query[key][0])
    path = unquote(url.path)
    return _upload(path) if _UPLOAD.match(path) or not url.netloc else url.netloc + path


def _upload(path: str) -> str:
    """Drop the folder of uploads; every photo of it has a name of its own."""
    return _UPLOAD.sub("", path.replace("\\", "/")).lstrip("/")


def _decode(text: str) -> str:
    """Decode a reference that Label Studio wrote in base 64; return others as they are."""
    if "://" in text:
        return text
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return text


def shorten(paths: Sequence[str]) -> list[str]:
    """Drop the folders that all of the paths begin with."""
    folders = [posixpath.dirname(path).split("/") for path in paths]
    common = 0
    while folders and all(len(parts) > common and parts[common] == folders[0][common] for parts in folders):
        common += 1
    return ["/".join(path.split("/")[common:]) for path in paths] if folders and folders[0] != [""] else list(paths)


def match(names: Iterable[str], present: Collection[str]) -> dict[str, str]:
    """Find the photos that are meant by names that no photo has.

    A tool may leave out folders, add some, or put letters of its own before a name (``1a2b3c4d-a.jpg``). Folders may be
    parted by backslashes, letters written as ``%C3%A9``, in one character or in two (Unicode's forms), and in capitals.
    A name gets a photo where one only can be meant, and no other name means it.

    Args:
        names: As the annotations tell them.
        present: Files that are there, with ``/`` between folders.

    Returns:
        The file for each such name; names that stand in ``present`` are not among them.
    """
    names, files = list(names), set(present)
    by_base = defaultdict(list)
    for file in files:
        by_base[_fold(posixpath.basename(file))].append(file)
    missing = {name for name in names if name not in files}
    meant = {name: found for name in missing if (found := _find_meant(name, by_base)) is not None}
    claims = Counter([*meant.values(), *(name for name in set(names) if name in files)])
    return {name: meant[name] for name in names if name in meant and claims[meant[name]] == 1}


def _find_meant(name: str, by_base: dict[str, list[str]]) -> str | None:
    """Find the only file that a name can mean, in the order from what is said exactly to what is left out."""
    path = name.replace("\\", "/")
    for whole in dict.fromkeys((path, unquote(path))):
        base = posixpath.basename(whole)
        for candidate in dict.fromkeys((base, _ADDED.sub("", base))):
            files = by_base.get(_fold(candidate), [])
            found = _choose(posixpath.join(posixpath.dirname(whole), candidate), files)
            if found is not None:
                return found
    return None


def _choose(whole: str, files: list[str]) -> str | None:
    """Choose the only file of those that end alike, letter by letter, in Unicode's composed form, or in any case."""
    for form in (str, _compose, _fold):
        closer = [file for file in files if _ends_alike(form(file), form(whole))]
        if len(closer) == 1:
            return closer[0]
    return files[0] if len(files) == 1 else None


def _ends_alike(file: str, whole: str) -> bool:
    return f"/{file}".endswith(f"/{whole}") or f"/{whole}".endswith(f"/{file}")


def _compose(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _fold(name: str) -> str:
    return _compose(name).casefold()
