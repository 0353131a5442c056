"""Chaos: demos that are killed at random moments and run again must end as if nobody had disturbed them.

python chaos_demo.py KILLS [SEED]: one demo of a few pictures is left alone; another is killed so often, run again after
each kill, and at the end compared with it. A demo that comes to its end before it is killed is followed by another one.
"""

import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from support.demo_run import everyone, said, start_few, still_alive

STAGES = ("base", "pruned", "retrained", "int8")
SECONDS = 5  # in which all processes of a killed demo end


def figures(folder):
    """What must not depend on kills: everything but times."""
    summary = json.loads((folder / "summary.json").read_text())
    rows = {stage: [summary[stage][name] for name in ("ap", "params", "bytes")] for stage in STAGES}
    return {**rows, "start_ap": summary["start_ap"], "ceiling_ap": summary["ceiling_ap"]}


def run_whole(folder):
    """A demo that nobody disturbs; returns how long it took."""
    begun = time.monotonic()
    if start_few(folder).wait():
        raise SystemExit(f"a demo failed: {said(folder).read_text()}")
    return time.monotonic() - begun


def kill_one(folder, seconds):
    """Kill the demo's own process after some seconds; who is alive five seconds later, and whether it was killed."""
    process = start_few(folder)
    time.sleep(seconds)
    if process.poll() is not None:
        return [], False
    running = everyone(process)
    process.kill()
    process.wait()
    return still_alive(running, SECONDS), True


def main(kills, seed):
    generator, root = random.Random(seed), Path(tempfile.mkdtemp(prefix="chaos-demo-"))
    whole = run_whole(root / "whole")
    wanted, wrong, done = figures(root / "whole"), [], 0
    while done < kills:
        left, killed = kill_one(root / "killed", generator.uniform(0, whole / 2))
        done += killed
        wrong += [f"kill {done}: still alive: {left}"] if left else []
        if killed and done < kills:
            print(f"kill {done}: {len(left)} left", flush=True)
            continue
        run_whole(root / "killed")
        found = figures(root / "killed")
        wrong += [f"after kill {done}: {found}, not {wanted}"] if found != wanted else []
        shutil.rmtree(root / "killed")
    print("\n".join(wrong) or f"{done} kills: nothing outlived them, and the figures are {wanted}")
    shutil.rmtree(root)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
