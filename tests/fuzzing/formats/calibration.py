"""Calibration: pictures, caches and counts by which a network is quantized."""

import shutil

import numpy as np
from fuzzing.formats.onnx_files import float_onnx_files
from fuzzing.parser import Parser, text_files

COUNTS_KEY = "key"


def tensorfiles(folder):
    from bodyposenet.common.deploy.quantization.tensorfile import write_tensorfile

    write_tensorfile(folder / "sound.h5", [np.zeros((1, 24, 32, 3), np.float32)] * 2)
    return [(folder / "sound.h5").read_bytes()]


def _tensorfile(path):
    from bodyposenet.common.deploy.quantization.calibration_images import from_tensorfile

    for _ in from_tensorfile(path, (24, 32)):
        pass


def caches(folder):
    from bodyposenet.common.deploy.quantization.tensorrt_cache import cache_text

    return text_files(cache_text({"input_1": 1.0, "conv": 2.5, "a: b": 0.0}))


def _cache(path):
    from bodyposenet.common.deploy.quantization.tensorrt_cache import parse_cache
    from bodyposenet.common.storage.files import read_bytes

    parse_cache(read_bytes(path).decode(errors="replace"))


def network_caches(folder):
    from bodyposenet.common.deploy.quantization.quantize import quantize_int8

    (folder / "net.onnx").write_bytes(float_onnx_files(folder)[0])
    picture = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype(np.float32)
    made = quantize_int8(folder / "net.onnx", [picture], folder / "sound.int8.onnx", method="minmax")
    return [made.cache.read_bytes()]


def _quantized(path):
    from bodyposenet.common.deploy.quantization.quantize import quantize_with_cache

    try:
        quantize_with_cache(path.parent / "net.onnx", path, path.parent / "out/net.int8.onnx")
    finally:
        shutil.rmtree(path.parent / "out", ignore_errors=True)


def counts(folder):
    from bodyposenet.common.deploy.quantization.histograms import Histogram
    from bodyposenet.common.deploy.quantization.observer import Observation, Saved

    random = np.random.default_rng(0)
    histograms = {name: Histogram.count(random.normal(size=2000).astype(np.float32)) for name in "ab"}
    Saved(folder / "sound.npz", COUNTS_KEY).write(Observation(histograms, 3, 3))
    return [(folder / "sound.npz").read_bytes()]


def _counts(path):
    from bodyposenet.common.deploy.quantization.histograms import threshold
    from bodyposenet.common.deploy.quantization.observer import Saved

    for found in Saved(path, COUNTS_KEY).read().histograms.values():
        threshold(found, "entropy", levels=128)


PARSERS = (
    Parser("tensorfile", tensorfiles, _tensorfile, "pictures.h5", "hdf5"),
    Parser("calibration-cache", caches, _cache, "net.cache"),
    Parser("calibration-quantize", network_caches, _quantized, "net.cache", heavy=True),
    Parser("calibration-counts", counts, _counts, ".net.part.npz", "zip"),
)
