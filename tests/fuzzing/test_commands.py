"""Commands: hostile files end well or in exit code 2 and a line, and nothing but the output is touched."""

import pytest
from fuzzing.commands import COMMANDS, CommandBench, list_missing

FILES = 12  # for each command
NUMBERS = range(len(COMMANDS))


def test_every_verb_is_tried_or_reads_no_file_of_others():
    assert list_missing() == []
    assert len(COMMANDS) * FILES >= 500


@pytest.mark.parametrize("number", [number for number in NUMBERS if not COMMANDS[number].heavy])
def test_a_hostile_file_ends_in_a_line(tmp_path, number):
    bench = CommandBench(COMMANDS[number], tmp_path)
    _, wrong = bench.run(bench.make(0))
    assert wrong == []


@pytest.mark.heavy
@pytest.mark.parametrize("number", NUMBERS)
def test_many_hostile_files_end_in_a_line(tmp_path, number):
    bench = CommandBench(COMMANDS[number], tmp_path)
    found = [(code, wrong) for code, wrong in (bench.run(bench.make(each)) for each in range(FILES))]
    assert [wrong for _, wrong in found if wrong] == []
    beside_others = COMMANDS[number].file is not None  # a photo that cannot be used among those that can
    assert beside_others or any(code == 2 for code, _ in found)
