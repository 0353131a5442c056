"""Parser: what reads a kind of file that others make, with sound files of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Parser:
    """What reads a kind of file.

    Attributes:
        name: By which it is asked for, and its finds are kept.
        seeds: Makes sound contents, given an empty folder for what the parser reads beside the file.
        parse: Reads the file at a path.
        file: What the file is called.
        form: As of :func:`~fuzzing.mutations.mutated`.
        heavy: Importing what it takes is seconds of processor time: only ``make fuzz`` and ``make test-heavy`` do.
        sound: Whether the seeds are all read; else some of them are refused.
    """

    name: str
    seeds: Callable[[Path], list[bytes]]
    parse: Callable[[Path], object]
    file: str = "file"
    form: str = ""
    heavy: bool = False
    sound: bool = True


def json_files(*documents):
    """Files of JSON, one of each document."""
    return [json.dumps(document).encode() for document in documents]


def text_files(*texts):
    """Files of text, one of each."""
    return [text.encode() for text in texts]
