"""A network that sees one certain person in a bright photo and nobody in a dark one, as an ONNX file."""

import cv2
import numpy as np

from bodyposenet.common.deploy.onnx_file import put_card, write_model
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

SIDE, STRIDE = 128, 8
# A person standing, in input pixels; the photo has twice the side, so photo = (input + 1/2) * 2 - 1/2.
JOINTS = np.array([
    (64, 20), (64, 36), (48, 36), (40, 52), (36, 68), (80, 36), (88, 52), (92, 68), (54, 72), (52, 92), (52, 112),
    (74, 72), (76, 92), (76, 112), (60, 16), (68, 16), (54, 20), (74, 20),
], float)  # fmt: skip
IN_PHOTO = (JOINTS + 0.5) * 2 - 0.5
BRIGHT = np.full((2 * SIDE, 2 * SIDE, 3), 255, np.uint8)
DARK = np.zeros_like(BRIGHT)


def jpeg(photo):
    """The file of a photo."""
    return cv2.imencode(".jpg", photo)[1].tobytes()


def write_network(path):
    """Write the file."""
    from onnx import TensorProto, helper, numpy_helper

    maps = encode(
        JOINTS[None], np.ones((1, 18), bool), BODYPOSENET_18, size=(SIDE // STRIDE, SIDE // STRIDE), stride=STRIDE
    )
    nodes = [
        helper.make_node("ReduceMean", ["input_1"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "four"], ["times"]),
        helper.make_node("Clip", ["times", "zero", "one"], ["gate"]),
        helper.make_node("Mul", ["gate", "heatmaps"], ["heatmap_out"]),
        helper.make_node("Mul", ["gate", "pafs"], ["paf_out"]),
    ]
    constants = {"four": np.float32(4), "zero": np.float32(0), "one": np.float32(1)}
    constants |= {"heatmaps": np.float32(maps[0][None]), "pafs": np.float32(maps[1][None])}
    picture = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["batch", SIDE, SIDE, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 16, 16, channels])
        for name, channels in (("heatmap_out", 19), ("paf_out", 38))
    ]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "person", [picture], outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    put_card(model, Card(BODYPOSENET_18, STRIDE, input_size=(SIDE, SIDE)))
    write_model(model, path)
    return path


def assert_the_person(people):
    """That these people, as the registered model returns them, are that person."""
    (person,) = people
    found = np.array(person["keypoints"])
    assert person["joints"] == list(BODYPOSENET_18.joints)
    assert np.abs(found[:, :2] - IN_PHOTO).max() < 3  # a cell is 16 pixels of the photo
    assert (found[:, 2] > 0.1).all()
    assert person["score"] > 0
