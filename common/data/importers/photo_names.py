"""Photo names: what a tool calls a photo, and the file that it means."""

import base64
import binascii
import contextlib
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from bodyposenet.common.data.importers.document import Fault
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.photo_store import SUFFIXES, is_photo

_ADDED = re.compile(r"^[0-9a-f]{6,8}(-|__)(?=.)")  # what Label Studio puts before the name of an upload or a download
_UNSAFE = re.compile(r"[^-\w.]")  # letters that it leaves out of an upload's name
_ROBOFLOW = re.compile(r"_([A-Za-z]{3,4})\.rf\.[0-9A-Za-z]{20,40}\.[A-Za-z]{3,4}$")  # a.png as a_png.rf.1a2b….jpg
_ENDINGS = (*SUFFIXES, ".heic", ".heif", ".avif", ".gif")  # of photos, and of what photos are made from
_BUCKETS = ("s3://", "gs://", "azure-blob://")
_KEYS = ("image", "img", "photo", "picture", "url")  # of a task's data, as a rule that of the photo
_PICTURES_FIX = "call each Image of the labelling interface as its photos are in the data, and export again"
_DIGITS = re.compile(r"\d+")
_DRIVE = re.compile(r"^/?[A-Za-z]:(?=[/\\])")
_UPLOAD = re.compile(r"^/?(data/)?upload/\d+/")
_OWN = re.compile(r"/?data/|/(tasks|storage-data)/|\w+://[^/?#]+/(data/(upload|local-files)|storage-data)/")


def path_in(reference: str) -> str:
    """Find the path in a reference to a photo as Label Studio's tasks hold it.

    ======================================  ==================
    reference                               path
    ======================================  ==================
    ``/data/upload/3/1a2b3c4d-a.jpg``       ``1a2b3c4d-a.jpg``
    ``/data/local-files/?d=x/a.jpg``        ``x/a.jpg``
    ``gs://bucket/x/a.jpg``                 ``bucket/x/a.jpg``
    ``https://host/x/a%20b.jpg?key=1``      ``host/x/a b.jpg``
    ``file:///C:/x/a.jpg``                  ``x/a.jpg``
    ``x/a.jpg``                             ``x/a.jpg``
    ======================================  ==================

    A name that somebody wrote into an address letter by letter may hold ``#``, ``?`` and ``&``, which part addresses:
    they belong to it where it would be no photo's without them.
    """
    own = _OWN.match(reference) is not None
    if "://" not in reference and not own:
        return _upload(reference)
    if reference.startswith(_BUCKETS):
        return reference.split("://", 1)[1]
    try:
        url = urlsplit(reference)
        if own or not is_photo(unquote(url.path)):
            url = urlsplit(reference.replace("#", "%23"))
    except ValueError:  # brackets that look like an address
        return _upload(reference)
    given = _find_given(url.query)
    if given is not None:
        return given
    path = _DRIVE.sub("", unquote(url.path)) if url.scheme == "file" else unquote(url.path)
    if own and url.query and not is_photo(path):
        path = f"{path}?{unquote(url.query)}"
    return _upload(path) if _UPLOAD.match(path) or not url.netloc else url.netloc + path


def _find_given(query: str) -> str | None:
    """Find the path that a query of Label Studio gives; None where it gives none."""
    for key, read in (("fileuri", _decode), ("d", _unquote_upload), ("filepath", _unquote_upload)):
        if found := re.search(rf"(?:^|&){key}=(([^&]*).*)", query, re.DOTALL):
            whole, first = map(read, found.groups())
            return whole if is_photo(whole) and not is_photo(first) else first
    return None


