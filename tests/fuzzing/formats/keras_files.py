"""Keras files: networks, weights and checkpoints, TAO's among them."""

import numpy as np
from fuzzing.parser import Parser


def keras_files(folder):
    from support.pose_net import CARD, pose_net

    from bodyposenet.common.model.files.model_file import save_model

    save_model(pose_net(stages=1, width=2), folder / "net.keras", CARD)
    return [(folder / "net.keras").read_bytes()]


def _card_of_keras(path):
    from bodyposenet.common.model.files.model_file import read_card

    read_card(path)


def _keras_model(path):
    from bodyposenet.common.deploy.runtime.runners import open_runner

    open_runner(path)


def weight_files(folder):
    from support.pose_net import pose_net

    pose_net(stages=1, width=2).save_weights(folder / "net.weights.h5")
    return [(folder / "net.weights.h5").read_bytes(), *tao_files(folder)]


def _weights(path):
    from bodyposenet.common.model.files.weights_file import read_weights

    read_weights(path)


def tao_files(folder):
    from support.tao_files import age, tao_network, write_hdf5

    path = folder / "net.hdf5"
    write_hdf5(tao_network(trunk=2, wide=2), path)
    made = [path.read_bytes()]
    age(path)
    return [*made, path.read_bytes()]


def _tao_network(path):
    from bodyposenet.common.adopt.read_tao import read_tao
    from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

    read_tao(path, BODYPOSENET_18)


def checkpoints(folder):
    from support.pose_net import CARD, pose_net

    from bodyposenet.common.model.training.checkpoints import TrainingState, save_checkpoint

    state = TrainingState(epoch=1, step=2, steps=5, sums={"loss": 0.5}, history=[{"epoch": 1.0, "loss": 0.5}])
    variables = [np.zeros(3, np.float32), np.array(7)]
    save_checkpoint(folder / "model.epoch-1.keras", pose_net(stages=1, width=2), variables, CARD, state)
    return [(folder / "model.epoch-1.keras").read_bytes()]


def _checkpoint_state(path):
    from bodyposenet.common.model.training.checkpoints import TrainingState, checkpoints_in, find_precision, read_state
    from bodyposenet.common.model.training.own_checkpoints import OwnCheckpoints

    checkpoints_in(path.parent)
    find_precision(path.parent, 5)
    OwnCheckpoints(path.parent, TrainingState(epoch=9), most=2, epochs=9)
    assert read_state(path).place >= (0, 0)


def _checkpoint(path):
    from bodyposenet.common.model.training.checkpoints import newest_checkpoint

    newest_checkpoint(path.parent, 5)


PARSERS = (
    Parser("keras-card", keras_files, _card_of_keras, "net.keras", "zip", heavy=True),
    Parser("keras-model", keras_files, _keras_model, "net.keras", "zip", heavy=True),
    Parser("keras-weights", weight_files, _weights, "weights.h5", "hdf5", heavy=True),
    Parser("keras-zip-weights", keras_files, _weights, "net.keras", "zip", heavy=True),
    Parser("tao-hdf5", tao_files, _tao_network, "net.hdf5", "hdf5", heavy=True),
    Parser("checkpoint-state", checkpoints, _checkpoint_state, "model.epoch-1.keras", "zip", heavy=True),
    Parser("checkpoint", checkpoints, _checkpoint, "model.epoch-1.keras", "zip", heavy=True),
)
