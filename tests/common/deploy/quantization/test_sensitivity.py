import json

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.data.synthetic.dataset import synthesize
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.onnx_file import read_model
from bodyposenet.common.deploy.quantization.qdq import convolutions
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.deploy.quantization.sensitivity import choose_kept, fewest
from bodyposenet.common.deploy.runtime.agreement import map_error
from bodyposenet.common.deploy.runtime.runners import OnnxRunner
from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.ap_drop import ap_drop
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.pipelines.specs import default

HURT = "block_2a_conv_1"


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    """A network with one convolution that 8 bits ruin: a few weights are so large that the others round to nothing."""
    folder = tmp_path_factory.mktemp("sensitivity")
    model = pose_net()
    layer = model.get_layer(HURT)
    (kernel,) = layer.get_weights()
    kernel[0, 0, 0] = np.where(np.arange(kernel.shape[3]) % 2, 300.0, -300.0)
    kernel[0, 0, 1] = -kernel[0, 0, 0]  # what they add, the channels that they read take away
    save_model(twins(model, kernel), folder / "net.keras", CARD)
    return export_onnx(folder / "net.keras", folder / "net.onnx").path


def twins(model, kernel):
    """Let the hurt layer's first two input channels be the same, so that its large weights cancel."""
    before = model.get_layer("block_1a_conv_1")
    weights = before.get_weights()
    weights[0][..., 1] = weights[0][..., 0]
    before.set_weights(weights)
    norm = model.get_layer("block_1a_bn_1")
    values = norm.get_weights()
    for value in values:
        value[1] = value[0]
    norm.set_weights(values)
    model.get_layer(HURT).set_weights([kernel])
    return model


def kinds(path):
    """For each convolution whether its kernel is in 8 bits."""
    graph = onnx.load(path).graph
    small = {tensor.name.removesuffix("/quantized") for tensor in graph.initializer if tensor.data_type == 3}
    return {
        node.name: node.input[1].removesuffix("/dequantized") in small for node in graph.node if node.op_type == "Conv"
    }


def test_convolutions_that_are_kept_compute_in_float_with_the_weights_they_had(floats, tmp_path):
    names = convolutions(read_model(floats).graph)
    done = quantize_int8(floats, pictures(4), tmp_path / "net.onnx", keep=[HURT, "stage2_*"])
    kept = {name for name in names if name == HURT or name.startswith("stage2_")}
    assert set(done.kept) == kept != {HURT}
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(floats).graph.initializer}
    for path in (done.path, done.cpu_path):
        onnx.checker.check_model(onnx.load(path), full_check=True)
        assert kinds(path) == {name: name not in kept for name in names}
        after = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        np.testing.assert_array_equal(after[f"{HURT}/kernel"], before[f"{HURT}/kernel"])


