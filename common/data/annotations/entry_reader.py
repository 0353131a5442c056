"""Entry reader: a closer look at one annotation, which is mended, or told of and left out."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from bodyposenet.common.data.annotations.categories import Kinds
from bodyposenet.common.data.annotations.drafts import are_shares, blank_flag, spread_joints
from bodyposenet.common.data.annotations.fields import Entry, Floats, MisfitError
from bodyposenet.common.data.annotations.ids import read_key
from bodyposenet.common.data.annotations.mending import Mender
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.annotations.tables import PhotoTable
from bodyposenet.common.data.importers.document import number_in


class EntryReader:
    """Looks closer at one annotation at a time.

    Args:
        kinds: Categories of people.
        images: The file's photos.
        flags: The dataset's visibility flags, and whether they mean not labelled (0) or labelled (more).
        file: The file's name.
        problems: Gets what is wrong. Photos that it tells of already were left out: their annotations go untold.
        fresh: Number for the first annotation that has none; the others follow.
        numbers: Of photos that annotations name by texts.
    """

    def __init__(
        self,
        kinds: Kinds,
        images: PhotoTable,
        flags: Mapping[int, int],
        file: str,
        problems: list[Problem],
        fresh: int,
        numbers: Mapping[str, int],
    ) -> None:
        self.kinds, self.flags, self.file, self.problems = kinds, flags, file, problems
        self.images, self.invented = set(images.ids.tolist()), {*images.numbers.values()}
        self.refused = {problem.image_id for problem in problems} - {None, *self.images}  # photos, told already
        self.mender, self.fresh = Mender(numbers, flags), count(fresh)

    def read(self, fields: dict[str, Any], number: int) -> dict[str, Any] | None:
        """Read an annotation by the names of a draft's columns; without keypoints or None if they are wrong."""
        mended, notes = self.mender.mend(fields)
        if mended.get("iscrowd") in (1, True) and mended.get("keypoints") is None:
            mended["keypoints"] = self._list_blank(mended)  # as of files that are put together with COCO's instances
            notes.append(("crowd without keypoints", "it is a crowd without keypoints; it is masked as any"))
        if number_in(mended, "image_id") in self.refused:
            return None
        if type(key := read_key(fields.get("image_id"))) is int and key in self.invented:  # a number that no photo has
            self.problems.append(_miss_image(self._entry(mended, number), key).problem)
            return None
        found = self._read_or_mask(mended, number)
        if found is not None:
            entry = self._entry(mended, number)
            self.problems += [replace(entry.wrong(kind, text, "").problem, kept=True) for kind, text in notes]
        return found

    def _read_or_mask(self, fields: dict[str, Any], number: int) -> dict[str, Any] | None:
        try:
            return self._read(fields, number)
        except MisfitError as error:
            self.problems.append(error.problem)
        known = {key: fields.get(key) for key in ("id", "image_id", "bbox", "segmentation")}
        if self.kinds.knows(fields.get("category_id")):
            known["category_id"] = fields.get("category_id")
        try:
            return self._read(known | {"keypoints": self._list_blank(fields)}, number, whole=False)
        except MisfitError:
            return None

    def _list_blank(self, fields: dict[str, Any]) -> list[int]:
        """List the keypoints of somebody of whom no joint is labelled."""
        return [0, 0, blank_flag(self.flags)] * len(self._columns(fields))

    def _columns(self, fields: dict[str, Any]) -> tuple[int, ...]:
        return self.kinds.find(fields.get("category_id")) or self.kinds.default or ()

    def _read(self, fields: dict[str, Any], number: int, *, whole: bool = True) -> dict[str, Any]:
        entry = self._entry(fields, number)
        image_id = entry.whole("image_id")
        if image_id not in self.images:
            raise _miss_image(entry, image_id)
        self._hold_to_categories(entry)
        columns = self._columns(fields)
        own = entry.numbers("keypoints", 3 * len(columns))
        box = entry.numbers("bbox", 4)
        if whole:
            self._hold_to_flags(entry, own[2::3])
            self._hold_to_pixels(entry, own, box)
        keypoints = spread_joints(own[None], columns, len(self.kinds.joints), blank_flag(self.flags))[0]
        if (box[2:] < 0).any():
            raise entry.wrong("bbox", f"bbox {box.tolist()} has a negative size", "write x, y, width, height")
        return {
            "image_ids": image_id,
            "ids": entry.annotation_id if entry.annotation_id is not None else next(self.fresh),
            "keypoints": keypoints,
            "boxes": box,
            "areas": entry.number("area", float(box[2] * box[3])),
            "crowds": entry.flag("iscrowd"),
            "segmentations": entry.segmentation(),
            "categories": self.kinds.find_place(fields.get("category_id")),
        }

    def _hold_to_categories(self, entry: Entry) -> None:
        given = entry.fields.get("category_id")
        if not self.kinds.knows(given):
            raise entry.wrong(
                "category_id", f"no category has its number {given!r}", "mend it, or add the category to the file"
            )

    def _hold_to_pixels(self, entry: Entry, own: Floats, box: Floats) -> None:
        if are_shares(own[None], self.flags, box[None])[0]:
            raise entry.wrong(
                "keypoints from 0 to 1", "its keypoints are shares of the image, from 0 to 1", "write pixels"
            )

    def _entry(self, fields: dict[str, Any], number: int) -> Entry:
        image_id, own_id = number_in(fields, "image_id"), number_in(fields, "id")
        label = f"annotation number {number}" if own_id is None else ""
        return Entry(fields, self.file, label, image_id=image_id, annotation_id=own_id)

    def _hold_to_flags(self, entry: Entry, given: Floats) -> None:
        strange = [flag for flag in given.tolist() if flag not in self.flags]
        if strange:
            known = ", ".join(map(str, sorted(self.flags)))
            raise entry.wrong(
                "visibility flag",
                f"a keypoint has the visibility flag {strange[0]:g}, the dataset has {known}",
                "mend it, or add it to visibility_flags of the dataset spec",
            )


def _miss_image(entry: Entry, image_id: int) -> MisfitError:
    """Make the error for an annotation of a photo that the file does not have."""
    text = f"its image_id {image_id} is no image of the file"
    return entry.wrong("image_id", text, "add the image, or drop the annotation")
