"""A conversion in a process of its own that stands still when its first piece is finished, to be killed there."""

import contextlib
import os
import pickle
import subprocess
import sys
import time

CODE = """
import pickle, sys, time
from bodyposenet.common.data import convert, pace, plan
plan.PIECE = 3
pace.Pace.add = lambda self, count: (print("piece", flush=True), time.sleep(600))
spec, arguments = pickle.load(sys.stdin.buffer)
convert.convert_dataset(spec, **arguments)
"""


@contextlib.contextmanager
def standing(spec, **arguments):
    """Start a conversion, wait until it has a piece, and yield its process; kill it at the end of the block."""
    command = [sys.executable, "-c", CODE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ) as process:
        process.stdin.write(pickle.dumps((spec, arguments)))
        process.stdin.close()
        assert process.stdout.readline() == b"piece\n"
        yield process
        process.kill()


def spoil_unseen(path):
    """Change a file so that neither its size nor its times tell."""
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def wait_until_gone(process_id, seconds=20):
    """Whether a process that is not our child ends in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(f"/proc/{process_id}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False
