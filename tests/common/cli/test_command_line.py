"""The command line as docs/command-line.md tells of it: exit codes, and words that a shell completes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bodyposenet.common.cli.launcher import RemainsError
from bodyposenet.common.exits import BUG, INTERRUPTED, USER
from bodyposenet.common.model.training.preemption import StoppedError
from bodyposenet.common.model.training.strategy import LostWorkerError
from bodyposenet.pipelines.cli.schedule import DIFFERS

PAGE = Path(__file__).parents[3] / "docs/command-line.md"
BPNET = Path(sys.executable).with_name("bpnet")


def test_the_page_has_every_exit_code():
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)}
    errors = {error.exit_code for error in (RemainsError, StoppedError, LostWorkerError)}
    assert told == {0, BUG, DIFFERS, USER, INTERRUPTED, *errors}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("bpnet inf", ["inference"]),
        ("bpnet evaluate --sus", ["--suspects", "--suspects_format"]),
        ("bpnet spec init tr", ["train"]),
        ("bpnet pipeline comp", ["compile"]),
        ("bpnet export --cal_method ent", ["entropy"]),
    ],
)
def test_a_shell_completes_verbs_flags_and_choices(typed, offered):
    asked = {"_BPNET_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run([BPNET], env=os.environ | asked, stdout=subprocess.PIPE, text=True, check=True)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == offered


def test_the_page_s_line_is_what_bash_takes():
    (line,) = re.findall(r"^eval .*$", PAGE.read_text(), re.MULTILINE)
    words = f"PATH={BPNET.parent}:$PATH; {line} && complete -p bpnet"
    done = subprocess.run(["bash", "-c", words], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "complete -o nosort -F _bpnet_completion bpnet\n"
