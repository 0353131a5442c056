"""Upload: a folder of results, copied to a store when it is finished."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import listing, whole_file
from bodyposenet.common.storage.location import Location, locate

AT_ONCE = 8  # files
BLOCK = 1 << 20  # bytes that are copied at once
LAST = "status.json"  # who sees it there finds all the others


def find_target(address: str) -> Location:
    """Locate where results are to go, and see that there is such a place before any work is done.

    Raises:
        UserError: It is no store that can be written, or its bucket does not exist, or nobody answers.
    """
    place = locate(address)
    if not place.remote:
        fix = "give a gs://, s3:// or abfs:// address; -r names the folder on the disk"
        raise UserError("results are uploaded to a store", where=address, fix=fix)
    with translate_errors(place):
        place.mkdir(parents=True, exist_ok=True)  # refused where nothing can be written
        try:
            place.require_store()
        except FileNotFoundError:
            raise UserError("there is no such bucket", where=address, fix="create it, or correct its name") from None
    return place


def upload_folder(folder: Path, target: Location) -> int:
    """Copy the files below a folder, hidden ones apart, each whole.

    Args:
        folder: On a disk; it stays as it is.
        target: A folder in a store; files of the same names are replaced.

    Returns:
        How many were copied.

    Raises:
        UserError: One cannot be copied; it says that the results are there nevertheless.
    """
    found = [name for name in listing(folder) if not any(part.startswith(".") for part in name.split("/"))]
    first, last = sorted(name for name in found if name != LAST), [name for name in found if name == LAST]

    def copy(name: str) -> None:
        with (folder / name).open("rb") as source, whole_file(target / name) as file:
            shutil.copyfileobj(source, file, BLOCK)

    try:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(copy, first))
        for name in last:
            copy(name)
    except UserError as error:
        fix = f"{error.fix}; the results are whole in {folder}: copy them from there"
        raise UserError(f"is not uploaded: {error.problem}", where=error.where, fix=fix) from error
    return len(found)
