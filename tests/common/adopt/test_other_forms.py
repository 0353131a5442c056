"""Other forms: whole networks as strangers' tools write them draw what ONNX Runtime draws of them, or say why not."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from bodyposenet.common.adopt.adopt import adopt
from bodyposenet.common.adopt.graph import Graph, Node, drop_quantization
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.spec.pose_config import load_skeleton

PAGE = Path(__file__).parents[3] / "docs/adopting.md"
SIZE = 64
PICTURE = np.random.default_rng(1).uniform(0, 1, (1, SIZE, SIZE, 3)).astype(np.float32)


class Network:
    """Operations one after the other, with random weights."""

    def __init__(self):
        self.nodes, self.weights, self.random = [], {}, np.random.default_rng(0)

    def weight(self, value):
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(value)
        return name

    def add(self, kind, *inputs, **attributes):
        made = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [made], name=f"n/{made}:0", **attributes))
        return made

    def conv(self, x, read, filters, size=3, kind="Conv", bias=None, **attributes):
        kernel = self.random.normal(0, 1 / np.sqrt(size * size * read), (filters, read, size, size))
        if kind != "Conv":
            kernel = kernel.transpose(1, 0, 2, 3)
        bias = self.random.normal(0, 0.1, filters) if bias is None else bias
        weights = [self.weight(each.astype(np.float32)) for each in (kernel, bias)]
        return self.add(kind, x, *weights, **({"pads": [size // 2] * 4} | attributes))

    def norm(self, x, channels):
        ends = ((0.5, 2), (-0.2, 0.2), (-0.2, 0.2), (0.5, 2))
        return self.add("BatchNormalization", x, *(
            self.weight(self.random.uniform(*each, channels).astype(np.float32)) for each in ends
        ))  # fmt: skip

    def save(self, path, *outputs, opset=13, axes=("N", 3, "H", "W")):
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, axes)
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        arrays = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, "g", [image], made, arrays)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
        return path


def draw_theirs(path, picture=PICTURE):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [maps.transpose(0, 2, 3, 1) for maps in session.run(None, {"image": picture.transpose(0, 3, 1, 2)})]


def assert_draws(adopted, theirs):
    """Whether it draws these maps of a picture from 0 to 1, to 1e-4 of their range."""
    card = adopted.card
    ours = adopted.model((PICTURE / np.array(card.image_scale) - card.image_offset).astype(np.float32))
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one - other).max() <= 1e-4 * np.ptp(other)


def adopt_plain(path):
    return adopt(path, "openpose", colours="rgb", scale=1.0, offset=0.0)


def write_resnet(path, joints, fields, opset):
    """A ResNet's stem and two of its blocks, and two heads that enlarge, as trt_pose has them."""
    net = Network()
    x = net.add("Relu", net.norm(net.conv("image", 3, 8, 7, strides=[2, 2]), 8))
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for read, filters, step in ((8, 8, 1), (8, 16, 2)):
        y = net.add("Relu", net.norm(net.conv(x, read, filters, strides=[step, step]), filters))
        y = net.norm(net.conv(y, filters, filters), filters)
        past = x if read == filters else net.norm(net.conv(x, read, filters, 1, strides=[step, step]), filters)
        x = net.add("Relu", net.add("Add", y, past))
    heads = []
    for filters in (joints, fields):
        y = net.conv(x, 16, 8, 4, kind="ConvTranspose", strides=[2, 2], pads=[1, 1, 1, 1])
        y = net.add("Relu", net.norm(y, 8))
        heads.append(net.conv(net.add("Mul", y, net.add("Sigmoid", net.conv(y, 8, 8))), 8, filters, 1))
    return net.save(path, *heads, opset=opset)


