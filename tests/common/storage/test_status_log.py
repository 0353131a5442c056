"""status.json: a line of JSON a step, as TAO's readers expect."""

import json
import os
from datetime import datetime

import numpy as np
import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage import status_log
from bodyposenet.common.storage.status_log import StatusLog


def lines(folder):
    return [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]


def test_every_line_is_dated_without_leading_zeros(tmp_path, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 3, 9, 8, 5, 7)

    monkeypatch.setattr(status_log, "datetime", Clock)
    StatusLog(tmp_path / "new" / "folder").write("STARTED", "Starting evaluation.")
    assert lines(tmp_path / "new" / "folder") == [
        {
            "date": "3/9/2026",
            "time": "8:5:7",
            "status": "STARTED",
            "verbosity": "INFO",
            "message": "Starting evaluation.",
        }
    ]


def test_figures_stay_on_later_lines_and_new_ones_replace_them(tmp_path):
    log = StatusLog(tmp_path)
    log.write("RUNNING", graphical={"loss": 2.0}, epoch=1)
    log.write("RUNNING", graphical={"loss": 1.0}, kpi={"AP": 0.5}, epoch=2)
    log.write("SUCCESS", "done")
    first, second, last = lines(tmp_path)
    assert "kpi" not in first
    assert "message" not in first
    assert (second["graphical"], second["kpi"], second["epoch"]) == ({"loss": 1.0}, {"AP": 0.5}, 2)
    assert (last["graphical"], last["kpi"]) == ({"loss": 1.0}, {"AP": 0.5})
    assert "epoch" not in last


def test_a_second_task_appends(tmp_path):
    StatusLog(tmp_path).write("SUCCESS", kpi={"AP": 1})
    StatusLog(tmp_path).write("STARTED")
    assert [line["status"] for line in lines(tmp_path)] == ["SUCCESS", "STARTED"]
    assert "kpi" not in lines(tmp_path)[1]


@pytest.mark.parametrize(("value", "written"), [(np.float32(0.5), 0.5), (np.arange(2), [0, 1]), (np.int64(3), 3)])
def test_numpys_numbers_are_written_as_numbers(tmp_path, value, written):
    StatusLog(tmp_path).write("RUNNING", kpi={"figure": value})
    assert lines(tmp_path)[0]["kpi"]["figure"] == written


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_has_the_log_s_name_and_is_no_file_is_refused_and_what_a_link_means_left_alone(tmp_path, kind):
    victim, place = tmp_path / "victim", tmp_path / "out/status.json"
    victim.write_text("precious")
    place.parent.mkdir()
    make = {"link": lambda: place.symlink_to(victim), "pipe": lambda: os.mkfifo(place), "folder": place.mkdir}
    make[kind]()
    with pytest.raises(UserError, match=r"status\.json: this is a (link|pipe|folder)"):
        StatusLog(place.parent).write("STARTED")
    assert victim.read_text() == "precious"