def find_reference(task: Mapping[str, Any], picture: tuple[str, int | None], count: int, where: str) -> str | None:
    """Find what a task of Label Studio says of where the photo is that was drawn on.

    Args:
        task: Its data name photos, and may say more.
        picture: What was drawn on, and its page; where the data call something so, it is that.
        count: How many pictures of the task were drawn on.
        where: The file.

    Returns:
        A path or address, or None; a :class:`Fault` where it may be one of several.

    Raises:
        UserError: The photo itself stands in the task.
    """
    name, page = picture
    texts = _list_texts(task.get("data"), page)
    likely = [texts[key] for key in (name, *_KEYS) if key in texts]
    places = [text for text in texts.values() if text.startswith("/data/") or "://" in text]
    photos = dict.fromkeys(text for text in places or texts.values() if is_photo(path_in(text)))
    if name not in texts and ((count > 1 and page is None) or (len(photos) > 1 and not likely)):
        return Fault(f"task {task.get('id')} has several photos, and which was drawn on is not told", _PICTURES_FIX)
    found = next(iter([*likely, *photos, *places, *texts.values()]), None)
    if found is not None and found.startswith("data:"):
        raise UserError(
            "its photos stand in it as base 64, without a name",
            where=f"{where}: task {task.get('id')}",
            fix="upload the photos to Label Studio as files, or sync a folder or bucket",
        )
    return found


def _list_texts(data: object, page: int | None) -> dict[str, str]:
    """List the texts of a task's data by their keys: of lists those of a page, or the only one."""
    texts: dict[str, str] = {}
    for key, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, list):
            pages = value if page is None else value[max(page, 0) :][:1]
            value = pages[0] if len(pages) == 1 else None
        elif page is not None:
            continue
        if isinstance(value, str):
            texts[key] = value
    return texts


def _upload(path: str) -> str:
    """Drop the folder of uploads; every photo of it has a name of its own."""
    return _UPLOAD.sub("", path.replace("\\", "/")).lstrip("/")


def _unquote_upload(given: str) -> str:
    return _upload(unquote_plus(given))


def _decode(given: str) -> str:
    """Find the path in an address that Label Studio wrote in base 64, or as it is."""
    text = unquote(given)
    if "://" not in text:
        with contextlib.suppress(binascii.Error, ValueError):
            text = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    return text.split("://", 1)[-1]


def shorten(paths: Sequence[str]) -> list[str]:
    """Drop the folders that all of the paths begin with."""
    folders = [posixpath.dirname(path).split("/") for path in paths]
    common = 0
    while folders and all(len(parts) > common and parts[common] == folders[0][common] for parts in folders):
        common += 1
    return ["/".join(path.split("/")[common:]) for path in paths] if folders and folders[0] != [""] else list(paths)


