"""Rounds: pruned and retrained again and again, a network ends at its target, whatever comes between."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import rounds_run

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.training.precision import PRECISION, read_precision, take_precision
from bodyposenet.common.prune.rounds import Round, cut_left, prune_in_rounds
from bodyposenet.common.spec.prune import PruneSpec

shares = st.floats(0.05, 1.0)


def after(before, settings, wasted=1.0):
    """A round that keeps what it was asked for, or a little less."""
    kept = {key: (getattr(settings, key) or 1.0) * wasted for key in ("target_params", "target_flops")}
    return Round(1, before[0], before[0] * kept["target_params"], before[1], before[1] * kept["target_flops"], 0.1)


@given(key=st.sampled_from(["target_params", "target_flops"]), target=shares, rounds=st.integers(1, 8))
def test_each_round_keeps_the_same_share_and_all_together_come_to_the_target(key, target, rounds):
    settings, done, sizes = PruneSpec(**{key: target}), [], (1e6, 3.5)
    for to_go in range(rounds, 0, -1):
        cut = cut_left(settings, done, to_go=to_go)
        assert getattr(cut, key) == pytest.approx(target ** (1 / rounds))
        done.append(after(sizes, cut))
        sizes = (done[-1].params, done[-1].gflops)
    assert sizes[0 if key == "target_params" else 1] == pytest.approx(target * (1e6 if key == "target_params" else 3.5))


@given(target=shares, wasted=st.lists(st.floats(0.9, 1.0), max_size=5))
def test_what_a_round_takes_too_much_the_next_ones_leave(target, wasted):
    settings, done, params = PruneSpec(target_params=target), [], 1e6
    for number, waste in enumerate(wasted):
        done.append(after((params, 1.0), cut_left(settings, done, to_go=len(wasted) + 1 - number), waste))
        params = done[-1].params
    last = cut_left(settings, done, to_go=1).target_params
    assert params * last == pytest.approx(min(target * 1e6, params))
    assert 0 < last <= 1


def test_a_threshold_is_that_of_every_round():
    settings = PruneSpec(pruning_threshold=0.3, excluded_layers=("stage1_*",))
    done = [after((100, 1.0), PruneSpec(target_params=0.5))]
    assert cut_left(settings, [], to_go=4) == cut_left(settings, done, to_go=1) == settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records and a network to prune."""
    folder = tmp_path_factory.mktemp("rounds")
    rounds_run.prepare(folder)
    return folder


def killed_in_the_second_round(folder):
    """Start the rounds in a process of its own and kill that once the second round has trained an epoch."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-W", "ignore", "-m", "support.rounds_run", str(folder)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 240
    while not list((folder / "rounds" / "round_2").glob("model.epoch-*")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -9


@pytest.mark.slow
@pytest.mark.heavy
def test_killed_in_the_second_round_it_goes_on_there_and_ends_at_the_target(folder):
    killed_in_the_second_round(folder)
    first = folder / "rounds" / "round_1"
    kept = {path.name: path.stat().st_mtime_ns for path in first.iterdir()}
    written = folder / "rounds" / "round_2" / "history.json"  # after the checkpoint; the kill may have come between
    before = json.loads(written.read_text()) if written.exists() else []
    heard = []
    done = rounds_run.run(folder, on_epoch=lambda number, entries: heard.append((number, len(entries))))
    assert {path.name: path.stat().st_mtime_ns for path in first.iterdir()} == kept
    assert {number for number, _ in heard} <= {2}
    assert done[1].history[: len(before)] == before
    assert [[entry["epoch"] for entry in one.history] for one in done] == [[1, 2, 3]] * 2

    base, *smaller = (load_model(path)[0].count_params() for path in (folder / "base.keras", *models(folder)))
    assert [one.params for one in done] == smaller
    assert [done[0].params_before, done[1].params_before] == [base, smaller[0]]
    assert smaller[0] / base == pytest.approx(0.4**0.5, abs=0.02)
    assert 0.38 <= smaller[1] / base <= 0.4

    again = rounds_run.run(folder, on_epoch=lambda *_: pytest.fail("all is done"))
    assert again == done
    assert not [path.name for path in folder.glob("rounds/*/*") if "epoch" in path.name or "pruned" in path.name]


def models(folder):
    return [folder / "rounds" / f"round_{number}" / "model.keras" for number in (1, 2)]


@pytest.mark.slow
def test_rounds_of_something_else_are_left_alone(folder):
    rounds_run.run(folder, "other", only=0)
    with pytest.raises(UserError, match="other: holds rounds of another network, or with other settings"):
        rounds_run.run(folder, "other", rounds=3)
    with pytest.raises(UserError, match="rounds: 0 rounds are none; give 1 or more"):
        rounds_run.run(folder, "none", rounds=0)
    assert dataclasses.asdict(Round(1, 2, 1, 2.0, 1.0, 0.5))["history"] == []


@pytest.mark.slow
def test_a_later_round_is_retrained_in_the_precision_of_the_one_before(folder):
    place, base = folder / "precision", folder / "base.keras"
    retraining = rounds_run.retraining_of(folder, epochs=1).model_copy(update={"mixed_precision": "auto"})
    given = {"settings": rounds_run.SETTINGS, "retraining": retraining, "rounds": 2}
    prune_in_rounds(base, place, **given, only=1)
    kept = read_precision(place / "round_1")
    assert kept == take_precision("auto")
    (place / "round_1" / PRECISION).write_text(json.dumps(dataclasses.asdict(kept) | {"name": "float16"}))
    prune_in_rounds(base, place, **given)
    assert read_precision(place / "round_2").name == "float16"
