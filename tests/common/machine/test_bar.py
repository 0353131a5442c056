"""Bar: where there is no terminal, lines of JSON say what is done, how fast, and how long it will take."""

import io
import json
import logging
import time

import pytest

from bodyposenet.common.machine import bar
from bodyposenet.common.machine.bar import LINES, NOTES, Bar


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def read_log(caplog):
    return [json.loads(record.message) for record in caplog.records]


def test_a_line_tells_the_rate_and_what_is_left():
    with Bar(total=1000, initial=400, desc="train", unit="photo") as counter:
        counter.update(100)
        line = counter.make_line(counter.begun + 20.0)
    assert line == {"task": "train", "done": 500, "of": 1000, "unit": "photo", "per_second": 5.0, "seconds_left": 100}


def test_lines_of_json_are_logged_where_there_is_no_terminal(caplog, monkeypatch):
    monkeypatch.setattr(bar, "EVERY", 0.0)
    with caplog.at_level(logging.INFO, logger="bodyposenet"), Bar(total=10, desc="train") as counter:
        counter.update(4)
        counter.update(6)
    lines = read_log(caplog)
    assert {4, 10} <= {line["done"] for line in lines}
    assert lines[-1]["seconds_left"] == 0


def test_what_is_gone_through_with_a_bar_is_told_likewise(caplog, monkeypatch):
    monkeypatch.setattr(bar, "EVERY", 0.0)
    with caplog.at_level(logging.INFO, logger="bodyposenet"):
        assert list(Bar(range(5), "evaluate", 5, unit="photo")) == [*range(5)]
    assert read_log(caplog)[-1] | {"per_second": 0} == {
        "task": "evaluate", "done": 5, "of": 5, "unit": "photo", "per_second": 0, "seconds_left": 0,
    }  # fmt: skip


def test_lines_are_not_logged_all_the_time(caplog):
    with caplog.at_level(logging.INFO, logger="bodyposenet"), Bar(total=1000, desc="train") as counter:
        for _ in range(1000):
            counter.update()
    assert caplog.records == []


@pytest.mark.parametrize("total", [0, 5])
def test_nothing_done_is_no_error(total):
    counter = Bar(total=total, desc="train")
    assert counter.make_line(counter.begun + 1.0)["seconds_left"] is None, "nobody knows"


def test_more_than_was_expected_takes_no_time_back():
    with Bar(total=5, desc="inference") as counter:
        counter.update(7)
        assert counter.make_line(counter.begun + 1.0)["seconds_left"] == 0


def test_programs_that_ask_for_lines_get_them_bare_on_a_terminal_too(monkeypatch):
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv(NOTES, LINES)
    monkeypatch.setattr(bar, "BARE", 0.0)
    with Bar(total=2, desc="calibrate", unit="batch") as counter:
        counter.update()
        counter.update()
    lines = [json.loads(line) for line in screen.getvalue().splitlines()]
    assert [line["done"] for line in lines if line["done"]][-1] == 2
    assert {line["task"] for line in lines} == {"calibrate"}


def test_a_terminal_has_one_line_that_is_drawn_anew_with_count_rate_and_time_left(monkeypatch):
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.delenv(NOTES, raising=False)
    with Bar(total=8, desc="evaluate", unit="photo", file=screen, mininterval=0) as counter:
        for _ in range(8):
            time.sleep(0.01)
            counter.update()
    drawn = screen.getvalue()
    assert "4/8" in drawn
    assert "photo/s" in drawn
    assert drawn.count("\n") == 1


def test_what_is_to_show_nothing_shows_nothing(caplog, capfd, monkeypatch):
    monkeypatch.setattr(bar, "EVERY", 0.0)
    with caplog.at_level(logging.INFO, logger="bodyposenet"):
        assert list(Bar(range(3), disable=True)) == [0, 1, 2]
    assert (caplog.records, capfd.readouterr()) == ([], ("", ""))
