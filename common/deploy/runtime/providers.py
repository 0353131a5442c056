"""Providers: what ONNX Runtime and TensorFlow are to compute on."""

from collections.abc import Sequence
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.cache_folder import find_cache_folder
from bodyposenet.common.spec.words import Device

NEEDED = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
CPU = "CPUExecutionProvider"

Provider = str | tuple[str, dict[str, Any]]


def providers_for(device: Device, available: Sequence[str]) -> list[Provider]:
    """ONNX Runtime's providers for a device, the first one that can run an operation running it.

    Args:
        device: ``auto`` is the GPU, through CUDA, where this ONNX Runtime can use one, else the processor.
        available: What this ONNX Runtime was built with.

    Raises:
        UserError: It was not built for the device.
    """
    if device == "auto":
        device = "cuda" if NEEDED["cuda"] in available else "cpu"
    if device == "cpu":
        return [CPU]
    if NEEDED[device] not in available:
        fix = "pip install onnxruntime-gpu in place of onnxruntime, or use --device cpu"
        raise UserError(
            f"this ONNX Runtime has no {NEEDED[device]}, only {', '.join(available)}", where="--device", fix=fix
        )
    engines: list[Provider] = [(NEEDED["tensorrt"], cache_engines())] if device == "tensorrt" else []
    return [*engines, NEEDED["cuda"], CPU] if NEEDED["cuda"] in available else [*engines, CPU]


def cache_engines() -> dict[str, Any]:
    """Let the TensorRT provider keep the engines that it builds, where it may: a new shape takes it minutes."""
    folder = find_cache_folder("tensorrt")
    if folder is None:
        return {}
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(folder),
    }


def require_provider(device: Device, running: Sequence[str], where: str) -> None:
    """Refuse a session that fell back to the processor though a GPU was asked for.

    Args:
        device: What was asked for.
        running: The session's providers.
        where: The model's file.

    Raises:
        UserError: The device's provider is not among them.
    """
    if device in NEEDED and NEEDED[device] not in running:
        fix = "check `nvidia-smi` and that CUDA's and cuDNN's versions suit onnxruntime-gpu, or use --device cpu"
        raise UserError(f"{NEEDED[device]} did not start; only {', '.join(running)} did", where=where, fix=fix)


def limit_keras(device: Device, where: str) -> None:
    """Let TensorFlow compute on a device, as far as it has not chosen one.

    Raises:
        UserError: It has no GPU, or TensorRT is wanted.
    """
    if device == "tensorrt":
        fix = "export it to ONNX first: bpnet export"
        raise UserError("TensorFlow runs Keras models, not TensorRT", where=where, fix=fix)
    if device == "auto":
        return
    import tensorflow as tf

    if device == "cuda" and not tf.config.list_physical_devices("GPU"):
        fix = "pip install 'bodyposenet[train-gpu]' in place of train, or use --device cpu"
        raise UserError("this TensorFlow sees no GPU", where=where, fix=fix)
    if device == "cpu":
        try:
            tf.config.set_visible_devices([], "GPU")
        except RuntimeError:  # TensorFlow has started: its devices are what they are
            return


def require_gpu(device: Device, where: str) -> None:
    """Refuse to run an engine on a processor.

    Raises:
        UserError: That is what was asked for.
    """
    if device == "cpu":
        raise UserError("an engine runs on a GPU only", where=where, fix="give the ONNX model, or leave --device out")
