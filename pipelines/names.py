"""Names: what Kubeflow Pipelines can store of them, checked before anything is sent.

A run or a schedule whose name or description does not fit its column is started all the same and answered with 500: no
call of the API can see or end it then (Kubeflow Pipelines 2.17).
"""

from bodyposenet.common.errors import UserError

MOST = {
    "experiment": 128,
    "pipeline": 128,
    "version": 127,
    "run": 255,
    "schedule": 255,
    "description": 255,
}  # characters
LAST = "\uffff"  # the columns are MySQL's utf8, of three bytes a character


def check_name(what: str, text: str) -> str:
    """Return a name as the server keeps it, without blanks at its ends.

    Args:
        what: A key of ``MOST``.
        text: The name; a description may be empty.

    Raises:
        UserError: It is empty, too long, or has a character that cannot be stored.
    """
    name = text.strip()
    where = f"{what} {name[:40]!r}{'…' if len(name) > 40 else ''}"
    if not name and what != "description":
        raise UserError("is empty", where=what, fix="give a name")
    if len(name) > MOST[what]:
        problem = f"has {len(name)} characters, of which Kubeflow stores {MOST[what]}"
        raise UserError(problem, where=where, fix="shorten it")
    strange = next((each for each in name if each > LAST or "\ud800" <= each <= "\udfff"), None)
    if strange is not None:
        raise UserError(f"has {strange!a}, which Kubeflow cannot store", where=where, fix="leave that character out")
    return name
