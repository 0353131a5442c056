"""Split: one set of a dataset: its photos, who in them is of interest, and the jobs that make records of them."""

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet import __version__
from bodyposenet.common.data.annotations.album import Album, plain_name
from bodyposenet.common.data.annotations.coco import CocoSet, read_half
from bodyposenet.common.data.annotations.emptiness import tell_nobody
from bodyposenet.common.data.annotations.fields import Mask, Numbers
from bodyposenet.common.data.annotations.ignore_masks import outline_faults
from bodyposenet.common.data.annotations.person_filter import (
    FEW_KEYPOINTS,
    LOW,
    NARROW,
    WITHHELD,
    PersonChoice,
    choose,
)
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.annotations.tables import PhotoTable
from bodyposenet.common.data.conversion import shard_plan
from bodyposenet.common.data.conversion.jobs import Check, HashPiece, MaskPiece, Piece
from bodyposenet.common.data.conversion.photo_rows import digest_labels, take_photos
from bodyposenet.common.data.conversion.recipe import MISSING, ConversionRecipe, outline_problems
from bodyposenet.common.data.importers.load import digest_annotations
from bodyposenet.common.data.importers.photo_names import find_copies
from bodyposenet.common.data.records.manifest import SCHEMA
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.storage.digests import digest_bytes, digest_settings
from bodyposenet.common.storage.inside import stays_inside
from bodyposenet.common.storage.location import Location, Stat, join
from bodyposenet.common.storage.photo_store import PhotoStore, ZipPhotos, open_photos

if TYPE_CHECKING:
    from bodyposenet.common.spec.dataset import DatasetSpec