@pytest.mark.parametrize("opset", [7, 13, 17])
def test_a_residual_network_with_a_padded_pool_and_transposed_heads_draws_the_same(tmp_path, opset):
    path = write_resnet(tmp_path / "net.onnx", 19, 38, opset)
    adopted = adopt_plain(path)
    assert adopted.card.stride == 4
    assert_draws(adopted, draw_theirs(path))


def write_enlarging(path):
    """Lines between cells, a padded pool, a gate, and a transposed convolution of uneven borders."""
    net = Network()
    x = net.add("Relu", net.conv("image", 3, 8, strides=[2, 2]))
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.add("Resize", x, "", net.weight(np.array([1, 1, 2, 2], np.float32)), mode="linear")
    x = net.add("HardSwish", net.conv(x, 8, 8, 4, strides=[4, 4], pads=[0] * 4))
    x = net.conv(x, 8, 8, kind="ConvTranspose", strides=[2, 2], output_padding=[1, 1])
    x = net.add("HardSigmoid", x)
    return net.save(path, net.conv(x, 8, 19, 1), net.conv(x, 8, 38, 1), opset=14)


def test_what_was_adopted_draws_the_same_by_keras_of_any_size_and_exported(tmp_path):
    adopted = adopt_plain(write_enlarging(tmp_path / "net.onnx"))
    theirs = draw_theirs(tmp_path / "net.onnx")
    save_model(adopted.model, tmp_path / "ours.keras", adopted.card)
    export_onnx(tmp_path / "ours.keras", tmp_path / "ours.onnx")
    for runner in (open_runner(tmp_path / "ours.keras"), open_runner(tmp_path / "ours.onnx", runner="exact")):
        for one, other in zip(runner(PICTURE), theirs, strict=True):
            assert np.abs(one - other).max() <= 1e-4 * np.ptp(other)
        assert runner(PICTURE[:, :32])[0].shape[1:3] == (8, 16)


@pytest.mark.parametrize(("kind", "others"), [("QLinearConv", 7), ("ConvInteger", 3)])
def test_a_network_whose_convolutions_compute_in_8_bits_is_told(tmp_path, kind, others):
    net = Network()
    heads = [net.add(kind, "image", *(net.weight(np.float32(1)) for _ in range(others))) for _ in range(2)]
    with pytest.raises(UserError, match=f"{kind} computes in 8 bits; adopt the float network, or .* \\(QDQ\\)"):
        adopt_plain(net.save(tmp_path / "net.onnx", *heads))


def test_heatmaps_without_a_background_are_told(tmp_path):
    path = write_resnet(tmp_path / "net.onnx", 18, 42, 13)
    with pytest.raises(
        UserError, match="not pairs of 19 heatmaps, the last of them the background's, and 38 f"
    ) as told:
        adopt_plain(path)
    assert told.value.fix == "adopt a network that draws the background, too"


def test_trt_pose_s_form_is_told_by_its_names_before_anybody_is_asked_whose_it_is(tmp_path):
    net = Network()
    maps = [net.add("Identity", net.conv("image", 3, count)) for count in (18, 42)]
    for name, made in zip(("cmap", "paf"), maps, strict=True):
        net.nodes.append(helper.make_node("Identity", [made], [name]))
    with pytest.raises(UserError, match="has trt_pose's form, whose heatmaps lack the background's") as told:
        adopt(net.save(tmp_path / "net.onnx", "cmap", "paf"))
    assert told.value.fix == "adopt a network that draws the background, too"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("fields_first", [False, True])
def test_one_convolution_of_heatmaps_and_fields_is_taken_apart_by_its_background(
    tmp_path, caplog, fields_first, turned
):
    net, nobody = Network(), np.zeros(57)
    nobody[56 if fields_first else 18] = 1
    x = net.add("Relu", net.conv("image", 3, 8))
    whole = net.conv(x, 8, 57, bias=nobody)
    net.weights["w2"] *= 0.05
    path = net.save(tmp_path / "net.onnx", whole)
    (theirs,) = draw_theirs(path)
    if turned:
        net.save(path, net.add("Transpose", whole, perm=[0, 2, 3, 1]))
    parts = [theirs[..., :38], theirs[..., 38:]][::-1] if fields_first else [theirs[..., :19], theirs[..., 19:]]
    assert_draws(adopt_plain(path), parts)
    assert ("fields and then heatmaps" in caplog.text) == fields_first


