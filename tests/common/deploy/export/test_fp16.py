import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.cli.main import main
from bodyposenet.common.deploy.export.fp16 import export_half, half, pack_weights
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.onnx_file import write_model
from bodyposenet.common.deploy.runtime.runners import OnnxRunner
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import save_model


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("half")
    save_model(pose_net(stages=3), folder / "net.keras", CARD)
    return export_onnx(folder / "net.keras", folder / "net.onnx").path


def kinds(model):
    """The type of every tensor, by name, as shape inference finds it."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    values = [*inferred.input, *inferred.output, *inferred.value_info]
    known = {value.name: value.type.tensor_type.elem_type for value in values}
    return known | {tensor.name: tensor.data_type for tensor in inferred.initializer}


def test_everything_between_inputs_and_outputs_is_half_and_they_are_float(floats, tmp_path):
    done = export_half(floats, tmp_path / "net.fp16.onnx")
    model = onnx.load(done.path)
    onnx.checker.check_model(model, full_check=True)
    found = kinds(model)
    outside = {"input_1", "heatmap_out", "paf_out"}
    assert {found[name] for name in outside} == {TensorProto.FLOAT}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert {found[name] for node in convolutions for name in [*node.input, *node.output]} == {TensorProto.FLOAT16}
    assert TensorProto.FLOAT not in {kind for name, kind in found.items() if name not in outside}
    assert done.bytes < 0.6 * floats.stat().st_size


def test_its_maps_are_the_float_ones_as_far_as_ten_bits_go_and_the_card_stays(floats, tmp_path):
    done = export_half(floats, tmp_path / "net.fp16.onnx")
    images = np.concatenate(list(pictures(3, seed=4)))
    runner = OnnxRunner(done.path)
    assert runner.card == CARD
    for expected, found in zip(OnnxRunner(floats)(images), runner(images), strict=True):
        assert found.dtype == np.float32
        error = np.abs(found - expected).max() / np.abs(expected).max()
        assert 1e-6 < error < 5e-3
    assert 1e-6 < done.max_relative_error < 5e-3


def test_a_weight_beyond_the_range_of_half_precision_is_refused_by_name(floats, tmp_path):
    model = onnx.load(floats)
    large = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("kernel"))
    large.CopyFrom(numpy_helper.from_array(1e5 * np.ones_like(numpy_helper.to_array(large)), large.name))
    onnx.save(model, tmp_path / "large.onnx")
    with pytest.raises(UserError, match=f"{large.name} holds 1e\\+05; half precision ends at 65504"):
        export_half(tmp_path / "large.onnx", tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_maps_beyond_the_range_of_half_precision_are_refused(floats, tmp_path):
    model = onnx.load(floats)
    for tensor in model.graph.initializer:
        if tensor.name.endswith("kernel"):
            tensor.CopyFrom(numpy_helper.from_array(40 * numpy_helper.to_array(tensor), tensor.name))
    onnx.save(model, tmp_path / "loud.onnx")
    with pytest.raises(UserError, match="in half precision it differs by inf of the largest value; keep it in 32 bits"):
        export_half(tmp_path / "loud.onnx", tmp_path / "out.onnx")


def test_scales_of_a_resize_constants_and_casts_keep_or_change_their_type_as_they_must():
    image = helper.make_tensor_value_info("input_1", 1, ["b", 3, "h", "w"])
    outputs = [helper.make_tensor_value_info(name, 1, ["b", 3, "r", "c"]) for name in ("heatmap_out", "paf_out")]
    nodes = [
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32(2))),
        helper.make_node("Mul", ["input_1", "two"], ["double"]),
        helper.make_node("Resize", ["double", "", "scales"], ["large"], mode="linear"),
        helper.make_node("Cast", ["large"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Cast", ["whole"], ["heatmap_out"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["heatmap_out", "large"], ["paf_out"]),
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    graph = helper.make_graph(nodes, "g", [image], outputs, [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    halved = half(model)
    onnx.checker.check_model(halved, full_check=True)
    found = kinds(halved)
    assert found["scales"] == TensorProto.FLOAT
    assert found["two"] == found["large"] == found["heatmap_out/half"] == TensorProto.FLOAT16
    assert found["heatmap_out"] == found["paf_out"] == TensorProto.FLOAT


def test_the_verb_writes_it_beside_the_float_one(floats, tmp_path):
    output = tmp_path / "net.onnx"
    arguments = ["export", "-m", str(floats.with_suffix(".keras")), "-o", str(output), "--data_type", "fp16"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    assert f"wrote {tmp_path / 'net.fp16.onnx'}: " in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"net.onnx", "net.fp16.onnx", "status.json"}
    assert output.read_bytes() == floats.read_bytes()


def test_weights_packed_in_16_bits_change_no_map_where_16_bits_hold_them(floats, tmp_path):
    loose = onnx.load(floats)
    for tensor in loose.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    write_model(loose, tmp_path / "net.onnx")
    packed = pack_weights(loose)
    onnx.checker.check_model(packed, full_check=True)
    write_model(packed, tmp_path / "packed.onnx")
    assert packed.ByteSize() < 0.6 * loose.ByteSize()
    small, large = (OnnxRunner(tmp_path / name, runner="exact") for name in ("packed.onnx", "net.onnx"))
    for picture in pictures(2):
        for found, expected in zip(small(picture), large(picture), strict=True):
            np.testing.assert_array_equal(found, expected)
