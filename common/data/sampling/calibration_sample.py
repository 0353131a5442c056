"""Calibration sample: photos that stand for a whole set, copied to a folder to calibrate a quantized network with."""

import bisect
import contextlib
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import CocoSet, read_annotations
from bodyposenet.common.data.annotations.emptiness import tell_nobody
from bodyposenet.common.data.sampling.stratified import read_traits, representative
from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.headers import Size
from bodyposenet.common.imaging.orientation import STORED, Frame, choose_turn, drop_orientation
from bodyposenet.common.imaging.pixels import decode_size
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.skeleton.skeleton import COCO_17
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.photo_store import PhotoStore, open_photos
from bodyposenet.common.storage.together import CONTENTS, is_unfinished

THREADS = 8  # photos that are copied at a time
MOST_TOLD = 20  # photos that cannot be read, as the log names them

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrationSample:
    """What was copied.

    Attributes:
        folder: Where to.
        photos: Names of the copies.
        qualified: Photos that there were to choose from.
        left_out: Why photos that had been chosen were not taken; others stand in for them.
    """

    folder: Location
    photos: tuple[str, ...]
    qualified: int
    left_out: tuple[str, ...]


def sample_calibration(
    annotations: str | Path | Location,
    images: str | Path | Location,
    output: str | Path | Location,
    *,
    num_images: int = 500,
    min_persons: int = 1,
    min_kpts: int = 5,
    seed: int = 0,
) -> CalibrationSample:
    """Copy a sample of a set's photos to a folder.

    The sample has the set's mixture of people per photo, joints per person and heights of people in the photo. A
    photo that is missing or damaged gives way to the one most like it.

    Args:
        annotations: COCO keypoints file.
        images: Folder or zip archive of the photos.
        output: Folder to write; it must be absent or empty.
        num_images: How many photos, exactly.
        min_persons: People that a photo must have.
        min_kpts: Labelled joints that a person must have to count.
        seed: The same one gives the same photos.

    Raises:
        UserError: Too few photos qualify or can be read, or the folder is not empty; no photo is left in it then.
    """
    store = open_photos(images)
    coco = read_annotations(annotations, strict=False, album=Album(store=store), unnamed=COCO_17.joints)
    return copy_sample(
        coco, store, output, num_images=num_images, min_persons=min_persons, min_kpts=min_kpts, seed=seed
    )


def copy_sample(
    coco: CocoSet,
    store: PhotoStore,
    output: str | Path | Location,
    *,
    num_images: int,
    min_persons: int = 1,
    min_kpts: int = 5,
    seed: int = 0,
    fewer: bool = False,
    unclear: Frame = "shown",
) -> CalibrationSample:
    """Copy a sample as :func:`sample_calibration` does, of a set that is read already.

    Args:
        coco: The set.
        store: Its photos.
        output: As there; so are the other options.
        num_images: How many photos.
        min_persons: People that a photo must have.
        min_kpts: Labelled joints that a person must have to count.
        seed: The same one gives the same photos.
        fewer: Take all there are, where these are fewer, instead of none.
        unclear: See :func:`~bodyposenet.common.imaging.orientation.choose_turn`.

    Raises:
        UserError: As there.
    """
    traits = read_traits(coco, min_persons, min_kpts)
    qualified = len(traits.photos)
    if not qualified:
        turned = {"have too few joints, or too few others in the photo; lower -pth or -kth": int(coco.labelled.sum())}
        raise tell_nobody(coco, "no photo qualifies", turned)
    if qualified < num_images and not fewer:
        fix = f"use -n {qualified}, or lower -pth or -kth"
        raise UserError(f"only {qualified} photos qualify, {num_images} are wanted", where=str(coco.path), fix=fix)
    order, chosen = representative(traits, min(num_images, qualified), seed)
    photos, images = traits.photos[order], coco.images
    names = [images.file_names[number] for number in photos]
    sizes = list(zip(images.heights[photos].tolist(), images.widths[photos].tolist(), strict=True))
    place = locate(output)
    with _filling(place) as folder:
        copier = _Copier(store, folder, names, sizes, flat_names(images.file_names), unclear, fewer)
        copies = copier.copy(chosen.tolist())
    return CalibrationSample(place, tuple(sorted(copies)), qualified, tuple(copier.left_out))


def flat_names(names: Sequence[str]) -> dict[str, str]:
    """Name files in one folder by their paths: where two have one name, the folders are part of it."""
    bases = {name: PurePosixPath(name.replace("\\", "/")) for name in names}
    same = Counter(base.name.lower() for base in bases.values())
    flat: dict[str, str] = {}
    used: set[str] = set()
    for name, base in bases.items():
        new = base.name if same[base.name.lower()] == 1 else "_".join(base.parts)
        while new.lower() in used:
            new = f"_{new}"
        used.add(new.lower())
        flat[name] = new
    return flat


