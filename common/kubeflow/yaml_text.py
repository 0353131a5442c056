"""YAML text of pipelines: read and written by libyaml, ten times as fast, where PyYAML was built with it."""

from collections.abc import Iterable
from typing import Any

import yaml

from bodyposenet.common.bounds import PACKAGE_LEVELS, PACKAGE_VALUES

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def load_documents(text: str) -> list[Any]:
    """Read the documents of a text, which may be anybody's.

    Raises:
        yaml.YAMLError: It is no YAML, is nested deeply, which libyaml's reader does not survive, or is large once its
            aliases are written out.
    """
    hold_small(text)
    return list(yaml.load_all(text, _Loader))


def hold_small(text: str) -> None:
    """Refuse what has more values, or levels, than a pipeline; its parts are counted as they come, none is kept.

    Raises:
        yaml.YAMLError: It has, is no YAML, or repeats what is not there yet.
    """
    sizes: dict[str, int] = {}  # of what has a name
    counts: list[tuple[str | None, int]] = [(None, 0)]  # of the whole, and of each part that is open: name, values
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            counts.append((event.anchor, 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            name, size = counts.pop()
            sizes |= {} if name is None else {name: size}
            counts[-1] = (counts[-1][0], counts[-1][1] + size)
        elif isinstance(event, yaml.NodeEvent):
            counts[-1] = (counts[-1][0], counts[-1][1] + _measure(event, sizes))
        if len(counts) > PACKAGE_LEVELS or counts[-1][1] > PACKAGE_VALUES:
            most = f"{PACKAGE_VALUES:,} values, what aliases repeat included, in {PACKAGE_LEVELS} levels"
            raise yaml.YAMLError(f"it holds more than a pipeline: at most {most}")


def _measure(event: yaml.NodeEvent, sizes: dict[str, int]) -> int:
    """Count the values of a text, or of what an alias repeats, and remember a text that has a name."""
    if not isinstance(event, yaml.AliasEvent):
        sizes |= {} if event.anchor is None else {event.anchor: 1}
        return 1
    if event.anchor not in sizes:
        raise yaml.YAMLError(f"nothing is called {str(event.anchor)[:40]!r} before it is repeated")
    return sizes[event.anchor]


def dump_documents(documents: Iterable[Any]) -> str:
    """Write documents one below the other, keys in the order of the alphabet."""
    return str(yaml.dump_all(documents, Dumper=_Dumper))
