"""Leftovers of runs that were killed, as small as they may be, and as old as one likes."""

import io
import json
import os
import time
import zipfile

import numpy as np

from bodyposenet.common.model.training.checkpoints import HISTORY, NAME, OPTIMIZER, STATE
from bodyposenet.common.retention.local_runs import CACHE, LOCK, PIPELINE, RunNote
from bodyposenet.common.storage.locking import OWNER, sign_folder
from bodyposenet.common.storage.snapshots import NOTE
from bodyposenet.common.tracking.offline_buffer import LINES

DAY = 86400
KEY = "0123456789abcdef"


def leave_folder(folder, **files):
    """A folder in which a run has worked; names have ``__`` for dots."""
    folder.mkdir(parents=True)
    sign_folder(folder)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def leave_staging(folder, name="net.onnx"):
    """What an export was writing."""
    return leave_folder(folder / f".{name}.staging", net__onnx="half")


def leave_conversion(folder):
    """Pieces of a conversion."""
    return leave_folder(folder / f".train.{KEY}", piece__json="{}", piece__data="records")


def leave_parts(folder):
    """Parts of an inference."""
    return leave_folder(folder / f"parts-{KEY}", **{"000000__jsonl": "{}\n"})


def leave_snapshots(folder):
    """What a training kept in its work folder."""
    left = leave_folder(folder / "train-0a1b2c3d", **{NOTE.replace(".", "__"): "{}"})
    (left / f"00000001-0a1b2c3d-{'0' * 32}.zip").write_bytes(b"a snapshot")
    return left


def leave_kept_run(folder):
    """A run that was kept while the tracking server was away."""
    left = folder / "tracking_buffer/train-0a1b2c3d"
    left.mkdir(parents=True)
    (left / LINES).write_text(json.dumps({"name": "train"}) + "\n")
    return left


def leave_lock(folder):
    """What a killed run that was alone in a folder of results has left there."""
    tell_status(folder)
    sign_folder(folder)
    return folder / OWNER


def tell_status(folder):
    """What tells a folder of results of ours."""
    line = {"date": "1/1/2026", "time": "0:0:0", "status": "STARTED", "verbosity": "INFO"}
    (folder / "status.json").write_text(json.dumps(line) + "\n")


def leave_temporary(folder):
    """A file that somebody was writing, in a folder of results."""
    tell_status(folder)
    left = folder / ".detections.json.0.tmp"
    left.write_text("[")
    return left


def write_checkpoint(folder, epoch, *, torn=False, training="", step=0, name=NAME, history=(), optimizer=b""):
    """A checkpoint with all that is asked of one, and no network."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {"epoch": epoch, "step": step, "steps": 4, "sums": {}, "seconds": 0.0, "precision": "float32"}
    state["training"] = training
    arrays = io.BytesIO()
    np.savez(arrays, np.full(64, epoch, np.float32))
    path = folder / name.format(epoch)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(OPTIMIZER, optimizer or arrays.getvalue())
        archive.writestr(HISTORY, json.dumps(history))
        archive.writestr(STATE, json.dumps(state))
    if torn:
        path.write_bytes(path.read_bytes()[:-200])
    return path


def run_name(number):
    """What Kubeflow's local runner would call the folder of a run."""
    return f"prune-retrain-2026-01-{number:02d}-02-00-00-000000"


def leave_local_runs(folder, *runs, done=True):
    """The folder of pipelines on this machine: what each good run, by its number, has its outputs in."""
    for number in range(1, 1 + max(max(run) for run in runs)):
        made = folder / PIPELINE / run_name(number) / "train"
        made.mkdir(parents=True)
        (made / "model.keras").write_bytes(b"network" * 100)
    for cache in (KEY, KEY[::-1]):
        (folder / CACHE / cache).mkdir(parents=True)
        (folder / CACHE / cache / "task.json").write_text("{}")
    (folder / LOCK).touch()
    noted = tuple(tuple(map(run_name, run)) for run in runs)
    RunNote("demo-last", "asked", done, noted, KEY).write(folder)
    return folder / PIPELINE


def make_older(path, seconds):
    """Let all that is in a file or folder, and itself, have been changed so long ago."""
    moment = time.time() - seconds
    for each in (*path.rglob("*"), path):
        os.utime(each, (moment, moment), follow_symlinks=False)
    return path
