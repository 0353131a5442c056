"""Record: one photo with its people, as a shard stores it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from bodyposenet.common.errors import UserError

Floats = npt.NDArray[np.float64]

_LITTLE = np.dtype("<f8")

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


@dataclass(frozen=True, eq=False)
class Record:
    """A photo, what is masked in it, and the people labelled in it.

    Shape letters: P people with keypoints, K the dataset's joints (0 where there are no people).

    Attributes:
        image_id: The dataset's number of the photo.
        height: Rows of the photo, in pixels.
        width: Columns of the photo.
        image_path: Path of the photo below the dataset's root.
        mask_path: Path of its mask below the dataset's root.
        dataset: Name of the dataset, the key of a train spec's ``dataset_specs``.
        image: The photo's file, as it is (JPEG, PNG, BMP or WebP).
        mask: PNG, one channel: 0 where the loss does not count, 255 elsewhere; None where all of the photo counts.
        joints: ``(P, K, 3)`` x, y in pixels of the photo and the dataset's raw visibility flag.
        boxes: ``(P, 4)`` x, y, width, height in pixels.
        main: Indices of the people of interest: a training sample each.
        areas: ``(P,)`` what their outlines cover, in square pixels; None in records made elsewhere, without them.
        orientation: EXIF's number of how the image's pixels are turned to be what mask, joints and boxes are of; 1
            leaves them as they are stored.
    """

    image_id: int
    height: int
    width: int
    image_path: str
    mask_path: str
    dataset: str
    image: bytes
    mask: bytes | None
    joints: Floats
    boxes: Floats
    main: tuple[int, ...]
    areas: Floats | None = None
    orientation: int = 1

    @property
    def scales(self) -> Floats:
        """``(P,)`` heights of the boxes: what TAO calls a person's scale."""
        return np.ascontiguousarray(self.boxes[:, 3])

    @property
    def centers(self) -> Floats:
        """``(P, 2)`` x, y of the boxes' centres."""
        return self.boxes[:, :2] + self.boxes[:, 2:] / 2

    def to_bytes(self) -> bytes:
        """Serialize this record as a ``tf.train.Example`` with TAO's feature names.

        Beside TAO's there are ``person/areas`` and, of a photo that is turned, ``frame/orientation``. Arrays are raw
        ``<f8``.
        """
        features: dict[str, Any] = {
            "frame/image_id": self.image_id,
            "frame/height": self.height,
            "frame/width": self.width,
            "frame/image_path": self.image_path,
            "frame/mask_path": self.mask_path,
            "frame/image": self.image,
            "dataset": self.dataset,
            "person/joints": _raw(self.joints),
            "person/scales": _raw(self.scales),
            "person/centers": _raw(self.centers),
            "person/boxes": _raw(self.boxes),
            "person/main": list(self.main),
            "person/num_other_people": max(len(self.boxes) - 1, 0),
        }
        if self.mask is not None:
            features["frame/mask"] = self.mask
        if self.areas is not None:
            features["person/areas"] = _raw(self.areas)
        if self.orientation != 1:
            features["frame/orientation"] = self.orientation
        return encode_example(features)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Record":
        """Undo :meth:`to_bytes`.

        Raises:
            UserError: The payload is no record of this project.
        """
        features = decode_example(payload)
        try:
            return _from_features(features)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            image = features.get("frame/image_id")
            raise UserError(
                f"this record is not one of ours: {error!r}",
                where=f"image {image[0]}" if image else "record",
                fix="convert the dataset with this version's dataset_convert",
            ) from None


def _from_features(features: dict[str, list[Any]]) -> Record:
    boxes = _array(features["person/boxes"][0]).reshape(-1, 4)
    people = len(boxes)
    main = tuple(features["person/main"])
    if not all(0 <= index < people for index in main):
        raise ValueError(f"people of interest {main} of {people} people")
    return Record(
        image_id=features["frame/image_id"][0],
        height=features["frame/height"][0],
        width=features["frame/width"][0],
        image_path=features["frame/image_path"][0].decode(),
        mask_path=features["frame/mask_path"][0].decode(),
        dataset=features["dataset"][0].decode(),
        image=features["frame/image"][0],
        mask=features["frame/mask"][0] if "frame/mask" in features else None,
        joints=_array(features["person/joints"][0]).reshape(people, -1 if people else 0, 3),
        boxes=boxes,
        main=main,
        areas=_array(features["person/areas"][0]).reshape(people) if "person/areas" in features else None,
        orientation=_check_orientation(features.get("frame/orientation", [1])[0]),
    )


def _check_orientation(number: int) -> int:
    if number not in range(1, 9):
        raise ValueError(f"orientation {number}")
    return number


def _raw(array: Floats) -> bytes:
    return np.ascontiguousarray(array, _LITTLE).tobytes()


def _array(raw: bytes) -> Floats:
    """Copy the array, so that it can be written to and does not hold the whole record."""
    return np.frombuffer(raw, _LITTLE).astype(np.float64)


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """Serialize named features; the same features give the same bytes, whatever their order.

    Args:
        features: A value or a sequence of values for each name: bytes or str (UTF-8), int (int64), float (float32).
    """
    example = _example_class()()
    example.features.SetInParent()
    for name in sorted(features):
        entry = example.features.feature.add(key=name)
        given = features[name]
        values: list[Any] = [given] if isinstance(given, bytes | str | int | float) else list(given)
        getattr(entry.value, _find_field(values)).value.extend(
            value.encode() if isinstance(value, str) else value for value in values
        )
    return bytes(example.SerializeToString())


def decode_example(payload: bytes) -> dict[str, list[Any]]:
    """Undo :func:`encode_example`: return the list of bytes, ints or floats of each feature.

    Raises:
        UserError: The payload is no Example.
    """
    example = _example_class()()
    try:
        example.ParseFromString(payload)
    except message.DecodeError:
        raise UserError("this record is no tf.train.Example", fix="name a file that dataset_convert wrote") from None
    found = {}
    for entry in example.features.feature:
        fields = entry.value.ListFields()
        found[entry.key] = list(fields[0][1].value) if fields else []
    return found


def _find_field(values: list[Any]) -> str:
    """Return the Feature field that holds these values; an empty list is one of ints."""
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
