"""ONNX files: what breaks ONNX rules, takes no pictures or names other files is told before anything is done by it."""

import onnx
import pytest
from fuzzing.formats.onnx_files import float_onnx_files
from onnx import TensorProto

from bodyposenet.common.deploy.onnx_file import read_model, write_model
from bodyposenet.common.errors import UserError


@pytest.fixture
def model(tmp_path):
    return onnx.ModelProto.FromString(float_onnx_files(tmp_path)[0])


def make_cyclic(model):
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def put_weights_elsewhere(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "/etc/passwd"), ("offset", "0")):
        tensor.external_data.add(key=key, value=value)


def make_huge(model):
    model.graph.initializer[0].dims[:] = [2**31, 2**31]


def drop_input(model):
    del model.graph.input[:]


def take_vectors(model):
    del model.graph.input[0].type.tensor_type.shape.dim[2:]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (make_cyclic, "is no sound ONNX model: "),
        (put_weights_elsewhere, "its weights lie in another file; save it as one file"),
        (make_huge, "is no sound ONNX model: "),
        (drop_input, "ONNX model"),
        (take_vectors, "the ONNX model takes no pictures"),
    ],
)
def test_what_is_no_network_is_told_in_a_line(model, tmp_path, spoil, told):
    spoil(model)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError) as error:
        read_model(tmp_path / "net.onnx")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_what_became_unsound_is_not_written(model, tmp_path):
    make_cyclic(model)
    with pytest.raises(UserError, match="is no sound ONNX model"):
        write_model(model, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_sound_one_is_read_as_it_is(model, tmp_path):
    write_model(model, tmp_path / "net.onnx")
    assert read_model(tmp_path / "net.onnx") == model
