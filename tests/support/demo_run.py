"""Demos on a few pictures, in processes that may be ended at any moment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from bodyposenet.pipelines.demo import demo, show

TESTS = Path(__file__).parents[1]
ELSEWHERE = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "KFP_RUN_ID", "MLFLOW_TRACKING_URI")
DEMO = (sys.executable, "-m", "bodyposenet.pipelines.demo")
FEW = {
    "data": "synthetic:8,4",
    "deploy_spec": {"calibration_images": 2, "max_int8_drop": 1.0},
    "model_name": "tiny",
}


def run_few(folder, **changes):
    """A demo on a few pictures; returns its summary, and what is printed of that."""
    summary = demo(folder, epochs=1, changes={**FEW, **changes})
    return summary, show(summary, folder)


def start_few(folder):
    """The same in a process of its own, which prints to a file beside the folder."""
    script = "import sys; from pathlib import Path; from support.demo_run import run_few; run_few(Path(sys.argv[1]))"
    return _start(folder, [sys.executable, "-c", script, str(folder)])


def start_loading(folder, *command):
    """The demo's own command line, and its processes, as soon as these load the libraries.

    Another command gets the folder as its last arguments.
    """
    process = _start(folder, [*(command or DEMO), "--output", str(folder)])
    wait_for(folder, "goes to", process)
    least = 4 if command else 3
    while len(running := everyone(process)) < least:
        time.sleep(0.01)
    return process, running


def _start(folder, command):
    given = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    with said(folder).open("a") as file:
        return subprocess.Popen(
            command, cwd=TESTS, env=given, stdout=file, stderr=subprocess.STDOUT, preexec_fn=_heed_interrupts
        )


def _heed_interrupts():
    """A shell has what it starts in the background ignore Ctrl-C, and so does what that starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def said(folder):
    """The file that the processes of a folder print to."""
    return folder.with_suffix(".txt")


def wait_for(folder, text, process, seconds=300):
    """Wait until a process of a folder has printed a text."""
    end = time.monotonic() + seconds
    while text not in said(folder).read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the demo did not come to {text!r}: {said(folder).read_text()}")
        time.sleep(0.02)


def everyone(process):
    """A process and all below it."""
    top = psutil.Process(process.pid)
    return [top, *top.children(recursive=True)]


def still_alive(processes, seconds=60):
    """Those that have not ended after so many seconds; zombies have."""
    end = time.monotonic() + seconds
    while (left := [one for one in processes if _runs(one)]) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _runs(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