def test_zeros_around_the_picture_before_its_convolution_stay_zeros(tmp_path):
    net = Network()
    x = net.add("Mul", "image", net.weight(np.float32(0.02)))
    x = net.add("Sub", x, net.weight(np.array([0.1, 0.2, 0.3], np.float32).reshape(1, 3, 1, 1)))
    x = net.add("Pad", x, net.weight(np.array([0, 0, 2, 1, 0, 0, 0, 1])))
    x = net.add("Relu", net.conv(x, 3, 8, pads=[0] * 4))
    path = net.save(tmp_path / "net.onnx", net.conv(x, 8, 19, 1), net.conv(x, 8, 38, 1))
    assert_draws(adopt_plain(path), draw_theirs(path))


SCALING = {  # what a network does to its picture, and by what the card says that pixels are divided
    "OpenPose's, of TensorFlow": ([("Div", 256.0), ("Sub", 0.5)], 256),
    "a mean alone, the kernel divided": ([("Sub", [104.0, 117.0, 123.0])], 1),
    "a factor alone": ([("Mul", 1 / 127.5)], 127.5),
    "ImageNet's, of pixels from -.5 to .5": ([("Sub", [0.485, 0.456, 0.406]), ("Div", 0.25)], 64),
    "nothing": ([], 256),
}


@pytest.mark.parametrize("way", list(SCALING))
def test_a_network_that_scales_pixels_itself_is_not_given_scaled_ones(tmp_path, caplog, way):
    steps, divided = SCALING[way]
    net, x = Network(), "image"
    for kind, numbers in steps:
        x = net.add(kind, x, net.weight(np.array(numbers, np.float32).reshape(1, -1, 1, 1)))
    x = net.add("Relu", net.conv(x, 3, 8))
    path = net.save(tmp_path / "net.onnx", net.conv(x, 8, 19, 1), net.conv(x, 8, 38, 1))
    adopted, pixels = adopt(path, "openpose", colours="rgb"), 255 * PICTURE
    itself = bool(steps) and "ImageNet" not in way
    theirs = draw_theirs(path, pixels if itself else (pixels / 256 - 0.5))
    ours = adopted.model((pixels / np.array(adopted.card.image_scale) - adopted.card.image_offset).astype(np.float32))
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one - other).max() <= 1e-4 * np.ptp(other)
    assert adopted.card.image_scale == pytest.approx([divided] * 3)
    assert ("scales pixels itself" in caplog.text) == itself
    asked = adopt(path, "openpose", colours="rgb", scale=256.0, offset=0.5)
    assert (asked.convention.scale, asked.convention.offset) == (256, 0.5), "what is asked for is not changed"


@pytest.mark.parametrize("scope", ["", "TfPoseEstimator/"])
def test_tf_pose_estimation_s_output_tells_that_it_is_fed_pixels_blue_first(tmp_path, scope):
    """One output, channels last, heatmaps and then fields; a MobileNet that scales nothing."""
    net, name = Network(), f"{scope}Openpose/concat_stage7:0"
    x = net.add("Relu", net.conv(net.add("Transpose", "image", perm=[0, 3, 1, 2]), 3, 8))
    maps = net.add("Concat", net.norm(net.conv(x, 8, 19, 1), 19), net.norm(net.conv(x, 8, 38, 1), 38), axis=1)
    net.nodes.append(helper.make_node("Transpose", [maps], [name], perm=[0, 2, 3, 1]))
    path = net.save(tmp_path / "net.onnx", name, axes=("N", "H", "W", 3))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"image": PICTURE[..., ::-1]})
    adopted = adopt(path)
    assert_draws(adopted, [theirs[..., :19], theirs[..., 19:]])
    assert adopted.card.image_scale == (1, 1, 1)
    assert adopted.card.input_size == (368, 432)


