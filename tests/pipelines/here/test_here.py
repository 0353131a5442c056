"""Here: what a run on this machine shows, what it takes up of earlier ones, and who runs in one folder."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bodyposenet.common.data.synthetic.dataset import synthesize
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.bar import NOTES, Bar, read_note
from bodyposenet.common.machine.terminal import spell
from bodyposenet.common.retention.local_runs import LOCK, RunNote
from bodyposenet.pipelines.here import past
from bodyposenet.pipelines.here.forecast import Speeds, Work, count_photos, estimate_seconds, measure_code
from bodyposenet.pipelines.here.graph import read_numbers, read_reason
from bodyposenet.pipelines.here.host import end_code, spawn
from bodyposenet.pipelines.here.local import read_compiled
from bodyposenet.pipelines.here.messages import News, Ordered
from bodyposenet.pipelines.here.past import mark_complete, name_run, sole_user
from bodyposenet.pipelines.here.screen import Screen, at_work, format_end
from bodyposenet.pipelines.here.stages import key_number, titles


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def screen_after(file, *news, note=None):
    screen = Screen(5, file)
    for one in news:
        screen.tell(one)
        screen.tick(note)
    screen.close()
    return file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (200, "3:20"), (3723, "1:02:03")]
)
def test_times_are_spelt_as_short_as_they_can_be(seconds, text):
    assert spell(seconds) == text


@pytest.mark.parametrize(
    ("component", "numbers", "text"),
    [
        ("evaluate-int8", {"Output": 0.6254}, "AP 0.625"),
        ("evaluate", {"Output": -1.0}, ""),
        ("retrain", {"model.ap": 0.5, "model.params": 3.0}, "AP 0.500"),
        ("prune", {"Output": 0.463, "pruned.params": 850_000.0}, "46 % left: 850 k parameters"),
        ("prune-rounds", {"metrics.rounds": 0.0}, "none"),
        ("prune-rounds", {"metrics.rounds": 1.0}, "1 round"),
        ("dataset-join", {"metrics.train_images": 300.0, "metrics.val_images": 200.0}, "300 + 200 photos"),
        ("calibrate", {"metrics.bytes_cpu": 911e3, "metrics.kept_in_float": 0.0}, "911 kB, 0 convolutions in float"),
        ("gate", {"Output": 0.0}, "not good enough"),
        ("gate", {}, ""),
        ("photos", {"Output": 1.0}, ""),
    ],
)
def test_a_stage_says_the_number_that_matters_most(component, numbers, text):
    assert key_number(News("Any", "done", component, 1.0, numbers)) == text


def test_a_stage_that_ended_is_told_with_name_state_time_and_number():
    assert format_end(News("Train", "done", "train", 200.0, {"model.ap": 0.5})).split() == [
        "Train", "done", "3:20", "AP", "0.500",
    ]  # fmt: skip
    assert format_end(News("Train", "kept", "train", 0.0, {"model.ap": 0.5})).split()[1:3] == ["done", "before"]
    assert format_end(News("Train", "failed", "train", 2.0, reason="why\nmore")).endswith("2.0 s  why")


def test_without_a_terminal_a_stage_is_a_plain_line_when_it_has_ended():
    said = screen_after(io.StringIO(), News("Photos", "started"), News("Photos", "done", "photos", 3.0))
    assert [line.split() for line in said.splitlines()] == [["Photos", "done", "3.0", "s"]]


def test_on_a_terminal_one_bar_shows_the_stage_at_work_and_is_gone_at_the_end():
    note = {"what": "epoch 1/2", "done": 30, "of": 120, "more": "loss=0.1"}
    said = screen_after(Terminal(), News("Train", "started", "train"), note=note)
    *_, drawn, last = said.split("\r\x1b[2K")
    assert drawn.split()[:4] == ["Train", "1", "of", "5"]
    assert "██████░░░░░░░░░░░░░░░░░░" in drawn
    assert last == ""


def test_a_bar_is_as_long_as_the_share_that_is_done():
    assert at_work({"what": "evaluate", "done": 5, "of": 10, "more": ""}) == f"{'█' * 12}{'░' * 12}  50 % evaluate"
    assert at_work({"what": "evaluate", "done": 11, "of": 10, "more": ""}).count("█") == 24
    assert at_work(None) == at_work({"what": "x", "done": 1, "of": None, "more": ""}) == ""


def test_a_bar_leaves_notes_where_somebody_wants_them(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(NOTES, str(tmp_path / "note"))
    for _ in Bar(range(4), "evaluate", mininterval=0):
        pass
    note = read_note(tmp_path / "note")
    assert (note["what"], note["done"], note["of"]) == ("evaluate", 4, 4)
    assert capfd.readouterr() == ("", "")


def test_a_bar_leaves_no_notes_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv(NOTES, raising=False)
    monkeypatch.chdir(tmp_path)
    assert list(Bar(range(3), disable=None)) == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []
    assert read_note(tmp_path / "none") is None


def test_the_numbers_of_a_task_are_its_parameters_and_what_is_known_of_its_artifacts():
    found = read_numbers(
        {"Output": True, "reason": "text", "model": SimpleNamespace(metadata={"ap": 0.5, "name": "x"})}
    )
    assert found == {"Output": 1.0, "model.ap": 0.5}


def test_a_task_that_failed_has_its_own_last_words_or_what_ended_it(tmp_path, monkeypatch):
    words = tmp_path / "words"
    monkeypatch.setenv("BODYPOSENET_FAILURE_LOG", str(words))
    assert read_reason(-9) == "its process was ended by signal 9"
    assert read_reason(3) == "its process ended with exit code 3"
    words.write_text("train failed: num_epoch: give 1 or more\n")
    assert read_reason(2) == "train failed: num_epoch: give 1 or more"
    words.write_text("train failed: Traceback (most recent call last):\n  here\nValueError: odd\n")
    assert read_reason(1) == "ValueError: odd"


@pytest.mark.parametrize(
    ("error", "code"), [(None, 0), (SystemExit(2), 2), (SystemExit(), 0), (SystemExit("x"), 1), (ValueError(), 1)]
)
def test_a_forked_task_ends_with_the_code_that_its_interpreter_would_have(error, code):
    def work():
        if error:
            raise error

    assert end_code(work) == code


@pytest.mark.parametrize(("target", "code"), [("json:loads", 0), ("os:_exit", 7)])
def test_where_nothing_can_be_forked_a_task_is_started_afresh(tmp_path, target, code):
    kept = tmp_path / "result"
    arguments = {"json:loads": {"s": "[3]"}, "os:_exit": {"status": 7}}[target]
    status = os.waitpid(spawn(Ordered(target, arguments, str(kept))), 0)[1]
    assert os.waitstatus_to_exitcode(status) == code
    assert (kept.read_text() if kept.exists() else None) == (None if code else "[3]")


def test_every_task_of_the_pipeline_is_counted():
    found = titles(read_compiled("prune_retrain")[0])
    assert len(found) == len(set(found)) >= 20
    assert {"Fingerprint", "Convert", "Register", "Summary"} <= set(found)  # in a loop, a branch, and at the end, too
    assert (found[0], found[-1]) == ("Fingerprint", "Summary")
    waiting = [
        found.index(each) for each in ("Convert", "Join", "Train", "Prune", "Retrain", "Export", "Gate", "Register")
    ]
    assert waiting == sorted(waiting)


def test_a_run_keeps_its_name_until_it_came_to_a_good_end_or_is_asked_for_something_else(tmp_path, monkeypatch):
    names = iter("abc")
    monkeypatch.setattr(past.time, "strftime", lambda form: next(names))
    first = name_run(tmp_path, {"epochs": 1})
    assert first.startswith("demo-a-")
    assert name_run(tmp_path, {"epochs": 1}) == first
    second = name_run(tmp_path, {"epochs": 2})
    assert second.startswith("demo-b-")
    mark_complete(tmp_path)
    assert name_run(tmp_path, {"epochs": 2}).startswith("demo-c-")


def test_runs_that_begin_at_the_same_time_by_a_clock_that_was_set_back_have_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(past.time, "strftime", lambda form: "20261025-023000")
    names = []
    for _ in range(3):
        names.append(name_run(tmp_path, {}))
        mark_complete(tmp_path)
    assert len(set(names)) == 3


def test_a_good_end_is_noted_with_the_folders_of_its_outputs_and_an_unfinished_run_forgets_none(tmp_path):
    for made in ("one", "two"):
        name_run(tmp_path, {})
        mark_complete(tmp_path, [tmp_path / f"pipeline/{made}/train/model", tmp_path / "pipeline/one/data", tmp_path])
    name_run(tmp_path, {"epochs": 1})
    note = RunNote.read(tmp_path)
    assert (note.done, note.runs) == (False, (("one",), ("one", "two")))
    assert note.cache == past.code_digest()


def test_a_forecast_grows_with_the_work_and_shrinks_with_the_speeds():
    work, speeds = Work(300, 200, (2, 3)), Speeds(turns=3.5e7, gflops=60.0, share=1.0, processors=2)
    whole = estimate_seconds(work, speeds)
    assert whole == pytest.approx(87 + (16530 / 60 + 1500 * 0.075) / 2**0.78)
    assert estimate_seconds(replace(work, epochs=(4, 3)), speeds) > whole
    assert estimate_seconds(replace(work, held_out=400), speeds) == pytest.approx(whole + 42)
    assert estimate_seconds(work, replace(speeds, gflops=120.0)) < whole
    assert estimate_seconds(work, replace(speeds, turns=1.75e7)) == pytest.approx(
        87 * 2**0.5 + (16530 / 60 + 1500 * 0.075 * 2**0.5) / 2**0.78
    )
    assert estimate_seconds(work, replace(speeds, share=0.25)) > 2 * whole


@pytest.mark.parametrize(("data", "photos"), [("synthetic:300,200", (300, 200)), ("folder", (3, 2))])
def test_a_forecast_counts_the_photos_of_a_folder_and_knows_how_many_are_drawn(tmp_path, data, photos):
    if data == "folder":
        synthesize(tmp_path, train=3, val=2, seed=0, size=(120, 160))
        data = str(tmp_path)
    assert count_photos(data) == photos


def test_plain_code_is_measured_by_processor_time():
    turns, share = measure_code(1)
    assert turns > 1e5
    assert 0 < share <= 1


def test_two_runs_in_one_folder_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(past, "PATIENCE", 0.2)
    told = rf"another run is at work in this folder: process {os.getpid()} of .+, since 20.+; wait, or name another"
    with sole_user(tmp_path), pytest.raises(UserError, match=told), sole_user(tmp_path):
        pass
    with sole_user(tmp_path) as held:
        os.fstat(held)


def test_a_link_in_the_place_of_a_folder_s_lock_empties_no_file_of_somebody_else(tmp_path):
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / LOCK).symlink_to(tmp_path / "theirs")
    with pytest.raises(UserError, match="is a link where a file is to be"), sole_user(tmp_path):
        pass
    assert (tmp_path / "theirs").read_text() == "precious"


def test_the_command_line_of_the_demo_is_light():
    code = "import sys, bodyposenet.pipelines.demo; print({'kfp', 'mlflow', 'tensorflow'} & sys.modules.keys())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
