"""Problems: what is wrong with a dataset, entry by entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bodyposenet.common.errors import SpecError, UserError

MOST_TOLD = 50  # problems that an error lists; a report has all


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one entry of a dataset.

    Attributes:
        file: The annotation file, or the photo's.
        kind: What sort of thing, to count by: the key at fault, or a few words.
        text: What is wrong, with the value at fault.
        fix: What to do about it.
        image_id: The dataset's number of the photo, if it has one.
        annotation_id: That of the annotation, if it is one's.
        kept: Whether the entry is used all the same.
    """

    file: str
    kind: str
    text: str
    fix: str = ""
    image_id: int | None = None
    annotation_id: int | None = None
    kept: bool = False

    @property
    def where(self) -> str:
        """The file, the image and the annotation."""
        parts = [self.file]
        parts += [] if self.image_id is None else [f"image {self.image_id}"]
        parts += [] if self.annotation_id is None else [f"annotation {self.annotation_id}"]
        return ": ".join(parts)

    def __str__(self) -> str:
        return str(self.error())

    def error(self) -> UserError:
        """Return the problem as an error."""
        return UserError(self.text, where=self.where, fix=self.fix)


class NearDuplicate(NamedTuple):
    """A photo that is held out, and the most like it of those that are trained on.

    Attributes:
        held_out_id: The dataset's number of the one.
        held_out_name: Its file.
        train_id: The number of the other.
        train_name: Its file.
        bits: How many of 64 bits of their hashes differ.
    """

    held_out_id: int
    held_out_name: str
    train_id: int
    train_name: str
    bits: int

    def tell(self, file: str) -> Problem:
        """Tell it as a problem of an annotation file."""
        text = f"{self.held_out_name} is held out and looks like {self.train_name}, image {self.train_id}, which is "
        text += f"trained on ({self.bits} of 64 bits differ)"
        fix = "let split.group of the dataset spec name what belongs together, such as a camera and a day"
        return Problem(file, "near duplicate across the split", text, fix, self.held_out_id, kept=True)


def refuse(problems: Sequence[Problem]) -> None:
    """Raise an error that lists the problems, if there are any.

    Raises:
        UserError: There are.
    """
    if len(problems) == 1:
        raise problems[0].error()
    if problems:
        more = [f"and {len(problems) - MOST_TOLD:,} more problems"] if len(problems) > MOST_TOLD else []
        raise SpecError([str(problem) for problem in problems[:MOST_TOLD]] + more)
