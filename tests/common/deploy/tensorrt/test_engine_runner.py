"""The engine runner, on a GPU that is the host's memory; and on a real one where there is one."""

import ctypes
import sys
from dataclasses import replace

import numpy as np
import pytest
from support.engines import exported
from support.host_gpu import HostDriver, HostEngine, library
from support.pose_net import CARD, pictures

from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.deploy.tensorrt import cuda, engine_library
from bodyposenet.common.deploy.tensorrt.engine import EngineOptions, build_engine
from bodyposenet.common.deploy.tensorrt.engine_file import read_engine, write_engine
from bodyposenet.common.deploy.tensorrt.engine_runner import EngineRunner
from bodyposenet.common.errors import UserError

RANGE = EngineOptions(library="tensorrt", min_size=(32, 48), max_size=(128, 96), min_batch=2, max_batch=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("engine_runner"))


@pytest.fixture
def driver(monkeypatch):
    """The driver's library, replaced by one on the host."""
    found = HostDriver()
    monkeypatch.setattr(cuda, "driver", lambda: cuda.Driver(found))
    return found


@pytest.fixture
def engines(monkeypatch):
    """What the library's runtime can open."""
    found = {}
    monkeypatch.setitem(sys.modules, "tensorrt", library(found))
    engine_library.logger.cache_clear()
    yield found
    engine_library.logger.cache_clear()


@pytest.fixture
def opened(folder, tmp_path, driver, engines):
    """An engine for sizes and batches in a range, built and opened."""
    done = build_engine(folder / "net.onnx", tmp_path / "net.engine", RANGE)
    shapes = done.card.shapes
    engines[done.path.read_bytes()] = HostEngine(
        sys.modules["tensorrt"], folder / "net.onnx", shapes["min"], shapes["max"]
    )
    return EngineRunner(done.path)


def test_an_engine_gives_the_maps_of_its_onnx_model(folder, opened):
    for size, count in (((64, 96), 2), ((32, 48), 1), ((128, 64), 3)):
        images = np.concatenate(list(pictures(count, size, seed=count)))
        for expected, found in zip(open_runner(folder / "net.onnx")(images), opened(images), strict=True):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=1e-6)
    assert opened.card == CARD


def test_batches_are_as_many_as_the_engine_takes_and_no_fewer(folder, opened):
    images = np.concatenate(list(pictures(7)))
    expected = open_runner(folder / "net.onnx")(images)
    for one, other in zip(expected, opened(images), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)
    assert opened._engine.batches == [3, 3, 2]


def test_memory_is_taken_once_and_grows_only_for_larger_inputs(opened, driver):
    opened(np.concatenate(list(pictures(3))))
    held, left = set(driver.buffers), driver.free
    opened(np.concatenate(list(pictures(2, (32, 48)))))
    opened(np.concatenate(list(pictures(3))))
    assert (set(driver.buffers), driver.free) == (held, left)
    opened(np.concatenate(list(pictures(3, (128, 96)))))
    assert len(driver.buffers) == 3
    assert driver.free < left
    opened._stream.close()
    assert (driver.buffers, driver.free) == ({}, 1 << 24)


def test_a_full_gpu_is_told(opened, driver):
    driver.free = 100
    with pytest.raises(UserError, match=r"cuMemAlloc_v2: out of memory \(2\)"):
        opened(np.concatenate(list(pictures(2))))


def test_other_sizes_are_refused_by_name(opened):
    with pytest.raises(UserError, match=r"takes inputs of 32x48 to 128x96, not 64x104; .* or build for more sizes"):
        opened(next(pictures(1, (64, 104))))


def test_an_engine_for_another_kind_of_gpu_is_refused(folder, tmp_path, driver, engines):
    done = build_engine(folder / "net.onnx", tmp_path / "net.engine", RANGE)
    assert done.card.gpus == ("sm86",)
    content, card = read_engine(done.path)
    write_engine(done.path, content, replace(card, gpus=("sm89", "sm90")))
    with pytest.raises(UserError, match=r"built for sm89, sm90, and the GPU here is sm86; build it here"):
        EngineRunner(done.path)


