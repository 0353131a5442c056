"""Pace: what a log says of a long conversion."""

import json
import logging

import pytest

from bodyposenet.common.storage import progress
from bodyposenet.common.storage.progress import ProgressLog


def test_a_line_tells_the_rate_and_what_is_left():
    with ProgressLog("train", 1000, done=400) as counter:
        counter.add(100)
        line = counter.line(counter.pace.since + 20.0)
    assert line == {"task": "train", "done": 500, "of": 1000, "photos_per_second": 5.0, "seconds_left": 100}


def test_lines_of_json_are_logged_where_there_is_no_terminal(caplog, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with caplog.at_level(logging.INFO, logger="bodyposenet"), ProgressLog("train", 10) as counter:
        counter.add(4)
        counter.add(6)
    lines = [json.loads(record.message) for record in caplog.records]
    assert [line["done"] for line in lines] == [4, 10]
    assert lines[-1]["seconds_left"] == 0


def test_lines_are_not_logged_all_the_time(caplog):
    with caplog.at_level(logging.INFO, logger="bodyposenet"), ProgressLog("train", 1000) as counter:
        for _ in range(1000):
            counter.add(1)
    assert caplog.records == []


@pytest.mark.parametrize("total", [0, 5])
def test_nothing_done_is_no_error(total):
    counter = ProgressLog("train", total)
    assert counter.line(counter.pace.since + 1.0)["seconds_left"] == 0
