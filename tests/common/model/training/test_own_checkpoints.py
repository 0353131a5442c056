"""Own checkpoints: whatever was in a results folder before, the newest of a training stay, and others' are let be."""

import itertools
import shutil
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.leftovers import write_checkpoint

from bodyposenet.common.model.training.checkpoints import TrainingState, checkpoints_in, latest_in, read_state
from bodyposenet.common.model.training.own_checkpoints import OwnCheckpoints, name_training

WITHIN = "model.latest.keras"
RUNS = st.builds(
    dict,
    epochs=st.integers(1, 9),
    every=st.integers(1, 3),
    most=st.integers(1, 3),
    ends=st.integers(0, 9),  # after so many epochs
    how=st.sampled_from(["between", "stopped", "killed"]),
)


@dataclass
class Folder:
    """A results folder in which trainings work as the trainer does, without a network."""

    path: object
    written: dict = field(default_factory=dict)  # of each training, where its checkpoints were made

    def whose(self):
        """Whose each checkpoint is, and where it was made."""
        paths = [*(path for _, path in checkpoints_in(self.path)), *latest_in(self.path)]
        return {(state.training, state.place) for state in map(read_state, paths)}

    def begin(self, epochs):
        """Where a training of so many epochs goes on: at the newest that is not beyond."""
        found = [(place, name) for name, place in self.whose() if place <= (epochs, 0)]
        (epoch, step), name = max(found, default=((0, 0), name_training()))
        return TrainingState(epoch=epoch, step=step, training=name)

    def run(self, epochs, every, most, ends, how):
        """Train; what is own at its end, as places in order, and the state that it began with."""
        begun = self.begin(epochs)
        own = OwnCheckpoints(self.path, begun, most=most, epochs=epochs)
        places = sorted(place for name, place in self.whose() if name == begun.training and place <= begun.place)
        for epoch in range(begun.epoch + 1, min(epochs, begun.epoch + ends) + 1):
            if epoch % every == 0 or epoch == epochs:
                path = write_checkpoint(self.path, epoch, training=begun.training)
                if how == "killed" and epoch == begun.epoch + ends:
                    return begun, [*places, (epoch, 0)], True
                own.add(path, (epoch, 0))
                places = [*places, (epoch, 0)]
        if how == "stopped" and begun.epoch + ends < epochs:
            place = begun.epoch + ends, 2
            if place > begun.place:
                own.add(write_checkpoint(self.path, place[0], training=begun.training, step=2, name=WITHIN), place)
                places = [*places, place]
        return begun, places, False


def is_epoch(place):
    return place[1] == 0


@settings(deadline=None, max_examples=40)
@given(st.lists(RUNS, min_size=1, max_size=6))
def test_the_newest_of_a_training_stay_however_often_it_is_begun_stopped_and_killed(tmp_path_factory, runs):
    folder = Folder(tmp_path_factory.mktemp("results"))
    for run in runs:
        before = folder.whose()
        begun, places, killed = folder.run(**run)
        after = folder.whose()
        others = {(name, place) for name, place in before if name != begun.training or place > begun.place}
        assert others <= after
        own = sorted(place for name, place in after - others if name == begun.training)
        epochs = [place for place in own if is_epoch(place)]
        assert len(epochs) <= run["most"] + killed
        assert epochs[-run["most"] :] == [place for place in places if is_epoch(place)][-run["most"] :]
        assert own[-1:] == places[-1:]
        assert len(own) - len(epochs) <= 1
        assert folder.begin(run["epochs"]).place == max(places, default=(0, 0))
    shutil.rmtree(folder.path)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), min_size=1, max_size=6))
def test_a_training_that_only_grows_never_has_more_than_the_last_run_is_to_keep(tmp_path_factory, runs):
    folder = Folder(tmp_path_factory.mktemp("results"))
    for epochs, (_, most) in zip(itertools.accumulate(epochs for epochs, _ in runs), runs, strict=True):
        folder.run(epochs, 1, most, ends=99, how="between")
        kept = [epoch for epoch, _ in checkpoints_in(folder.path)]
        assert 1 <= len(kept) <= most
        assert kept == [*range(1, epochs + 1)][-len(kept) :]
    shutil.rmtree(folder.path)


def test_one_within_an_epoch_of_a_longer_training_is_set_aside_and_found_again(tmp_path):
    longer, shorter = name_training(), name_training()
    write_checkpoint(tmp_path, 12, training=longer, step=5, name=WITHIN)
    for name in (longer, shorter):
        OwnCheckpoints(tmp_path, TrainingState(training=shorter), most=2, epochs=8)
        assert [path.name for path in latest_in(tmp_path)] == [f"model.latest-{longer}.keras"], name
    own = OwnCheckpoints(tmp_path, TrainingState(epoch=12, step=5, training=longer), most=2, epochs=14)
    own.add(write_checkpoint(tmp_path, 13, training=longer), (13, 0))
    assert not latest_in(tmp_path)


def test_those_from_before_trainings_had_names_are_one_training_s(tmp_path):
    for epoch in range(1, 6):
        write_checkpoint(tmp_path, epoch)
    own = OwnCheckpoints(tmp_path, TrainingState(epoch=5), most=2, epochs=9)
    own.add(write_checkpoint(tmp_path, 6), (6, 0))
    assert [epoch for epoch, _ in checkpoints_in(tmp_path)] == [5, 6]


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "0123456789ABCDEF", 7, None])
def test_a_name_that_would_lead_elsewhere_is_damage_and_nothing_moves(tmp_path, name, caplog):
    path = write_checkpoint(tmp_path, 12, training=name, step=5, name=WITHIN)
    OwnCheckpoints(tmp_path, TrainingState(training=name_training()), most=2, epochs=8)
    assert [*tmp_path.iterdir()] == [path]
    assert not caplog.messages


def test_a_torn_one_within_an_epoch_goes_with_the_next_checkpoint(tmp_path):
    name = name_training()
    write_checkpoint(tmp_path, 3, torn=True, step=5, name=WITHIN)
    own = OwnCheckpoints(tmp_path, TrainingState(training=name), most=2, epochs=8)
    assert latest_in(tmp_path)
    own.add(write_checkpoint(tmp_path, 1, training=name), (1, 0))
    assert not latest_in(tmp_path)
