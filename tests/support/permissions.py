"""Permissions: run a command for which the permission bits of files hold, though root runs the tests."""

import os
import subprocess


def run_bound(command, **options):
    """Run a command as somebody who may not read or write where the bits forbid it; its output is kept as text."""
    # root's own rights to pass over them are left behind
    rights = "-dac_override,-dac_read_search"
    before = ["setpriv", "--bounding-set", rights, "--inh-caps", rights]
    words = [*(before if os.getuid() == 0 else []), *map(str, command)]
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)
