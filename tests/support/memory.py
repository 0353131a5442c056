"""How much memory this process has had at most."""

import re
from pathlib import Path


def forget_peak():
    """Start anew: a process is born with the peak of its parent."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes():
    """The most since then."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
