"""Comparison: each network of a run is measured as what it is, in the order of the pipeline."""

import math

import pytest
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.tasks.comparison import Networks, compare

WIDTHS = {"base": 32, "pruned": 8, "retrained": 8}
APS = {"base": 0.5, "pruned": 0.1, "retrained": None, "int8": 0.25}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A base network, one with a quarter of its channels, and that one trained further, exported and quantized."""
    folder = tmp_path_factory.mktemp("networks")
    files = {name: folder / f"{name}.keras" for name in WIDTHS}
    for seed, (name, width) in enumerate(WIDTHS.items()):
        save_model(pose_net(width=width, seed=seed), files[name], CARD)
    onnx = export_onnx(files["retrained"], folder / "model.onnx").path
    int8 = quantize_int8(onnx, pictures(2), folder / "model.int8.onnx").cpu_path
    return Networks(**files, onnx=onnx, int8=int8)


@pytest.fixture(scope="module")
def stages(networks):
    return compare(networks, APS).stages


def by_hand(width):
    """Parameters, and FLOPs of a picture of 64 by 96, of the network of ``support.pose_net`` with two stages."""
    w = width
    # Kernel side, channels in and out, cells of the output, whether it has biases (else batch norm: four a channel).
    blocks = [(3, 3, w, 32 * 48, 0), (3, w, 2 * w, 16 * 24, 0), (3, 2 * w, 2 * w, 16 * 24, 0), (3, 2 * w, 4 * w, 96, 0)]
    heads = [(3, 4 * w, 2 * w, 96, 1)]
    for kernel, channels in ((3, 2 * w), (5, 2 * w + 5 + 6)):
        heads += [(kernel, channels, 2 * w, 96, 1), (1, 2 * w, 2 * w, 96, 1), (1, 2 * w, 2 * w, 96, 1)]
        heads += [(1, 2 * w, 5, 96, 1), (1, 2 * w, 6, 96, 1)]
    params = sum(k * k * given * made + (made if biased else 4 * made) for k, given, made, _, biased in blocks + heads)
    return params, sum(2 * k * k * given * made * cells for k, given, made, cells, _ in blocks + heads)


def test_the_stages_come_in_the_pipelines_order_with_their_ap(stages):
    assert [(stage.name, stage.ap) for stage in stages] == list(APS.items())


@pytest.mark.parametrize(("place", "width"), list(enumerate([32, 8, 8, 8])))
def test_parameters_and_flops_are_those_counted_by_hand(stages, place, width):
    params, flops = by_hand(width)
    assert stages[place].params == params
    assert stages[place].gflops == pytest.approx(flops / 1e9)


def test_sizes_are_those_of_the_onnx_files(stages, networks, tmp_path):
    files = [
        export_onnx(networks.base, tmp_path / "base.onnx").path,
        export_onnx(networks.pruned, tmp_path / "pruned.onnx").path,
        networks.onnx,
        networks.int8,
    ]
    assert [stage.bytes for stage in stages] == [file.stat().st_size for file in files]


def test_the_network_with_sixteen_times_the_work_takes_longer(stages):
    times = [stage.latency_ms for stage in stages]
    assert all(math.isfinite(time) and time > 0 for time in times)
    assert times[0] > times[1]
    assert times[0] > times[2]
