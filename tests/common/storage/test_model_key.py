"""The model key: every model file is written with it, and read with it alone."""

import contextlib
import os
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.pose_net import CARD, pictures, pose_net
from support.tiny_training import Dots, tiny_spec

from bodyposenet.common.deploy.export.fp16 import export_half
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.onnx_file import read_model, write_model
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.model.files.model_file import load_model, read_card, save_model
from bodyposenet.common.model.files.weights_file import read_weights
from bodyposenet.common.model.network.start_file import open_for_skeleton
from bodyposenet.common.model.training.checkpoints import TrainingState, load_checkpoint, read_state, save_checkpoint
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.storage.encryption import LockedError, is_encrypted
from bodyposenet.common.storage.model_key import (
    VARIABLE,
    create_model_file,
    key_in_use,
    open_model_file,
    taking_plain,
    using_key,
)

pytestmark = pytest.mark.usefixtures("cheap_keys")

KEY, OTHER = "open sesame", "open barley"
NO_KEY = rf"is encrypted, and no key is given; give the key .*: -k KEY, or the variable {VARIABLE}"
ANOTHER = "does not open: the key is another, or the file is damaged"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cheap_keys):
    """An encrypted network in every form, each under the name of an open one."""
    folder, model = tmp_path_factory.mktemp("keyed"), pose_net(stages=2)
    with using_key(KEY):
        save_model(model, folder / "model.keras", CARD)
        save_checkpoint(folder / "model.epoch-1.keras", model, [np.arange(3.0)], CARD, TrainingState(epoch=1))
        export_onnx(folder / "model.keras", folder / "model.onnx")
        export_half(folder / "model.onnx", folder / "model.fp16.onnx")
        quantize_int8(folder / "model.onnx", pictures(2), folder / "model.int8.onnx")
    return folder


READERS = {
    "load_model": (load_model, "model.keras"),
    "read_card": (read_card, "model.keras"),
    "read_weights": (read_weights, "model.keras"),
    "open_runner": (open_runner, "model.keras"),
    "plan": (lambda path: make_plan(tiny_spec(pretrained_weights=str(path)), Dots(16)), "model.keras"),
    "load_checkpoint": (load_checkpoint, "model.epoch-1.keras"),
    "read_state": (read_state, "model.epoch-1.keras"),
    "read_model": (read_model, "model.onnx"),
    "open_onnx": (open_runner, "model.onnx"),
    "open_half": (open_runner, "model.fp16.onnx"),
    "open_int8": (open_runner, "model.int8.cpu.onnx"),
}


@pytest.mark.parametrize("key", [None, KEY])
def test_a_pipe_or_a_device_is_no_model_file(tmp_path, key):
    os.mkfifo(tmp_path / "model.onnx")
    for path in (tmp_path / "model.onnx", Path("/dev/zero")):
        with using_key(key), pytest.raises(OSError, match="no file"), open_model_file(path):
            pass
    reading, writing = os.pipe()
    try:
        with (
            using_key(key),
            pytest.raises(UserError, match="this is a pipe"),
            open_model_file(Path(f"/dev/fd/{reading}")),
        ):
            pass
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("name", READERS)
def test_every_reader_needs_the_key(folder, name):
    read, file = READERS[name]
    with using_key(KEY):
        assert read(folder / file)
    with pytest.raises(LockedError, match=NO_KEY):
        read(folder / file)


@pytest.mark.parametrize("name", READERS)
def test_another_key_does_not_open_it(folder, name):
    read, file = READERS[name]
    with using_key(OTHER), pytest.raises(LockedError, match=ANOTHER):
        read(folder / file)