def test_body_25_of_openpose_is_adopted_with_the_pose_config_of_the_docs(tmp_path):
    """Its limbs are in the order of the channels: OpenPose's POSE_BODY_PART_PAIRS by its POSE_MAP_INDEX."""
    (text,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "body_25.json").write_text(text)
    skeleton = load_skeleton(str(tmp_path / "body_25.json"))
    net = Network()
    x = net.conv("image", 3, 8)
    x = net.add("PRelu", x, net.weight(np.full((8, 1, 1), 0.2, np.float32)))
    parts = [net.conv(x, 8, count, 1) for count in (26, 52)]
    net.nodes.append(helper.make_node("Concat", parts, ["net_output"], axis=1))
    path = net.save(tmp_path / "net.onnx", "net_output", opset=9)
    (theirs,) = draw_theirs(path, PICTURE[..., ::-1])
    adopted = adopt(path, skeleton=skeleton, scale=1, offset=0)
    assert_draws(adopted, [theirs[..., :26], theirs[..., 26:]])
    named = [(skeleton.joints[start], skeleton.joints[end]) for start, end in skeleton.limbs]
    assert named[0] == ("neck", "mid_hip"), "channels 0 and 1"
    assert named[20:22] == [("left_ankle", "left_big_toe"), ("left_big_toe", "left_small_toe")]
    assert named[7] == ("neck", "right_shoulder"), "channels 14 and 15"
    assert named[16:19] == [("nose", "right_eye"), ("nose", "left_eye"), ("right_eye", "right_ear")]


def test_openvino_s_own_preprocessing_of_pictures_is_in_the_card(tmp_path):
    """Bytes, channels last, less 128, over 256: what OpenVINO puts before a network that somebody deploys."""
    openvino = pytest.importorskip("openvino")
    net = Network()
    x = net.add("Relu", net.conv("image", 3, 8))
    path = net.save(tmp_path / "net.onnx", net.conv(x, 8, 19, 1), net.conv(x, 8, 38, 1), axes=(1, 3, SIZE, SIZE))
    steps = openvino.preprocess.PrePostProcessor(openvino.convert_model(path))
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(openvino.Type.f32).mean([128.0] * 3).scale([256.0] * 3)
    openvino.save_model(steps.build(), tmp_path / "net.xml")
    adopted = adopt(tmp_path / "net.xml", "openpose", colours="rgb")
    assert adopted.card.image_scale == (256, 256, 256)
    theirs = draw_theirs(path, PICTURE - 0.5)
    for one, other in zip(adopted.model(PICTURE - 0.5), theirs, strict=True):
        assert np.abs(one - other).max() <= 2e-3 * np.ptp(other), "its weights have 16 bits"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('<?xml version="1.0" ?>\n<net name="pose" version="7"><layers/></net>', "has version 7 of OpenVINO's files"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 130\n",
            "no network of OpenVINO: no <net> begins it; ",
        ),
    ],
)
def test_what_openvino_cannot_read_is_told_by_how_it_begins(tmp_path, text, problem):
    pytest.importorskip("openvino")
    (tmp_path / "net.xml").write_text(text)
    (tmp_path / "net.bin").write_bytes(b"")
    with pytest.raises(UserError, match=problem):
        adopt(tmp_path / "net.xml", "openpose")


