"""ONNX files: what breaks ONNX rules, takes no pictures or names other files is told before anything is done by it."""

import numpy as np
import onnx
import pytest
from fuzzing.formats.onnx_files import float_onnx_files
from onnx import TensorProto, helper, numpy_helper

from bodyposenet.common.deploy.onnx_bounds import hold_onnx_maps
from bodyposenet.common.deploy.onnx_file import read_model, write_model
from bodyposenet.common.deploy.runtime.runners import open_runner
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


def elsewhere(name="held"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def put_a_branch_s_weights_elsewhere(model):
    """In the subgraph of a subgraph."""
    value = [helper.make_tensor_value_info("held", TensorProto.FLOAT, [4])]
    inner = helper.make_graph([], "inner", [], value, [elsewhere()])
    node = helper.make_node("If", ["which"], ["out"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([node], "outer", [], value)
    model.graph.node.append(helper.make_node("If", ["which"], ["either"], then_branch=outer, else_branch=outer))


def put_a_function_s_weights_elsewhere(model):
    node = helper.make_node("Constant", [], ["out"], value=elsewhere())
    model.functions.append(helper.make_function("own", "Own", [], ["out"], [node], [helper.make_opsetid("", 17)]))


def put_sparse_weights_elsewhere(model):
    indices = numpy_helper.from_array(np.arange(4))
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=elsewhere(), indices=indices, dims=[9]))


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
        (put_a_branch_s_weights_elsewhere, "its weights lie in another file"),
        (put_a_function_s_weights_elsewhere, "its weights lie in another file"),
        (put_sparse_weights_elsewhere, "its weights lie in another file"),
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


def put_first(model, *nodes, **constants):
    """Let nodes change the picture, from ``image`` to ``changed``, before anything else does."""
    first, image = model.graph.node[0], model.graph.input[0].name
    assert image in first.input
    first.input[list(first.input).index(image)] = "changed"
    for node in nodes:
        node.input[:] = [image if name == "image" else name for name in node.input]
    later = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *later])
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())


def enlarge(model, times=128.0):
    large = helper.make_node("Resize", ["image", "", "up"], ["large"], mode="nearest")
    small = helper.make_node("Resize", ["large", "", "down"], ["changed"], mode="nearest")
    up = np.array([1, times, times, 1], np.float32)
    put_first(model, large, small, up=up, down=1 / up)


def enlarge_unseen(model):
    exp = helper.make_node("Exp", ["logs"], ["up"])
    large = helper.make_node("Resize", ["image", "", "up"], ["large"], mode="nearest")
    small = helper.make_node("Resize", ["large", "", "down"], ["changed"], mode="nearest")
    up = np.array([1, 128, 128, 1], np.float32)
    put_first(model, exp, large, small, logs=np.log(up), down=1 / up)


def repeat(model):
    long = helper.make_node("Tile", ["image", "times"], ["long"])
    short = helper.make_node("Slice", ["long", "start", "end", "axis"], ["changed"])
    axis = {"start": np.array([0]), "end": np.array([1]), "axis": np.array([0])}
    put_first(model, long, short, times=np.array([10**6, 1, 1, 1]), **axis)


def nest(model):
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Identity", ["image"], ["made"])], "branch", [], [made])
    branch.node[0].input[0] = model.graph.input[0].name
    choice = helper.make_node("If", ["yes"], ["changed"], then_branch=branch, else_branch=branch)
    put_first(model, choice, yes=np.array(True))


def call_foreign(model):
    put_first(model, helper.make_node("Gelu", ["image"], ["changed"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def transpose_widely(model):
    """A kernel of 129 x 129 cells over a picture: its cells for each pixel are 13 GB, and what it gives is as small."""
    ahead = helper.make_node("Transpose", ["image"], ["ahead"], perm=[0, 3, 1, 2])
    wide = helper.make_node("ConvTranspose", ["ahead", "kernel"], ["wide"], pads=[64, 64, 64, 64])
    back = helper.make_node("Transpose", ["wide"], ["changed"], perm=[0, 2, 3, 1])
    put_first(model, ahead, wide, back, kernel=np.zeros((3, 3, 129, 129), np.float32))


@pytest.mark.parametrize(
    ("hide", "told"),
    [
        (transpose_widely, "ConvTranspose wide makes 3,271,753,728 numbers for itself, 134,217,728 are taken at most"),
        (enlarge, "Resize large makes 3,221,225,472 numbers of a picture, 67,108,864 are taken at most"),
        (enlarge_unseen, "nobody can tell how much Resize large makes"),
        (repeat, "Tile long makes 196,608,000,000 numbers of a picture"),
        (nest, "its operation If is none of a pose network's"),
        (call_foreign, "its operation Gelu is none of a pose network's"),
    ],
)
def test_maps_that_would_fill_the_memory_are_refused_before_the_network_is_run(model, tmp_path, hide, told):
    hide(model)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    for read in (read_model, open_runner):
        with pytest.raises(UserError) as error:
            read(path)
        assert str(error.value) == f"{path}: {error.value.problem}; give a file that `bpnet export` wrote"
        assert told in error.value.problem


def test_a_network_that_is_given_several_larger_pictures_at_once_may_make_more(model):
    enlarge(model, 8.0)
    hold_onnx_maps(model.SerializeToString(), "net.onnx")
    enlarge_more = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in enlarge_more.graph.initializer:
        if tensor.name in ("up", "down"):
            factor = 40.0 if tensor.name == "up" else 1 / 40.0
            tensor.CopyFrom(numpy_helper.from_array(np.array([1, factor, factor, 1], np.float32), tensor.name))
    with pytest.raises(UserError, match="Resize large makes 314,572,800 numbers"):
        hold_onnx_maps(enlarge_more.SerializeToString(), "net.onnx")
    enlarge_more.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    with pytest.raises(UserError, match="makes 629,145,600 numbers of a picture, 134,217,728 are"):
        hold_onnx_maps(enlarge_more.SerializeToString(), "net.onnx")


def test_what_became_unsound_is_not_written(model, tmp_path):
    make_cyclic(model)
    with pytest.raises(UserError, match="is no sound ONNX model"):
        write_model(model, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_sound_one_is_read_as_it_is(model, tmp_path):
    write_model(model, tmp_path / "net.onnx")
    assert read_model(tmp_path / "net.onnx") == model
