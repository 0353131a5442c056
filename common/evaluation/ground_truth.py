"""Ground truth: the test half of a dataset, as the people that are to be found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from bodyposenet.common.data.annotations.coco import CocoSet, Floats, Photo, read_half
from bodyposenet.common.data.annotations.compact_columns import Outlines
from bodyposenet.common.data.annotations.tables import AnnotationTable, PhotoTable
from bodyposenet.common.data.loading.decoding import decode_mask
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.orientation import Frame
from bodyposenet.common.imaging.photo import decode_annotated
from bodyposenet.common.skeleton.joint_names import match_spellings
from bodyposenet.common.skeleton.skeleton import Skeleton, find_sigma
from bodyposenet.common.skeleton.visibility import recode
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.photo_store import PhotoStore, open_photos

COVERED = 0.53  # share of a person's box that the outline covers, the mean over COCO's people
Rows = list[tuple[int, Floats, Floats, float, bool]]  # photo, keypoints (K, 3), box (4,), area, crowd


@dataclass(frozen=True)
class AnnotatedPhotos:
    """Annotations, the folder of their photos, and which way up photos are whose size does not tell."""

    truth: CocoSet
    folder: Location
    unclear: Frame

    @cached_property
    def store(self) -> PhotoStore:
        """Where the photos are read."""
        return open_photos(self.folder)

    def read(self, photo: Photo) -> Floats:
        """Read a photo's pixels, ``(H, W, 3)`` RGB uint8, the way up that it was annotated.

        Raises:
            UserError: It cannot be read.
        """
        data = self.store.read(photo.file_name)
        told, where = (photo.height, photo.width), str(self.folder / photo.file_name)
        return decode_annotated(data, told, unclear=self.unclear, where=where)[0].pixels


def read_test_set(dataset: DatasetSpec) -> CocoSet:
    """Read a dataset's test annotations; visibility flags are 0, 1 or 2 whatever the dataset's own are.

    Raises:
        UserError: The file is missing or wrong.
    """
    return read_half(dataset, "test", coded=True)


def require_common_joints(truth: CocoSet, skeleton: Skeleton) -> None:
    """Refuse a network that knows none of the annotations' joints, or calls one otherwise.

    Raises:
        UserError: It does.
    """
    if not set(truth.joints) & set(skeleton.joints):
        raise UserError(
            f"the network's joints ({', '.join(skeleton.joints[:3])}, …) are none of the annotations'",
            where=str(truth.path),
            fix="evaluate on a dataset with the joints that the network was trained on",
        )
    if spelt := match_spellings(truth.joints, skeleton.joints):
        raise UserError(
            f"its joint {spelt[0][0]!r} is called {spelt[0][1]!r} by the network: none of them would be found",
            where=str(truth.path),
            fix="spell it so in categories[].keypoints of the dataset spec",
        )


def sigmas_for(joints: Sequence[str], skeleton: Skeleton) -> list[float]:
    """OKS spread of each of the annotations' joints: the skeleton's, or that of COCO by the name of the joint."""
    own = dict(zip(skeleton.joints, skeleton.sigmas, strict=True))
    return [own.get(joint, find_sigma(joint)) for joint in joints]


def build_truth(records: Iterable[Record], datasets: Mapping[str, DatasetSpec], where: str = "records") -> CocoSet:
    """The annotations of records, as :func:`~bodyposenet.common.evaluation.coco_metrics.coco_metrics` takes them.

    Photos are numbered from 0 in their order, as numbers of several datasets may collide. What a mask leaves out counts
    as a crowd: nobody needs to be found there, and nobody found there is wrong.

    Args:
        records: Photos with their people.
        datasets: Spec of each dataset that they name.
        where: What messages call them.
    """
    names = tuple(dict.fromkeys(name for spec in datasets.values() for name in spec.joints))
    sizes, rows = [], Rows()
    for number, record in enumerate(records):
        sizes.append((record.height, record.width))
        rows += _people(number, record, datasets[record.dataset], names)
        rows += [(number, np.zeros((len(names), 3)), box, box[2] * box[3], True) for box in _find_left_out(record)]
    heights, widths = np.array(sizes, np.int64).reshape(-1, 2).T
    numbers = np.arange(len(sizes))
    return CocoSet(
        locate(where), names, PhotoTable(numbers, [str(n) for n in numbers], heights, widths), _table(rows, len(sizes))
    )


def _people(number: int, record: Record, spec: DatasetSpec, names: Sequence[str]) -> Rows:
    """The labelled people of a record, their joints in the order of ``names``."""
    keypoints = np.zeros((len(record.joints), len(names), 3))
    keypoints[:, [names.index(name) for name in spec.joints]] = record.joints
    keypoints[..., 2] = recode(keypoints[..., 2], spec.visibility_flags.codes() | {0: 0})
    areas = COVERED * record.boxes[:, 2:].prod(axis=1) if record.areas is None else record.areas
    people = zip(keypoints, record.boxes, areas, strict=True)
    return [(number, joints, box, float(area), False) for joints, box, area in people]


def _find_left_out(record: Record) -> Floats:
    """``(R, 4)`` boxes of the regions that the mask leaves out."""
    mask = decode_mask(record)
    if mask is None:
        return np.zeros((0, 4))
    _, _, found, _ = cv2.connectedComponentsWithStats(np.equal(mask, 0).astype(np.uint8))
    return found[1:, :4].astype(float)


def _table(rows: Rows, photos: int) -> AnnotationTable:
    photo = np.array([row[0] for row in rows], np.int64)
    keypoints = np.array([row[1] for row in rows]).reshape(len(rows), -1, 3)
    boxes = np.array([row[2] for row in rows], float).reshape(-1, 4)
    return AnnotationTable(
        first=np.searchsorted(photo, np.arange(photos + 1)),
        ids=np.arange(len(rows)),
        keypoints=keypoints,
        boxes=boxes,
        areas=np.array([row[3] for row in rows], float),
        crowds=np.array([row[4] for row in rows], bool),
        num_keypoints=np.count_nonzero(keypoints[..., 2], axis=1),
        segmentations=Outlines([] for _ in rows),
        categories=np.zeros(len(rows), np.int64),
    )
