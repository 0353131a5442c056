"""Example: TensorFlow's ``tf.train.Example`` messages, written and read without TensorFlow."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from bodyposenet.common.errors import UserError

Feature = bytes | str | int | float | Sequence[bytes] | Sequence[int] | Sequence[float]

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "bodyposenet.example"  # our own pool: TensorFlow's messages may live in the default one beside these

# name -> fields (name, number, repeated, type, message). A map field is a repeated entry on the wire, so writing the
# entries as such, in the order of their keys, gives bytes that no protobuf version reorders.
_MESSAGES = {
    "BytesList": [("value", 1, True, _FIELD.TYPE_BYTES, "")],
    "FloatList": [("value", 1, True, _FIELD.TYPE_FLOAT, "")],
    "Int64List": [("value", 1, True, _FIELD.TYPE_INT64, "")],
    "Feature": [
        ("bytes_list", 1, False, _FIELD.TYPE_MESSAGE, "BytesList"),
        ("float_list", 2, False, _FIELD.TYPE_MESSAGE, "FloatList"),
        ("int64_list", 3, False, _FIELD.TYPE_MESSAGE, "Int64List"),
    ],
    "Entry": [("key", 1, False, _FIELD.TYPE_STRING, ""), ("value", 2, False, _FIELD.TYPE_MESSAGE, "Feature")],
    "Features": [("feature", 1, True, _FIELD.TYPE_MESSAGE, "Entry")],
    "Example": [("features", 1, False, _FIELD.TYPE_MESSAGE, "Features")],
}


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """Serialize named features; the same features give the same bytes, whatever their order.

    Args:
        features: A value or a sequence of values for each name: bytes or str (UTF-8), int (int64), float (float32).
    """
    example = _example_class()()
    example.features.SetInParent()
    for name in sorted(features):
        entry = example.features.feature.add(key=name)
        values = _as_list(features[name])
        getattr(entry.value, _make_list(values)).value.extend(
            value.encode() if isinstance(value, str) else value for value in values
        )
    return bytes(example.SerializeToString())


def decode_example(payload: bytes) -> dict[str, list[Any]]:
    """The inverse of :func:`encode_example`: the list of bytes, ints or floats of each feature.

    Raises:
        UserError: The payload is no Example.
    """
    example = _example_class()()
    try:
        example.ParseFromString(payload)
    except message.DecodeError:
        raise UserError("this record is no tf.train.Example", fix="name a file that dataset_convert wrote") from None
    return {entry.key: _values(entry.value) for entry in example.features.feature}


def _values(feature: message.Message) -> list[Any]:
    fields = feature.ListFields()
    return list(fields[0][1].value) if fields else []


def _as_list(value: Feature) -> list[Any]:
    return [value] if isinstance(value, bytes | str | int | float) else list(value)


def _make_list(values: list[Any]) -> str:
    """The Feature field that holds these values; an empty list is one of ints."""
    if not values or all(isinstance(value, int) for value in values):
        return "int64_list"
    return "bytes_list" if isinstance(values[0], bytes | str) else "float_list"


@cache
def _example_class() -> type[message.Message]:
    file = descriptor_pb2.FileDescriptorProto(name="bodyposenet/example.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for field, number, repeated, kind, of in fields:
            described.field.add(
                name=field,
                number=number,
                type=kind,
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
                type_name=f".{_PACKAGE}.{of}" if of else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[message.Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))
    return found
