"""Files of weights: which kinds are read, and how everything else is refused without being run."""

import pickle
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tao_files import tao_network, write_hdf5
from support.tiny_training import vgg_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.model.files.tao_hdf5 import read_network
from bodyposenet.common.model.files.weights_file import read_weights
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.training.initial_network import starting_network
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    model = build_model(vgg_spec().model, BODYPOSENET_18)
    rng = np.random.default_rng(0)
    model.set_weights([value + rng.uniform(0.01, 0.1, value.shape) for value in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    """The network as .keras and .weights.h5, alone and within another, and as TAO writes it."""
    folder = tmp_path_factory.mktemp("weights")
    image = keras.Input((None, None, 3))
    outer = keras.Model(image, network(image))
    network.save(folder / "whole.keras")
    outer.save(folder / "outer.keras")
    network.save_weights(folder / "alone.weights.h5")
    outer.save_weights(folder / "outer.weights.h5")
    write_hdf5(tao_network(), folder / "tao.hdf5")
    return folder


@pytest.mark.parametrize("name", ["whole.keras", "outer.keras", "alone.weights.h5", "outer.weights.h5"])
def test_weights_of_keras_3_are_read_by_layer(network, files, name):
    read = read_weights(files / name).layers
    assert read.keys() == {layer.name for layer in network.layers if layer.weights}
    for layer, arrays in read.items():
        for one, two in zip(network.get_layer(layer).get_weights(), arrays, strict=True):
            assert (one == two).all()


def test_a_file_is_known_by_what_is_in_it_not_by_its_name(network, files, tmp_path):
    for name in ("whole.keras", "tao.hdf5", "alone.weights.h5"):
        shutil.copy(files / name, tmp_path / "model.tlt")
        assert read_weights(tmp_path / "model.tlt").layers.keys() == read_weights(files / name).layers.keys()


def test_the_optimizer_s_state_is_no_layer(network, tmp_path):
    model = keras.models.clone_model(network)
    model.compile("adam", ["mse"] * 4)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "compiled.keras")
    assert read_weights(tmp_path / "compiled.keras").layers.keys() == {x.name for x in network.layers if x.weights}


def test_a_training_starts_from_weights_of_keras_3(network, files):
    model = starting_network(vgg_spec(pretrained_weights=str(files / "alone.weights.h5")), BODYPOSENET_18)
    for one, two in zip(model.get_weights(), network.get_weights(), strict=True):
        assert (one == two).all()


def test_a_folder_gives_its_model(files, tmp_path):
    shutil.copy(files / "whole.keras", tmp_path / "model.keras")
    assert read_weights(tmp_path).path == tmp_path / "model.keras"


@pytest.mark.parametrize("suffix", [".tlt", ".hdf5", ".etlt"])
def test_nvidia_s_encryption_is_named(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(UserError, match=r"is encrypted by NVIDIA's tools, or damaged.*`bpnet adopt` opens it"):
        read_weights(path)


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_is_refused_and_not_opened(tmp_path):
    path, sprung = tmp_path / "weights.pkl", tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(UserError, match=r"neither HDF5 nor a Keras zip; give a \.keras file"):
        read_weights(path)
    assert not sprung.exists()


def test_a_lambda_is_not_run_for_its_neighbours_weights_and_refused_in_a_graph(tmp_path):
    path, sprung = tmp_path / "trap.keras", tmp_path / "sprung"
    target = str(sprung)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False, padding="same", name="block_1a_conv_1")(image)
    x = keras.layers.Lambda(lambda t: (open(target, "w").close(), t)[1])(x)
    model = keras.Model(image, x)
    save_model(model, path, Card(skeleton=BODYPOSENET_18))
    sprung.unlink()
    started = starting_network(vgg_spec(pretrained_weights=str(path)), BODYPOSENET_18)
    kernels = [net.get_layer("block_1a_conv_1").kernel.numpy() for net in (started, model)]
    assert (kernels[0] == kernels[1]).all()
    with pytest.raises(UserError, match="Lambda"):
        starting_network(vgg_spec(pretrained_weights=str(path), load_graph=True), BODYPOSENET_18)
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["whole.keras", "alone.weights.h5", "tao.hdf5"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_file_cut_short_is_an_error_that_names_it(files, tmp_path, name, share):
    content = (files / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError) as caught:
        read_weights(path)
    assert caught.value.where == str(path)


def refusal(read, path):
    """Where the error says that the problem is; nothing if the file is read."""
    try:
        read(path)
    except UserError as error:
        return error.where
    return ""


@pytest.mark.parametrize("name", ["whole.keras", "alone.weights.h5", "tao.hdf5"])
@given(damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=25)
def test_whatever_bytes_are_wrong_the_worst_is_an_error_that_names_the_file(files, name, damage):
    content = bytearray((files / name).read_bytes())
    for place, byte in damage:
        content[int(place**2 * (len(content) - 1))] = byte  # squared: most of it at the front, where the tables are
    path = files / f"bent-{name}"
    path.write_bytes(content)
    assert {str(path) in place for place in (refusal(read_weights, path), refusal(read_network, path)) if place} <= {
        True
    }


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_weights(tmp_path / "none.h5")


def test_a_zip_of_other_things_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.epoch-3.ckzip", "w") as archive:
        archive.writestr("model.ckpt-3.index", "")
    with pytest.raises(UserError, match=r"is a zip without model\.weights\.h5"):
        read_weights(tmp_path / "model.epoch-3.ckzip")


DATASET = "layers/conv2d/vars/0"


def put(file, value):
    del file[DATASET]
    file[DATASET] = value


def put_external(file):
    del file[DATASET]
    file["layers/conv2d/vars"].create_dataset("0", (2,), "f4", external=[("/etc/hostname", 0, 8)])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: put(file, h5py.ExternalLink("/etc/passwd", "/")), "is a link to another place"),
        (lambda file: put(file, h5py.SoftLink("/layers/conv2d_1/vars/0")), "is a link to another place"),
        (put_external, "is no array of weights"),
        (lambda file: put(file, "text"), "is no array of weights"),
        (lambda file: put(file, np.full(3, np.nan, np.float32)), "no finite numbers"),
        (lambda file: file.__setitem__("layers/again", file["layers"]), "networks within networks without end"),
        (lambda file: file["layers/conv2d/vars"].attrs.__delitem__("name"), "does not tell the layers' names"),
        (lambda file: file["layers/conv2d/vars"].attrs.__setitem__("name", "paf_out"), "two layers named 'paf_out'"),
        (lambda file: file.__delitem__("layers"), "holds no layers with weights"),
    ],
)
def test_a_file_that_leads_elsewhere_or_makes_no_sense_is_refused(files, tmp_path, change, told):
    path = tmp_path / "changed.weights.h5"
    shutil.copy(files / "alone.weights.h5", path)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(UserError, match=told) as caught:
        read_weights(path)
    assert caught.value.where == str(path)


def test_an_array_that_claims_to_be_vast_is_refused_unread(files, tmp_path):
    path = tmp_path / "vast.weights.h5"
    shutil.copy(files / "alone.weights.h5", path)
    with h5py.File(path, "r+") as file:
        del file[DATASET]
        file["layers/conv2d/vars"].create_dataset("0", (2**20, 2**20), "f4", chunks=(64, 64))
    with pytest.raises(UserError, match="is no array of weights"):
        read_weights(path)
