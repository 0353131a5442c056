"""Narrow weights: sums of two 8-bit products stay within 16 bits, and no more is lost than that takes."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import numpy_helper
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.deploy.runtime.dequantize import dequantize
from bodyposenet.common.deploy.runtime.narrow_weights import find_factors, narrow_weights
from bodyposenet.common.model.files.model_file import save_model


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A small network in 8 bits, the form for processors."""
    folder = tmp_path_factory.mktemp("narrow")
    save_model(pose_net(stages=1), folder / "model.keras", CARD)
    export = export_onnx(folder / "model.keras", folder / "model.onnx")
    return onnx.load(quantize_int8(export.path, pictures(2), folder / "model.onnx").cpu_path)


def kernels(model):
    """Each convolution's 8-bit weights, a row for an output channel."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type == "Conv":
            weights = numpy_helper.to_array(constants[makers[node.input[1]].input[0]]).astype(np.int64)
            yield node.name, weights.reshape(len(weights), -1)


def add_pairs_in_16_bits(activations, weights):
    """A sum of products as an x86 without VNNI computes it: neighbours are added in 16 bits, which saturate."""
    products = activations.astype(np.int64) * weights.astype(np.int64)
    pairs = np.clip(products[0::2] + products[1::2], -32768, 32767)
    return int(pairs.sum())


@given(arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(2, 9)), elements=st.integers(-127, 127)))
def test_no_two_products_of_a_channel_leave_16_bits_whatever_the_activations(weights):
    narrow = np.rint(weights / find_factors(weights, 0)[:, None]).astype(np.int64)
    for row in narrow:
        sums = 255 * (row[:, None] + row[None, :])[~np.eye(len(row), dtype=bool)]
        assert sums.max() <= 32767
        assert sums.min() >= -32768


@given(arrays(np.int8, (3, 6), elements=st.integers(-127, 127)))
def test_a_channel_whose_products_fit_is_left_alone_and_another_is_shrunk_to_7_bits_at_worst(weights):
    factors = find_factors(weights, 0)
    for row, factor in zip(weights.astype(int), factors, strict=True):
        ordered = np.sort(row)
        fits = max(ordered[-1], 0) + max(ordered[-2], 0) <= 128 and max(-ordered[0], 0) + max(-ordered[1], 0) <= 128
        assert (factor == 1) == fits
        assert factor <= 2


def test_weights_of_opposite_sign_need_no_room():
    assert find_factors(np.array([[127, -127], [127, 1], [127, 2]], np.int8), 0).tolist() == [1, 1, 129 / 127]


def test_the_calibrated_network_would_overflow_and_the_narrow_one_does_not(network):
    brightest = {name: np.full(rows.shape[1] // 2 * 2, 255) for name, rows in kernels(network)}
    wrong = 0
    for (name, before), (_, after) in zip(kernels(network), kernels(narrow_weights(network).model), strict=True):
        for row, narrow in zip(before, after, strict=True):
            order = np.argsort(row)[: len(brightest[name])]  # the worst neighbours: large ones of one sign
            wrong += add_pairs_in_16_bits(brightest[name], row[order]) != 255 * row[order].sum()
            assert add_pairs_in_16_bits(brightest[name], narrow[order]) == 255 * narrow[order].sum()
    assert wrong > 0


def test_the_narrow_network_stands_for_the_same_weights_to_half_a_step(network):
    done = narrow_weights(network)
    assert 0 < done.touched <= done.channels
    found = {tensor.name: tensor for tensor in dequantize(done.model).graph.initializer}
    for tensor in dequantize(network).graph.initializer:
        before, after = numpy_helper.to_array(tensor), numpy_helper.to_array(found[tensor.name])
        if before.ndim == 4:
            step = np.abs(after).max(axis=(1, 2, 3), keepdims=True) / 63
            assert (np.abs(before - after) <= step / 2 * 1.02).all()