@dataclass
class _Copier:
    """Copies photos, and others for those that cannot be read.

    Attributes:
        store: Has the photos.
        folder: Gets them.
        names: A row of photos, like beside like.
        sizes: ``(height, width)`` of each that the annotations say.
        flat: Their names in the folder.
        unclear: What photos are of whose size does not tell whether they were turned.
        fewer: Whether to go on where there are not enough of them.
        left_out: Why some could not be read.
    """

    store: PhotoStore
    folder: Location
    names: Sequence[str]
    sizes: Sequence[Size]
    flat: dict[str, str]
    unclear: Frame
    fewer: bool
    left_out: list[str] = field(default_factory=list)

    def copy(self, wanted: list[int]) -> list[str]:
        """Copy the photos at some places of the row, or as many others.

        Returns:
            The names of the copies.

        Raises:
            UserError: There are not enough others.
        """
        free = sorted({*range(len(self.names))} - {*wanted})
        copies: list[str] = []
        with ThreadPoolExecutor(THREADS) as threads:
            while wanted:
                tried = Bar(threads.map(self._copy_one, wanted), "photos", len(wanted), unit="photo", disable=None)
                failed = {spot: why for spot, why in zip(wanted, tried, strict=True) if why}
                copies += [self.flat[self.names[spot]] for spot in wanted if spot not in failed]
                self._note(list(failed.values()), len(copies), len(free))
                wanted = [_take_nearest(free, spot) for spot in list(failed)[: len(free)]]
        return copies

    def _copy_one(self, spot: int) -> str:
        """Copy a photo; returns why not, where it cannot be read."""
        name = self.names[spot]
        try:
            data = self.store.read(name)
        except AwayError:
            raise
        except UserError as error:
            return str(error)
        stored = decode_size(data)
        if stored is None:
            return f"{name}: this is no readable image"
        turn = choose_turn(data, stored, self.sizes[spot], self.unclear)
        with whole_file(self.folder / self.flat[name]) as file:  # whoever reads it turns it as its EXIF data say
            as_stored = turn.orientation == STORED and stored == self.sizes[spot]
            file.write(drop_orientation(data) if as_stored else data)
        return ""

    def _note(self, reasons: list[str], copied: int, free: int) -> None:
        for reason in reasons[:MOST_TOLD]:
            log.warning("left out: %s", reason)
        if len(reasons) > MOST_TOLD:
            log.warning("left out: %d more", len(reasons) - MOST_TOLD)
        self.left_out += reasons
        bad = len(self.left_out)
        if not copied and bad >= min(MOST_TOLD, len(self.names)):
            fix = "check the folder of images, and its disk"
            raise UserError(f"none of {bad} photos can be read", where=reasons[0], fix=fix)
        if free < len(reasons) and not self.fewer:
            problem = f"{bad} of the {len(self.names)} photos that qualify cannot be read"
            raise UserError(problem, where=reasons[0], fix=f"mend them, or use -n {copied + free}")


def _take_nearest(free: list[int], spot: int) -> int:
    """Take the number out of a sorted list that is nearest to another."""
    after = bisect.bisect(free, spot)
    near = [place for place in (after - 1, after) if 0 <= place < len(free)]
    return free.pop(min(near, key=lambda place: abs(free[place] - spot)))


def refuse_full(output: Location) -> None:
    """Refuse to write to a folder that has anything in it, unless a run that was killed put it there.

    Raises:
        UserError: It has, or is none.
    """
    with translate_errors(output):
        if not output.exists() or (not output.remote and is_unfinished(Path(str(output)))):
            return
        if not output.is_dir() or any(not path.name.startswith(f".{CONTENTS}.") for path in output.iterdir()):
            problem = "the folder is not empty" if output.is_dir() else "this is a file"
            raise UserError(problem, where=str(output), fix="name another folder, or empty it")


@contextlib.contextmanager
def _filling(output: Location) -> Iterator[Location]:
    """A folder to write; where it was absent it appears at the end, else what is in it goes if something fails."""
    refuse_full(output)
    with translate_errors(output):
        aside = output if output.remote or output.exists() else output.with_name(f".{output.name}.part")
        if aside is not output:
            aside.remove_folder()
        with translate_errors(aside):
            aside.mkdir(parents=True, exist_ok=aside is output)  # a link of this name leads to what is not ours
        try:
            yield aside
            if aside is not output:
                os.rename(str(aside), str(output))
        except BaseException:
            with contextlib.suppress(OSError, UserError):
                _clear(aside, keep=aside is output)
            raise


def _clear(folder: Location, *, keep: bool) -> None:
    if not keep:
        shutil.rmtree(str(folder))
    for file in folder.iterdir() if keep else ():
        file.unlink()
