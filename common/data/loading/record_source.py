"""Record source: converted records as samples, augmented for training."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from bodyposenet.common.data.loading.affine import Warp, person_centric, whole_photo
from bodyposenet.common.data.loading.batches import STRIDE, Sample
from bodyposenet.common.data.loading.colour import Tint, random_tint
from bodyposenet.common.data.loading.decoding import SpoiltRecordError, decode_photo, factor_for, read_mask
from bodyposenet.common.data.loading.picture_cache import PictureCache
from bodyposenet.common.data.records.manifest import Shard, open_shards
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.pixels import Pixels
from bodyposenet.common.skeleton.joint_names import match_spellings
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.skeleton.visibility import recode
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.train import AugmentationConfig, TrainSpec

MOST_DAMAGED = 100  # records in a row; more are no accident

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordSource:
    """People of interest in shards, each a sample; and photos that show nobody, if they are to have a share.

    Attributes:
        shards: Opened shards.
        datasets: Spec of each dataset that the records name.
        skeleton: Whose joints are wanted.
        size: ``(height, width)`` of the input.
        augmentation: How samples vary.
        seed: Of the augmentation.
        share: Of an epoch's samples those that show nobody, from 0 to below 1.
        decode_whole: As in a train spec.
        cache_bytes: Memory for photos that are kept as they were decoded.
    """

    shards: tuple[Shard, ...]
    datasets: Mapping[str, DatasetSpec]
    skeleton: Skeleton
    size: tuple[int, int]
    augmentation: AugmentationConfig
    seed: int
    share: float = 0.0
    decode_whole: bool = False
    cache_bytes: int = 0

    @classmethod
    def from_spec(cls, spec: TrainSpec, skeleton: Skeleton) -> "RecordSource":
        """Open the training records of a train spec.

        Raises:
            UserError: A shard or a dataset spec cannot be used, or there are no photos with nobody that the spec wants.
        """
        loader = spec.dataloader
        config = loader.dataset_config
        datasets = {name: load_spec(path, DatasetSpec) for name, path in config.dataset_specs.items()}
        for name, path in config.dataset_specs.items():
            _hold_to_skeleton(datasets[name], skeleton, path)
        source = cls(
            shards=tuple(open_shards(config.train_records_folder_path, config.train_records_path)),
            datasets=datasets,
            skeleton=skeleton,
            size=loader.image_config.image_dims.size,
            augmentation=loader.augmentation_config,
            seed=spec.random_seed,
            share=loader.negatives,
            decode_whole=loader.decode_whole,
            cache_bytes=loader.cache_bytes,
        )
        source._require_negatives()
        return source

    def _require_negatives(self) -> None:
        if self.share and not len(self.blank):
            raise UserError(
                f"{self.share:g} of each batch shall show nobody, but no record does",
                where="dataloader.negatives",
                fix="set negative_photos: true in the dataset spec and convert again, or set negatives to 0",
            )

    @cached_property
    def people(self) -> np.ndarray:
        """``(S, 3)`` int64: shard, record and person of every sample."""
        rows = [(s, record, person) for s, shard in enumerate(self.shards) for record, person in shard.samples]
        return np.array(rows, np.int64).reshape(-1, 3)

    @cached_property
    def blank(self) -> np.ndarray:
        """``(N, 2)`` int64: shard and record of every photo that shows nobody."""
        rows = [(s, record) for s, shard in enumerate(self.shards) for record in shard.negatives]
        return np.array(rows, np.int64).reshape(-1, 2)

    @cached_property
    def negatives(self) -> int:
        """Samples of an epoch that show nobody: the last ones."""
        return round(len(self.people) * self.share / (1 - self.share))

    @property
    def remote(self) -> bool:
        """Whether records are read from a bucket, a request each."""
        return any(shard.records.path.remote for shard in self.shards)

    def __len__(self) -> int:
        return len(self.people) + self.negatives

    def find_dataset(self, name: str) -> DatasetSpec:
        """Return the spec of a dataset that records name.

        Raises:
            UserError: There is none.
        """
        if name not in self.datasets:
            raise UserError(
                f"records name dataset {name!r}, which has no spec",
                where="dataloader.dataset_config.dataset_specs",
                fix=f"add `{name}: PATH`, the dataset spec it was converted with",
            )
        return self.datasets[name]

    @cached_property
    def kept(self) -> PictureCache:
        """Photos that need not be read and decoded again."""
        return PictureCache(self.cache_bytes)

    @cached_property
    def damaged(self) -> set[tuple[int, int]]:
        """Records that could not be decoded, by shard and number; each is told once."""
        return set()

    def sample(self, index: int, epoch: int) -> Sample:
        """Sample ``index``, augmented as epoch ``epoch`` sees it; the next one in place of one that is damaged.

        Raises:
            UserError: So many records in a row are damaged that the shards are.
        """
        for further in range(MOST_DAMAGED - 1):
            place = self._find_place(index, epoch, further)
            if place.key in self.damaged:
                continue
            try:
                return self._sample(place, epoch)
            except SpoiltRecordError as error:
                self.damaged.add(place.key)
                log.warning("%s; skipped, as %d photos are so far", error, len(self.damaged))
        return self._sample(self._find_place(index, epoch, MOST_DAMAGED - 1), epoch)

    def _find_place(self, index: int, epoch: int, further: int) -> "_Place":
        """Find a sample, or the one ``further`` away that stands in for it."""
        people = len(self.people)
        if index < people:
            number = (index + further) % people
            return _Place(number, *self.people[number].tolist())
        drawn = epoch * self.negatives + index - people  # of all negatives that are drawn, in all epochs
        return _Place(index, *self.blank[self._draw_negative(drawn + further)].tolist())

    def _draw_negative(self, number: int) -> int:
        """Draw the row of a negative: all of them in turn, then all in another order."""
        turn, place = divmod(number, len(self.blank))
        return int(_shuffle_turn(turn, len(self.blank), self.seed)[place])

    def _sample(self, place: "_Place", epoch: int) -> Sample:
        record = self.kept.find_record(place.key) or self._read(place)
        rng = _start_chance(self.seed, 1, epoch, place.number)
        warp = self._warp(record, place.person, rng)
        tint = random_tint(rng, self.augmentation.color_aug_params)
        factor = factor_for(warp.scale)
        return self._warped(record, self._find_picture(place, record, factor), warp, factor, tint)

    def _read(self, place: "_Place") -> Record:
        return self.shards[place.shard][place.record]

    def _find_picture(self, place: "_Place", record: Record, factor: int) -> Pixels:
        """Return a record's photo, reduced by a factor: the one that is kept, or else decoded now."""
        kept = self.kept.find_picture(place.key, factor)
        if kept is not None:
            return kept
        whole = record if record.image else self._read(place)  # kept records have no file, or another factor's picture
        picture = decode_photo(whole, factor, whole=self.decode_whole)
        self.kept.keep(place.key, factor, whole, picture)
        return picture

    def _warp(self, record: Record, person: int | None, rng: np.random.Generator) -> Warp:
        """Choose a random way from the record's photo to the input, as the augmentation's mode has it.

        A photo without a person to centre on is taken whole, with its aspect.
        """
        params, photo = self.augmentation.spatial_aug_params, (record.height, record.width)
        mode = self.augmentation.spatial_augmentation_mode
        if mode == "person_centric" and person is not None:
            x, y, width, height = record.boxes[person].tolist()
            centre = np.array([x + width / 2 - 0.5, y + height / 2 - 0.5])
            return person_centric(rng, params, centre=centre, height=height, photo=photo, size=self.size)
        return whole_photo(rng, params, photo=photo, size=self.size, stretch=mode == "standard_with_fixed_aspect_ratio")

    def _warped(self, record: Record, photo: Pixels, warp: Warp, factor: int, tint: Tint | None) -> Sample:
        keypoints = self._keypoints(record)
        if warp.mirrored:
            keypoints = keypoints[:, self.skeleton.flip_order]
        image = warp.from_reduced(factor).image(photo, self.size)
        if tint:
            tint.apply(image, warp, (record.height, record.width))
        return Sample(
            image=image,
            mask=warp.mask(read_mask(record), (self.size[0] // STRIDE, self.size[1] // STRIDE), STRIDE),
            joints=warp.points(keypoints[..., :2]),
            visible=keypoints[..., 2] > 0,
            image_id=record.image_id,
        )

    def _keypoints(self, record: Record) -> np.ndarray:
        """Return ``(P, K, 3)`` joints of this skeleton, with our visibility flags."""
        joints, codes = self._find_labels(record.dataset)
        if not len(record.joints):
            return np.empty((0, self.skeleton.num_joints, 3))
        keypoints = record.joints.copy()
        if keypoints.shape[1] != len(joints):
            raise UserError(
                f"records have {keypoints.shape[1]} joints, the spec of dataset {record.dataset!r} {len(joints)}",
                where="dataloader.dataset_config.dataset_specs",
                fix="name the dataset spec that they were converted with, or convert them again",
            )
        keypoints[..., 2] = recode(keypoints[..., 2], codes)
        return self.skeleton.take(joints, keypoints)

    @cached_property
    def _labels(self) -> dict[str, tuple[tuple[str, ...], dict[int, int]]]:
        """Joints and flags of each dataset that a record was of; every sample asks for them."""
        return {}

    def _find_labels(self, name: str) -> tuple[tuple[str, ...], dict[int, int]]:
        if name not in self._labels:
            spec = self.find_dataset(name)
            self._labels[name] = spec.joints, spec.visibility_flags.codes()
        return self._labels[name]


class _Place(NamedTuple):
    """Where a sample is: its number in an epoch, shard and record, and its person if it is one's."""

    number: int
    shard: int
    record: int
    person: int | None = None

    @property
    def key(self) -> tuple[int, int]:
        """Shard and record: what is kept is found by them."""
        return self.shard, self.record


def _start_chance(*numbers: int) -> np.random.Generator:
    """Return ``default_rng(numbers)`` at half its cost: numbers of 32 bits are the words that it would make of them."""
    words = all(0 <= number < 2**32 for number in numbers)
    return np.random.default_rng(np.array(numbers, np.uint32) if words else numbers)


@lru_cache(maxsize=4)
def _shuffle_turn(turn: int, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 2, turn, 1]).permutation(count)


def _hold_to_skeleton(dataset: DatasetSpec, skeleton: Skeleton, path: str) -> None:
    """Say which joints of a skeleton a dataset can teach nothing of.

    Raises:
        UserError: All of them, or one that is only spelt otherwise.
    """
    known = skeleton.select_taught(dataset.joints)
    strange = [joint for joint in skeleton.joints if joint not in known]
    if not known:
        raise UserError(
            f"its joints ({', '.join(dataset.joints[:3])}, …) are none of the network's ({', '.join(strange[:3])}, …)",
            where=path,
            fix="name a pose config with the dataset's joints in dataloader.pose_config.pose_config_path",
        )
    if spelt := match_spellings(skeleton.joints, dataset.joints):
        raise UserError(
            f"its joint {spelt[0][1]!r} is called {spelt[0][0]!r} in the pose config: no label would show it",
            where=path,
            fix="spell joints alike in categories[].keypoints of the dataset spec and in the pose config",
        )
    if strange:
        log.warning("%s: no such joints as the pose config's %s: no label shows them", path, ", ".join(strange))
