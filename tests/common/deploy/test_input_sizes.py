"""Networks of limited sizes: what the inference spec asks for, as far as they can follow it."""

import json
import logging

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from support.coco_files import document, image, write_annotations
from support.engines import exported, fixed
from support.perfect import PerfectRunner, standing

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.deploy.input_sizes import InputSizes
from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.detector import adapt_spec, find_people
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec

ADJUST, PAD = "adjust_network_input", "pad_image_input"
FIXED = InputSizes((368, 368), (368, 368), 1, 1)
RANGE = InputSizes((184, 184), (368, 496), 1, 4)


def spec(**keys):
    return parse_spec({"input_shape": [368, 368], **keys}, InferenceSpec)


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "bodyposenet")
    return caplog


def test_one_size_means_padding_and_one_scale_and_both_are_told(warnings):
    asked = spec(multi_scale_inference=True, scales=[0.5, 1], heatmap_threshold=0.2)
    assert adapt_spec(asked, FIXED, 8, "net.engine") == spec(
        keep_aspect_ratio_mode=PAD, scales=[0.5, 1], heatmap_threshold=0.2
    )
    assert [record.getMessage() for record in warnings.records] == [
        "net.engine takes inputs of 368x368 only: multi_scale_inference is off",
        "net.engine takes inputs of 368x368 only: photos are padded (pad_image_input), not adjust_network_input",
    ]


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [
        (spec(), None),
        (spec(multi_scale_inference=True, scales=[0.5, 1, 3]), None),
        (spec(keep_aspect_ratio_mode=PAD), FIXED),
        (spec(keep_aspect_ratio_mode=None), FIXED),
        (spec(), RANGE),
        (spec(multi_scale_inference=True, scales=[0.5, 1]), RANGE),
        (spec(input_shape=[363, 361]), RANGE),  # filled up to the stride
    ],
)
def test_what_a_network_can_follow_is_followed(asked, sizes, warnings):
    assert adapt_spec(asked, sizes, 8, "net") == asked
    assert not warnings.records


def test_scales_beyond_the_sizes_are_left_out(warnings):
    asked = spec(multi_scale_inference=True, scales=[1, 2])
    assert adapt_spec(asked, RANGE, 8, "net") == spec(scales=[1, 2])
    assert "net takes inputs of 184x184 to 368x496 only: multi_scale_inference is off" in warnings.text


def test_another_input_shape_is_refused_with_the_one_that_fits():
    with pytest.raises(UserError, match=r"input_shape is 256x256; set input_shape to \[368, 368\]"):
        adapt_spec(spec(input_shape=[256, 256]), FIXED, 8, "net.engine")
    with pytest.raises(UserError, match=r"takes inputs of 184x184 to 368x496, and .* is 96x256"):
        adapt_spec(spec(input_shape=[96, 256]), RANGE, 8, "net.engine")


@pytest.mark.parametrize(("size", "mode"), [((333, 400), ADJUST), ((333, 500), PAD)])
def test_a_photo_is_padded_where_adjusting_would_leave_the_sizes(tmp_path, size, mode):
    person = standing(1, 1, (40, 30, 130, 290))
    truth = read_annotations(write_annotations(tmp_path / "a.json", document([image(1, size=size)], [person])))
    runner = PerfectRunner(truth, mode)
    runner.sizes = RANGE
    people = find_people(runner, np.zeros((*size, 3), np.uint8), spec())
    assert runner.inputs[0].shape[1:3] == ((368, 448) if mode == ADJUST else (368, 368))
    nose = np.array(person["keypoints"][:2])
    assert np.linalg.norm(people.keypoints[0, 0, :2] - nose) < 0.7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("sizes"))


def inference(folder, model, mode, shape="[64, 96]"):
    (folder / "spec.yaml").write_text(
        f"input_shape: {shape}\nkeep_aspect_ratio_mode: {mode}\nheatmap_threshold: 0.02\n"
    )
    arguments = [
        "inference",
        "-i",
        folder / "spec.yaml",
        "-m",
        model,
        "--input",
        folder / "photo.png",
        "-r",
        folder / "out",
    ]
    result = CliRunner().invoke(main, [*map(str, arguments), "--device", "cpu"])
    return result, json.loads((folder / "out" / "detections.json").read_text()) if not result.exit_code else None


def test_a_model_of_one_size_finds_what_the_open_one_finds_in_the_padded_photo(folder):
    random = np.random.default_rng(5)
    cv2.imwrite(str(folder / "photo.png"), random.integers(0, 255, (40, 90, 3), np.uint8))
    one_size = fixed(folder / "net.onnx", folder / "fixed.onnx", (1, 64, 96))
    result, found = inference(folder, one_size, ADJUST)
    assert result.exit_code == 0, result.stderr
    assert "photos are padded (pad_image_input), not adjust_network_input" in result.stderr
    assert found["inference_spec"]["keep_aspect_ratio_mode"] == PAD
    quiet, padded = inference(folder, folder / "net.onnx", PAD)
    assert "are padded" not in quiet.stderr
    _, adjusted = inference(folder, folder / "net.onnx", ADJUST)
    assert found["images"] == padded["images"] != adjusted["images"]
    assert len(found["images"][0]["scores"])
    refused, _ = inference(folder, one_size, ADJUST, "[64, 64]")
    assert refused.exit_code == 2
    assert "set input_shape to [64, 96]" in refused.stderr
