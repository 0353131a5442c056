"""Dequantize: the float network that an 8-bit one stands for."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.deploy.runtime.agreement import map_error
from bodyposenet.common.deploy.runtime.dequantize import dequantize, is_quantized
from bodyposenet.common.deploy.runtime.sessions import open_session
from bodyposenet.common.model.files.model_file import save_model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A float network and its two 8-bit forms."""
    folder = tmp_path_factory.mktemp("dequantize")
    save_model(pose_net(stages=2), folder / "model.keras", CARD)
    export = export_onnx(folder / "model.keras", folder / "model.onnx").path
    done = quantize_int8(export, pictures(4), folder / "model.onnx")
    return {"float": onnx.load(export), "cpu": onnx.load(done.cpu_path), "tensorrt": onnx.load(done.path)}


def run(model, image):
    return open_session(model.SerializeToString()).run(["heatmap_out", "paf_out"], {"input_1": image})


@pytest.mark.parametrize("form", ["cpu", "tensorrt"])
def test_either_form_becomes_a_float_network_with_nearly_the_float_networks_maps(files, form):
    done = dequantize(files[form])
    onnx.checker.check_model(done, full_check=True)
    assert not is_quantized(done)
    image = next(pictures(1, seed=7))
    assert 0 < map_error(run(files["float"], image), run(done, image)) < 0.05


def test_a_float_network_stays_as_it_is(files):
    image = next(pictures(1))
    for before, after in zip(run(files["float"], image), run(dequantize(files["float"]), image), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_card_stays(files):
    assert dequantize(files["cpu"]).metadata_props == files["cpu"].metadata_props


def test_constants_are_scale_times_number_less_zero_per_channel():
    values = {"q": np.array([[10, 20], [30, 40]], np.uint8), "s": np.array([0.5, 2], np.float32),
              "z": np.array([10, 0], np.uint8)}  # fmt: skip
    node = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0)
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [helper.make_tensor_value_info(name, 1, [1, 2]) for name in "xy"]
    arrays = [numpy_helper.from_array(array, name) for name, array in values.items()]
    graph = helper.make_graph([node, product], "one", ends[:1], ends[1:], arrays)
    (found,) = dequantize(helper.make_model(graph)).graph.initializer
    assert found.name == "w"
    assert numpy_helper.to_array(found).tolist() == [[0, 5], [60, 80]]
