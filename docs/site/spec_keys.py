"""Spec keys: the reference of a kind of spec, from its models and what their docstrings say."""

from collections.abc import Sequence

from bodyposenet.common.spec.guide.explanations import describe_model
from bodyposenet.common.spec.guide.keys import ITS_KEYS, REQUIRED, Key, list_keys
from bodyposenet.common.spec.guide.look_up import compare_with_tao
from bodyposenet.common.spec.guide.template import COMMANDS
from bodyposenet.common.spec.kinds import KINDS
from docs.site.markup import escape, format_block, format_code, format_term

TOP = "Keys of the file"


def write_keys(kind: str) -> str:
    """Write the page of a kind of spec: every key with its type, bounds, default, effect, and what TAO does."""
    parts: dict[tuple[tuple[str, ...], type], list[Key]] = {}
    for key in list_keys(kind):
        parts.setdefault((key.path[:-1], key.model), []).append(key)
    head = [
        f"# Keys of `{kind}` specs\n",
        f"{escape(describe_model(KINDS[kind]))}\n",
        format_block(f"bpnet spec init {kind} -o {kind}.yaml\n{COMMANDS[kind].format(file=f'{kind}.yaml')}", "sh"),
        "What specs are, and how they are checked: [spec files](../specs.md).\n",
    ]
    return "\n".join([*head, *(_write_part(kind, keys, list(parts)) for keys in parts.values())])


def name_key(key: Key) -> str:
    """Name a key's place on its page; where several classes have the key, the class is named first."""
    return f"{key.model.__name__}.{key.name}"


def _write_part(kind: str, keys: Sequence[Key], parts: Sequence[tuple[tuple[str, ...], type]]) -> str:
    path, model = keys[0].path[:-1], keys[0].model
    place = f"`{'.'.join(path)}`" if path else TOP
    several = sum(other == path for other, _ in parts) > 1
    head = [f"## {place}{f': {model.__name__}' if several else ''}\n"]
    told = [f"{escape(describe_model(model))}\n"] if path else []
    return "\n".join([*head, *told, *map(_write_key, keys)])


def _write_key(key: Key) -> str:
    default = key.default if key.default == REQUIRED else f"default {_format_default(key.default)}"
    choices = "" if key.choices in key.type or key.type.startswith("keys of") else key.choices
    facts = "; ".join(filter(None, [escape(key.type), key.bounds, escape(choices), key.told.unit, default]))
    tao = escape(f"TAO {compare_with_tao(key).removesuffix('.')}.")
    return format_term(key.path[-1], [f"*{facts}*", escape(key.told.effect), tao], name_key(key))


def _format_default(default: str) -> str:
    return default if default == ITS_KEYS else format_code(default)
