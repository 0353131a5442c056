"""A conversion in a process of its own that stands still when its first piece is finished, to be stopped there."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

CODE = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell is started deaf to it
from bodyposenet.common.cli.main import main
from bodyposenet.common.data.conversion import shard_plan
from bodyposenet.common.machine import bar
shard_plan.PIECE = 3
bar.Bar.update = lambda self, count: (print("piece", flush=True), time.sleep(600))
main(["dataset_convert", *sys.argv[1:]])
"""


@contextlib.contextmanager
def standing(spec, output, *flags):
    """Start ``bpnet dataset_convert``, wait until it has a piece, and yield its process; kill it after the block."""
    results = Path(spec.root_directory_path).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "spec.json").write_text(spec.model_dump_json(by_alias=True))
    command = [sys.executable, "-c", CODE, "-d", results / "spec.json", "-o", output, "-r", results, *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(list(map(str, command)), env=os.environ, **pipes) as process:
        assert process.stdout.readline() == "piece\n", process.stderr.read()
        try:
            yield process
        finally:
            process.kill()


def children(process):
    """Numbers of the processes that a process started."""
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


def wait_until_gone(process_id, seconds=30):
    """Whether a process that is not our child ends in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def spoil_unseen(path):
    """Change a file so that neither its size nor its times tell."""
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
