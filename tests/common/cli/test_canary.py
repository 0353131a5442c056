"""Canaries: secrets that verbs are given turn up nowhere, in no file, no output and no list of processes."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.pose_net import CARD, pose_net

from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.storage.encryption import is_encrypted

KEY, OTHER_KEY, PASSWORD = "canary-of-the-key", "canary-of-another-key", "canary-of-the-store"
CANARY = b"canary-of"
QUIET = 0.1  # seconds of its own that a process may show what it was started with
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.mark.heavy
def test_secrets_of_verbs_turn_up_nowhere(tmp_path, mlflow_url):
    work = tmp_path / "work"
    work.mkdir()
    save_model(pose_net(), work / "open.keras", CARD)
    (work / "photos").mkdir()
    for number in range(4):
        picture = np.random.default_rng(number).integers(0, 255, (64, 96, 3), np.uint8)
        cv2.imwrite(str(work / f"photos/{number}.png"), picture)
    (tmp_path / "key.txt").write_text(KEY + "\n")
    address = urllib.parse.urlsplit(mlflow_url)
    store = f"http://canary-user:{PASSWORD}@{address.netloc}"
    said = [
        bpnet(work, store, f"prune -m open.keras -o a/pruned.tlt -pth .01 -nf 2 -pg 2 -k {KEY} --allow-plain"),
        bpnet(work, store, f"export -m a/pruned.tlt -o b/small.etlt -d 64,96,3 --key_file {tmp_path}/key.txt "
              "--data_type int8 --cal_image_dir photos --batches 4 --cal_cache_file b/cache.bin"),
        bpnet(work, store, f"inference -m b/small.etlt --input photos -r c --key={KEY}"),
        bpnet(work, store, f"bundle --for triton -m b/small.etlt -o d -k{KEY}"),
        bpnet(work, store, "inference -m b/small.etlt --input photos -r e", code=2, BPNET_MODEL_KEY=OTHER_KEY),
        bpnet(work, f"http://canary-user:{PASSWORD}@127.0.0.1:9/?token={PASSWORD}", "inference --input photos -r f"),
    ]  # fmt: skip
    assert is_encrypted(work / "a/pruned.tlt")
    assert is_encrypted(work / "b/small.etlt")
    assert all(PASSWORD not in text and KEY not in text and OTHER_KEY not in text for text in said)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "key.txt"]
    assert len(files) > 15
    assert [path for path in files if CANARY in path.read_bytes()] == []


def bpnet(folder, store, command, code=0, **environment):
    """Run a verb as a user does, and look at all processes meanwhile; returns what it printed."""
    kept = {name: value for name, value in os.environ.items() if name != "BPNET_MODEL_KEY"}
    kept |= {"MLFLOW_TRACKING_URI": store, "TMPDIR": str(folder), **environment}
    words = [str(Path(sys.executable).with_name("bpnet")), *command.split()]
    with subprocess.Popen(
        words, cwd=folder, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        seen = []
        watching = threading.Thread(target=watch, args=(process, seen))
        watching.start()
        said = process.communicate()[0]
        watching.join()
    assert process.returncode == code, said
    assert seen == []
    return said


def watch(process, seen):
    """Keep the command lines that show a secret after the process' first moment."""
    while process.poll() is None:
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                shown = place.read_bytes()
                used = place.with_name("stat").read_text().rpartition(")")[2].split()[11:13]
                if CANARY in shown and sum(map(int, used)) > QUIET * TICKS:
                    seen.append(shown)
        time.sleep(0.02)
