"""``python tests/chaos_training.py [KILLS]``: kill trainings at random moments; each must end as if undisturbed."""

import sys
import tempfile
from pathlib import Path

from support.killed_training import Nursery, kill_often, spec_of

EPOCHS = 12


def main(kills):
    with tempfile.TemporaryDirectory() as folder:
        nursery = Nursery(spec_of(EPOCHS, checkpoint_n_minutes=0.005), seconds=0.005)
        moments, wrong, seconds = kill_often(nursery, Path(folder), kills, seed=1)
    print(f"{seconds:.2f} s undisturbed: {moments.total()} stopped: {dict(moments)}")
    for number, name, code, again, found in wrong:
        print(f"round {number}, {name}: exit codes {code} and {again}, differs: {found}", file=sys.stderr)
    print(f"{kills - len(wrong)} of {kills} ended bit-identical")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30))
