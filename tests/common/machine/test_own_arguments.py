"""Keys on the command line: lists of processes show asterisks, whatever form they are given in."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.machine.own_arguments import _find_secrets_in

KEY = "s3cret"
RUN = "import sys; sys.argv[0] = 'bpnet'; import bodyposenet; print(sys.argv[1:], flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["prune", "-k", KEY, "-v"], ["prune", "-k", "******", "-v"]),
        (["prune", f"-k{KEY}"], ["prune", "-k******"]),
        (["prune", f"--key={KEY}"], ["prune", "--key=******"]),
        (["adopt", "--tao-key", KEY, "--key", "ü"], ["adopt", "--tao-key", "******", "--key", "**"]),
        (["prune", "--key_file", "key.txt", "--keep", "3"], ["prune", "--key_file", "key.txt", "--keep", "3"]),
        (["prune", "-vk", KEY], ["prune", "-vk", "******"]),
        (["prune", "-k"], ["prune", "-k"]),
    ],
)
def test_lists_of_processes_do_not_show_keys_and_the_verb_still_gets_them(arguments, shown):
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().strip() == str(arguments)
        seen = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode().split("\0")
        process.stdin.close()
    assert seen[3:-1] == shown


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6), max_size=6))
def test_what_is_hidden_lies_within_one_argument(arguments):
    command = ["python", "bpnet", *arguments, "-k", KEY]
    shown = b"".join(text.encode() + b"\0" for text in command)
    hidden = bytearray(shown)
    for place, length in _find_secrets_in(shown):
        assert 0 not in shown[place : place + length]
        hidden[place : place + length] = b"*" * length
    assert hidden.count(0) == len(command)
    if not arguments or not re.fullmatch("-[a-z]*k|--key|--tao[_-]key", arguments[-1]):
        assert hidden.endswith(b"-k\0******\0")
