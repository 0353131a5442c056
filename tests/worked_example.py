"""Run the worked example, whole: ``python tests/worked_example.py PROGRAMS FOLDER``.

PROGRAMS is the folder of the ``bpnet`` to try, such as that of an environment with other versions; FOLDER must not be
there yet. It runs on any Python that the package supports and needs nothing but the standard library. It prints each
command, and fails with the first that does.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.documents import ROOT, SHELL, blocks_of

ACTIVATION = "make .venv/.ready && . .venv/bin/activate"


def main(programs: Path, folder: Path, change: Callable[[Path], None] = lambda specs: None) -> int:
    """Run the example in a new folder with the programs of an environment; returns bash's exit code.

    ``change`` is called with the folder of the example's specs before anything runs.
    """
    specs = folder / "docs" / "example"
    shutil.copytree(ROOT / "docs" / "example", specs)
    change(specs)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["bash", "-exc", script()], cwd=folder, env=environment).returncode


def script() -> str:
    """The example's block; the environment is there already."""
    (block,) = (block for block in blocks_of("docs/worked-example.md", SHELL) if "bpnet synthesize" in block.text)
    before, found, after = block.text.partition(ACTIVATION)
    if not found:
        sys.exit(f"{block.page}:{block.line}: does not begin with {ACTIVATION!r}")
    return f"{before}true{after}"


if __name__ == "__main__":
    sys.exit(main(*(Path(text).resolve() for text in sys.argv[1:])))
