import configparser
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import helper
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common import tasks
from bodyposenet.common.cli.main import main
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.export.peak_search import with_peaks
from bodyposenet.common.deploy.export.serving_bundle import channels_first, deepstream_bundle, triton_bundle
from bodyposenet.common.deploy.onnx_file import put_card, read_model
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.deploy.runtime.runners import OnnxRunner
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.skeleton.card import Card

FIELD = descriptor_pb2.FieldDescriptorProto


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    save_model(pose_net(), folder / "net.keras", CARD)
    return export_onnx(folder / "net.keras", folder / "net.onnx").path


@pytest.fixture(scope="module")
def int8(floats):
    return quantize_int8(floats, pictures(3), floats)


def nvinfer(folder):
    parser = configparser.ConfigParser()
    parser.read(folder / "config_infer.txt")
    assert parser.sections() == ["property"]
    return dict(parser["property"])


def run(path, images):
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["heatmap_out", "paf_out"], {"input_1": images})


def test_deepstream_gets_the_pixels_that_the_network_was_trained_on(floats, tmp_path):
    deepstream_bundle(floats, tmp_path)
    config = nvinfer(tmp_path)
    assert config["infer-dims"] == "3;64;96"
    assert (config["network-input-order"], config["model-color-format"]) == ("0", "0")
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3)).astype(np.float32)
    offsets = np.array([float(value) for value in config["offsets"].split(";")], np.float32)
    planes = (float(config["net-scale-factor"]) * (image - offsets)).transpose(0, 3, 1, 2)
    found = run(tmp_path / config["onnx-file"], planes.astype(np.float32))
    for expected, value in zip(OnnxRunner(floats)(image / 256 - 0.5), found, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


def test_deepstream_hands_on_the_maps_by_the_names_that_the_network_has(floats, tmp_path):
    deepstream_bundle(floats, tmp_path, (288, 384), batch_size=4)
    config = nvinfer(tmp_path)
    outputs = [value.name for value in onnx.load(tmp_path / "model.onnx").graph.output]
    assert config["output-blob-names"].split(";") == outputs == ["heatmap_out", "paf_out"]
    assert (config["network-type"], config["output-tensor-meta"]) == ("100", "1")
    assert (config["batch-size"], config["infer-dims"]) == ("4", "3;288;384")
    assert (config["maintain-aspect-ratio"], config["symmetric-padding"]) == ("1", "1")
    sheet = json.loads((tmp_path / "skeleton.json").read_text())
    assert sheet["heatmap_channels"] == ["nose", "neck", "left_hip", "right_hip", "background"]
    assert sheet["paf_channels"][2:4] == ["neck to left_hip, x", "neck to left_hip, y"]


def test_the_precision_is_the_network_s(floats, int8, tmp_path):
    deepstream_bundle(floats, tmp_path / "float")
    deepstream_bundle(int8.path, tmp_path / "int8")
    assert nvinfer(tmp_path / "float")["network-mode"] == "2"
    assert nvinfer(tmp_path / "int8")["network-mode"] == "1"
    assert nvinfer(tmp_path / "int8")["model-engine-file"] == "model.onnx_b1_gpu0_int8.engine"
    with pytest.raises(UserError, match=r"the 8-bit form for ONNX Runtime; .* give the form for TensorRT"):
        deepstream_bundle(int8.cpu_path, tmp_path / "cpu")
    assert not (tmp_path / "cpu").exists()


def test_a_normalisation_that_nvinfer_cannot_do_is_refused(floats, tmp_path):
    model = read_model(floats)
    put_card(model, Card(CARD.skeleton, image_scale=(58.4, 57.1, 57.4), image_offset=(2.1, 2.0, 1.8)))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(UserError, match=r"divided by 58\.4, 57\.1, 57\.4; nvinfer has one factor"):
        deepstream_bundle(tmp_path / "model.onnx", tmp_path / "out")


def test_channels_first_gives_the_same_maps_and_keeps_the_names_of_the_axes(floats):
    turned = channels_first(read_model(floats))
    onnx.checker.check_model(turned, full_check=True)
    dims = [side.dim_param or side.dim_value for side in turned.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["batch", 3, "height", "width"]
    images = np.concatenate(list(pictures(2)))
    found = run(turned.SerializeToString(), np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    for expected, value in zip(OnnxRunner(floats)(images), found, strict=True):
        np.testing.assert_array_equal(value, expected)


def model_config():
    """The fields of Triton's ``ModelConfig`` that a bundle uses, by their names and kinds."""
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(("TYPE_INVALID", "TYPE_UINT8", "TYPE_INT64", "TYPE_FP32")):
        kinds.value.add(name=name, number=number)
    text, whole = FIELD.TYPE_STRING, FIELD.TYPE_INT64
    tensor = [("name", text, ""), ("data_type", FIELD.TYPE_ENUM, ".inference.DataType"), ("dims", whole, "")]
    messages = {
        "Tensor": tensor,
        "Batching": [],
        "Value": [("string_value", text, "")],
        "Parameter": [("key", text, ""), ("value", FIELD.TYPE_MESSAGE, ".inference.Value")],
        "ModelConfig": [
            ("name", text, ""), ("backend", text, ""), ("max_batch_size", whole, ""),
            ("input", FIELD.TYPE_MESSAGE, ".inference.Tensor"), ("output", FIELD.TYPE_MESSAGE, ".inference.Tensor"),
            ("dynamic_batching", FIELD.TYPE_MESSAGE, ".inference.Batching"),
            ("parameters", FIELD.TYPE_MESSAGE, ".inference.Parameter"),
        ],
    }  # fmt: skip
    repeated = {"dims", "input", "output", "parameters"}
    for name, fields in messages.items():
        described = file.message_type.add(name=name)
        for number, (field, kind, of) in enumerate(fields, 1):
            label = FIELD.LABEL_REPEATED if field in repeated else FIELD.LABEL_OPTIONAL
            described.field.add(name=field, number=number, type=kind, type_name=of or None, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def test_triton_gets_a_repository_whose_configuration_is_that_of_the_model(floats, tmp_path):
    triton_bundle(floats, tmp_path, "people", batch_size=4, peaks=10)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        "people/1/model.onnx", "people/config.pbtxt", "people/pose_decoder.hpp", "people/pose_decoder.mjs",
        "people/skeleton.json",
    ]  # fmt: skip
    config = text_format.Parse((tmp_path / "people" / "config.pbtxt").read_text(), model_config()())
    assert (config.name, config.backend, config.max_batch_size) == ("people", "onnxruntime", 4)
    assert config.HasField("dynamic_batching")
    session = ort.InferenceSession(tmp_path / "people" / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": 3, "tensor(int64)": 2}
    for told, held in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [(one.name, one.data_type) for one in told] == [(one.name, kinds[one.type]) for one in held]
        assert [list(one.dims) for one in told] == [
            [side if isinstance(side, int) else -1 for side in one.shape[1:]] for one in held
        ]
    sheet = json.loads((tmp_path / "people" / "skeleton.json").read_text())
    assert {entry.key: json.loads(entry.value.string_value) for entry in config.parameters} == {"skeleton": sheet}


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden"])
def test_a_name_that_leaves_the_repository_is_refused(floats, tmp_path, name):
    with pytest.raises(UserError, match="is none for a model"):
        triton_bundle(floats, tmp_path / "repository", name)
    assert not list(tmp_path.iterdir())


def bare(joints, most):
    """A model that hands heatmaps through, with the search after it."""
    values = [helper.make_tensor_value_info("input_1", 1, ["batch", "height", "width", joints + 1])]
    outputs = [helper.make_tensor_value_info(name, 1, ["batch", "r", "c", "k"]) for name in ("heatmap_out", "paf_out")]
    nodes = [helper.make_node("Identity", ["input_1"], [name]) for name in ("heatmap_out", "paf_out")]
    graph = helper.make_graph(nodes, "bare", values, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    searched = with_peaks(model, joints, most=most)
    onnx.checker.check_model(searched, full_check=True)
    return ort.InferenceSession(searched.SerializeToString(), providers=["CPUExecutionProvider"])


def plain_peaks(plane, threshold):
    """``(value, column, row)`` of every cell above the threshold that no neighbour tops, nor an equal one before it."""
    rows, columns = plane.shape
    found = []
    for row in range(rows):
        for column in range(columns):
            value, here = plane[row, column], row * columns + column
            around = [
                (plane[r, c], r * columns + c)
                for r in range(max(row - 1, 0), min(row + 2, rows))
                for c in range(max(column - 1, 0), min(column + 2, columns))
                if (r, c) != (row, column)
            ]
            tops = any(other > value or (other == value and place < here) for other, place in around)
            if value > threshold and np.isfinite(value) and not tops:
                found.append((float(value), column, row))
    return sorted(found, key=lambda peak: -peak[0])


JOINTS, MOST = 3, 12
LEVELS = st.sampled_from([0.0, 0.05, 0.1, 0.125, 0.5, 0.75, 1.0, float("inf")])


@pytest.fixture(scope="module")
def search():
    return bare(JOINTS, MOST)


@settings(deadline=None)
@given(data=st.data(), size=st.tuples(st.integers(1, 7), st.integers(1, 7)))
def test_the_search_inside_finds_the_cells_of_a_plain_loop_plateaus_and_borders_included(search, data, size):
    maps = data.draw(arrays(np.float32, (2, *size, JOINTS + 1), elements=LEVELS.map(np.float32)))
    scores, cells = search.run(["peak_scores", "peak_cells"], {"input_1": maps})
    for batch in range(2):
        for joint in range(JOINTS):
            expected = plain_peaks(maps[batch, ..., joint], np.float32(0.1))
            count = min(len(expected), MOST)
            assert scores[batch, joint, :count].tolist() == [peak[0] for peak in expected[:count]]
            assert not scores[batch, joint, count:].any()
            assert (cells[batch, joint, count:] == -1).all()
            found = {
                (value, *cell) for value, cell in zip(scores[batch, joint], cells[batch, joint].tolist(), strict=True)
            }
            if len(expected) <= MOST:
                assert found - {(0.0, -1, -1)} == {(np.float32(v), c, r) for v, c, r in expected}


def test_a_bundle_with_peaks_still_gives_its_maps_and_the_decoder_s_peaks(floats, tmp_path):
    from bodyposenet.common.pose.peaks import find_peaks

    triton_bundle(floats, tmp_path, peaks=64)
    path = tmp_path / "bodyposenet" / "1" / "model.onnx"
    images = np.concatenate(list(pictures(1, (128, 160))))
    heatmaps, pafs = OnnxRunner(path)(images)
    for expected, value in zip(OnnxRunner(floats)(images), (heatmaps, pafs), strict=True):
        np.testing.assert_array_equal(value, expected)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    scores, cells = session.run(["peak_scores", "peak_cells"], {"input_1": images})
    points, values, bounds, _ = find_peaks(heatmaps[0], 4, np.float32(0.1), np.float32(0.875))
    assert scores.any()
    for joint in range(4):
        own = slice(bounds[joint], bounds[joint + 1])
        known = {float(value): point for value, point in zip(values[own], points[own], strict=True)}
        for score, cell in zip(scores[0, joint], cells[0, joint], strict=True):
            if score:
                np.testing.assert_allclose(known[float(score)], cell, atol=1.0)


def test_the_verb_writes_either_bundle_and_tells_what(floats, tmp_path):
    for arguments, names in (
        (["--for", "deepstream", "-d", "288,384,3"], ["model.onnx", "config_infer.txt", "skeleton.json"]),
        (["--for", "triton", "--name", "n"], ["n/config.pbtxt", "n/1/model.onnx", "n/skeleton.json"]),
    ):
        result = CliRunner().invoke(main, ["bundle", "-m", str(floats), "-o", str(tmp_path), *arguments])
        assert result.exit_code == 0, result.stderr
        assert result.stdout.splitlines()[:3] == [f"wrote {tmp_path / name}" for name in names]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--for", "deepstream", "-d", "290,384,3"], "is no multiple of 8"),
        (["--for", "openvino"], "'openvino' is not one of"),
        (["--for", "triton", "--peaks", "-1"], "not in the range"),
    ],
)
def test_wrong_flags_of_the_verb_are_told(floats, tmp_path, arguments, problem):
    result = CliRunner().invoke(main, ["bundle", "-m", str(floats), "-o", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2
    assert problem in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("server", ["deepstream", "triton"])
def test_the_component_writes_what_the_command_does(floats, tmp_path, server):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(floats.read_bytes())
    (tmp_path / "by_command").mkdir()
    given = ["-m", str(tmp_path / "onnx" / "model.onnx"), "-o", str(tmp_path / "by_command"), "--batch_size", "4"]
    result = CliRunner().invoke(main, ["bundle", "--for", server, *given])
    assert result.exit_code == 0, result.stderr
    tasks.bundle(
        str(tmp_path / "onnx"), str(tmp_path / "task"), server=server, name="bodyposenet", batch_size=4, peaks=0
    )
    found = [
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "task", tmp_path / "by_command")
    ]
    assert found[0] == found[1]
    assert len(found[0]) == {"deepstream": 4, "triton": 5}[server]
