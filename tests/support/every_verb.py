"""``python every_verb.py FOLDER [demo]``: every verb of the command line once, or the local pipeline on a few pictures.

It is run where nothing can be reached: what servers are asked for is left out.
"""

import os
import sys
from pathlib import Path
from unittest import mock

from support.demo_run import run_few
from support.verb_cases import CASES, make_given

from bodyposenet.common.cli.main import main

PRINTING = ("component list", "component show train", "doctor", "spec check {given}/train.yaml",
            "spec diff {given}/train.yaml {given}/train.yaml", "spec explain num_epoch")  # fmt: skip


def run_verbs(folder):
    """Run the cases of the suite of kills undisturbed, and the verbs that print only."""
    given = folder / "given"
    given.mkdir()
    make_given(given)
    for number, case in enumerate(CASES):
        out = folder / str(number)
        out.mkdir()
        if case.prepare:
            case.prepare(given, out)
        with mock.patch.dict(os.environ, {name: value.format(out=out) for name, value in case.variables.items()}):
            run(case.command(given, out))
    for words in PRINTING:
        run(words.format(given=given).split())


def run(words):
    """Run a verb; it must end well, or say that the rest is for another machine."""
    code = 0
    try:
        main(words)
    except SystemExit as ended:
        code = ended.code
    assert code in (0, 3), words
    print(f"ran: {' '.join(words[:2])}", flush=True)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    if sys.argv[2:] == ["demo"]:
        run_few(place / "demo")
    else:
        run_verbs(place)