_COPIES = (
    "%s: of %d photos Roboflow's copies are on both sides of the split, as of %s: what is held out is trained on; keep "
    'them together: "group": "(.+)_[a-zA-Z]+\\\\.rf\\\\."'
)
_BY_FILTER = "; relax data_filtering_params of the dataset spec"
FILTERED = {
    FEW_KEYPOINTS: f"have fewer joints than min_acceptable_kpts{_BY_FILTER}",
    LOW: f"are lower than min_acceptable_height{_BY_FILTER}",
    NARROW: f"are narrower than min_acceptable_width{_BY_FILTER}",
    WITHHELD: "are in photos that are held out elsewhere; give others for training",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class DatasetSplit:
    """One set of a dataset.

    Attributes:
        spec: The dataset.
        paths: Where the set is, below the spec's root.
        coco: Its annotations.
        choice: Who is of interest.
        digest: Of the annotations and the spec, without the place where the dataset is.
        mode: ``train`` or ``test``: which set it is.
        album: Its photos, as they were found when the annotations were read.
        withheld: Photos that are held out elsewhere and left out here.
    """

    spec: Any
    paths: Any
    coco: CocoSet
    choice: PersonChoice
    digest: str
    mode: str
    album: Album
    withheld: tuple[int, ...] = ()

    @classmethod
    def read(cls, spec: "DatasetSpec", mode: str) -> "DatasetSplit":
        """Read the annotations of a dataset's ``train`` or ``test`` half.

        Raises:
            UserError: They cannot be read, or nobody in them is of interest.
        """
        paths, file, images = spec.locate_half(mode)
        album = Album(images, unclear=spec.unclear_orientation)
        coco = read_half(spec, mode, strict=False, album=album)
        source = cls(spec, paths, coco, choose(coco, spec.data_filtering_params), _digest(spec, file), mode, album)
        source._require_people()
        if source.held_out and (copies := find_copies(source.held_out.file_names, coco.images.file_names)):
            log.warning(_COPIES, file, len(copies), min(copies))
        if mode == "train" and spec.withheld_photos:
            source = source._without_withheld()
            source._require_people()
        return source

    def _require_people(self) -> None:
        if not self.choice.mains.any():
            counts = {FILTERED[reason]: int((self.choice.reasons == reason).sum()) for reason in FILTERED}
            raise tell_nobody(self.coco, "no person of interest", counts)

    def _without_withheld(self) -> "DatasetSplit":
        """The same without people in photos that the spec withholds; only photos of such a size are read."""
        sizes = set(self.spec.withheld_photos.values())
        names = {number: plain_name(self.coco.images.file_names[number]) for number in self.usable}
        alike = {
            number: name for number, name in names.items() if (stat := self.listing.get(name)) and stat.size in sizes
        }
        held = [n for n, name in alike.items() if digest_bytes(self.store.read(name)) in self.spec.withheld_photos]
        if not held:
            return self
        log.info("%s: %s held out elsewhere and left out here", self.coco.path, pluralize(len(held), "photo"))
        held = self._widen(held)
        among = np.isin(self.coco.annotations.photo_of, held) & self.choice.mains
        choice = PersonChoice(np.where(among, WITHHELD, self.choice.reasons).astype(np.uint8))
        digest = digest_settings([self.digest, sorted(map(names.__getitem__, held))])
        return replace(self, choice=choice, digest=digest, withheld=tuple(held))

    def _widen(self, held: Sequence[int]) -> list[int]:
        """Add to usable photos the others of their groups, where the spec splits by groups."""
        rule, names = self.spec.split, self.coco.images.file_names
        if rule is None:
            return list(held)
        groups = {rule.find_group(names[number]) for number in held}
        return [int(number) for number in self.usable if rule.find_group(names[number]) in groups]

    @property
    def folder(self) -> Location:
        """Where the photos are."""
        return join(self.spec.root_directory_path, self.paths.images_root_dir_path)

    @cached_property
    def store(self) -> PhotoStore:
        """The photos."""
        return self.album.store or open_photos(self.folder)

    @cached_property
    def listing(self) -> dict[str, Stat]:
        """The photos that are there."""
        return self.album.listing or self.store.listing()

    @cached_property
    def usable(self) -> Numbers:
        """Photos with somebody of interest, and negatives if the spec wants them, in the order of the file."""
        people = self.coco.annotations
        return np.union1d(people.photo_of[self.choice.mains], self._negatives)

    @property
    def _negatives(self) -> Numbers:
        """Photos without any annotation, where the spec makes records of them."""
        found = np.flatnonzero(self.coco.blank) if self.spec.negative_photos else np.empty(0, np.int64)
        return np.setdiff1d(found, self.withheld)

    def find_stat(self, name: str) -> Stat | None:
        """What the listing tells of a photo, by its name in the annotations; None where it is not there."""
        return self.listing.get(plain_name(name))

    def mains(self, photo: int) -> tuple[int, ...]:
        """The people of interest of a photo, as places among its people."""
        first, end = self.coco.annotations.first[photo : photo + 2]
        mains = np.flatnonzero(self.choice.mains[first:end]).tolist()
        everyone = self.spec.duplicate_data_with_each_person_as_center
        return tuple(mains if everyone else mains[:1])

    @cached_property
    def masked(self) -> Numbers:
        """Photos with somebody who is not labelled."""
        return np.unique(self.coco.annotations.photo_of[~self.coco.labelled])

    @cached_property
    def _is_masked(self) -> Mask:
        """``(P,)`` whether a photo has somebody who is not labelled."""
        return np.isin(np.arange(len(self.coco.images.ids)), self.masked)

    @property
    def mask_only(self) -> Numbers:
        """Photos that have a mask, perhaps, and no record."""
        return np.setdiff1d(self.masked, self.usable)

    @property
    def held_out(self) -> PhotoTable | None:
        """The photos that a split holds out of this half; None of the half that is held out, and without a split."""
        return self.coco.other_half if self.mode == "train" else None

    def hash_pieces(self, hashed: Collection[str] = ()) -> Iterator[HashPiece]:
        """Jobs that hash the photos that are held out, those that are there and of no name that is hashed already."""
        if self.held_out is None:
            return
        ids, names = self.held_out.ids.tolist(), self.held_out.file_names
        there = [n for n, name in enumerate(names) if plain_name(name) in self.listing and name not in hashed]
        for _, numbers in shard_plan.cut_pieces("", there):
            yield HashPiece([names[number] for number in numbers], [ids[number] for number in numbers], self.store)

    def recipe(self, *, thorough: bool, mask_files: bool, token: str) -> ConversionRecipe:
        """How records are made of photos."""
        root, store = self.spec.root_directory_path, self.store
        return ConversionRecipe(
            store=store,
            folder=self.folder,
            anchor=store.archive if isinstance(store, ZipPhotos) else self.folder,
            images=self.paths.images_root_dir_path,
            masks=self.paths.mask_root_dir_path,
            dataset=self.spec.dataset,
            annotations=str(self.coco.path),
            thorough=thorough,
            mask_folder=join(root, self.paths.mask_root_dir_path) if mask_files else None,
            token=token,
            unclear=self.spec.unclear_orientation,
            hashed=self.held_out is not None,
        )

    def piece(self, name: str, folder: Location, numbers: Sequence[int], recipe: ConversionRecipe) -> Piece:
        """The job that makes records of some of the usable photos."""
        photos = self.usable[list(numbers)]
        mains = [self.mains(photo) for photo in photos]
        return Piece(
            name, folder, take_photos(self.coco, self._is_masked, photos), mains, self.digest_labels(numbers), recipe
        )

    def mask_piece(self, name: str, folder: Location, photos: Numbers, recipe: ConversionRecipe) -> MaskPiece:
        """The job that draws the masks of some photos as files, and does nothing else."""
        return MaskPiece(name, folder, take_photos(self.coco, self._is_masked, photos), recipe)

    def checks(self, recipe: ConversionRecipe, usable: Sequence[int]) -> Iterator[Check]:
        """Jobs that look at some of the usable photos."""
        for _, numbers in shard_plan.cut_pieces("", usable):
            yield Check(take_photos(self.coco, self._is_masked, self.usable[list(numbers)]), recipe)

    def digest_labels(self, numbers: Sequence[int]) -> list[str]:
        """Digest what goes from the annotations into the record of each of some of the usable photos.

        The annotations' own numbers do not count: a tool numbers them anew when one is added.
        """
        return digest_labels(self.coco, self.choice.mains, self._is_masked, self.usable[list(numbers)])

    def problems(self) -> list[Problem]:
        """What is known to be wrong before a photo is read: photos that are not there, outlines that do not fit."""
        problems = []
        for number in self.usable:
            name = self.coco.images.file_names[number]
            if stays_inside(name) and plain_name(name) not in self.listing:
                image_id = int(self.coco.images.ids[number])
                problems.append(Problem(str(self.folder / name), MISSING, "there is no such image", "add it", image_id))
        rows = self.coco.annotations.segmentations.find_runs()
        drawn = np.intersect1d(self.coco.annotations.photo_of[rows], self.masked)
        for photo in (self.coco.photos[number] for number in drawn):
            problems += outline_problems(str(self.coco.path), photo, outline_faults(photo))
        return problems

    def key(self, *options: object) -> str:
        """Digest of everything that decides what is written: the options, the annotations and the photos.

        Returns:
            16 hexadecimal digits.
        """
        whole = hashlib.sha256(json.dumps([self.digest, self.spec.root_directory_path, *options]).encode())
        for number in self.usable:
            name = self.coco.images.file_names[number]
            whole.update(f"{name} {tuple(self.listing.get(plain_name(name), ()))}\n".encode())
        return whole.hexdigest()[:16]


def _digest(spec: "DatasetSpec", file: Location) -> str:
    document = spec.model_dump(mode="json", by_alias=True)
    del document["root_directory_path"]
    return digest_settings([__version__, SCHEMA, shard_plan.PIECE, document, digest_annotations(file)])