def test_with_all_convolutions_kept_the_maps_are_the_float_ones(floats, tmp_path):
    done = quantize_int8(floats, pictures(2), tmp_path / "net.onnx", keep=["*"])
    images = np.concatenate(list(pictures(2)))
    for path in (done.path, done.cpu_path):
        assert "QuantizeLinear" not in {node.op_type for node in onnx.load(path).graph.node}
        for expected, found in zip(OnnxRunner(floats)(images), OnnxRunner(path)(images), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_convolution_that_is_not_there_is_told_with_the_nearest_one(floats, tmp_path):
    with pytest.raises(UserError, match=r"there is no convolution 'block_2a_conv'; did you mean block_2a_conv_1\?"):
        quantize_int8(floats, pictures(2), tmp_path / "net.onnx", keep=["block_2a_conv"])
    assert not list(tmp_path.iterdir())


def test_the_layer_that_8_bits_ruin_is_found_named_and_alone_kept(floats, tmp_path):
    choices = []

    def chosen(model, ranges):
        choices.append(choose_kept(model, ranges, pictures(4), most=0.1))
        return choices[0].kept

    done = quantize_int8(floats, pictures(4), tmp_path / "net.onnx", keep=chosen)
    (choice,) = choices
    assert choice.kept == done.kept == (HURT,)
    assert next(iter(choice.errors)) == HURT
    assert choice.drop <= 0.1 < choice.drop_without
    assert set(choice.errors) == set(convolutions(read_model(floats).graph))
    assert list(choice.errors.values()) == sorted(choice.errors.values(), reverse=True)
    images = list(pictures(4))
    reference = [maps for image in images for maps in OnnxRunner(floats)(image)]
    for path in (done.path, done.cpu_path):
        assert map_error(reference, [maps for image in images for maps in OnnxRunner(path)(image)]) <= 0.1


def test_a_budget_that_the_network_meets_keeps_nothing_in_float(floats):
    def ranges_and_model(model, ranges):
        choice = choose_kept(model, ranges, pictures(2), most=1e9)
        assert (choice.kept, choice.tried) == ((), 1)
        return ()

    quantize_int8(floats, pictures(2), floats.with_name("other.onnx"), keep=ranges_and_model)


def test_the_cost_may_be_anything_and_both_forms_must_stay_within_the_budget(floats, tmp_path):
    """A cost by which only the unsigned form is bad, until two named convolutions are in float."""
    names = convolutions(read_model(floats).graph)
    needed = {names[3], names[5]}

    def cost(form):
        unsigned = any(tensor.data_type == 2 for tensor in form.graph.initializer)
        small = {t.name.split("/")[0] for t in form.graph.initializer if t.name.endswith("kernel/quantized")}
        return 0.5 if unsigned and needed & small else 0.0

    def chosen(model, ranges):
        choice = choose_kept(model, ranges, pictures(2), most=0.02, drop=cost)
        assert (choice.drop, choice.drop_without) == (0.0, 0.5)
        return choice.kept

    assert set(quantize_int8(floats, pictures(2), tmp_path / "net.onnx", keep=chosen).kept) == needed


@given(st.integers(1, 40), st.data())
def test_what_is_chosen_is_good_and_nothing_of_it_can_be_left_out(count, data):
    order = [f"layer{number}" for number in range(count)]
    needed = set(data.draw(st.lists(st.sampled_from(order), unique=True)))
    asked = []

    def good(names):
        asked.append(tuple(names))
        return needed <= set(names)

    assert set(fewest(order, good)) == needed
    assert len(asked) <= 2 * np.log2(count + 1) + 3 + max((order.index(name) for name in needed), default=-1) + 1


def test_the_error_of_maps_is_relative_and_the_worse_of_both_kinds():
    heat, paf = np.array([3.0, 4.0]), np.array([0.0, 2.0])
    assert map_error([heat, paf], [heat, paf]) == 0
    assert map_error([heat, paf], [1.1 * heat, 1.05 * paf]) == pytest.approx(0.1)
    assert map_error([heat, paf, heat, paf], [heat, paf, heat, paf * 0]) == pytest.approx(0.5**0.5)
    assert map_error([heat, paf], [heat[:0], paf]) == np.inf


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("kind", [0, 1])
def test_maps_that_are_no_numbers_are_infinitely_far(kind, wrong):
    good = [np.array([3.0, 4.0]), np.array([1.0, 2.0])]
    bad = [maps * (wrong if index == kind else 1) for index, maps in enumerate(good)]
    assert map_error(good, bad) == map_error(bad, good) == np.inf


def test_the_verb_keeps_what_it_must_and_tells_so(floats, tmp_path):
    import cv2

    photos = tmp_path / "photos"
    photos.mkdir()
    for number, picture in enumerate(pictures(4)):
        cv2.imwrite(str(photos / f"{number}.png"), ((picture[0] + 0.5) * 255).astype(np.uint8))
    arguments = ["export", "-m", str(floats.with_suffix(".keras")), "-d", "64,96,3", "--data_type", "int8"]
    arguments += ["--batches", "4", "--cal_image_dir", str(photos)]
    auto = [*arguments, "-o", str(tmp_path / "auto.onnx"), "--keep-fp32", "auto", "--max-drop", "0.1"]
    result = CliRunner().invoke(main, auto)
    assert result.exit_code == 0, result.stderr
    assert f"in float: {HURT}" in result.stdout
    told = json.loads((tmp_path / "auto.int8.kept.json").read_text())
    assert told["kept"] == [HURT]
    assert told["drop"] <= 0.1 < told["drop_without"]
    named = [*arguments, "-o", str(tmp_path / "named.onnx"), "--keep-fp32", HURT, "stage1_conv1"]
    result = CliRunner().invoke(main, named)
    assert result.exit_code == 0, result.stderr
    assert not kinds(tmp_path / "named.int8.onnx")["stage1_conv1"]
    result = CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "wrong.onnx"), "--keep-fp32", "stage9"])
    assert result.exit_code == 2
    assert "there is no convolution 'stage9'" in result.stderr
    assert not (tmp_path / "wrong.onnx").exists()


@pytest.mark.slow
def test_the_drop_may_be_that_of_ap_on_held_out_photos(tmp_path, monkeypatch):
    trained = weights_path("pretrained:drawn_people")
    network = export_onnx(trained, tmp_path / "net.onnx").path
    synthesize(tmp_path / "set", train=1, val=12)
    dataset = make_dataset_spec(tmp_path / "set", default("dataset"))
    spec = parse_spec(default("inference"), InferenceSpec)
    monkeypatch.setenv("BODYPOSENET_RUNNER", "auto")  # calibration heeds no choice: it writes the same files everywhere
    monkeypatch.setenv("BODYPOSENET_CACHE", str(tmp_path / "cache"))
    drop = ap_drop(network, spec, dataset)
    model = read_model(network)
    assert drop(model) == 0
    assert not (tmp_path / "cache").exists()
    for tensor in model.graph.initializer:
        if tensor.name.startswith("heatmap_out"):
            tensor.CopyFrom(numpy_helper.from_array(0 * numpy_helper.to_array(tensor), tensor.name))
    ap = evaluate(network, spec, dataset, tmp_path / "evaluated", progress=False, runner="exact").ap
    assert drop(model) == ap > 0.4
