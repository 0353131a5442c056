"""Permissions: run a command for which the permission bits of files hold, though root runs the tests."""

import os
import subprocess


def run_bound(command, **options):
    """Run a command as somebody who may not write where the bits forbid it; its output is kept as text."""
    # root's own right to pass over them is left behind
    before = ["setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override"]
    words = [*(before if os.getuid() == 0 else []), *map(str, command)]
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)
