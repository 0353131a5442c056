"""Split rule: which photos of one annotation file are held out, by a hash that does not change when others come."""

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field, field_validator

from bodyposenet.common.spec.base import Name, Positive, Strict
from bodyposenet.common.spec.patterns import find_slowness
from bodyposenet.common.spec.problems import SpecMisfitError
from bodyposenet.common.storage.digests import digest_bytes

FILE, FOLDER = "file", "folder"
_DIGITS = 16  # of the hash, hexadecimal
_WHOLE = 16**16


class SplitRule(Strict):
    r"""Extension: how photos are held out of a dataset of one annotation file.

    Photos of a group are held out together. A group's name alone decides, so a photo that is held out stays so whatever
    else is added, and a larger share holds out all that a smaller one does.

    Attributes:
        share (share): Of the groups, about so many are held out.
        group: What is held out together: ``file``, a group for each photo; ``folder``, one for each folder; or a
            pattern. A pattern is a regular expression that is looked for in a photo's path below the folder of photos,
            and whose groups name the photo's group: ``(cam\d+)/(\d{8})`` keeps together what a camera took in a day. A
            photo that it does not fit is a group of its own.
    """

    share: Annotated[Positive, Field(lt=1)]
    group: Name = FILE

    @field_validator("group")
    @classmethod
    def _is_pattern(cls, group: str) -> str:
        if group in (FILE, FOLDER):
            return group
        try:
            groups = re.compile(group).groups
        except (re.error, OverflowError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else error
            raise SpecMisfitError(((), f"no regular expression: {reason} (got {group!r})")) from None
        if fault := find_slowness(group):
            raise SpecMisfitError(((), f"{fault} (got {group!r})"))
        if not groups:
            wanted = "'file', 'folder' or a regular expression with groups, as in '(cam\\d+)'"
            raise SpecMisfitError(((), f"should be {wanted} (got {group!r})"))
        return group

    def find_group(self, name: str) -> str:
        """Name the group of a photo.

        Args:
            name: The photo's path below the folder of photos.
        """
        path = unicodedata.normalize("NFC", PurePosixPath(name).as_posix())
        if self.group == FILE:
            return path
        if self.group == FOLDER:
            return PurePosixPath(path).parent.as_posix()
        found = re.search(self.group, path)
        return path if found is None else "\0".join(part or "" for part in found.groups())

    def holds_out(self, name: str) -> bool:
        """Tell whether a photo is held out."""
        digest = digest_bytes(self.find_group(name).encode("utf-8", "surrogatepass"))
        return int(digest[:_DIGITS], 16) < self.share * _WHOLE