class PhotoNames:
    """Files that are there, to be found by what tools made of their names.

    Args:
        present: The files, with ``/`` between folders.
    """

    def __init__(self, present: Collection[str]) -> None:
        self.files = frozenset(present)
        self._by_base: dict[str, dict[str, str]] = {}
        self._by_stem: dict[str, dict[str, str]] = {}
        for file in self.files:
            self._by_base.setdefault(_fold(posixpath.basename(file)), {})[file] = file
            if is_photo(file):
                stem = posixpath.splitext(file)[0]
                self._by_stem.setdefault(_fold(posixpath.basename(stem)), {})[file] = stem

    def match(self, names: Iterable[str]) -> dict[str, str]:
        """Find the photos that are meant by names that no photo has.

        A tool may leave out folders, add some, put letters of its own before a name (``1a2b3c4d-a.jpg``) or behind it
        (``a_jpg.rf.1a2b….jpg``), and leave out the ending or write another. Folders may be parted by backslashes,
        letters written as ``%C3%A9``, in one character or in two (Unicode's forms), and in capitals, blanks as ``+``:
        in the name or in the file's. A name gets a photo where one only can be meant, and no other name means it.

        Args:
            names: As the annotations tell them.

        Returns:
            The file for each such name; names of files that are there are not among them.
        """
        names = list(names)
        missing = {name for name in names if name not in self.files}
        meant = {name: found for name in missing if (found := self._find_meant(name)) is not None}
        claims = Counter([*meant.values(), *(name for name in set(names) if name in self.files)])
        return {name: meant[name] for name in names if name in meant and claims[meant[name]] == 1}

    def _find_meant(self, name: str) -> str | None:
        """Find the only file that a name can mean, in the order from what is said exactly to what is left out."""
        path = name.replace("\\", "/").strip()
        wholes = [
            posixpath.join(posixpath.dirname(whole), base)
            for whole in dict.fromkeys((path, unquote(path), quote(path, errors="replace")))
            for base in _guess_bases(posixpath.basename(whole))
        ]
        stems = [stem for whole in wholes for stem in _list_stems(whole)]
        exact = (_choose(whole, self._by_base.get(_fold(posixpath.basename(whole)), {})) for whole in wholes)
        alike = (_choose(stem, self._by_stem.get(_fold(posixpath.basename(stem)), {})) for stem in stems)
        return next(filter(None, chain(exact, alike)), None) or self._find_uploaded(posixpath.basename(path))

    @cached_property
    def _by_upload(self) -> dict[str, list[str]]:
        """The photos by what Label Studio calls them."""
        found: dict[str, list[str]] = {}
        for file in filter(is_photo, self.files):
            name = _UNSAFE.sub("", posixpath.basename(file).strip().replace(" ", "_"))
            found.setdefault(_fold(name), []).append(file)
        return found

    def _find_uploaded(self, base: str) -> str | None:
        """Find the only photo that Label Studio calls so: with ``_`` for blanks, and without brackets and the like."""
        given = _ADDED.sub("", base)
        files = [] if given == base else self._by_upload.get(_fold(given), [])
        return files[0] if len(files) == 1 else None


def find_copies(some: Iterable[str], others: Iterable[str]) -> set[str]:
    """Find photos of which Roboflow's augmented copies are in both lists, by the names that they had before."""
    sides = ((name for name in names if _ROBOFLOW.search(name)) for names in (some, others))
    one, other = ({_ROBOFLOW.sub(r".\1", name) for name in names} for names in sides)
    return one & other


def _guess_bases(base: str) -> dict[str, None]:
    """List what the file may be called: as it stands, or without what Label Studio or Roboflow added."""
    own = (base, _ADDED.sub("", base))
    return dict.fromkeys([*own, *(_ROBOFLOW.sub(r".\1", each) for each in own)])


def _list_stems(whole: str) -> list[str]:
    """List what a name may be without its ending: all of it, or what is before the ending of a photo."""
    stem, ending = posixpath.splitext(whole)
    return [whole, stem] if ending.lower() in _ENDINGS else [whole]


def _choose(whole: str, files: Mapping[str, str]) -> str | None:
    """Choose the only file of those that end alike, letter by letter, in Unicode's composed form, or in any case.

    Args:
        whole: The name, or what is before its ending.
        files: What of each file it is compared with.
    """
    for form in (str, _compose, _fold):
        closer = [file for file, told in files.items() if _ends_alike(form(told), form(whole))]
        if len(closer) == 1:
            return closer[0]
    return next((file for file, told in files.items() if len(files) == 1 and not _are_siblings(told, whole)), None)


def _are_siblings(file: str, whole: str) -> bool:
    """Tell whether folders above two names differ in their numbers only: two cameras or days, each with this photo."""
    folders = (reversed(_fold(posixpath.dirname(name)).split("/")) for name in (file, whole))
    return any(
        one != other and _DIGITS.sub("", one) == _DIGITS.sub("", other) for one, other in zip(*folders, strict=False)
    )


def _ends_alike(file: str, whole: str) -> bool:
    return f"/{file}".endswith(f"/{whole}") or f"/{whole}".endswith(f"/{file}")


def _compose(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _fold(name: str) -> str:
    return _compose(name).casefold().replace("+", " ")  # which addresses write for a blank
