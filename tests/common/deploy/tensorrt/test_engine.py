"""Engines: TensorRT-RTX builds them here, ahead of time and without a GPU."""

import dataclasses
import json
import logging
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.engines import PRECISIONS, exported, fixed
from support.pose_net import CARD

from bodyposenet.common.deploy.onnx_file import put_card
from bodyposenet.common.deploy.tensorrt.engine import EngineOptions, build_engine
from bodyposenet.common.deploy.tensorrt.engine_file import beside, read_engine
from bodyposenet.common.errors import UserError

SM86 = EngineOptions(gpus=("sm86",), min_size=(32, 48), max_size=(128, 96), batch=2, max_batch=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def engines(folder):
    return {name: build_engine(folder / file, folder / f"{name}.engine", SM86) for name, file in PRECISIONS.items()}


def version_in(engine):
    """The version of TensorRT-RTX in an engine's first bytes."""
    return ".".join(map(str, engine[24:28]))


def gpus_in(engine):
    """The bits that stand for kinds of GPU in an engine's first bytes."""
    return engine[32]


@pytest.mark.parametrize(("precision", "kind"), [("fp32", np.float32), ("fp16", np.float16), ("int8", np.int8)])
def test_engines_of_three_precisions_are_built_without_a_gpu(folder, engines, precision, kind):
    import tensorrt_rtx

    done = engines[precision]
    engine = done.path.read_bytes()
    assert version_in(engine) == done.card.version == tensorrt_rtx.__version__
    assert done.card.precision == precision
    kernels = [numpy_helper.to_array(tensor) for tensor in onnx.load(folder / PRECISIONS[precision]).graph.initializer]
    kernels = [kernel for kernel in kernels if kernel.ndim == 4 and kernel.shape[1] % 16 == 0]  # others are filled up
    assert len(kernels) == 12
    assert {kernel.dtype for kernel in kernels} == {np.dtype(kind)}
    for kernel in kernels:  # the engine holds the weights as the model has them, channels last
        assert np.ascontiguousarray(kernel.transpose(0, 2, 3, 1)).tobytes() in engine


def test_an_engine_is_for_the_gpus_that_were_named(folder, tmp_path):
    def built(*gpus):
        options = EngineOptions(library="tensorrt-rtx", gpus=gpus)
        done = build_engine(folder / "net.onnx", tmp_path / "net.engine", options)
        return done.card.gpus, gpus_in(done.path.read_bytes())

    (_, ampere), (_, blackwell), (named, both), (default, every) = (
        built("sm86"),
        built("sm120"),
        built("sm120", "sm86", "sm86"),
        built(),
    )
    assert ampere.bit_count() == blackwell.bit_count() == 1
    assert both == ampere | blackwell
    assert named == ("sm120", "sm86")
    assert every & both == both != every
    assert default == ("ampere+",)


def test_what_an_engine_is_stands_beside_it(folder, engines):
    done = engines["int8"]
    content, card = read_engine(done.path)
    assert card == done.card
    assert len(content) == done.bytes == done.path.stat().st_size
    assert done.card_path == folder / "int8.engine.json"
    told = json.loads(done.card_path.read_text())
    assert told["shapes"] == {"min": [1, 32, 48, 3], "opt": [2, 64, 96, 3], "max": [4, 128, 96, 3]}
    assert told["onnx"]["name"] == "net.int8.onnx"
    assert (told["library"], told["gpus"], told["precision"]) == ("tensorrt-rtx", ["sm86"], "int8")
    assert card.model == CARD


def test_an_engine_is_not_read_with_another_ones_card(engines, tmp_path):
    alone = tmp_path / "alone.engine"
    alone.write_bytes(engines["fp32"].path.read_bytes())
    with pytest.raises(UserError, match=r"alone\.engine\.json: the engine's card is missing"):
        read_engine(alone)
    beside(alone).write_bytes(engines["fp16"].card_path.read_bytes())
    with pytest.raises(UserError, match=r"alone\.engine: is not the engine that its card tells of; build it again"):
        read_engine(alone)
    beside(alone).write_text('{"library": "tensorrt-rtx"}')
    with pytest.raises(UserError, match="cannot be read as an engine's card"):
        read_engine(alone)


@pytest.mark.parametrize(
    ("file", "changes", "problem"),
    [
        ("net.int8.cpu.onnx", {}, r"this 8-bit model is the one for processors; .* without \.cpu"),
        ("net.onnx", {"data_type": "fp16"}, "in fp32, not fp16; .*; give what `bpnet export --data_type fp16` writes"),
        ("net.onnx", {"gpus": ("sm90",)}, r"unknown kind of GPU: sm90; .* builds for sm75, sm80, sm86, sm89, sm120"),
        ("net.onnx", {"library": "tensorrt"}, "TensorRT builds for the GPU at hand only"),
        ("net.onnx", {"size": (60, 96)}, "the network's grid does not fit 60x96; use multiples of 8"),
        ("net.onnx", {"size": (64, 96), "min_size": (128, 96)}, "height: 128 <= 64 <= 64 does not hold"),
        ("net.onnx", {"max_batch": 0, "batch": 0, "min_batch": 0}, "batch: 0 <= 0 <= 0 does not hold"),
        ("absent.onnx", {}, "no such file"),
    ],
)
def test_what_does_not_fit_together_is_told_before_anything_is_built(folder, tmp_path, file, changes, problem):
    options = dataclasses.replace(EngineOptions(gpus=("sm86",)), **changes)
    with pytest.raises(UserError, match=problem):
        build_engine(folder / file, tmp_path / "net.engine", options)
    assert list(tmp_path.iterdir()) == []


def test_sizes_default_to_those_of_training_and_batches_include_each_other(folder, tmp_path):
    done = build_engine(folder / "net.onnx", tmp_path / "a.engine", EngineOptions(gpus=("sm86",), batch=3))
    assert done.card.shapes == {"min": (1, 64, 96, 3), "opt": (3, 64, 96, 3), "max": (3, 64, 96, 3)}
    done = build_engine(folder / "net.onnx", tmp_path / "b.engine", EngineOptions(gpus=("sm86",), min_batch=2))
    assert done.card.shapes["opt"][0] == 2


def test_a_model_of_fixed_shape_gives_an_engine_of_that_shape(folder, tmp_path):
    source = fixed(folder / "net.onnx", tmp_path / "fixed.onnx", (2, 48, 32))
    done = build_engine(source, tmp_path / "fixed.engine", EngineOptions(gpus=("sm86",)))
    assert set(done.card.shapes.values()) == {(2, 48, 32, 3)}
    with pytest.raises(UserError, match="takes 48x32 only, not 64x96"):
        build_engine(source, tmp_path / "other.engine", EngineOptions(gpus=("sm86",), size=(64, 96)))


def test_a_model_that_the_library_cannot_read_is_told_with_its_words(tmp_path):
    image = helper.make_tensor_value_info("input_1", 1, ["b", "h", "w", 3])
    output = helper.make_tensor_value_info("heatmap_out", 1, [None] * 4)
    node = helper.make_node("Bernoulli", ["input_1"], ["heatmap_out"], name="dice")
    model = helper.make_model(helper.make_graph([node], "g", [image], [output]), ir_version=8)
    put_card(model, CARD)
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(UserError, match="tensorrt-rtx cannot read the model: Bernoulli dice: UNSUPPORTED_NODE"):
        build_engine(tmp_path / "odd.onnx", tmp_path / "odd.engine", EngineOptions(gpus=("sm86",)))


def test_libraries_that_are_missing_are_told_with_the_way_to_get_them(folder, tmp_path, monkeypatch):
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    for changes, problem in (
        ({"library": "tensorrt"}, r"tensorrt is not installed; pip install 'bodyposenet\[trt\]'"),
        ({"gpus": ("sm86",)}, r"tensorrt_rtx is not installed; pip install 'bodyposenet\[trt-rtx\]'"),
        ({}, r"neither TensorRT nor TensorRT-RTX is installed; .*\[trt\].*\[trt-rtx\]"),
    ):
        with pytest.raises(UserError, match=problem):
            build_engine(folder / "net.onnx", tmp_path / "net.engine", EngineOptions(**changes))


def test_bindings_without_their_libraries_are_told(folder, tmp_path, monkeypatch):
    (tmp_path / "tensorrt.py").write_text('raise ImportError("libnvonnxparser.so.11: cannot open shared object file")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(UserError, match=r"libraries cannot be loaded: libnvonnxparser.* install it whole"):
        build_engine(folder / "net.onnx", tmp_path / "net.engine", EngineOptions(library="tensorrt"))


def test_rtx_says_that_it_keeps_no_timing_cache(folder, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "bodyposenet")
    options = EngineOptions(gpus=("sm86",), timing_cache=tmp_path / "times")
    build_engine(folder / "net.onnx", tmp_path / "net.engine", options)
    assert "the timing cache" in caplog.text
    assert not (tmp_path / "times").exists()
