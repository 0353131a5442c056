"""Adoption: networks of others draw here what they draw where they come from."""

import json
import re

import keras
import numpy as np
import onnx
import pytest
import yaml
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from support.drawn_records import convert_drawn, records_of
from support.networks import network, shaken
from support.tiny_training import tiny_spec

from bodyposenet.common.adopt.adopt import adopt
from bodyposenet.common.adopt.graph import Graph, Node, drop_quantization, merge_biases
from bodyposenet.common.adopt.keras_network import build_network
from bodyposenet.common.adopt.read_onnx import read_onnx
from bodyposenet.common.cli.main import main
from bodyposenet.common.deploy.export.interface import Interface, change_interface
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

INTEL = "weights/human-pose-estimation-0001.xml"
SIZE = (64, 96)
TAO = {"stages": 2, "stage1_kernel_sizes": [3], "stageT_kernel_sizes": [3, 3]}
PAFS = "conv2d_transpose_1/BiasAdd:0"


@pytest.fixture(scope="module")
def trained():
    """A narrow BpNetLite with weights and batch statistics as training leaves them."""
    keras.utils.set_random_seed(3)
    model = network(BODYPOSENET_18, **TAO)
    random = np.random.default_rng(3)
    for layer in model.layers:
        layer.set_weights([shaken(random, weight) for weight in layer.weights])
    return model


@pytest.fixture(scope="module")
def keras_file(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("ours") / "net.keras"
    save_model(trained, path, Card(BODYPOSENET_18))
    return path


def pictures(count=2, size=SIZE):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (count, *size, 3)).astype(np.float32)


def assert_draws(adopted, heatmaps, pafs, given):
    """Whether the last stage draws these maps, to 1e-4 of their range."""
    drawn = adopted.model(given)
    stages = len(drawn) // 2
    for ours, theirs in ((drawn[stages - 1], heatmaps), (drawn[-1], pafs)):
        assert np.abs(ours - theirs).max() <= 1e-4 * np.ptp(theirs)


# NVIDIA's


def written_for_sdk(keras_file, folder):
    """Our own export for NVIDIA's parser, whose fields are repeated."""
    path = folder / "sdk.onnx"
    export_onnx(keras_file, path)
    change_interface(path, Interface(sdk_ratio=4))
    return path


def written_by_tf2onnx(model, folder, *, opset=10):
    """What tf2onnx makes of the last stage, under TAO's names, with NVIDIA's layer that repeats the fields."""
    import tensorflow as tf
    import tf2onnx

    stages = len(model.outputs) // 2
    fields = keras.layers.Conv2DTranspose(38, 4, strides=4, padding="same", name="conv2d_transpose_1")
    tensors = [model.outputs[stages - 1], fields(model.outputs[-1])]
    fields.set_weights([np.broadcast_to(np.eye(38), (4, 4, 38, 38)), np.zeros(38)])
    whole = keras.Model(model.inputs, tensors)
    function = tf.function(lambda image: whole(image), autograph=False)
    signature = [tf.TensorSpec((None, None, None, 3), tf.float32, name="input_1")]
    file, _ = tf2onnx.convert.from_function(function, signature, opset=opset)
    for output, name in zip(file.graph.output, ("heatmap_out/BiasAdd:0", PAFS), strict=True):
        file.graph.node.append(helper.make_node("Identity", [output.name], [name]))
        output.name = name
    path = folder / "tf2onnx.onnx"
    onnx.save(file, path)
    return path


def unfold(path):
    """Take a batch normalization out of every convolution, which computes the same with it."""
    model, random = onnx.load(path), np.random.default_rng(5)
    arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type != "Conv":
            continue
        kernel = arrays[node.input[1]]
        bias = arrays[node.input[2]] if len(node.input) > 2 else np.zeros(len(kernel), np.float32)
        gamma, beta, mean, variance = (random.uniform(0.5, 2, len(kernel)).astype(np.float32) for _ in range(4))
        factor = gamma / np.sqrt(variance + 1e-5)
        given = {"k": kernel / factor[:, None, None, None], "b": (bias - beta) / factor + mean}
        given |= {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        (made,) = node.output
        names = [f"{made}/{name}" for name in given]
        model.graph.initializer.extend(
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in zip(names, given.values(), strict=True)
        )
        node.input[1:] = names[:2]
        node.output[0] = f"{made}/raw"
        nodes.append(helper.make_node("BatchNormalization", [node.output[0], *names[2:]], [made], epsilon=1e-5))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)
    return path


