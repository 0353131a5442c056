"""Clocks: whoever asks what time it is is known, and nothing goes wrong when the answer jumps."""

import ast
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.leftovers import write_checkpoint

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.checkpoints import TrainingState, checkpoints_in
from bodyposenet.common.model.training.own_checkpoints import OwnCheckpoints
from bodyposenet.common.storage import locking, together
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.locking import hold_alone
from bodyposenet.common.storage.snapshots import Snapshots
from bodyposenet.common.storage.together import Together
from bodyposenet.pipelines.schedules.schedules import Schedule

ROOT = Path(__file__).parents[1]
FOLDERS = ("bodyposenet", "common", "components", "pipelines")
CLOCKS = {"time.time", "time.time_ns", "time.strftime", "time.localtime", "time.gmtime", "time.ctime",
          "datetime.now", "datetime.today", "datetime.utcnow", "date.today"}  # fmt: skip
TIMES = {"st_mtime", "st_mtime_ns", "st_ctime", "st_ctime_ns", "getmtime", "getctime"}
TOLD = "tells people, decides nothing"
SAME = "compares a file's time with itself at another moment, for equality"
JUDGED = {
    "common/deploy/quantization/calibration_images.py": SAME,
    "common/machine/compiled_folder.py": "what goes too early is compiled anew",
    "common/model/training/tensorboard.py": "names come after those that are there, points go by steps",
    "common/retention/leftovers.py": "ages: what is held, needed or from the future stays",
    "common/storage/location.py": SAME,
    "common/storage/locking.py": TOLD,
    "common/storage/status_log.py": TOLD,
    "common/storage/together.py": "the order of renames among files of one kind, all of which the journal names",
    "common/tracking/events.py": TOLD + ": times of runs and points in MLflow",
    "common/tracking/pipeline_runs.py": "waits a second more, or tells tasks apart that began at once by their ids",
    "pipelines/cli/schedule.py": TOLD,
    "pipelines/here/past.py": "a run's name, which has random letters, too",
    "pipelines/runs/find.py": TOLD,
    "pipelines/runs/follow.py": TOLD,
    "pipelines/schedules/schedule_apply.py": TOLD,
    "pipelines/submit.py": TOLD + ": a run's title; Kubeflow gives it an id",
}
JUMPS = pytest.mark.parametrize(
    "days", [-3650, -1 / 24, 1 / 24, 3650], ids=["far back", "an hour back", "on", "far on"]
)


def asks_the_clock(path):
    """Whether a module reads the wall clock, or the times of files."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and (
            node.attr in TIMES or (isinstance(node.value, ast.Name) and f"{node.value.id}.{node.attr}" in CLOCKS)
        ):
            return True
    return False


def test_every_module_that_asks_the_clock_is_judged():
    """One that waits, measures or decides by it breaks when it jumps: ``time.monotonic``, numbers and locks do not."""
    paths = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    assert {path.relative_to(ROOT).as_posix() for path in paths if asks_the_clock(path)} == JUDGED.keys()


@JUMPS
def test_a_lock_keeps_others_out_and_is_taken_over_whatever_the_clock_says(tmp_path, monkeypatch, days):
    class Jumped(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + timedelta(days=days)

    monkeypatch.setattr(locking, "PATIENCE", 0.2)
    with hold_alone(tmp_path):
        os.utime(tmp_path / locking.OWNER, (time.time() + days * 86400,) * 2)
        monkeypatch.setattr(locking, "datetime", Jumped)
        monkeypatch.setattr(time, "time", lambda: Jumped.now(UTC).timestamp())
        with pytest.raises(UserError, match="another run is at work here"), hold_alone(tmp_path):
            pytest.fail("both are in")
    (tmp_path / locking.OWNER).write_text("process 1 of a-machine, since 2999-01-01 00:00:00+00:00")  # a killed run's
    with hold_alone(tmp_path):
        pass


@JUMPS
def test_snapshots_go_by_their_numbers(tmp_path, days):
    work, place = tmp_path / "work", tmp_path / "place"
    work.mkdir()
    for word in ("older", "newer"):
        (work / "model.json").write_text(word)
        before = {*place.glob("*.zip")}
        Snapshots(locate(place)).keep(work)
        (made,) = {*place.glob("*.zip")} - before
        if word == "newer":
            os.utime(made, (time.time() + days * 86400,) * 2)
    Snapshots(locate(place)).restore(tmp_path / "restored")
    assert (tmp_path / "restored/model.json").read_text() == "newer"


@JUMPS
def test_checkpoints_go_by_their_epochs(tmp_path, days):
    for epoch in range(1, 12):
        path = write_checkpoint(tmp_path, epoch)
        os.utime(path, (time.time() + epoch * days * 86400 / 10,) * 2)
    OwnCheckpoints(tmp_path, TrainingState(epoch=11), most=2, epochs=20)
    assert [epoch for epoch, _ in checkpoints_in(tmp_path)] == [10, 11]


def test_what_names_others_appears_after_them_though_the_clock_was_set_back_meanwhile(tmp_path, monkeypatch):
    appeared = []
    move = together.move_whole
    monkeypatch.setattr(
        together, "move_whole", lambda staged, final: appeared.append(final.name) or move(staged, final)
    )
    with Together(tmp_path / "set") as files:
        for number, name in enumerate(("data.bin", "more.bin", "manifest.json")):
            (files.folder / name).write_text("content")
            os.utime(files.folder / name, (1_700_000_000 - number * 3600,) * 2)
        files.publish()
    assert appeared[-1] == "manifest.json"
    assert json.dumps(sorted(appeared)) == '["data.bin", "manifest.json", "more.bin"]'


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Auckland", "UTC"])
def test_schedules_know_no_summer_time(monkeypatch, zone):
    """Whatever this machine's zone, each night has one run, at the same time of UTC."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        nightly = Schedule(name="nightly", pipeline="prune_retrain", cron="0 30 2 * * *")
        for day in ((2026, 3, 28), (2026, 10, 24), (2026, 11, 1)):
            moment = datetime(*day, tzinfo=UTC)
            runs = nightly.next_runs(moment)
            assert [run - moment for run in runs] == [timedelta(days=n, hours=2, minutes=30) for n in range(len(runs))]
    finally:
        monkeypatch.undo()
        time.tzset()
