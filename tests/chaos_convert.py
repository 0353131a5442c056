"""``python tests/chaos_convert.py [KILLS]``: kill conversions at random moments; each must end as if undisturbed."""

import sys
import tempfile
from pathlib import Path

from support.killing import Bench, kill_often

PHOTOS = 1200


def main(kills):
    wrong = []
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench.set_up(Path(folder), PHOTOS, processes)
            share = kills // 2 if processes == 1 else kills - kills // 2
            states, failed = kill_often(bench, share, seed=processes)
        print(f"{processes} processes, {bench.seconds:.2f} s undisturbed: {states.total()} killed: {dict(states)}")
        wrong += failed
    for moment, code, differences in wrong:
        print(f"killed after {moment} s: exit code {code}, differs: {differences}", file=sys.stderr)
    print(f"{kills - len(wrong)} of {kills} ended byte-identical")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