@pytest.mark.parametrize(("kind", "zero", "kept"), [(np.uint8, 0, True), (np.int8, -128, True), (np.uint8, 9, False)])
def test_levels_that_begin_at_0_are_the_activation_that_quantizers_leave_out(tmp_path, kind, zero, kept):
    """Of the maps of the first convolution; after a ReLU nothing more is needed."""
    nodes = [Node("Conv", "c", ("image", "k"), ("c",))]
    for source in ("c", "r"):
        nodes.append(Node("QuantizeLinear", f"q{source}", (source, "scale", "zero"), (f"q{source}",)))
        nodes.append(Node("DequantizeLinear", f"d{source}", (f"q{source}", "scale", "zero"), (f"d{source}",)))
        nodes.append(Node("Relu", "r", ("dc",), ("r",)))
    constants = {"k": np.ones((4, 3, 1, 1), np.float32), "scale": np.float32(0.02), "zero": np.asarray(zero, kind)}
    graph = drop_quantization(Graph("image", "NCHW", ("dr",), (*nodes[:4], *nodes[4:6]), constants))
    assert [node.kind for node in graph.nodes] == ["Conv", *["Clip"] * kept, "Relu"]
    assert graph.outputs == ("r",)
    if kept:
        assert graph.nodes[1].attributes == {"min": 0.0, "max": pytest.approx(255 * 0.02)}


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_scale_alone_is_of_all_numbers(shape):
    constants = {"b": np.array([10, -20], np.int32), "s": np.full(shape, 0.5, np.float32), "z": np.zeros(shape, int)}
    node = Node("DequantizeLinear", "d", ("b", "s", "z"), ("y",))
    graph = drop_quantization(Graph("image", "NCHW", ("y",), (node,), constants))
    np.testing.assert_array_equal(graph.constants["y"], [5, -10])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"training_mode": 1}, "normalizes by each batch: export the network in evaluation mode"),
        ({"kind": "Constant"}, "is a constant of 0 values"),
        ({"kind": "Div"}, "it divides by what is computed"),
    ],
)
def test_what_no_network_at_work_has_is_told(tmp_path, change, problem):
    net = Network()
    x = net.conv("image", 3, 8)
    kind = change.pop("kind", "BatchNormalization")
    given = [x] if kind == "BatchNormalization" else []
    given += [net.weight(np.ones(8, np.float32)) for _ in range(4)] if given else []
    given = [x, net.add("Sigmoid", x)] if kind == "Div" else given
    y = net.add(kind, *given, **change)
    x = y if kind != "Constant" else x
    with pytest.raises(UserError, match=problem):
        adopt_plain(net.save(tmp_path / "net.onnx", net.conv(x, 8, 19, 1), net.conv(x, 8, 38, 1)))


def test_maps_between_that_fill_the_memory_are_refused_before_any_is_drawn(tmp_path):
    network = Network()
    x = network.conv("image", 3, 8)
    times, nothing = network.weight(np.array([1, 1, 64, 64], np.float32)), ""
    large = network.add("Resize", x, nothing, times, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    small = network.add("MaxPool", large, kernel_shape=[64, 64], strides=[64, 64])
    network.save(tmp_path / "net.onnx", network.conv(small, 8, 19), network.conv(small, 8, 38))
    with pytest.raises(UserError, match=r"net\.onnx: n_t1_0 makes 2,147,483,648 numbers of a picture of 256 x 256"):
        adopt(tmp_path / "net.onnx", "tao-bodyposenet")


@pytest.mark.parametrize(
    ("rows", "columns", "times", "problem"),
    [(2000, 2000, 1, "makes 4,000,000 numbers of 2,000"), (2**20, 1, 140, "make more than 134,217,728 numbers")],
)
def test_constants_that_grow_when_they_are_folded_are_refused(rows, columns, times, problem):
    constants = {"a": np.zeros((rows, 1), np.int8), "b": np.zeros((1, columns), np.int8)}
    nodes = [Node("Add", f"add{time}", ("a", "b"), (f"c{time}",)) for time in range(times)]
    with pytest.raises(UserError, match=problem):
        drop_quantization(Graph("x", "NCHW", ("c0",), tuple(nodes), constants))
