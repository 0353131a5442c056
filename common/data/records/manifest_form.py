"""Manifest form: what a manifest may say of a set and its shards, whoever wrote it."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from bodyposenet.common.bounds import MANIFEST_PARTS, WHOLE_NUMBER

Check = Callable[[Any], bool]


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= WHOLE_NUMBER


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _list_of(*kinds: type) -> Check:
    """Check a list by the kinds of its values, at once: a manifest has lists of all photos, and is read often."""
    return lambda value: isinstance(value, list) and set(map(type, value)) <= {*kinds}


def _list_from(least: int, most: int) -> Check:
    """Check a list of whole numbers."""
    check = _list_of(int)
    return lambda value: check(value) and (not value or (least <= min(value) and max(value) <= most))


def _mapping_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and check([*value.values()])


def _lists(check: Check) -> Check:
    """Check lists in a list by what is in all of them together."""
    return lambda value: _list_of(list)(value) and check([*chain.from_iterable(value)])


def _has(form: Mapping[str, Check]) -> Check:
    """Check a mapping that must have all keys of a form."""
    return lambda value: isinstance(value, dict) and all(key in value and form[key](value[key]) for key in form)


def _are_faults(value: Any) -> bool:
    """Tell whether all are lists of three texts and a count."""
    return _rows_of(4)(value) and all(_list_of(str)(fault[:3]) and _is_count(fault[3]) for fault in value)


def _rows_of(length: int) -> Check:
    """Check a list of lists that are all as long."""
    return lambda value: _list_of(list)(value) and set(map(len, value)) <= {length}


def _are_hashes(value: Any) -> bool:
    """Tell whether all are hashes of pictures, which fill 64 bits, or None."""
    return _list_of(int, type(None))(value) and _WHOLE([each for each in value if each is not None])


_COUNTS, _WHOLE, _TEXTS = _list_from(0, WHOLE_NUMBER), _list_from(-(2**64), 2**64), _list_of(str)
_COLUMNS: dict[str, Check] = {  # of what is known of a shard's records
    "image_id": _WHOLE,
    "photo": _TEXTS,
    "labels": _TEXTS,
    "people": _COUNTS,
    "turn": _TEXTS,
    "likeness": _are_hashes,
    "faults": _lists(_are_faults),
}
_SHARD: dict[str, Check] = {
    "bytes": _is_count,
    "records": _is_count,
    "people": _is_count,
    "samples": _is_count,
    "offsets": _COUNTS,
    "mains": _lists(_COUNTS),
    "negatives": _COUNTS,
    "photos": lambda value: isinstance(value, dict) and next(find_faults(value, _COLUMNS), None) is None,
}
_PART: dict[str, Check] = {
    "of_set": _is_text,
    "index": _is_count,
    "of": lambda value: _is_count(value) and value <= MANIFEST_PARTS,
    "source": _is_text,
    "skipped": _mapping_of(_lists(_TEXTS)),
}
_SET: dict[str, Check] = {
    "dataset": _is_text,
    "images": _is_count,
    "people": _is_count,
    "samples": _is_count,
    "joints": _TEXTS,
    "skipped": _TEXTS,
    "part": _has(_PART),
    "seen": _mapping_of(_rows_of(2)),
    "held_out": _mapping_of(_rows_of(3)),
}


def find_faults(said: Mapping[str, Any], form: Mapping[str, Check]) -> Iterator[str]:
    """List the keys of a mapping whose values are not what they should be; a key may be missing."""
    return (key for key, check in form.items() if key in said and not check(said[key]))


def find_set_fault(described: Mapping[str, Any]) -> str:
    """Say which key of a set, or of one of its shards, has a value that cannot be; nothing if none has."""
    inside = (f"{key} of a shard" for shard in described["shards"] for key in find_faults(shard, _SHARD))
    return next(find_faults(described, _SET), "") or next(inside, "")
