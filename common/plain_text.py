"""Plain text: messages without control characters, and without the secrets of addresses."""

import re

# With one slash where an address was taken for a path
_ADDRESS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*:/|(?:https?|rtsps?|ftp):)/([^\s'\"<>]*)")
_BEHIND_THE_HOST = re.compile(
    r"(\burl: /[^\s?#]*)[?#][^\s'\"<>();]*"
)  # as urllib3 tells of a server that does not answer
# What follows ? or # is a part of a name there, and nobody logs in by the address
_STORES = frozenset({"gs", "s3", "abfs", "abfss", "az", "models", "runs", "file", "minio", "oci"})
_TAIL = ".,;:)]}"  # of a sentence, not of an address


def clean_message(text: str) -> str:
    """Make a message fit for a terminal, a log and a page: see :func:`escape_controls`, :func:`hide_secrets`."""
    return escape_controls(hide_secrets(text))


def escape_controls(text: str) -> str:
    """Write control characters as Python does, but for line feeds and tabs."""
    return "".join(each if each.isprintable() or each in "\n\t" else _escape(each) for each in text)


def escape_line(text: str) -> str:
    """As :func:`escape_controls`, of what is to stay in a line: line feeds and tabs, too."""
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def join_lines(text: str) -> str:
    """Write several lines, such as a library's words, as one."""
    return re.sub(r"\s*[\r\n]\s*", " ", text) if "\n" in text or "\r" in text else text


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii") if ord(character) < 0xD800 else f"\\u{ord(character):04x}"


def hide_secrets(text: str) -> str:
    """Take user, password, query and fragment out of every address in a text, rather too much than too little.

    Addresses of stores (``gs://`` and the like) stay whole.
    """
    return _BEHIND_THE_HOST.sub(r"\1", _ADDRESS.sub(_shorten, text))


def bare_address(address: str) -> str:
    """Return an address, with or without ``http://``, without its secrets."""
    return hide_secrets(address) if "://" in address else hide_secrets(f"x://{address}").removeprefix("x://")


def _shorten(found: "re.Match[str]") -> str:
    begin, rest = found[1], found[2]
    if begin.lower().rstrip(":/") in _STORES:
        return found[0]
    host, *_ = re.split(r"[/?#]", rest, maxsplit=1)
    name, colon, port = host.rpartition(":")
    no_port = colon and (not port.isdigit() or (":" in name and not name.startswith("[")))
    if "@" in host or ("@" in rest and no_port):  # a password may hold /, # and ?
        rest = rest.rpartition("@")[2]
    shown = re.split(r"[?#]", rest, maxsplit=1)[0]
    tail = rest[len(rest.rstrip(_TAIL)) :] if len(shown) < len(rest) else ""
    return f"{begin}/{shown}{tail}"
