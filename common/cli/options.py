"""Options: the flags that several verbs share, and how their text becomes values."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import click

from bodyposenet.common.bounds import KEY_BYTES
from bodyposenet.common.cli.printing import json_option, note
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.bundled import PRETRAINED, is_shipped, weights_path
from bodyposenet.common.storage.encryption import is_encrypted
from bodyposenet.common.storage.errors import in_bucket
from bodyposenet.common.storage.files import read_bytes
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.model_key import TAO_ENDINGS, VARIABLE, key_in_use, using_key

if TYPE_CHECKING:
    from bodyposenet.common.spec.base import Strict

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
RESULTS = "Folder for results and status.json.  [default: where the output goes]"


class PlaceType(click.ParamType):  # type: ignore[type-arg]  # only a type in click's annotations
    """A path on a disk or in a store, whose address ``click.Path`` would mangle."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Location:
        """Locate the path; another kind of URL is refused."""
        try:
            return locate(value)
        except UserError as error:
            self.fail(str(error), param, ctx)


class DiskType(click.Path):
    """A path on a disk, for what does not work in a store, whose address is refused and not made a folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if in_bucket(value):
            self.fail(f"{value}: this is read or written on a disk only; give a local path", param, ctx)
        return super().convert(value, param, ctx)


def parse_path_map(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> list[tuple[str, str]]:
    """``OLD=NEW`` texts as pairs.

    Raises:
        click.BadParameter: One has no ``=``, or its old prefix is no absolute path.
    """
    pairs = []
    for text in given:
        old, equals, new = text.partition("=")
        if not equals or not new or not (old.startswith("/") or in_bucket(old)):
            raise click.BadParameter(f"{text!r} is not OLD=NEW with an absolute OLD, such as /workspace=/data")
        pairs.append((old, new))
    return pairs


class WordType(click.Choice):  # type: ignore[type-arg]  # only a type in click's annotations
    """One of the words of a ``Literal``, such as those of ``spec/words.py``."""

    def __init__(self, words: Any) -> None:
        super().__init__(get_args(words))


class NumbersType(click.ParamType):  # type: ignore[type-arg]  # only a type in click's annotations
    """Positive whole numbers with commas between them.

    Args:
        count: How many.
        kind: What they are, for the message.
        example: Some that are right.
        separators: What else may stand between them.
    """

    name = "text"

    def __init__(self, count: int, kind: str, example: str, separators: str = "") -> None:
        self.count, self.kind, self.example, self.separators = count, kind, example, separators

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse the text; numbers that are parsed already stay."""
        if isinstance(value, tuple):
            return value
        text = value.translate({ord(mark): "," for mark in self.separators})
        numbers = tuple(int(part) if part.strip().isdecimal() else 0 for part in text.split(","))
        if len(numbers) != self.count or min(numbers) < 1:
            self.fail(f"{value!r} is not {self.kind}, such as {self.example}", param, ctx)
        return numbers


DIMS = NumbersType(3, "three positive numbers", "288,384,3")
SIZE = NumbersType(2, "HEIGHT,WIDTH", "360,480", "x")


def option(*names: str, **kwargs: Any) -> Callable[[F], F]:
    """An option whose default shows in the help, unless it is nothing."""
    kwargs.setdefault("show_default", kwargs.get("default") not in (None, ""))
    return click.option(*names, **kwargs)


def common_options(function: F) -> F:
    """The flags of every verb that has results: their folder, their numbers as JSON, and the log level."""
    with_json = json_option(log_level_option(function))
    return option("-r", "--results_dir", type=PlaceType(), help=RESULTS)(with_json)


def log_level_option(function: F) -> F:
    """``-l``: how much is logged."""
    level = click.Choice(LEVELS, case_sensitive=False)
    return option("-l", "-ll", "--log_level", type=level, default="INFO", help="Least level of log lines.")(function)


def key_option(function: F) -> F:
    """``-k``: the key that the verb reads and writes model files with; the verb itself does not get it."""

    @functools.wraps(function)
    def with_key(*arguments: Any, key: str | None, key_file: str | None, allow_plain: bool, **options: Any) -> Any:
        with using_key(_find_key(key, key_file), allow_plain=allow_plain):
            key_in_use()  # an empty one, or a library that is missing, is told before any work
            return function(*arguments, **options)

    in_file = f"File with the key of encrypted model files; - asks for it.  [default: {VARIABLE} of the environment]"
    given = "The key itself, as TAO has it; histories of shells and lists of processes may show it."
    plain = "With a key, read open model files, too."
    for add in (
        option("-k", "--key", help=given),
        option("--key_file", metavar="FILE", help=in_file),
        option("--allow_plain", is_flag=True, help=plain),
    ):
        with_key = add(with_key)
    return cast("F", with_key)


