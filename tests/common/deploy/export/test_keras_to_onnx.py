import hashlib
import subprocess
import sys

import numpy as np
import onnx
import pytest
from support.pose_net import CARD, SKELETON, pictures, pose_net

from bodyposenet import __version__
from bodyposenet.common.deploy.export.canonical import canonicalise, find_layer
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx, relative_error
from bodyposenet.common.deploy.onnx_file import read_model
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.deploy.runtime.runners import OnnxRunner, open_runner
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import make_skeleton


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    save_model(pose_net(stages=2), path, CARD)
    return path


@pytest.fixture(scope="module")
def exported(keras_file):
    return export_onnx(keras_file, keras_file.with_suffix(".onnx"))


def dims(value):
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("stages", [1, 3])
def test_the_onnx_model_gives_keras_maps_at_20_random_sizes(tmp_path, stages):
    model, random = pose_net(stages=stages, seed=stages), np.random.default_rng(stages)
    save_model(model, tmp_path / "model.keras", CARD)
    runner = open_runner(export_onnx(tmp_path / "model.keras", tmp_path / "model.onnx").path)
    for _ in range(20):
        size, count = tuple(8 * random.integers(1, 40, 2)), int(random.integers(1, 4))
        images = random.uniform(-0.5, 0.5, (count, *size, 3)).astype(np.float32)
        outputs = model(images, training=False)
        for expected, found in zip((outputs[stages - 1], outputs[-1]), runner(images), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=str(size))


def test_the_metadata_tell_how_near_to_keras_the_float_model_is_and_the_rounded_ones_do_not(exported, tmp_path):
    told = {entry.key: entry.value for entry in onnx.load(exported.path).metadata_props}["keras_max_relative_error"]
    assert float(told) / 10 < max(exported.max_relative_error, 1.2e-7) <= float(told)
    done = quantize_int8(exported.path, pictures(2), tmp_path / "model.onnx")
    for path in (done.path, done.cpu_path):
        assert [entry.key for entry in onnx.load(path).metadata_props] == ["bodyposenet"]


def test_export_reports_the_file_and_its_distance_from_keras(exported):
    assert exported.bytes == exported.path.stat().st_size
    assert 0 < exported.max_relative_error <= 1e-5


def test_the_graph_has_named_axes_one_opset_and_the_project_as_producer(exported):
    model = onnx.load(exported.path)
    assert [(value.name, dims(value)) for value in model.graph.input] == [("input_1", ["batch", "height", "width", 3])]
    assert [(value.name, dims(value)) for value in model.graph.output] == [
        ("heatmap_out", ["batch", "rows", "cols", SKELETON.num_joints + 1]),
        ("paf_out", ["batch", "rows", "cols", 2 * SKELETON.num_limbs]),
    ]
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert (model.producer_name, model.producer_version) == ("bodyposenet", __version__)


def test_tensors_are_called_after_their_layers_and_batch_normalization_is_folded(exported):
    nodes = onnx.load(exported.path).graph.node
    assert {node.op_type for node in nodes} == {"Transpose", "Conv", "Relu", "Concat"}
    written = {name for node in nodes for name in node.output}
    assert {"block_1a_conv_1", "block_1a_relu", "channel_reduction_conv/relu", "stage2_in", "heatmap_out"} <= written


def test_the_card_travels_in_the_metadata(exported):
    assert OnnxRunner(exported.path).card == CARD


def test_exporting_twice_and_in_another_process_gives_the_same_bytes_without_tf2onnx(keras_file, exported, tmp_path):
    again = export_onnx(keras_file, tmp_path / "again.onnx").path
    code = (
        "import sys; from pathlib import Path; from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx;"
        "export_onnx(Path(sys.argv[1]), Path(sys.argv[2])); assert not {'tf2onnx'} & set(sys.modules)"
    )
    other = tmp_path / "other.onnx"
    environment = {"PYTHONHASHSEED": "7", "TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run([sys.executable, "-c", code, keras_file, other], env=environment, check=True, capture_output=True)
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (exported.path, again, other)}
    assert len(digests) == 1