MAKES = ("sdk", "tf2onnx", "unfolded")


def written(make, trained, keras_file, folder):
    """A network of NVIDIA's form, of one of three makes."""
    if make == "sdk":
        return written_for_sdk(keras_file, folder)
    if make == "tf2onnx":
        return written_by_tf2onnx(trained, folder)
    return unfold(written_by_tf2onnx(trained, folder, opset=13))


@pytest.mark.parametrize("make", MAKES)
def test_a_network_of_nvidia_s_form_draws_the_same_maps(make, trained, keras_file, tmp_path):
    path = written(make, trained, keras_file, tmp_path)
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert ("BatchNormalization" in kinds) == (make == "unfolded")
    adopted = adopt(path)
    maps, stages = trained(pictures()), len(trained.outputs) // 2
    assert_draws(adopted, maps[stages - 1], maps[-1], pictures())
    assert adopted.card.stride == 8
    assert adopted.card.image_scale == (256, 256, 256)
    assert adopted.card.paf_shift == 3.5, "its fields are those of the cells' corners"


def run(*command):
    result = CliRunner().invoke(main, list(map(str, command)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A few drawn pictures, converted."""
    folder = tmp_path_factory.mktemp("drawn")
    convert_drawn(folder, train=4, val=2)
    return folder


def retrain_spec(path, drawn, weights, *, stages):
    """A train spec of one epoch that goes on with a graph."""
    spec = tiny_spec(
        pretrained_weights=str(weights), load_graph=True, num_epoch=1, model={"stages": stages},
        dataloader={
            "batch_size": 2,
            "image_config": {"image_dims": {"height": SIZE[0], "width": SIZE[1]}},
            "pose_config": {"target_shape": [SIZE[0] // 8, SIZE[1] // 8]},
            "dataset_config": records_of(drawn),
        },
    )  # fmt: skip
    path.write_text(yaml.safe_dump(spec.model_dump(mode="json", by_alias=True)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("make", [*MAKES[:2], pytest.param(MAKES[2], marks=pytest.mark.heavy)])
def test_an_adopted_network_is_pruned_retrained_and_exported_as_any_other(make, trained, keras_file, drawn, tmp_path):
    run("adopt", written(make, trained, keras_file, tmp_path), "-o", tmp_path / "tao.keras")
    whole, adopted = load_model(tmp_path / "tao.keras")
    small = tmp_path / "small.keras"
    run("prune", "-m", tmp_path / "tao.keras", "-o", small, "--target_flops", "0.8", "-nf", "8")
    pruned, card = load_model(small)
    assert pruned.count_params() < whole.count_params()
    assert card == adopted
    spec = retrain_spec(tmp_path / "retrain.yaml", drawn, small, stages=len(whole.outputs) // 2)
    run("train", "-e", spec, "-r", tmp_path / "out")
    retrained, card = load_model(tmp_path / "out/bpnet_model.keras")
    assert [layer.name for layer in retrained.layers] == [layer.name for layer in pruned.layers]
    moved = [np.abs(one - two).max() > 0 for one, two in zip(retrained.trainable_weights, pruned.trainable_weights,
                                                             strict=True)]  # fmt: skip
    assert np.mean(moved) > 0.9
    assert card.made_from == adopted.made_from
    export_onnx(tmp_path / "out/bpnet_model.keras", tmp_path / "small.onnx")
    runner = open_runner(tmp_path / "small.onnx", runner="exact")
    stages, maps = len(retrained.outputs) // 2, retrained(pictures())
    for ours, theirs in zip(runner(pictures()), (maps[stages - 1], maps[-1]), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-4 * np.ptp(theirs)


# Intel's


def without_rounding(path, size):
    """OpenVINO's own run of a network, whose maps between the layers are not rounded to 8 bits."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    for op in model.get_ordered_ops():
        if op.get_type_name() == "FakeQuantize" and op.input_value(0).get_node().get_type_name() not in (
            "Constant",
            "Convert",
        ):
            op.output(0).replace(op.input_value(0))
    model.reshape([1, 3, *size])
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.fixture(scope="module")
def intel(data_folder):
    pytest.importorskip("openvino")
    return adopt(data_folder / INTEL)


@pytest.mark.slow
@pytest.mark.data
def test_intel_s_network_draws_what_openvino_draws_of_real_photos(intel, data_folder):
    import cv2

    size = (256, 456)
    run = without_rounding(data_folder / INTEL, size)
    for file in sorted((data_folder / "coco_sample/images").glob("*.jpg"))[:3]:
        photo = cv2.resize(cv2.imread(str(file)), size[::-1])
        theirs = {maps.shape[1]: maps.transpose(0, 2, 3, 1) for maps in run(photo.transpose(2, 0, 1)[None]).values()}
        ours = intel.model(photo[None, ..., ::-1].astype(np.float32) / 256 - 0.5)
        assert theirs[19].max() > 0.5, "it sees somebody"
        for maps in ours:
            assert np.abs(maps - theirs[maps.shape[-1]]).max() <= 1e-3
    assert intel.model.count_params() == 4_099_058
    assert intel.card == Card(BODYPOSENET_18, input_size=size)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--colours", "rgb"], "sees people more clearly in the photos when it is fed otherwise .* give --colours bgr"),
        (["--scale", "256", "--offset", "0.5"], "fed otherwise .* give --scale 1 --offset 0"),
        (["--pose_config", "turned.json"], "limbs do not point from the first joint to the second: .* --pose_config"),
    ],
)
@pytest.mark.heavy
def test_a_wrong_guess_is_refused_by_a_look_at_photos(data_folder, tmp_path, monkeypatch, flags, problem):
    pytest.importorskip("openvino")
    monkeypatch.chdir(tmp_path)
    write_pose_config(tmp_path / "turned.json", [(end, start) for start, end in BODYPOSENET_18.limbs])
    command = [
        "adopt",
        str(data_folder / INTEL),
        "-o",
        "net.keras",
        "--photos",
        str(data_folder / "coco_sample/images"),
    ]
    result = CliRunner().invoke(main, [*command, *flags])
    assert result.exit_code == 2
    assert re.search(problem, result.output), result.output
    assert not (tmp_path / "net.keras").exists()


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.heavy
def test_a_look_at_photos_tells_how_many_limbs_point_as_they_should(data_folder, tmp_path):
    pytest.importorskip("openvino")
    command = ["adopt", data_folder / INTEL, "-o", tmp_path / "net.keras", "--json", "--most-photos", 1]
    result = CliRunner().invoke(main, [*map(str, command), "--photos", str(data_folder / "coco_sample/images")])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["photos"] == 1
    assert 0.8 * told["limbs_seen"] <= told["limbs_right"] <= told["limbs_seen"]
    assert told["limbs_seen"] > 0
    assert f"{told['limbs_right']} of {told['limbs_seen']} limbs point as they should" in result.stderr
    assert (tmp_path / "net.keras").exists()


