"""A tiny network in every precision that engines are built from."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.deploy.export.fp16 import export_half
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.model.files.model_file import save_model

PRECISIONS = {"fp32": "net.onnx", "fp16": "net.fp16.onnx", "int8": "net.int8.onnx"}


@cache
def exported(base):
    """A folder with net.keras, net.onnx, net.fp16.onnx, net.int8.onnx and net.int8.cpu.onnx, made once."""
    folder = Path(mkdtemp(dir=base))
    save_model(pose_net(stages=2), folder / "net.keras", CARD)
    export_onnx(folder / "net.keras", folder / "net.onnx")
    export_half(folder / "net.onnx", folder / "net.fp16.onnx")
    quantize_int8(folder / "net.onnx", pictures(4), folder / "net.int8.onnx")
    return folder


def fixed(source, target, shape):
    """The same ONNX model with an input of a fixed batch, height and width; 0 leaves one open."""
    import onnx

    model = onnx.load(source)
    image = model.graph.input[0].type.tensor_type.shape
    for dim, value in zip(image.dim, shape, strict=False):
        if value:
            dim.ClearField("dim_param")
            dim.dim_value = value
    onnx.save(model, target)
    return target