def test_a_network_trained_in_mixed_precision_is_exported_in_float32(tmp_path):
    mixed, plain = pose_net(stages=2, policy="mixed_float16"), pose_net(stages=2)
    save_model(mixed, tmp_path / "mixed.keras", CARD)
    found = export_onnx(tmp_path / "mixed.keras", tmp_path / "mixed.onnx")
    graph = onnx.load(found.path).graph
    assert {tensor.data_type for tensor in graph.initializer} == {onnx.TensorProto.FLOAT}
    image = next(pictures(1))
    expected = plain(image, training=False)[1]
    np.testing.assert_allclose(open_runner(found.path)(image)[0], expected, atol=1e-4 * np.abs(expected).max())


def test_a_one_stage_network_has_the_same_output_names(tmp_path):
    save_model(pose_net(stages=1), tmp_path / "one.keras", CARD)
    path = export_onnx(tmp_path / "one.keras", tmp_path / "one.onnx").path
    assert [value.name for value in onnx.load(path).graph.output] == ["heatmap_out", "paf_out"]


def test_an_existing_file_is_kept_unless_overwriting_is_asked_for(keras_file, tmp_path):
    output = tmp_path / "taken.onnx"
    output.write_text("precious")
    with pytest.raises(UserError, match="the file exists"):
        export_onnx(keras_file, output)
    assert output.read_text() == "precious"
    export_onnx(keras_file, output, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.onnx"]
    assert OnnxRunner(output).card == CARD


def test_maps_that_the_cards_skeleton_does_not_have_are_refused(tmp_path):
    card = Card(skeleton=make_skeleton("two", ("nose", "neck"), ((0, 1),)))
    save_model(pose_net(stages=1), tmp_path / "odd.keras", card)
    with pytest.raises(UserError, match=r"channels, the skeleton needs \(3, 2\)"):
        export_onnx(tmp_path / "odd.keras", tmp_path / "odd.onnx")
    assert not (tmp_path / "odd.onnx").exists()


@pytest.mark.parametrize(("content", "problem"), [(b"\xff\xff no protobuf", "no ONNX model"), (b"", "no outputs")])
def test_a_file_that_is_no_onnx_model_is_named(tmp_path, content, problem):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.onnx: .*{problem}"):
        read_model(tmp_path / "x.onnx")


def test_canonical_graphs_do_not_depend_on_the_converters_counters_and_order():
    def graph(prefix, order):
        helper = onnx.helper
        nodes = [
            helper.make_node("Conv", ["x", f"{prefix}/a_1/kernel:0"], [f"{prefix}/a_1:0"]),
            helper.make_node("Relu", [f"{prefix}/a_1:0"], ["y"]),
            helper.make_node("Relu", ["x"], [f"{prefix}/unread:0"]),
        ]
        kernels = [
            helper.make_tensor(name, 1, [1, 1, 1, 1], [value])
            for name, value in ((f"{prefix}/a_1/kernel:0", 2.0), (f"{prefix}/unread/kernel", 3.0))
        ]
        value = [helper.make_tensor_value_info(name, 1, [*[f"unk{prefix}"] * 3, 1]) for name in "xy"]
        made = helper.make_graph([nodes[i] for i in order], prefix, value[:1], value[1:], kernels)
        return helper.make_model(
            made, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
        )

    first, second = graph("f_1", (0, 1, 2)), graph("g_7", (2, 0, 1))
    for model in (first, second):
        canonicalise(model, {"a"}, ["y"])
    assert first == second
    assert [node.op_type for node in first.graph.node] == ["Conv", "Relu"]
    assert [tensor.name for tensor in first.graph.initializer] == ["a/kernel"]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("functional_1_1/block_1a_conv_1_1/convolution/merged_input:0", "block_1a_conv_1"),
        ("functional_1/block_1a_conv_1/convolution:0", "block_1a_conv_1"),
        ("functional_1/other_1/convolution:0", None),
    ],
)
def test_a_tensorflow_name_tells_its_layer(name, layer):
    assert find_layer(name, {"block_1a_conv_1"}) == layer


def test_relative_error_is_infinite_for_what_cannot_be_compared():
    ones = np.ones((2, 2), np.float32)
    assert relative_error(4 * ones, 3 * ones) == 0.25
    assert relative_error(0 * ones, ones) == 1
    assert relative_error(ones, np.full((2, 2), np.nan)) == np.inf
    assert relative_error(ones, ones[0]) == np.inf