def write_pose_config(path, limbs):
    category = {
        "supercategory": "person", "id": 1, "name": "person", "num_joints": 18,
        "keypoints": list(BODYPOSENET_18.joints), "skeleton": [[start + 1, end + 1] for start, end in limbs],
    }  # fmt: skip
    path.write_text(json.dumps({"categories": [category]}))


# What is read of a file


def test_weights_in_8_bits_are_computed_by_their_scales():
    kernel = np.arange(-4, 4, dtype=np.int8).reshape(2, 4, 1, 1)
    constants = {"w": kernel, "scale": np.array([0.5, 2], np.float32), "zero": np.array([1, -1], np.int8)}
    nodes = (
        Node("QuantizeLinear", "q", ("image", "one", "nought"), ("q",)),
        Node("DequantizeLinear", "d", ("q", "one", "nought"), ("d",)),
        Node("DequantizeLinear", "k", ("w", "scale", "zero"), ("k",), {"axis": 0}),
        Node("Conv", "c", ("d", "k"), ("c",)),
    )
    constants |= {"one": np.float32(0.1), "nought": np.uint8(3)}
    graph = drop_quantization(Graph("image", "NCHW", ("c",), nodes, constants))
    (conv,) = graph.nodes
    assert conv.inputs[0] == "image"
    expected = (kernel.astype(float) - [[[[1]]], [[[-1]]]]) * [[[[0.5]]], [[[2]]]]
    np.testing.assert_array_equal(graph.constants[conv.inputs[1]], expected)