def _find_key(key: str | None, file: str | None) -> str | None:
    """Take the key that the command line gives, and warn of one that others can see."""
    if key is not None and file is not None:
        raise click.UsageError("give --key_file or -k, not both")
    if file == "-":
        return _ask_key()
    if file is not None:
        return _decode_key(read_bytes(file, fix="check --key_file", most=KEY_BYTES), file)
    if key:
        note(f"warning: others may see -k KEY; use --key_file FILE, --key_file - or {VARIABLE}")
    return key


def _ask_key() -> str:
    try:
        return str(click.prompt("Key of the model files", hide_input=True, err=True))
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise UserError("nobody has typed a key", where="--key_file -", fix="type it, or name a file") from None


def _decode_key(content: bytes, where: str) -> str:
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UserError("is no text", where=where, fix="write the key into it as UTF-8") from None


def path_map_option(function: F) -> F:
    """``--path-map``, for specs that name the paths of another machine."""
    text = "Where a path in a spec begins with OLD, read NEW. May be repeated."
    return click.option("--path-map", multiple=True, callback=parse_path_map, metavar="OLD=NEW", help=text)(function)


def example(*lines: str) -> str:
    """An epilog with a command to copy."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def warn_of_name(output: Path) -> None:
    """One warning where a model file is named as what it will not be: open, or encrypted."""
    encrypted = key_in_use() is not None
    if encrypted and output.suffix in (".keras", ".onnx"):
        note(f"warning: {output} will be encrypted, though its name is that of an open file")
    if not encrypted and output.suffix in TAO_ENDINGS:
        note(f"warning: {output} will be an open file, whatever its name says: no key is given")


def warn_of_plain(source: Path, output: Path) -> None:
    """One warning where an encrypted network leaves its encryption."""
    if is_encrypted(source):
        note(f"warning: {source} is encrypted; the network in {output} will not be")


def log_notes(spec: "Strict", path: str) -> None:
    """A log line for each key of a spec that has no effect here."""
    from bodyposenet.common.spec.kinds import notes

    for each in notes(spec):
        log.info("%s: %s", path, each)


def find_model(path: Path | str) -> Path:
    """``path``, or the open file that stands beside it where TAO's scripts expect ``.tlt``, ``.hdf5`` or ``.etlt``.

    ``pretrained:NAME`` is the Keras network of that name that came with the package.

    Raises:
        UserError: Neither is there.
    """
    if str(path).startswith(PRETRAINED):
        return weights_path(str(path), where="the model")
    if in_bucket(path):
        raise UserError("models are read from a disk", where=str(path), fix="fetch it first")
    path = Path(path)
    endings = {".tlt": ".keras", ".hdf5": ".keras", ".etlt": ".onnx"}
    beside = path.with_suffix(endings[path.suffix]) if path.suffix in endings else path
    if path.exists():
        return path
    if not beside.exists():
        raise UserError("there is no such model", where=str(path), fix="give a .keras or .onnx file that bpnet wrote")
    note(f"note: {path} is not there; taking {beside}")
    return beside


def results_folder(path: Path) -> Path:
    """The folder that results go to when none is named: that of the model or the output; not where the package is."""
    if is_shipped(path):
        return Path()
    return path if path.is_dir() else path.parent


def input_size(dims: tuple[int, int, int], data_format: str) -> tuple[int, int]:
    """``(height, width)`` of ``-d``.

    Raises:
        UserError: There are not three channels, or a side is no multiple of 8.
    """
    height, width, channels = dims if data_format == "channels_last" else (*dims[1:], dims[0])
    if channels != 3:
        raise UserError(f"{channels} channels; images have 3", where="--input_dims", fix="use 288,384,3 or the like")
    if height % 8 or width % 8:
        near = f"{max(8, round(height / 8) * 8)},{max(8, round(width / 8) * 8)},3"
        raise UserError(f"{height}x{width} is no multiple of 8", where="--input_dims", fix=f"use {near}")
    return height, width