def test_nothing_that_was_written_is_open(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {file for _, file in READERS.values()} | {"model.int8.onnx", "model.int8.cache"}
    assert {path.name for path in folder.iterdir() if not is_encrypted(path)} == {"model.int8.cache"}


@pytest.mark.parametrize("name", ["model.keras", "model.tlt"])
def test_an_encrypted_network_is_the_same_network(folder, tmp_path, name):
    (tmp_path / name).write_bytes((folder / "model.keras").read_bytes())
    with using_key(KEY):
        model, card = load_model(tmp_path / name)
        runner = open_runner(tmp_path / name)
    assert card == runner.card == CARD
    for one, other in zip(model.get_weights(), pose_net(stages=2).get_weights(), strict=True):
        assert (one == other).all()


def test_an_encrypted_export_gives_the_same_maps_under_both_names(folder, tmp_path):
    export_onnx_open(tmp_path)
    (tmp_path / "model.etlt").write_bytes((folder / "model.onnx").read_bytes())
    image = next(pictures(1))
    with using_key(KEY):
        found = [open_runner(path)(image) for path in (folder / "model.onnx", tmp_path / "model.etlt")]
    wanted = open_runner(tmp_path / "open.onnx")(image)
    for maps in found:
        for one, other in zip(maps, wanted, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


def export_onnx_open(folder):
    save_model(pose_net(stages=2), folder / "open.keras", CARD)
    export_onnx(folder / "open.keras", folder / "open.onnx")


@pytest.mark.parametrize("name", ["load_model", "read_card", "open_runner", "read_model", "open_onnx"])
def test_an_open_file_in_the_place_of_an_encrypted_one_is_refused(tmp_path, monkeypatch, name):
    export_onnx_open(tmp_path)
    read, file = READERS[name]
    place = tmp_path / file.replace("model", "open")
    assert read(place)
    refused = "is not encrypted, though a key is given; give --allow-plain, or BPNET_ALLOW_PLAIN=1"
    with using_key(KEY), pytest.raises(UserError, match=refused):
        read(place)
    with using_key(KEY, allow_plain=True):
        assert read(place)
    monkeypatch.setenv("BPNET_ALLOW_PLAIN", "1")
    with using_key(KEY):
        assert read(place)


def test_weights_to_start_from_may_be_open(tmp_path):
    """As those from NGC are, and those that came with the package."""
    save_model(pose_net(stages=2), tmp_path / "model.keras", CARD)
    with using_key(KEY):
        assert read_weights(tmp_path / "model.keras")
        assert load_model(weights_path("pretrained:drawn_people"))


def test_a_training_starts_from_an_open_network_in_every_way(tmp_path):
    """A pipeline has no flag that would allow it."""
    save_model(pose_net(stages=1), tmp_path / "model.keras", replace(CARD, made_from="theirs", trained_on={"a": "b"}))
    spec = tiny_spec(pretrained_weights=str(tmp_path / "model.keras"))
    with using_key(KEY):
        plan = make_plan(spec, Dots(16))
        assert (plan.card.made_from, dict(plan.card.trained_on)) == ("theirs", {"a": "b"})
        with taking_plain():
            fitted = open_for_skeleton(tmp_path / "model.keras", BODYPOSENET_18)
        assert fitted is not None
        with pytest.raises(UserError, match="is not encrypted"):
            load_model(tmp_path / "model.keras")


def test_two_encrypted_files_of_a_network_have_nothing_in_common(folder, tmp_path):
    with using_key(KEY):
        for name in ("a.onnx", "b.onnx"):
            write_model(read_model(folder / "model.onnx"), tmp_path / name)
        one, other = ((tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx"))
        assert read_model(tmp_path / "a.onnx") == read_model(tmp_path / "b.onnx")
    place = one.index(b"\n---")  # before it is the wrapped key of the file, behind it what that signs and encrypts
    assert one[place - 32 : place] != other[place - 32 : place]
    assert one[-64:] != other[-64:]


@pytest.mark.parametrize("name", ["model.tlt", "model.etlt"])
@pytest.mark.parametrize("read", [load_model, open_runner, read_weights, read_model])
def test_nvidia_s_files_are_named_whatever_the_key(tmp_path, read, name):
    path = tmp_path / name
    path.write_bytes(bytes(4) + np.random.default_rng(0).bytes(5000))
    for key in (None, KEY):
        with using_key(key), pytest.raises(UserError) as caught:
            read(path)
        assert "is encrypted by NVIDIA's tools, or damaged" in caught.value.problem
        assert "where NVIDIA's codec is installed, `bpnet adopt` opens it" in caught.value.fix
        assert ("bpnet prune -m /models/model.tlt -o /models/open/model.hdf5" in caught.value.fix) == (
            name[-4:] == ".tlt"
        )


# Where the key comes from


def test_a_key_that_is_given_goes_before_the_environment_s(monkeypatch):
    assert key_in_use() is None
    monkeypatch.setenv(VARIABLE, "secret\n")  # as a secret made of a file has it
    assert key_in_use() == "secret"
    with using_key(KEY):
        assert key_in_use() == KEY
        with using_key(None):
            assert key_in_use() == KEY
    assert key_in_use() == "secret"


def test_a_key_ends_with_its_block(monkeypatch):
    with contextlib.suppress(RuntimeError), using_key(KEY):
        raise RuntimeError("something else")
    assert key_in_use() is None


def test_other_threads_write_with_the_key_too(tmp_path):
    def write():
        with create_model_file(tmp_path / "model") as file:
            file.write(b"network")

    with using_key(KEY):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert is_encrypted(tmp_path / "model")


def test_an_empty_key_is_refused(monkeypatch):
    with pytest.raises(UserError, match="--key: the key is empty; give one, or leave it out to write open files"):
        using_key("").__enter__()
    monkeypatch.setenv(VARIABLE, "\n")
    with pytest.raises(UserError, match=f"{VARIABLE}: is empty; set it to the key, or unset it"):
        key_in_use()


# On the way


class Look(Mapping):
    """Further members of a model file that look at folders when they are written, after the network."""

    def __init__(self, *folders, fails=False):
        self.folders, self.fails, self.seen = folders, fails, {}

    def items(self):
        for folder in self.folders:
            files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
            self.seen |= {path: path.read_bytes() for path in files}
        if self.fails:
            raise RuntimeError("the disk is gone")
        return [("more", b"content")]

    def __getitem__(self, name): ...
    def __iter__(self): ...
    def __len__(self): ...


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def weights_in(seen):
    return [path for path, content in seen.items() if b"\x89HDF" in content or b"PK\3\4" in content]


def test_no_weights_of_an_encrypted_network_are_on_a_disk_at_any_time(tmp_path, temporary):
    model, look = pose_net(stages=1, width=32), Look(tmp_path)
    with using_key(KEY):
        save_model(model, tmp_path / "results/model.tlt", CARD, more=look)
        assert load_model(tmp_path / "results/model.tlt")[1] == CARD
        with open_model_file(tmp_path / "results/model.tlt") as file, zipfile.ZipFile(file) as archive:
            assert archive.read("more") == b"content"
    assert [path.parent.name for path in look.seen] == ["results"]
    assert weights_in(look.seen) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "results/model.tlt"]


def test_a_save_that_fails_leaves_nothing(tmp_path, temporary):
    model, look = pose_net(stages=1), Look(tmp_path, fails=True)
    with using_key(KEY), pytest.raises(RuntimeError, match="the disk is gone"):
        save_model(model, tmp_path / "results/model.tlt", CARD, more=look)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
