import logging
import struct
from typing import get_args

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.onnx_file import put_card
from bodyposenet.common.deploy.quantization.histograms import Histogram
from bodyposenet.common.deploy.quantization.observer import observe
from bodyposenet.common.deploy.quantization.qdq import Grid, insert_qdq, kernel_scales, list_rounded
from bodyposenet.common.deploy.quantization.quantize import (
    compute_shared_amax,
    compute_spans,
    output_paths,
    quantize_int8,
)
from bodyposenet.common.deploy.runtime.runners import OnnxRunner
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.spec.words import CalibrationMethod


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    save_model(pose_net(stages=3), folder / "net.keras", CARD)
    return export_onnx(folder / "net.keras", folder / "net.onnx").path


@pytest.fixture(scope="module")
def quantized(floats):
    return quantize_int8(floats, pictures(12), floats)


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def constants(path):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def optimised_ops(path, tmp_path):
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]


@pytest.mark.parametrize("method", get_args(CalibrationMethod))
def test_both_8_bit_models_point_where_the_float_one_does_on_pictures_they_never_saw(floats, tmp_path, method):
    quantized = quantize_int8(floats, pictures(12), tmp_path / "net.onnx", method=method)
    images = np.concatenate(list(pictures(6, (48, 80), seed=99)))
    expected = OnnxRunner(floats)(images)
    for path in (quantized.path, quantized.cpu_path):
        for a, b in zip(expected, OnnxRunner(path)(images), strict=True):
            assert cosine(a, b) >= 0.99
    assert quantized.images == 12


def test_onnx_runtime_runs_every_convolution_but_the_last_two_in_8_bits(floats, quantized, tmp_path):
    convolutions = sum(node.op_type == "Conv" for node in onnx.load(floats).graph.node)
    found = optimised_ops(quantized.cpu_path, tmp_path)
    assert found.count("QLinearConv") == convolutions - 2
    assert found.count("QLinearConcat") == 2
    assert found.count("Conv") == 2
    assert "Relu" not in found


def test_outputs_and_the_card_are_those_of_the_float_model(quantized):
    for path in (quantized.path, quantized.cpu_path):
        model = onnx.load(path)
        assert [value.name for value in model.graph.output] == ["heatmap_out", "paf_out"]
        assert {value.type.tensor_type.elem_type for value in model.graph.output} == {TensorProto.FLOAT}
        assert OnnxRunner(path).card == CARD


