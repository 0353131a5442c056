"""Mutations: hypothesis strategies that make hostile files of sound ones, so that a find shrinks to its least change.

What is cut, doubled, flipped or put in is drawn as small numbers, and lands where these fall in the file at hand: fewer
and smaller changes are simpler ones.
"""

import copy
import io
import json
import zipfile

import yaml
from hypothesis import strategies as st

MOST = 4  # changes of a file
DEEP, CLOSED, DIGITS, SURROGATE = (
    "@@deep@@",
    "@@closed@@",
    "@@digits@@",
    "@@surrogate@@",
)  # what json.dumps cannot write
WRITTEN = {
    f'"{DEEP}"': "[" * 100_000,
    f'"{CLOSED}"': "[" * 3000 + "]" * 3000,
    f'"{DIGITS}"': "9" * 5000,
    SURROGATE: "\\ud800",
}
ODD_VALUES = (
    None, True, False, 0, -1, 1, 2, 7, 0.5, -0.0, 2**31, 2**53 + 1, 2**64, 10**19, -(10**30), 10**400, 1e308, 1e-308,
    float("nan"), float("inf"), float("-inf"), "", " ", "0", "-1", "1e999", "nan", "null", "a" * 5000, "\0", "a\0b",
    "\n",
    "\x1b]0;owned\x07", "\x9b2J", "\u202e", "../x", "../../../etc/passwd", "/etc/passwd", "C:\\x", "..\\x", "~", ".",
    "..",
    "gs://", "s3://b", "http://[::1", "https://u:SECRET@h/?token=SECRET", "models:/", "models:/a/b/c",
    "pretrained:../x",
    "*", "**", "(" * 50, "[a-", "(a+)+$", "%s", "{0}", "#", "&a", "<", "]]>", [], {}, [[]], [None], [0, 1], [[0]],
    {"": 0},
    {"a": {"a": {}}}, DEEP, CLOSED, DIGITS, SURROGATE, ["a"] * 300, list(range(50)),
)  # fmt: skip
ODD_WORDS = (
    b"", b"\0", b"\xff", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"nan", b"inf", b"-1", b"1e308", b"9" * 400,
    b"9" * 5000, b'""', b"null", b"[]", b"{}", b"[" * 3000, b"{" * 3000, b"(" * 300, b"&b;", b"&#0;", b"<",
    b"<!DOCTYPE a>",
    b"*a", b"&a [*a]", b"!!int ''", b"!!binary x", b"!!timestamp 1", b"!!set {a}", b"!!omap [a]",
    b"!!python/name:os.system",
    b"<<: *x", b"? [a]\n: b", b"0 0", b"..", b"../x", b"/etc/passwd", b"true", b"\x1b]0;owned\x07", b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\xff" * 8, b"\0" * 8, b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\xd7\xff",
    b"- " * 400,
)  # fmt: skip


def byte_changes(least=1):
    """Changes of a file's bytes, for :func:`change_bytes`."""
    one = st.tuples(
        st.sampled_from(("cut", "drop", "double", "flip", "word", "zero", "random", "splice", "number")),
        st.integers(0, (1 << 16) - 1),
        st.integers(0, (1 << 16) - 1),
        st.integers(0, 255),
    )
    return st.lists(one, min_size=least, max_size=MOST)


