"""``python tests/chaos_verbs.py [KILLS] [SIZES] [VERB...]``: kill every verb, and run it on full disks.

Each verb is killed before file operations, spread over all that it does, and at random moments; run again, it must end
as if undisturbed. Then it is run on so many small disks.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from support.full_disks import fill_disks, may_mount
from support.killed_verbs import VerbBench, in_child, kill_at_random, kill_before_operations
from support.verb_cases import CASES, list_missing, make_given
from support.warm_python import TASKS, import_all

SECONDS = 40  # that the undisturbed runs of a verb's random kills would take


def main(kills, sizes, named):
    missing = list_missing()
    if missing:
        print(f"no case in support/verb_cases.py: {missing}", file=sys.stderr)
        return 1
    os.environ.setdefault(
        "BODYPOSENET_RUNNER", "exact"
    )  # which form is fastest is measured, and may be another each time
    import_all((*TASKS, "bodyposenet.pipelines.compile"))
    wrong, done, tried = [], 0, 0
    with tempfile.TemporaryDirectory(prefix="chaos-verbs-") as folder:
        given = Path(folder) / "given"
        given.mkdir()
        in_child(make_given, given)
        disks = sizes and may_mount(folder)
        if sizes and not disks:
            print("full disks are left out: no disk may be mounted here", flush=True)
        for number, case in enumerate(CASES):
            if named and case.verb not in named and case.name not in named:
                continue
            begun = time.monotonic()
            bench = VerbBench(case, given, Path(folder) / str(number))
            report = kill_before_operations(bench, kills) if kills else None
            at_random = kill_at_random(bench, min(kills, int(SECONDS / bench.seconds)), seed=number) if kills else None
            full = fill_disks(bench, sizes) if disks else None
            parts = [part for part in (report, at_random, full) if part]
            wrong += [problem for part in parts for problem in part.wrong]
            killed = sum(part.kills for part in (report, at_random) if part)
            done, tried = done + killed, tried + (full.sizes if full else 0)
            disk = f", {full.sizes} disks of which {full.full} full" if full else ""
            bad = sum(len(part.wrong) for part in parts)
            print(
                f"{case.name}: {bench.seconds:.2f} s, {bench.operations} operations, {killed} kills{disk}, {bad} wrong,"
                f" {time.monotonic() - begun:.0f} s",
                flush=True,
            )
            for problem in [problem for part in parts for problem in part.wrong][:8]:
                print(f"  {problem[:700]}", file=sys.stderr, flush=True)
    print(f"{done} kills, {tried} disks: {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:3]] + [45, 14][len(sys.argv[1:3]) :]
    sys.exit(main(*numbers, sys.argv[3:]))