def test_an_engine_that_the_library_refuses_is_told_with_its_words_and_both_versions(folder, tmp_path, driver, engines):
    done = build_engine(folder / "net.onnx", tmp_path / "net.engine", RANGE)
    content, card = read_engine(done.path)
    write_engine(done.path, content, replace(card, version="10.9.0"))
    version = sys.modules["tensorrt"].__version__
    problem = f"plan file is of another version .it was built with tensorrt 10.9.0, here is {version}"
    with pytest.raises(UserError, match=problem):
        EngineRunner(done.path)


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX:DeprecationWarning")
def test_tensorrt_keeps_a_timing_cache_and_takes_it_again(folder, tmp_path, driver, engines):
    options = replace(RANGE, timing_cache=tmp_path / "times")
    build_engine(folder / "net.onnx", tmp_path / "net.engine", options)
    first = (tmp_path / "times").read_bytes()
    assert first
    build_engine(folder / "net.onnx", tmp_path / "net.engine", options)
    assert (tmp_path / "times").read_bytes() == first


def test_a_driver_that_lists_no_gpu_is_told(folder, tmp_path, engines, monkeypatch):
    monkeypatch.setattr(cuda, "driver", lambda: cuda.Driver(HostDriver(gpus=0)))
    with pytest.raises(UserError, match=r"no GPU can be used here; build on the machine .* --engine_for sm86"):
        build_engine(folder / "net.onnx", tmp_path / "net.engine", RANGE)


@pytest.fixture
def no_driver(monkeypatch):
    monkeypatch.setattr(cuda, "DRIVER", "libcuda-that-is-not-there.so.1")
    cuda.driver.cache_clear()


def test_without_a_driver_tensorrt_says_where_to_build(folder, tmp_path, engines, no_driver):
    with pytest.raises(UserError, match="there is no NVIDIA driver here, so no GPU; build on the machine"):
        build_engine(folder / "net.onnx", tmp_path / "net.engine", RANGE)


def test_without_a_driver_an_engine_says_what_can_run(folder, tmp_path, no_driver):
    done = build_engine(folder / "net.onnx", tmp_path / "net.engine", EngineOptions(gpus=("sm86",)))
    with pytest.raises(UserError, match=r"there is no NVIDIA driver here, so no GPU; .* the ONNX model runs here"):
        EngineRunner(done.path)


def test_the_gpu_is_told_by_name_and_kind(driver):
    assert cuda.find_gpu("") == cuda.Gpu("Host 3000", "sm86")


def test_what_is_put_on_the_gpu_comes_back(driver):
    stream, values = cuda.Stream(), np.arange(12, dtype=np.float32).reshape(3, 4)
    address = stream.put("x", values[:, ::2])
    assert ctypes.string_at(address, 24) == np.ascontiguousarray(values[:, ::2]).tobytes()
    np.testing.assert_array_equal(stream.take("x", np.empty((3, 2), np.float32)), values[:, ::2])
    assert driver.log == ["synchronise"]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["net.onnx", "net.fp16.onnx", "net.int8.onnx"])
@pytest.mark.parametrize("made_by", ["tensorrt", "tensorrt-rtx"])
def test_on_a_real_gpu_an_engine_gives_the_maps_of_its_onnx_model(folder, tmp_path, precision, made_by):
    pytest.importorskip(engine_library.MODULES[made_by])
    options = EngineOptions(library=made_by, min_size=(32, 48), max_size=(128, 96), max_batch=3)
    done = build_engine(folder / precision, tmp_path / "net.engine", options)
    runner = open_runner(done.path)
    for size, count in (((64, 96), 2), ((32, 48), 1), ((128, 64), 7)):
        images = np.concatenate(list(pictures(count, size)))
        for expected, found in zip(open_runner(folder / precision)(images), runner(images), strict=True):
            assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


@pytest.mark.gpu
def test_on_a_real_gpu_the_kind_that_was_named_can_run_here(folder, tmp_path):
    kind = cuda.find_gpu("").kind
    done = build_engine(
        folder / "net.onnx", tmp_path / "net.engine", EngineOptions(library="tensorrt-rtx", gpus=(kind,))
    )
    images = next(pictures(1))
    for expected, found in zip(open_runner(folder / "net.onnx")(images), open_runner(done.path)(images), strict=True):
        np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())
