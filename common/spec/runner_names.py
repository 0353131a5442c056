"""Runner names: by which flags, specs and the environment ask for what runs an exported network."""

import os
from typing import get_args

from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.words import RunnerName

VARIABLE = "BODYPOSENET_RUNNER"


def resolve_runner(*asked: RunnerName | None) -> RunnerName:
    """Return the first name that somebody asked for; then the environment's; then ``auto``.

    Args:
        asked: From the most to the least telling; None where nothing was asked.

    Raises:
        UserError: The environment names none that is known.
    """
    for name in asked:
        if name is not None:
            return name
    found = os.environ.get(VARIABLE) or "auto"
    known: tuple[RunnerName, ...] = get_args(RunnerName)
    if found not in known:
        raise UserError(f"there is no runner {found!r}", where=VARIABLE, fix=f"choose {', '.join(known)}")
    return found