def change_bytes(content, changes, other=b""):
    """Drop, double, overwrite, cut off or splice bytes."""
    made = bytearray(content)
    for kind, place, size, value in changes:
        at = place * len(made) >> 16
        end = at + 1 + (size & 15 if size < 1 << 14 else size % (1 + len(made) // 4))
        _CHANGES[kind](made, at, end, value, other)
    return bytes(made)


def _cut(made, at, end, value, other):
    del made[at:]


def _drop(made, at, end, value, other):
    del made[at:end]


def _double(made, at, end, value, other):
    made[at:end] = made[at:end] * 2


def _flip(made, at, end, value, other):
    if made:
        made[min(at, len(made) - 1)] ^= 1 << (value & 7)


def _word(made, at, end, value, other):
    made[at : min(end, at + 6)] = ODD_WORDS[value % len(ODD_WORDS)]


def _zero(made, at, end, value, other):
    made[at:end] = bytes([value & 1 and 255] * len(made[at:end]))


def _random(made, at, end, value, other):
    made[at : at + 1] = bytes([value])


def _splice(made, at, end, value, other):
    start = value * len(other) >> 8
    made[at:end] = other[start : start + end - at]


def _number(made, at, end, value, other):
    """Another number in a field of 2, 4 or 8 bytes."""
    width = (2, 4, 8)[value % 3]
    at = max(0, min(at - at % 2, len(made) - width))
    number = (0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1), (1 << 8 * width - 1) - 1, 1 << 16, 65535, 3)[
        value // 3 % 8
    ]
    number &= (1 << 8 * width) - 1
    if len(made) >= width:
        made[at : at + width] = number.to_bytes(width, ("little", "big")[value // 24 % 2])


_CHANGES = {
    "cut": _cut, "drop": _drop, "double": _double, "flip": _flip, "word": _word, "zero": _zero, "random": _random,
    "splice": _splice, "number": _number,
}  # fmt: skip


def tree_changes(least=1):
    """Changes of nested lists and mappings, for :func:`change_tree`."""
    one = st.tuples(
        st.sampled_from(("put", "drop", "double", "copy", "rename", "wrap", "empty")),
        st.integers(0, (1 << 16) - 1),
        st.integers(0, 255),
    )
    return st.lists(one, min_size=least, max_size=MOST)


def change_tree(document, changes):
    """Put odd values in place of others, drop, double, exchange and rename entries."""
    root = [copy.deepcopy(document)]
    for kind, place, value in changes:
        places = list(_list_places(root))
        inside, key = places[place * len(places) >> 16]
        _change_entry(kind, inside, key, places, value)
    return root[0]


def _change_entry(kind, inside, key, places, value):
    odd = copy.deepcopy(ODD_VALUES[value % len(ODD_VALUES)])
    if kind == "drop" and inside is not places[0][0]:
        del inside[key]
    elif kind == "double" and isinstance(inside, list) and inside is not places[0][0]:
        inside.insert(key, copy.deepcopy(inside[key]))
    elif kind == "copy":
        there, name = places[value * len(places) >> 8]
        inside[key] = copy.deepcopy(there[name])
    elif kind == "rename" and isinstance(inside, dict):
        inside[odd if isinstance(odd, str) else str(odd)[:20]] = inside.pop(key)
    elif kind == "wrap":
        inside[key] = [inside[key]] if value % 2 else {"a": inside[key]}
    elif kind == "empty":
        inside[key] = type(inside[key])() if inside[key] is not None else 0
    else:
        inside[key] = odd


def _list_places(root):
    """Each list or mapping with each of its keys; the root is the only entry of a list."""
    todo = [root]
    while todo:
        inside = todo.pop()
        for key in list(range(len(inside))) if isinstance(inside, list) else list(inside):
            yield inside, key
            if isinstance(inside[key], list | dict):
                todo.append(inside[key])


def as_json(document):
    """The text of a document, with what Python's writer refuses to write."""
    text = json.dumps(document)
    for mark, written in WRITTEN.items():
        text = text.replace(mark, written)
    return text.encode()


def change_json(content, changes):
    """A JSON file of which values were changed."""
    return as_json(change_tree(json.loads(content), changes))


def change_lines(content, changes):
    """A file of JSON lines of which values were changed."""
    lines = change_tree([json.loads(line) for line in content.splitlines()], changes)
    return b"".join(as_json(line) + b"\n" for line in lines) if isinstance(lines, list) else as_json(lines)


def unpack(content):
    """The members of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(members):
    """A zip archive of members."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def change_member(content, which, tree, changed):
    """An archive of which one member was changed: as a tree where it is JSON, else its bytes."""
    members = unpack(content)
    name = sorted(members)[which % len(members)]
    try:
        change = change_hdf5 if name.endswith(".h5") else change_json
        members[name] = change(members[name], tree)
    except ValueError:
        members[name] = change_bytes(members[name], changed, content)
    return pack(members)


def change_yaml(content, changes):
    """A YAML file of which values were changed, in the form of JSON."""
    return as_json(change_tree(yaml.safe_load(content), changes))


def change_message(message, changes):
    """Change fields of a protobuf message, and of those in it, to odd values of their types."""
    for kind, place, value in changes:
        places = list(_list_fields(message))
        if not places:
            return
        inside, field = places[place * len(places) >> 16]
        _change_field(kind, inside, field, value)


def _list_fields(message):
    todo = [message]
    while todo:
        inside = todo.pop()
        for field, found in inside.ListFields():
            yield inside, field
            if field.type == field.TYPE_MESSAGE:
                todo += list(found) if field.is_repeated else [found]


def _change_field(kind, inside, field, value):
    found = getattr(inside, field.name)
    if kind in ("drop", "empty"):
        inside.ClearField(field.name)
    elif field.is_repeated:
        at = value % len(found)
        items = list(found)
        if kind == "double":
            items.insert(at, items[at])
        elif kind in ("copy", "wrap", "rename") or field.type == field.TYPE_MESSAGE:
            items.pop(at)
        else:
            items[at] = _choose_odd(field, value, items[at])
        kept = [type(each).FromString(each.SerializeToString()) for each in items] if _holds_messages(field) else items
        del found[:]
        found.extend(kept)
    elif not _holds_messages(field):
        setattr(inside, field.name, _choose_odd(field, value, found))


def _holds_messages(field):
    return field.type == field.TYPE_MESSAGE


def _choose_odd(field, value, found):
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return (0.0, -1.0, float("nan"), float("inf"), 1e38)[value % 5]
    if field.type == field.TYPE_BYTES:
        return (b"", found[: len(found) // 2], found * 2, b"\xff" * 7, b"{}", b"\xff" * len(found))[value % 6]
    if field.cpp_type == field.CPPTYPE_STRING:
        return ("", "\0", "../x", "/etc/passwd", "input_1", "a" * 5000, "\x1b[2J", "heatmap_out", "{}", "[]")[
            value % 10
        ]
    if field.cpp_type == field.CPPTYPE_ENUM:
        return [each.number for each in field.enum_type.values][value % len(field.enum_type.values)]
    narrow = field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32)
    return (0, 1, -1, 3, 7, 2**31 - 1, -(2**31), 2**31 - 1 if narrow else 2**62, -5 if narrow else -(2**62))[value % 9]


def change_onnx(content, changes):
    """An ONNX file of which fields were changed."""
    import onnx

    model = onnx.ModelProto.FromString(content)
    change_message(model, [(kind, place, value) for kind, place, value in changes])
    return model.SerializeToString()


def change_hdf5(content, changes):
    """An HDF5 file of which attributes and members were changed."""
    import h5py

    made = io.BytesIO(content)
    with h5py.File(made, "r+") as file:
        for kind, place, value in changes:
            names: list[str] = []
            file.visit(names.append)
            places = [("", None)] + [(name, None) for name in names]
            places += [(name, key) for name, _ in list(places) for key in (file[name or "/"].attrs)]
            name, key = places[place * len(places) >> 16]
            if key is not None:
                _change_attribute(file[name or "/"].attrs, key, kind, value)
            elif name:
                _change_node(h5py, file, name, kind, value)
    return made.getvalue()


def _change_attribute(attributes, key, kind, value):
    import numpy as np

    if kind == "drop":
        del attributes[key]
        return
    old = attributes[key]
    odd = (
        "", "nan", -1, 0, 2**40, 10**11, float("nan"), float("inf"), np.zeros(0), np.array([-1, 2**40]), "{}", "[]",
        b"\xff",
        np.array(["a", "a"], object), np.array([b"\xff"]), np.arange(5), 'null', '{"class_name": "Functional"}',
    )[value % 18]  # fmt: skip
    if isinstance(old, str | bytes) and kind in ("copy", "wrap", "double", "rename"):
        text = old if isinstance(old, str) else old.decode("latin-1")
        try:
            odd = change_json(text.encode(), [("put", value << 8, value)]).decode()
        except ValueError:
            odd = text[: value * len(text) >> 8]
    del attributes[key]
    attributes[key] = odd


def _change_node(h5py, file, name, kind, value):
    if name not in file:  # a link leads nowhere now
        return
    free = next(other for other in (f"{name}_{number}" for number in range(9)) if other not in file)
    if kind == "rename":
        file.move(name, free)
        return
    if kind == "double":
        file.copy(name, free)
        return
    del file[name]
    if kind == "drop":
        return
    made = (
        lambda: file.__setitem__(name, h5py.SoftLink("/")),
        lambda: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
        lambda: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/")),
        lambda: file.create_dataset(name, (2**40,), "f4", chunks=(1024,)),
        lambda: file.create_dataset(name, (0,), "f4"),
        lambda: file.create_dataset(name, data=float("nan")),
        lambda: file.create_dataset(name, data="text"),
        lambda: file.create_dataset(name, data=[1, 2, 3]),
        lambda: file.create_dataset(name, data=[b"a"]),
        lambda: file.create_group(name),
        lambda: file.create_dataset(name, (1,) * 30, "f4"),
        lambda: file.create_dataset(name, (3, 3, 3, 8), "f8"),
        lambda: file.create_dataset(name, data=h5py.Empty("f4")),
        lambda: file.create_dataset(name, (2,), [("a", "f4")]),
        lambda: file.create_dataset(name, (1 << 20,), "f4", maxshape=(None,), chunks=(1 << 20,), compression="gzip"),
        lambda: file.create_dataset(name, (3,), "complex64"),
        lambda: file.create_dataset(name, (1 << 28,), "f4", chunks=(1 << 16,)),
        lambda: file.create_dataset(name, (1 << 28,), "f4", chunks=(1 << 16,), compression="gzip"),
    )  # fmt: skip
    made[value % len(made)]()


INSIDE = {
    "json": change_json, "jsonl": change_lines, "yaml": change_yaml, "onnx": change_onnx, "hdf5": change_hdf5,
}  # fmt: skip


def mutated(seeds, form):
    """Files made of some seeds.

    Args:
        seeds: Contents of sound files.
        form: Of which kind they are: ``zip`` and the keys of ``INSIDE`` are also changed by what they say, of others
            only the bytes are.
    """
    numbers = st.integers(0, len(seeds) - 1)
    whole = st.tuples(numbers, numbers, byte_changes()).map(
        lambda drawn: change_bytes(seeds[drawn[0]], drawn[2], seeds[drawn[1]])
    )
    if form in INSIDE:
        inside = st.tuples(numbers, tree_changes()).map(lambda drawn: INSIDE[form](seeds[drawn[0]], drawn[1]))
        return inside | inside | whole
    if form == "zip":
        inside = st.tuples(numbers, st.integers(0, 255), tree_changes(), byte_changes()).map(
            lambda drawn: change_member(seeds[drawn[0]], *drawn[1:])
        )
        return inside | inside | whole
    return whole
