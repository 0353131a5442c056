"""Parts: shares of a conversion, one for each of several machines."""

import re

from bodyposenet.common.errors import UserError


def part_of(text: str) -> tuple[int, int]:
    """``2/8`` as the index of a part, from 0, and how many there are.

    Raises:
        UserError: It is no such text, or there is no such part.
    """
    found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
    if not found or int(found[1]) >= int(found[2]):
        raise UserError(
            f"{text!r} is no part", where="part", fix="write INDEX/OF with an index from 0, such as 0/4 or 3/4"
        )
    return int(found[1]), int(found[2])