def test_the_tensorrt_model_is_symmetric_with_float_biases_and_pairs_after_the_activation(quantized):
    model = onnx.load(quantized.path)
    known = constants(quantized.path)
    assert all(not known[name].any() and known[name].dtype == np.int8 for name in known if name.endswith("zero_point"))
    assert {known[name].dtype for name in known if name.endswith("bias")} == {np.dtype(np.float32)}
    maker = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            source = maker[node.input[0]]
            assert source.op_type in {"Transpose", "Relu", "Concat"} or source.name.endswith("branch_out")
        if node.op_type == "Conv":
            assert [maker[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
            kernel = node.input[1].removesuffix("/dequantized")
            assert known[f"{kernel}/scale"].shape == known[f"{kernel}/quantized"].shape[:1]
            assert (np.abs(known[f"{kernel}/quantized"].astype(int)).max(axis=(1, 2, 3)) == 127).all()


def test_all_parts_of_the_concatenations_share_one_scale_for_tensorrt(quantized):
    known = constants(quantized.path)
    names = (
        "channel_reduction_conv/relu",
        *(f"stage{n}_{kind}_branch_out" for n in (1, 2) for kind in ("heat", "paf")),
    )
    assert len({float(known[f"{name}/scale"]) for name in (*names, "stage2_in", "stage3_in")}) == 1


def test_the_cpu_model_begins_at_zero_after_a_relu_and_elsewhere_spans_both_signs(quantized):
    known = constants(quantized.cpu_path)
    relus = [name for name in known if name.endswith("relu/zero_point")]
    assert len(relus) == 14
    assert all(known[name] == 0 and known[name].dtype == np.uint8 for name in relus)
    assert 0 < known["input_1/transpose/zero_point"] < 255
    assert 0 < known["stage2_in/zero_point"] < 255
    for suffix in ("scale", "zero_point"):  # rounded once, on the concatenation's own scale
        assert known[f"stage1_heat_branch_out/{suffix}"] == known[f"stage2_in/{suffix}"]


def test_the_cache_holds_the_scales_of_the_tensorrt_model(floats, quantized):
    header, *lines = quantized.cache.read_text().splitlines()
    assert header == "TRT-8501-EntropyCalibration2"
    cached = {name: struct.unpack(">f", bytes.fromhex(value))[0] for name, value in (row.split(": ") for row in lines)}
    known = constants(quantized.path)
    rounded = list_rounded(onnx.load(floats).graph)
    assert {name: cached[name] for name in rounded} == {name: float(known[f"{name}/scale"]) for name in rounded}
    assert set(cached) - set(rounded) == {"input_1", "heatmap_out", "paf_out"}


def test_calibrating_twice_in_another_order_gives_the_same_bytes(floats, quantized, tmp_path):
    again = quantize_int8(floats, reversed(list(pictures(12))), tmp_path / "net.int8.onnx")
    for first, second in ((quantized.path, again.path), (quantized.cpu_path, again.cpu_path)):
        assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.int8.cache", "net.int8.cpu.onnx", "net.int8.onnx"]


def test_a_batch_counts_as_its_pictures_do_one_by_one(floats):
    model = onnx.load(floats)
    whole = observe(model, [np.concatenate(list(pictures(3)))], stride=8)
    parts = observe(model, pictures(3), stride=8)
    assert (whole.images, whole.batches, parts.images, parts.batches) == (3, 1, 3, 3)
    assert whole.histograms["input_1"].counts.tolist() == parts.histograms["input_1"].counts.tolist()


def test_ranges_are_those_of_the_tensors(floats):
    histograms = observe(onnx.load(floats), pictures(4), stride=8).histograms
    maps = OnnxRunner(floats)(np.concatenate(list(pictures(4))))
    for name, value in zip(("heatmap_out", "paf_out"), maps, strict=True):
        assert histograms[name].low == pytest.approx(value.min(), rel=1e-5)
        assert histograms[name].high == pytest.approx(value.max(), rel=1e-5)
        assert histograms[name].counts.sum() == value.size


def test_any_name_of_the_output_leads_to_the_same_three_files(tmp_path):
    names = {tuple(path.name for path in output_paths(tmp_path / name)) for name in ("a.onnx", "a.int8.onnx", "a")}
    assert names == {("a.int8.onnx", "a.int8.cpu.onnx", "a.int8.cache")}


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        ([], "no pictures"),
        ([np.zeros((64, 96, 3), np.float32)], "calibration picture 0: shape 64x96x3"),
        ([np.zeros((1, 64, 96, 3), np.float32), np.zeros((1, 60, 96, 3), np.float32)], "calibration picture 1: .*of 8"),
        ([np.full((1, 8, 8, 3), np.nan, np.float32)], "calibration picture 0: tensor input_1 holds NaN"),
    ],
)
def test_pictures_that_cannot_be_used_are_told_and_nothing_is_written(floats, tmp_path, images, problem):
    with pytest.raises(UserError, match=problem):
        quantize_int8(floats, images, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_an_unknown_method_is_told(floats, tmp_path):
    with pytest.raises(UserError, match="choose entropy, minmax, percentile"):
        quantize_int8(floats, pictures(1), tmp_path / "x.onnx", method="mean")


def chain(*nodes, **arrays):
    """A model from ``x`` to ``heatmap_out`` and ``paf_out``."""
    values = [helper.make_tensor_value_info(name, 1, ["b", None, None, None]) for name in ("heatmap_out", "paf_out")]
    image = helper.make_tensor_value_info("input_1", 1, ["b", "h", "w", 3])
    kernels = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(list(nodes), "chain", [image], values, kernels)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    put_card(model, CARD)
    return model


def test_a_tensor_that_is_always_zero_is_warned_of_and_still_written(tmp_path, caplog):
    model = chain(
        helper.make_node("Transpose", ["input_1"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "kernel", "bias"], ["c"]),
        helper.make_node("Relu", ["c"], ["dead"]),
        helper.make_node("Conv", ["dead", "head"], ["heatmap_out"]),
        helper.make_node("Identity", ["heatmap_out"], ["paf_out"]),
        kernel=np.ones((4, 3, 1, 1), np.float32),
        bias=np.full(4, -100, np.float32),
        head=np.ones((2, 4, 1, 1), np.float32),
    )
    onnx.save(model, tmp_path / "dead.onnx")
    with caplog.at_level(logging.WARNING):
        found = quantize_int8(tmp_path / "dead.onnx", pictures(2), tmp_path / "dead.onnx")
    assert "tensor dead is zero in every calibration picture" in caplog.text
    for path in (found.path, found.cpu_path):
        assert all(np.all(value == 0) for value in OnnxRunner(path)(next(pictures(1))))


def test_a_tensor_in_two_concatenations_ties_all_their_scales():
    model = chain(
        helper.make_node("Concat", ["a", "s"], ["first"], axis=1),
        helper.make_node("Concat", ["s", "z"], ["second"], axis=1),
        helper.make_node("Conv", ["first", "k"], ["heatmap_out"]),
        helper.make_node("Conv", ["second", "k2"], ["paf_out"]),
    )
    values = {"a": 1.0, "s": 2.0, "z": -5.0, "first": 2.0, "second": 5.0}
    histograms = {name: Histogram.count(np.array([value], np.float32)) for name, value in values.items()}
    assert set(compute_shared_amax(model.graph, histograms, "minmax").values()) == {5.0}
    spans = compute_spans(model.graph, histograms, "minmax")
    assert spans["first"] == spans["a"] == (1.0, 2.0)
    assert spans["second"] == spans["z"] == (-5.0, 2.0)
    assert spans["s"] == (2.0, 2.0)


def test_a_grid_meets_zero_exactly_and_holds_its_ends():
    for low, high in ((-1.0, 3.0), (0.0, 5.0), (0.5, 2.0), (-4.0, -1.0)):
        grid = Grid.make_unsigned(low, high)
        ends = [round(value / grid.scale) + int(grid.zero_point) for value in (min(low, 0), 0, max(high, 0))]
        assert 0 <= ends[0] <= ends[1] <= ends[2] <= 255
        assert grid.scale == pytest.approx((max(high, 0) - min(low, 0)) / 255)
    assert Grid.make_signed(12.7) == Grid(pytest.approx(0.1), np.int8(0))


def test_a_channel_whose_weights_died_keeps_its_bias(tmp_path):
    kernel = np.array([1.0, 1e-12, 0.0], np.float32).reshape(3, 1, 1, 1)
    bias = np.array([0.5, 0.5, 0.25], np.float32)
    scales = kernel_scales(kernel, 0, bias, 0.01)
    steps = np.abs(bias / (0.01 * scales))
    assert scales[0] == pytest.approx(1 / 127)
    assert (steps < 2**31).all()
    model = chain(
        helper.make_node("Transpose", ["input_1"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "kernel", "bias"], ["heatmap_out"]),
        helper.make_node("Identity", ["heatmap_out"], ["paf_out"]),
        kernel=np.repeat(kernel, 3, axis=1),
        bias=bias,
    )
    session = ort.InferenceSession(
        insert_qdq(model, {"t": Grid.make_unsigned(-0.5, 0.5)}, round_biases=True).SerializeToString()
    )
    found = session.run(["heatmap_out"], {"input_1": np.zeros((1, 8, 8, 3), np.float32)})[0]
    np.testing.assert_allclose(found[0, :, 4, 4], bias, atol=1e-4)
