"""Records: one photo with its people, as a shard stores it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.records.example import decode_example, encode_example
from bodyposenet.common.errors import UserError

Floats = npt.NDArray[np.float64]

_LITTLE = np.dtype("<f8")


@dataclass(frozen=True, eq=False)
class Record:
    """A photo, what is masked in it, and the people labelled in it.

    Shape letters: P people with keypoints, K the dataset's joints.

    Attributes:
        image_id: The dataset's number of the photo.
        height: Rows of the photo, in pixels.
        width: Columns of the photo.
        image_path: Path of the photo below the dataset's root.
        mask_path: Path of its mask below the dataset's root.
        dataset: Name of the dataset, the key of a train spec's ``dataset_specs``.
        image: The photo's file, as it is (JPEG or PNG).
        mask: PNG, one channel: 0 where the loss does not count, 255 elsewhere; None where all of the photo counts.
        joints: ``(P, K, 3)`` x, y in pixels of the photo and the dataset's raw visibility flag.
        boxes: ``(P, 4)`` x, y, width, height in pixels.
        main: Indices of the people of interest: a training sample each.
        areas: ``(P,)`` what their outlines cover, in square pixels; None in records made elsewhere, without them.
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

    @property
    def scales(self) -> Floats:
        """``(P,)`` heights of the boxes: what TAO calls a person's scale."""
        return np.ascontiguousarray(self.boxes[:, 3])

    @property
    def centers(self) -> Floats:
        """``(P, 2)`` x, y of the boxes' centres."""
        return self.boxes[:, :2] + self.boxes[:, 2:] / 2

    def to_bytes(self) -> bytes:
        """This record as a serialized ``tf.train.Example`` with TAO's feature names and ``person/areas``.

        Arrays are raw ``<f8``.
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
            "person/num_other_people": len(self.boxes) - 1,
        }
        if self.mask is not None:
            features["frame/mask"] = self.mask
        if self.areas is not None:
            features["person/areas"] = _raw(self.areas)
        return encode_example(features)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Record":
        """The inverse of :meth:`to_bytes`.

        Raises:
            UserError: The payload is no record of this project.
        """
        features = decode_example(payload)
        try:
            return _from_features(features)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"this record is not one of ours: {error!r}",
                where=_name(features),
                fix="convert the dataset with this version's dataset_convert",
            ) from None


def read_main_people(payload: bytes) -> tuple[int, ...]:
    """Indices of a serialized record's people of interest."""
    return Record.from_bytes(payload).main


def _from_features(features: dict[str, list[Any]]) -> Record:
    boxes = _array(features["person/boxes"][0]).reshape(-1, 4)
    people = len(boxes)
    main = tuple(features["person/main"])
    if not people or not all(0 <= index < people for index in main):
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
        joints=_array(features["person/joints"][0]).reshape(people, -1, 3),
        boxes=boxes,
        main=main,
        areas=_array(features["person/areas"][0]).reshape(people) if "person/areas" in features else None,
    )


def _raw(array: Floats) -> bytes:
    return np.ascontiguousarray(array, _LITTLE).tobytes()


def _array(raw: bytes) -> Floats:
    """A copy, so that it can be written to and does not hold the whole record."""
    return np.frombuffer(raw, _LITTLE).astype(np.float64)


def _name(features: dict[str, list[Any]]) -> str:
    return f"image {features['frame/image_id'][0]}" if features.get("frame/image_id") else "record"