def test_openvino_s_levels_lie_between_both_ends():
    x = np.array([-3, -1, -0.4, 0, 0.6, 1, 2], np.float32)
    ends = {"low": np.float32(-1), "high": np.float32(1), "out_low": np.float32(-2), "out_high": np.float32(2)}
    node = Node("FakeQuantize", "f", ("x", *ends), ("y",), {"levels": 5})
    graph = drop_quantization(Graph("image", "NCHW", ("y",), (node,), {"x": x, **ends}))
    np.testing.assert_allclose(graph.constants["y"], [-2, -2, -1, 0, 1, 2, 2])


def test_a_constant_that_is_added_becomes_the_bias_unless_something_else_reads_the_convolution():
    constants = {"k": np.ones((4, 3, 1, 1), np.float32), "b": np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)}
    conv, add = Node("Conv", "c", ("image", "k"), ("c",)), Node("Add", "a", ("b", "c"), ("a",))
    merged = merge_biases(Graph("image", "NCHW", ("a",), (conv, add), constants))
    (only,) = merged.nodes
    assert (only.kind, only.output) == ("Conv", "a")
    np.testing.assert_array_equal(merged.constants[only.inputs[2]], [0, 1, 2, 3])
    relu = Node("Relu", "r", ("c",), ("r",))
    assert merge_biases(Graph("image", "NCHW", ("a", "r"), (conv, add, relu), constants)).nodes == (conv, add, relu)


def plain_onnx(path, *, channels=3, kind="Relu", outputs=(("heat", 19), ("fields", 38)), **attributes):
    """A network of one convolution for each output, with an operation before them."""
    nodes = [helper.make_node(kind, ["image"], ["x"], **attributes)]
    weights, made = [], []
    for name, count in outputs:
        weights.append(numpy_helper.from_array(np.full((count, channels, 8, 8), 0.1, np.float32), f"{name}_k"))
        nodes.append(helper.make_node("Conv", ["x", f"{name}_k"], [name], strides=[8, 8]))
        made.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, "H", "W"])
    model = helper.make_model(helper.make_graph(nodes, "g", [image], made, weights))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("changes", "family", "problem"),
    [
        (
            {},
            None,
            "nothing tells whose network it is: its outputs are heat, fields; say so: --as lightweight-openpose",
        ),
        ({"outputs": (("heat", 19), ("fields", 36))}, "openpose", "not pairs of 19 heatmaps and 38 fields: .* with 36"),
        ({"channels": 1}, "openpose", r"the input is no picture of three channels: \? x 1 x \? x \?"),
        ({"kind": "Softmax"}, "openpose", "Softmax_0: Softmax reads the picture, in whose place only a conv"),
    ],
)
def test_what_cannot_be_adopted_is_told(tmp_path, changes, family, problem):
    with pytest.raises(UserError, match=problem):
        adopt(plain_onnx(tmp_path / "net.onnx", **changes), family)


@pytest.mark.parametrize("name", ["none.onnx", "none.xml", "text.onnx", "text.xml", "model.caffemodel"])
def test_what_is_no_network_ends_with_one_line(tmp_path, name):
    if not name.startswith("none"):
        (tmp_path / name).write_text("a text")
        (tmp_path / "text.bin").write_bytes(b"")
    result = CliRunner().invoke(main, ["adopt", str(tmp_path / name), "-o", str(tmp_path / "net.keras")])
    assert result.exit_code == 2
    (line,) = (line for line in result.output.splitlines() if line.startswith("error: "))
    assert str(tmp_path / name) in line
    assert not (tmp_path / "net.keras").exists()


@pytest.mark.parametrize("name", ["net.onnx", "net.xml", "net.bin"])
def test_a_file_of_a_terabyte_is_told_before_anybody_reads_it(tmp_path, name):
    """OpenVINO would read it to its end."""
    for file in ("net.xml", "net.bin"):
        (tmp_path / file).write_bytes(b"<net>")
    with (tmp_path / name).open("ab") as file:
        file.truncate(1 << 40)
    network = tmp_path / ("net.onnx" if name == "net.onnx" else "net.xml")
    with pytest.raises(UserError, match=rf"{re.escape(name)}: .*has more than [\d,]+ bytes, so it is no network"):
        adopt(network, "openpose")


def test_what_the_file_does_to_the_picture_is_in_the_card(tmp_path):
    """Blue first, less 100, divided by 50: of a picture in red, green, blue."""
    path = plain_onnx(tmp_path / "net.onnx")
    model = onnx.load(path)
    numbers = {"mean": np.array([[[100]], [[110]], [[120]]], np.float32), "by": np.float32(50)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items())
    first = [helper.make_node("Sub", ["image", "mean"], ["m"]), helper.make_node("Div", ["m", "by"], ["d"])]
    model.graph.node[0].input[0] = "d"
    model.graph.node.insert(0, first[1])
    model.graph.node.insert(0, first[0])
    onnx.save(model, path)
    with pytest.raises(UserError, match="Relu reads the picture, in whose place only a convolution is known"):
        adopt(path, "openpose")
    model.graph.node.remove(model.graph.node[2])
    for node in model.graph.node[2:]:
        node.input[0] = "d"
    onnx.save(model, path)
    card = adopt(path, "openpose", scale=1, offset=0).card
    assert card.image_scale == (50, 50, 50)
    assert card.image_offset == pytest.approx((2.4, 2.2, 2.0)), "red first"


# Ways of writing an operation


