"""Look-up: the key that somebody means, and what there is to say of it."""

import textwrap
from collections.abc import Iterator, Sequence

from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.guide.explanations import EXTENSION, describe_model
from bodyposenet.common.spec.guide.keys import Key, list_keys
from bodyposenet.common.spec.kinds import KINDS
from bodyposenet.common.spec.problems import find_near

WITHOUT_TAO = {
    "prune": "has no such file: what it knows of these keys are flags of its prune",
    "deploy": "has no such file",
}
WIDTH = 100


def find_keys(text: str) -> list[Key]:
    """Find the key that is meant, with each class that has it.

    Args:
        text: A path such as ``dataloader.batch_size``, with the kind of spec before it or not; its last part or parts
            do if only one key has them. Numbers of a list's items are passed over.

    Returns:
        At least one; several where several classes have the key, or several places hold the same part.

    Raises:
        UserError: There is no such key, or several are meant.
    """
    wanted = tuple(part for part in text.split(".") if not part.isdecimal())
    everything = [key for kind in KINDS for key in list_keys(kind)]
    whole = [key for key in everything if wanted in (key.path, (key.kind, *key.path))]
    found = whole or [key for key in everything if wanted and key.path[-len(wanted) :] == wanted]
    if not found:
        names = find_near(wanted[-1] if wanted else "", {key.path[-1] for key in everything})
        near = [_place(key) for name in names for key in everything if key.path[-1] == name]
        raise UserError("no spec has such a key", where=text, fix=_suggest(near))
    if len({(key.model, key.field) for key in found}) > 1 and len({(key.kind, key.path) for key in found}) > 1:
        raise UserError("several keys end so", where=text, fix=_suggest([_place(key) for key in found]))
    return found


def describe_keys(keys: Sequence[Key]) -> Iterator[str]:
    """Say what a key is: its places, type, unit, bounds, default, effect, and what TAO does, line by line."""
    seen: dict[tuple[object, ...], list[Key]] = {}
    for key in keys:
        seen.setdefault((key.type, key.bounds, key.default, key.told), []).append(key)
    for number, same in enumerate(seen.values()):
        if number:
            yield ""
        yield from _explain_one(same)


def _explain_one(keys: Sequence[Key]) -> Iterator[str]:
    yield from dict.fromkeys(map(_place, keys))
    rows = {"in": ", ".join(dict.fromkeys(key.model.__name__ for key in keys)), **_list_facts(keys[0])}
    for title, text in rows.items():
        if text:
            yield from textwrap.wrap(
                text, WIDTH, initial_indent=f"  {title:<8} ", subsequent_indent=" " * 11, break_long_words=False
            )


def list_properties(keys: Sequence[Key]) -> Iterator[dict[str, str]]:
    """Say the same of each place by itself, as texts by name; what there is nothing to say of is left out."""
    for key in keys:
        facts = {name.lower(): text for name, text in _list_facts(key).items() if text}
        yield {"kind": key.kind, "key": key.name, **facts}


def _list_facts(key: Key) -> dict[str, str]:
    return {
        "type": key.type,
        "unit": key.told.unit,
        "bounds": key.bounds,
        "default": key.default,
        "effect": key.told.effect,
        "TAO": compare_with_tao(key),
    }


def compare_with_tao(key: Key) -> str:
    """Say what TAO does with a key, as the rest of a sentence that begins with its name."""
    if key.kind in WITHOUT_TAO:
        return WITHOUT_TAO[key.kind]
    is_extension = key.told.is_extension or describe_model(key.model).startswith(EXTENSION)
    if is_extension and not key.told.tao:
        return "has no such key"
    return key.told.tao.removeprefix("TAO ") or "does the same"


def _place(key: Key) -> str:
    return f"{key.kind}: {key.name}"


def _suggest(places: Sequence[str]) -> str:
    named = [place.replace(": ", ".") for place in dict.fromkeys(places)]
    if not named:
        return f"bpnet spec init KIND writes all keys of a kind: {', '.join(KINDS)}"
    more = f", … ({len(named)} in all)" if len(named) > 8 else ""
    return f"did you mean {', '.join(named[:8])}{more}?"
