"""Start: how long a command line takes that has nothing to do."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

ROUNDS = 15

ROWS = {"help_start": ("`bpnet --help`, over `python -c pass` of the same environment", "≤ 7")}


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    bare = [sys.executable, "-c", "pass"]
    helping = [str(Path(sys.executable).with_name("bpnet")), "--help"]
    both = [(time_command(bare), time_command(helping)) for _ in range(ROUNDS + 1)][1:]  # the first reads the disk
    bare_seconds, help_seconds = (median(seconds) for seconds in zip(*both, strict=True))
    return {"help_start": help_seconds / bare_seconds}


def time_command(command: Sequence[str]) -> float:
    """Return the seconds that a command takes."""
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun
