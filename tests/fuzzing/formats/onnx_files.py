"""ONNX files: networks that this project exported, those of others, and what stands beside an engine."""

import shutil

import numpy as np
from fuzzing.parser import Parser, json_files

from bodyposenet.common.errors import UserError


def float_onnx_files(folder):
    """A small network of convolutions as export writes it, made without Keras."""
    from onnx import TensorProto, helper, numpy_helper

    from bodyposenet.common.deploy.onnx_file import put_card
    from bodyposenet.common.skeleton.card import Card
    from bodyposenet.common.skeleton.skeleton import make_skeleton

    random = np.random.default_rng(0)
    skeleton = make_skeleton("two", ("nose", "neck"), ((0, 1),))
    held, nodes, tensor = [], [helper.make_node("Transpose", ["input_1"], ["nchw"], perm=[0, 3, 1, 2])], "nchw"

    def conv(source, target, channels, filters, stride):
        held.append(numpy_helper.from_array(random.normal(size=(filters, channels, 3, 3)).astype("f4"), f"{target}/w"))
        held.append(numpy_helper.from_array(np.zeros(filters, "f4"), f"{target}/b"))
        return helper.make_node(
            "Conv", [source, f"{target}/w", f"{target}/b"], [target], name=target, strides=[stride] * 2, pads=[1] * 4
        )

    for number, channels in enumerate((3, 4, 4)):
        nodes.append(conv(tensor, f"conv{number}", channels, 4, 2))
        nodes.append(helper.make_node("Relu", [f"conv{number}"], [f"relu{number}"]))
        tensor = f"relu{number}"
    for name, filters in (("heatmap_out", 3), ("paf_out", 2)):
        nodes.append(conv(tensor, f"{name}/nchw", 4, filters, 1))
        nodes.append(helper.make_node("Transpose", [f"{name}/nchw"], [name], perm=[0, 2, 3, 1]))
    picture = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["batch", "height", "width", 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "rows", "cols", filters])
        for name, filters in (("heatmap_out", 3), ("paf_out", 2))
    ]
    graph = helper.make_graph(nodes, "net", [picture], outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    put_card(model, Card(skeleton, input_size=(64, 96)))
    return [model.SerializeToString()]


def person_file(folder):
    from support.person_net import write_network

    return write_network(folder / "person.onnx").read_bytes()


def onnx_files(folder):
    return [*float_onnx_files(folder), person_file(folder)]


def _onnx_card(path):
    from bodyposenet.common.deploy.onnx_file import card_of_model, read_model, require_outputs

    model = read_model(path)
    card_of_model(model, path)
    require_outputs([output.name for output in model.graph.output], path)


def _bundles(path):
    from bodyposenet.common.deploy.export.serving_bundle import deepstream_bundle, triton_bundle

    out = path.parent / "bundle"
    try:
        for write in (deepstream_bundle, triton_bundle):
            for peaks in (0, 5):
                try:
                    write(path, out, peaks=peaks)
                except UserError:
                    continue
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _export_forms(path):
    """What export makes of an ONNX file: half precision, other inputs."""
    from bodyposenet.common.deploy.export.fp16 import export_half
    from bodyposenet.common.deploy.export.interface import Interface, change_interface

    content = path.read_bytes()
    for change in (
        lambda: export_half(path, path.parent / "out.fp16.onnx"),
        lambda: change_interface(path, Interface(pixels=True, batch=2, size=(64, 96))),
        lambda: change_interface(path, Interface(sdk_ratio=4)),
    ):
        try:
            change()
        except UserError:
            continue
        finally:
            path.write_bytes(content)


def _runner(path):
    import numpy as np

    from bodyposenet.common.deploy.runtime.runners import open_runner

    runner = open_runner(path, runner="exact", threads=1)
    stride = runner.card.stride
    if stride <= 64:
        runner(np.zeros((1, 128 // stride * stride, 128 // stride * stride, 3), np.float32))


def _inference(path):
    """A photo through a stranger's network, card and all, to people."""
    import numpy as np

    from bodyposenet.common.inference.detector import find_people, open_model

    runner, spec = open_model(path, None, "cpu", "exact")
    find_people(runner, np.zeros((60, 80, 3), np.uint8), spec)


def _quantize_network(path):
    import numpy as np

    from bodyposenet.common.deploy.quantization.quantize import quantize_int8

    try:
        quantize_int8(path, [np.zeros((1, 64, 96, 3), np.float32)], path.parent / "out/net.int8.onnx", method="minmax")
    finally:
        shutil.rmtree(path.parent / "out", ignore_errors=True)


def foreign_onnx_files(folder):
    """Lightweight OpenPose's form: pictures with their channels first, the maps of a stage side by side."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights = {"w": (8, 3, 3, 3), "heat": (19, 8, 1, 1), "paf": (38, 8, 1, 1)}
    held = [numpy_helper.from_array(random.normal(size=shape).astype("f4"), name) for name, shape in weights.items()]
    held.append(numpy_helper.from_array(np.zeros((1, 8, 1, 1), "f4"), "bias"))
    nodes = [
        helper.make_node(
            "Conv", ["data", "w"], ["c"], name="c", strides=[8, 8], pads=[1, 1, 1, 1], kernel_shape=[3, 3]
        ),
        helper.make_node("Add", ["c", "bias"], ["d"], name="d"),
        helper.make_node("Relu", ["d"], ["r"], name="r"),
        helper.make_node("Conv", ["r", "heat"], ["stage_1_output_1_heatmaps"], name="h", kernel_shape=[1, 1]),
        helper.make_node("Conv", ["r", "paf"], ["stage_1_output_0_pafs"], name="p", kernel_shape=[1, 1]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 32, 32])
        for name, channels in (("stage_1_output_1_heatmaps", 19), ("stage_1_output_0_pafs", 38))
    ]
    picture = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 256, 256])
    graph = helper.make_graph(nodes, "net", [picture], outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return [model.SerializeToString()]


def _foreign_graph(path):
    from bodyposenet.common.adopt.adopt import read_graph
    from bodyposenet.common.adopt.conventions import find_convention, pick_maps, take_feeding
    from bodyposenet.common.adopt.graph import drop_quantization, merge_biases

    graph = read_graph(path)
    find_convention(graph, None, where=str(path))
    graph = merge_biases(drop_quantization(graph))
    graph, _ = pick_maps(graph, 18, 19, where=str(path))
    take_feeding(graph)


def _adopt(path):
    from bodyposenet.common.adopt.adopt import adopt

    adopt(path)


def openvino_files(folder):
    from bodyposenet.common.deploy.runtime.openvino_session import import_openvino

    openvino = import_openvino()
    network = openvino.Core().read_model(foreign_onnx_files(folder)[0])
    openvino.save_model(network, str(folder / "net.xml"), compress_to_fp16=False)
    return [(folder / "net.xml").read_bytes()]


def engine_cards(folder):
    from support.pose_net import CARD

    from bodyposenet.common.deploy.tensorrt.engine_file import EngineCard
    from bodyposenet.common.storage.digests import digest_bytes

    (folder / "net.engine").write_bytes(b"engine")
    shape = (1, 64, 96, 3)
    card = EngineCard(
        library="tensorrt", version="11.0", gpus=("86",), precision="fp16", shapes=dict.fromkeys(("min", "opt",
        "max"), shape),
        workspace=1 << 20, onnx={"name": "net.onnx", "sha256": "0"}, sha256=digest_bytes(b"engine"), model=CARD,
    )  # fmt: skip
    return json_files(card.to_dict())


def _engine(path):
    from bodyposenet.common.deploy.tensorrt.engine_file import read_engine

    read_engine(path.parent / "net.engine")


PARSERS = (
    Parser("onnx-card", onnx_files, _onnx_card, "net.onnx", "onnx"),
    Parser("onnx-bundle", onnx_files, _bundles, "net.onnx", "onnx"),
    Parser("onnx-forms", onnx_files, _export_forms, "net.onnx", "onnx", heavy=True),
    Parser("onnx-runner", onnx_files, _runner, "net.onnx", "onnx"),
    Parser("onnx-inference", onnx_files, _inference, "net.onnx", "onnx"),
    Parser("onnx-quantize", float_onnx_files, _quantize_network, "net.onnx", "onnx", heavy=True),
    Parser("onnx-adopt", foreign_onnx_files, _foreign_graph, "tao.onnx", "onnx", heavy=True),
    Parser("onnx-keras", foreign_onnx_files, _adopt, "tao.onnx", "onnx", heavy=True),
    Parser("openvino", openvino_files, _foreign_graph, "net.xml", heavy=True),
    Parser("engine-card", engine_cards, _engine, "net.engine.json", "json"),
)
