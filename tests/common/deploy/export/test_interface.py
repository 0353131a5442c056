import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from onnx import TensorProto
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.cli.main import main
from bodyposenet.common.deploy.export.fp16 import half
from bodyposenet.common.deploy.export.interface import for_nvidia_sdk, of_one_size, taking_pixels
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.export.serving_bundle import deepstream_bundle
from bodyposenet.common.deploy.onnx_file import put_card, read_model
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.deploy.runtime.runners import OnnxRunner
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.skeleton.card import Card

LIMBS = CARD.skeleton.num_limbs
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
SDK = ["conv2d_transpose_1/BiasAdd:0", "heatmap_out/BiasAdd:0"]


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interface")
    save_model(pose_net(), folder / "net.keras", CARD)
    return export_onnx(folder / "net.keras", folder / "net.onnx").path


def session(model):
    onnx.checker.check_model(model, full_check=True)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def saved(model, path):
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    "card", [CARD, Card(CARD.skeleton, image_scale=(58.4, 57.1, 57.4), image_offset=(2.1, 2, 1.8))]
)
def test_a_network_that_takes_pixels_normalises_them_as_its_card_says(floats, tmp_path, card):
    model = read_model(floats)
    put_card(model, card)
    changed = taking_pixels(model, card)
    assert changed.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    images = PIXELS.astype(np.float32) / np.float32(card.image_scale) - np.float32(card.image_offset)
    plain = OnnxRunner(saved(model, tmp_path / "plain.onnx"))(images)
    direct = session(changed).run(["heatmap_out", "paf_out"], {"input_1": PIXELS})
    through = OnnxRunner(saved(changed, tmp_path / "pixels.onnx"))(images)
    for expected, found, same in zip(plain, direct, through, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(same, found)
    for same, found in zip(OnnxRunner(tmp_path / "pixels.onnx")(PIXELS), direct, strict=True):
        np.testing.assert_array_equal(same, found)


def test_pixels_go_into_all_forms_and_nothing_that_normalises_takes_such_a_network(floats, tmp_path):
    done = quantize_int8(floats, pictures(4), tmp_path / "net.onnx")
    images = PIXELS.astype(np.float32) / 256 - 0.5
    for path in (done.path, done.cpu_path):
        found = OnnxRunner(saved(taking_pixels(read_model(path), CARD), tmp_path / "pixels.onnx"))(images)
        for expected, maps in zip(OnnxRunner(path)(images), found, strict=True):
            np.testing.assert_array_equal(maps, expected)
    pixels = saved(taking_pixels(read_model(floats), CARD), tmp_path / "pixels.onnx")
    with pytest.raises(UserError, match=r"takes pixels, not normalised pictures; give .* without --uint8-input"):
        quantize_int8(pixels, pictures(2), tmp_path / "other.onnx")
    with pytest.raises(UserError, match="takes pixels"):
        deepstream_bundle(pixels, tmp_path / "bundle")


def test_a_network_of_one_size_tells_it_and_gives_the_same_maps(floats, tmp_path):
    fixed = of_one_size(read_model(floats), 4, (64, 96), CARD.stride)
    values = [*fixed.graph.input, *fixed.graph.output]
    shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values]
    assert shapes == [[4, 64, 96, 3], [4, 8, 12, 5], [4, 8, 12, 6]]
    images = np.concatenate(list(pictures(6)))
    runner = OnnxRunner(saved(fixed, tmp_path / "fixed.onnx"))  # fills up the second batch
    for expected, found in zip(OnnxRunner(floats)(images), runner(images), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(UserError, match="takes inputs of 64x96, not 64x64"):
        runner(images[:, :, :64])


@pytest.mark.parametrize("ratio", [1, 2, 4])
@pytest.mark.parametrize("form", ["float", "half", "int8"])
def test_nvidias_parser_gets_finer_pafs_first_and_the_heatmaps_unchanged(floats, tmp_path, ratio, form):
    model = read_model(floats)
    if form == "half":
        model = half(model)
    elif form == "int8":
        model = read_model(quantize_int8(floats, pictures(2), tmp_path / "net.onnx").path)
    images = np.concatenate(list(pictures(2)))
    heatmaps, pafs = OnnxRunner(saved(model, tmp_path / "plain.onnx"))(images)
    changed = for_nvidia_sdk(model, ratio, LIMBS)
    assert [value.name for value in changed.graph.output] == SDK
    found = session(changed).run(SDK, {"input_1:0": images})
    within = 2e-3 if form == "half" else 1e-6  # ONNX Runtime computes parts of a half-precision network in float
    np.testing.assert_allclose(found[0], pafs.repeat(ratio, axis=1).repeat(ratio, axis=2), atol=within)
    np.testing.assert_allclose(found[1], heatmaps, atol=within)
    added = [node.op_type for node in changed.graph.node if node.op_type == "ConvTranspose"]
    assert len(added) == 1


def test_a_form_for_nvidias_parser_is_not_evaluated(floats, tmp_path):
    path = saved(for_nvidia_sdk(read_model(floats), 4, LIMBS), tmp_path / "sdk.onnx")
    with pytest.raises(UserError, match=r"form for NVIDIA's parser.*exported without --sdk_compatible_model"):
        OnnxRunner(path)


def test_the_verb_changes_every_form_that_it_writes(floats, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, picture in enumerate(pictures(3)):
        cv2.imwrite(str(photos / f"{number}.png"), ((picture[0] + 0.5) * 255).astype(np.uint8))
    arguments = ["export", "-m", str(floats.with_suffix(".keras")), "-o", str(tmp_path / "net.onnx"), "-d", "64,96,3"]
    arguments += ["--data_type", "int8", "--batches", "3", "--cal_image_dir", str(photos)]
    arguments += ["--uint8-input", "--static_batch_size", "2", "--sdk_compatible_model", "-u", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    for name, factor in (("net.onnx", 2), ("net.int8.onnx", 2), ("net.int8.cpu.onnx", 1)):
        graph = onnx.load(tmp_path / name).graph
        assert graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
        shapes = {
            value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
            for value in [*graph.input, *graph.output]
        }
        names = ["paf_out", "heatmap_out"] if factor == 1 else SDK
        assert shapes[names[0]] == [2, 8 * factor, 12 * factor, 6]
        assert shapes[names[1]] == [2, 8, 12, 5]