def one_layer(path, kind, *, kernel=None, ends=(), opset=13, size=256, last=0.3, before="Identity", **attributes):
    """A network of an operation between two convolutions, with random weights; another may come right before it."""
    random = np.random.default_rng(0)
    weights = {"first": random.normal(0, 0.3, (8, 3, 3, 3)), "heat": random.normal(0, 0.3, (19, 8, 1, 1))}
    weights["fields"] = random.normal(0, last, (38, 8, 1, 1))
    names = ["x"]
    if kernel is not None:
        weights["k"], names = random.normal(0, 0.3, kernel), ["x", "k"]
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    weights |= {f"end_{number}": end for number, end in enumerate(ends)}
    names += [f"end_{number}" for number in range(len(ends))]
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["x" if before == "Identity" else "w"], pads=[1, 1, 1, 1]),
        *([] if before == "Identity" else [helper.make_node(before, ["w"], ["x"])]),
        helper.make_node(kind, names, ["y"], name="between", **attributes),
        helper.make_node("Conv", ["y", "heat"], ["heat_out"]),
        helper.make_node("Conv", ["y", "fields"], ["fields_out"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("heat_out", "fields_out")]
    arrays = [
        numpy_helper.from_array(value if np.asarray(value) is value else np.asarray(value, np.float32), name)
        for name, value in weights.items()
    ]
    graph = helper.make_graph(nodes, "g", [image], made, arrays)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


WAYS = {
    "same_upper": ("Conv", {"kernel": (8, 8, 3, 3), "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same_lower": ("Conv", {"kernel": (8, 8, 3, 3), "auto_pad": "SAME_LOWER"}),
    "uneven": ("Conv", {"kernel": (8, 8, 3, 3), "pads": [2, 2, 0, 0], "strides": [2, 2]}),
    "around": ("Conv", {"kernel": (8, 8, 3, 3), "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "dilated": ("Conv", {"kernel": (8, 8, 3, 3), "pads": [2, 2, 2, 2], "dilations": [2, 2]}),
    "groups": ("Conv", {"kernel": (8, 4, 3, 3), "pads": [1, 1, 1, 1], "group": 2}),
    "same_lower_strides": ("Conv", {"kernel": (8, 8, 3, 3), "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "depthwise": ("Conv", {"kernel": (8, 1, 3, 3), "pads": [1, 1, 1, 1], "group": 8}),
    "leaky": ("LeakyRelu", {"alpha": 0.2}),
    "slopes": ("PRelu", {"kernel": (8, 1, 1)}),
    "elu": ("Elu", {}),
    "relu6": ("Clip", {"ends": (0.0, 6.0)}),
    "old_pad": ("Pad", {"pads": [0, 0, 4, 4, 0, 0, 4, 4], "value": 0.0, "opset": 9}),
    "max_pool": ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "max_pool_same": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    "max_pool_around": (
        "MaxPool",
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "before": "Relu"},
    ),
    "max_pool_lower": ("MaxPool", {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER", "before": "Sigmoid"}),
    "max_pool_beyond": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "average_of_zeros": ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    "average": ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "count_include_pad": 1}),
    "transposed": ("ConvTranspose", {"kernel": (8, 8, 2, 2), "strides": [2, 2]}),
    "transposed_wider": ("ConvTranspose", {"kernel": (8, 8, 4, 4), "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "transposed_odd": (
        "ConvTranspose",
        {"kernel": (8, 8, 3, 3), "strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    "transposed_uneven": ("ConvTranspose", {"kernel": (8, 8, 3, 3), "strides": [2, 2], "pads": [1, 1, 0, 0]}),
    "transposed_far_down": ("ConvTranspose", {"kernel": (8, 8, 9, 9), "strides": [4, 4], "pads": [1, 0, 4, 5]}),
    "transposed_apart": ("ConvTranspose", {"kernel": (8, 8, 1, 1), "strides": [2, 2], "output_padding": [1, 1]}),
    "transposed_lower": ("ConvTranspose", {"kernel": (8, 8, 3, 3), "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "transposed_groups": (
        "ConvTranspose",
        {"kernel": (8, 2, 4, 4), "strides": [2, 2], "pads": [1, 1, 1, 1], "group": 4},
    ),
    "repeated": (
        "Resize",
        {"ends": ([], [1, 1, 2, 3]), "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
    "repeated_by_halves": ("Resize", {"ends": ([], [1, 1, 4, 2])}),
    "repeated_at_opset_10": ("Resize", {"ends": ([1, 1, 2, 2],), "opset": 10}),
    "upsampled": ("Upsample", {"ends": ([1, 1, 2, 2],), "opset": 9}),
    "between_cells": ("Resize", {"ends": ([], [1, 1, 4, 4]), "mode": "linear"}),
    "between_cells_of_torch": (
        "Resize",
        {
            "ends": ([], [2, 2]),
            "axes": [2, 3],
            "mode": "linear",
            "opset": 18,
            "coordinate_transformation_mode": "pytorch_half_pixel",
        },
    ),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
    "hard_swish": ("HardSwish", {"opset": 14}),
    "pad_of_axes": ("Pad", {"ends": (np.array([1, 2, 3, 4]), 0.0, np.array([2, 3])), "opset": 18}),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_an_operation_draws_what_onnx_runtime_draws(tmp_path, way):
    import onnxruntime

    kind, attributes = WAYS[way]
    path = one_layer(tmp_path / "net.onnx", kind, **attributes)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    picture = pictures(1, (256, 256))
    theirs = [maps.transpose(0, 2, 3, 1) for maps in session.run(None, {"image": picture.transpose(0, 3, 1, 2)})]
    drawn = [np.asarray(maps) for maps in build_network(read_onnx(path), ["h", "p"], where="net")(picture)]
    for ours, wanted in zip(drawn, theirs, strict=True):
        assert ours.shape == wanted.shape
        assert np.abs(ours - wanted).max() <= 1e-5 * np.ptp(wanted)


def test_a_file_that_takes_one_size_only_says_it_in_the_card(tmp_path):
    assert adopt(one_layer(tmp_path / "net.onnx", "Elu"), "tao-bodyposenet").card.input_size == (256, 256)


@pytest.mark.parametrize(
    ("kind", "attributes", "problem"),
    [
        ("Conv", {"kernel": (8, 8, 3, 3), "pads": [-1, 0, 0, 0]}, r"its padding \[-1, 0, 0, 0\] is below 0"),
        ("ConvTranspose", {"kernel": (8, 8, 2, 2), "strides": [2, 2], "pads": [1, 1, 1, 1]}, "does not enlarge by its"),
        ("ConvTranspose", {"kernel": (8, 8, 3, 3), "strides": [2, 2], "output_padding": [1, 1]}, "does not enlarge by"),
        ("ConvTranspose", {"kernel": (8, 8, 3, 3), "strides": [2, 2], "output_shape": [9, 9]}, "to a given size"),
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, "beyond the last cell"),
        ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, "is not counted"),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, "pool after the activation"),
        ("Resize", {"ends": ([], [1, 1, 0.5, 0.5])}, "no whole numbers of cells"),
        ("Resize", {"ends": ([], [], np.array([1, 8, 512, 512]))}, "to a given size: export it with scales"),
        ("Resize", {"ends": ([], [1, 1, 2, 2]), "mode": "cubic"}, "enlarges by cubic"),
        ("Upsample", {"ends": ([1, 1, 2, 2],), "mode": "linear", "opset": 9}, r"linear \(asymmetric, floor\)"),
        ("PRelu", {"kernel": (8, 256, 256)}, "it has 524,288 slopes"),
        ("Slice", {"ends": (np.array([0]), np.array([-1]), np.array([2]))}, "cuts off the last cells"),
        ("Concat", {"ends": (np.ones((1, 8, 256, 256), np.float32),), "axis": 1}, "joins a constant"),
        ("Cast", {"to": 6}, "Cast is none of the operations"),
        ("Relu", {"domain": "ai.mine"}, r"ai\.mine\.Relu is none of the operations"),
        ("Softmax", {}, "Softmax is none of the operations that are read"),
    ],
)
def test_what_no_layer_of_keras_does_is_refused_by_its_name(tmp_path, kind, attributes, problem):
    with pytest.raises(UserError, match=f"between: .*{problem}"):
        adopt(one_layer(tmp_path / "net.onnx", kind, **attributes), "tao-bodyposenet")


@pytest.mark.parametrize(
    ("written", "flags", "problem"),
    [
        ({"size": -1}, {}, r"an input size of \(-1, -1\)"),
        ({"size": 2**40}, {}, "an input size of"),
        ({"last": float("nan")}, {}, "its maps of a white picture are no numbers"),
        ({}, {"scale": float("nan")}, "no numbers|image_scale is not 3 numbers"),
        ({}, {"offset": float("inf")}, "image_offset is not 3 numbers"),
    ],
)
def test_what_no_card_can_say_and_no_map_can_be_is_refused_before_it_is_written(tmp_path, written, flags, problem):
    with pytest.raises(UserError, match=problem):
        adopt(one_layer(tmp_path / "net.onnx", "Elu", **written), "openpose", **flags)


def test_a_stage_is_before_another_that_is_computed_after_it_and_others_are_left_out(
    trained, keras_file, tmp_path, caplog
):
    export_onnx(keras_file, tmp_path / "net.onnx")
    model, ours = onnx.load(tmp_path / "net.onnx"), pictures(1)
    stages = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    shapes = {each.name: each.dims[0] for each in model.graph.initializer}
    first, last = ([each for node in model.graph.node if node.output[0] in stages and shapes[node.input[1]] == count
                    for each in node.output] for count in (19, 38))  # fmt: skip
    assert len(first) == len(last) == 2
    backbone = stages[0]
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in (last[1], backbone, first[1], last[0], first[0])  # the last stage first, and fields before heatmaps
    )
    onnx.save(model, tmp_path / "net.onnx")
    drawn = adopt(tmp_path / "net.onnx", "openpose").model(ours)
    for maps, theirs in zip(drawn, trained(ours), strict=True):
        assert np.abs(maps - theirs).max() <= 1e-3 * np.ptp(theirs)
    assert f"{backbone} is left out" in caplog.text
