"""Home: what libraries keep in a user's home, for users who have none that can be written."""

import os
from pathlib import Path

VARIABLE = "MPLCONFIGDIR"


def name_folders() -> None:
    """Name a folder for matplotlib, which Keras imports where it is installed, if the home cannot be written.

    Without it matplotlib makes one at every start, fills it for seconds, and says so in two lines.
    """
    from bodyposenet.common.machine.cache_folder import find_cache_folder

    if VARIABLE in os.environ or os.access(os.path.expanduser("~"), os.W_OK):
        return
    folder: Path | None = find_cache_folder("matplotlib")
    if folder is not None:
        os.environ[VARIABLE] = str(folder)
