"""Keras Applications' VGG19 as the backbone's start: each unit computes at inference what VGG19's convolution does."""

import logging

import h5py
import keras
import numpy as np
import pytest
from support.tiny_training import tiny_spec, vgg_spec

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.keras_applications import as_backbone, is_vgg19
from bodyposenet.common.model.files.weights_file import read_weights
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.network.transfer import load_matching_weights
from bodyposenet.common.model.training.initial_network import starting_network
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

PAIRS = {"block_1a": "block1_conv1", "block_1b": "block1_conv2", "block_2a": "block2_conv1", "block_2b": "block2_conv2",
         "block_3a": "block3_conv1", "block_3b": "block3_conv2", "block_3c": "block3_conv3", "block_3d": "block3_conv4",
         "block_4a": "block4_conv1", "block_4b": "block4_conv2"}  # fmt: skip
PHOTO = np.random.default_rng(2).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)  # RGB
CAFFE = {"scale": (1.0, 1.0, 1.0), "offset": (123.68, 116.779, 103.939)}
TAO = {"scale": (256.0, 256.0, 256.0), "offset": (0.5, 0.5, 0.5)}
ODD = {"scale": (255.0, 100.0, 58.4), "offset": (0.4, -0.2, 1.9)}


@pytest.fixture(scope="module")
def vgg19():
    """VGG19 as Keras Applications builds it, biases at random."""
    keras.utils.set_random_seed(19)
    model = keras.applications.VGG19(weights=None, include_top=False)
    rng = np.random.default_rng(19)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([layer.get_weights()[0], rng.normal(0, 3, layer.bias.shape)])
    return model


@pytest.fixture(scope="module")
def notop(vgg19, tmp_path_factory):
    """The file that users download: layers of Keras 1, whose weights have no layer's scope."""
    path = tmp_path_factory.mktemp("vgg") / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in vgg19.layers]
        for layer in vgg19.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}_W_1:0", f"{layer.name}_b_1:0"] if layer.weights else []
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group[name] = value
    return path


def network(**attributes):
    spec = tiny_spec(model={"stages": 1, "backbone_attributes": {"width_multiplier": 1} | attributes})
    return build_model(spec.model, BODYPOSENET_18)


def filled(path, seen, **attributes):
    model = network(**attributes)
    load_matching_weights(model, as_backbone(read_weights(path), model, **seen))
    return model


@pytest.fixture(scope="module")
def models(notop):
    """The backbone filled for several kinds of input, with biases and without."""
    return {
        ("tao", False): (TAO, filled(notop, TAO)),
        ("odd", True): (ODD, filled(notop, ODD, use_bias=True)),
        ("caffe", False): (CAFFE, filled(notop, CAFFE)),
    }


CASES = [("tao", False), ("odd", True), ("caffe", False)]


def close(ours, theirs):
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("case", CASES)
def test_a_photo_becomes_vgg19_s_first_features(vgg19, models, case):
    seen, model = models[case]
    theirs = keras.Model(vgg19.input, vgg19.get_layer("block1_conv1").output)
    ours = keras.Model(model.input, model.get_layer("block_1a_relu").output)
    features = np.asarray(theirs(keras.applications.vgg19.preprocess_input(PHOTO.copy())))
    found = np.asarray(ours((PHOTO / np.float32(seen["scale"]) - np.float32(seen["offset"])).astype(np.float32)))
    close(found[:, 1:-1, 1:-1], features[:, 1:-1, 1:-1])
    if case[0] == "caffe":
        close(found, features)
    else:
        assert np.abs(found - features)[:, 0].max() > 1e-2 * features.max()  # the border, of which the note tells


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("unit", list(PAIRS)[1:])
def test_every_further_unit_computes_what_vgg19_s_convolution_does(vgg19, models, case, unit):
    _, model = models[case]
    convolution = vgg19.get_layer(PAIRS[unit])
    x = np.random.default_rng(3).uniform(0, 50, (1, 8, 8, convolution.kernel.shape[2])).astype(np.float32)
    found = x
    for part in ("conv_1", "bn_1", "relu"):
        found = model.get_layer(f"{unit}_{part}")(found)
    stride = model.get_layer(f"{unit}_conv_1").strides[0]
    close(np.asarray(found), np.asarray(convolution(x))[:, stride - 1 :: stride, stride - 1 :: stride])


def test_normalization_starts_at_scale_one_and_shift_zero(models):
    for _, model in models.values():
        gamma, beta, _, _ = model.get_layer("block_2a_bn_1").get_weights()
        assert (gamma == 1).all()
        assert (beta == 0).all()


def test_a_downloaded_file_fills_the_backbone_of_a_training_and_the_rest_is_told(notop, tmp_path, caplog):
    spec = vgg_spec(model={"stages": 1, "backbone_attributes": {"width_multiplier": 1}}, pretrained_weights=str(notop))
    with caplog.at_level(logging.INFO):
        model = starting_network(spec, BODYPOSENET_18, tmp_path)
    taken = [layer.name for layer in model.layers if layer.weights and layer.name[:8] in PAIRS]
    assert len(taken) == 20
    assert "Keras Applications VGG19: filled 20 of 29 layers; 9 not in the file; 6 of the file left over" in caplog.text
    assert "outermost pixels" in caplog.text
    table = (tmp_path / "pretrained.txt").read_text()
    rows = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    assert all(" filled " in rows[name] for name in taken)
    left = {name for name, row in rows.items() if " left over " in row}
    assert left == {"block4_conv3", "block4_conv4", *(f"block5_conv{n}" for n in range(1, 5))}
    wanted = filled(notop, TAO)
    for name in taken:
        pairs = zip(model.get_layer(name).get_weights(), wanted.get_layer(name).get_weights(), strict=True)
        assert all((one == two).all() for one, two in pairs)


def test_every_form_of_the_file_gives_the_same_weights(vgg19, notop, tmp_path):
    import tf_keras

    cut = keras.Model(vgg19.input, vgg19.get_layer("block4_conv2").output)
    cut.save(tmp_path / "vgg.keras")
    cut.save_weights(tmp_path / "vgg.weights.h5")
    cut.save(tmp_path / "whole.h5")
    theirs = tf_keras.applications.VGG19(weights=None, include_top=False)
    theirs.set_weights(vgg19.get_weights())
    theirs.save_weights(tmp_path / "vgg.h5", save_format="h5")
    want = read_weights(notop)
    for name in ("vgg.keras", "vgg.weights.h5", "whole.h5", "vgg.h5"):
        stored = read_weights(tmp_path / name)
        assert is_vgg19(stored)
        for layer in PAIRS.values():
            for one, two in zip(stored.layers[layer], want.layers[layer], strict=True):
                assert (one == two).all()


def test_a_narrow_backbone_takes_none_of_it_and_says_why(notop):
    misfit = (
        r"the network has width_multiplier 0\.125, the file's is 1\.0; block_1a_conv_1 has 64 filters in the file, 8 "
        r"in the spec's network, and 9 more layers have other widths; set backbone_attributes\.width_multiplier: 1\.0$"
    )
    with pytest.raises(UserError, match=misfit):
        starting_network(vgg_spec(pretrained_weights=str(notop)), BODYPOSENET_18)
