"""Runner choice: the fastest form that is right, kept between processes, and told."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.cli.main import main
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.deploy.runtime.agreement import map_error
from bodyposenet.common.deploy.runtime.choice_cache import LIMITS
from bodyposenet.common.deploy.runtime.chooser import LARGEST_ERRORS, draw_photo, judge
from bodyposenet.common.deploy.runtime.forms import FORMS, OPENVINO, OPENVINO_NARROW, list_forms
from bodyposenet.common.deploy.runtime.runner_choice import Choice, Trial, list_runners, pick
from bodyposenet.common.deploy.runtime.runners import describe_runner, measure_speed_up, open_runner
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.processor import Processor
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.spec.runner_names import resolve_runner

OLD = Processor("an old one", "x86_64", frozenset({"avx2"}), 2)
NEW = replace(OLD, name="a new one", flags=frozenset({"avx2", "avx512f", "avx512_vnni"}))
ARM = replace(OLD, name="an ARM", architecture="aarch64", flags=frozenset({"asimd"}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One network as model.keras, model.onnx and in 8 bits."""
    folder = tmp_path_factory.mktemp("choice")
    save_model(pose_net(stages=1), folder / "model.keras", CARD)
    export = export_onnx(folder / "model.keras", folder / "model.onnx").path
    quantize_int8(export, pictures(4), export)
    return folder


@pytest.fixture(autouse=True)
def kept(monkeypatch, tmp_path):
    """A cache folder of the test's own."""
    monkeypatch.setenv("BODYPOSENET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runners"


def trials(**milliseconds):
    return [Trial(name.replace("_", "-"), time, 0.0) for name, time in milliseconds.items()]


EVERY = [form.name for form in FORMS]


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({"exact": 10, "onnxruntime_float": 30, "openvino": 5}, "openvino"),
        ({"exact": 10, "onnxruntime_float": 30, "openvino": 9.5}, "exact"),  # chance must not choose
        ({"exact": 100, "onnxruntime_float": 97, "openvino": 99}, "onnxruntime-float"),  # never slower than float
        ({"exact": 100, "onnxruntime_float": 97, "onnxruntime_narrow": 50}, "onnxruntime-narrow"),
    ],
)
def test_the_fastest_form_is_taken_and_the_exact_one_where_that_costs_nothing(times, chosen):
    assert pick(trials(**times), "onnxruntime-float", EVERY) == chosen


def test_a_form_that_is_wrong_or_was_not_asked_for_is_not_taken():
    wrong = [*trials(exact=10, onnxruntime_float=30), Trial("openvino", 1.0, 0.5, "its maps differ")]
    assert pick(wrong, "onnxruntime-float", EVERY) == "exact"
    assert pick(wrong, "onnxruntime-float", ["openvino"]) is None
    assert pick(trials(exact=1, openvino=5, openvino_float=9), "exact", ["openvino", "openvino-float"]) == "openvino"


def test_a_form_whose_maps_are_too_far_from_the_exact_ones_is_refused():
    assert judge(OPENVINO, 0.19).reason == "its maps differ by 0.19 from the exact ones"
    assert judge(OPENVINO, 0.03).reason == ""
    assert judge(OPENVINO_NARROW, 0.08).reason == ""


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_a_form_that_computes_no_numbers_is_refused_without_keeping_one(error):
    trial = judge(OPENVINO, error)
    assert trial.reason == "its maps hold NaN or infinity, or have other shapes"
    assert trial.error is None


@pytest.mark.parametrize(
    ("processor", "narrow"), [(NEW, False), (ARM, False), (OLD, True), (replace(OLD, flags=frozenset()), True)]
)
def test_weights_are_narrowed_where_pairs_of_products_could_overflow_and_nowhere_else(processor, narrow):
    changes = [form.change for form in list_forms(True, processor) if form.name != "exact"]
    assert ("narrow" in changes) == narrow
    assert ("" in changes) == (not narrow)
    assert [form.change for form in list_forms(False, processor)] == ["", ""]


@pytest.mark.parametrize("processor", [None, NEW, OLD], ids=["here", "vnni", "no_vnni"])
@pytest.mark.parametrize("name", ["model.onnx", "model.int8.cpu.onnx", "model.int8.onnx"])
def test_what_is_chosen_is_right_and_no_slower_than_float(folder, name, processor):
    runner = open_runner(folder / name, runner="auto", threads=1, processor=processor)
    exact = open_runner(folder / name, runner="exact", threads=1)
    images = np.concatenate(list(pictures(2)))
    assert map_error(exact(images), runner(images)) <= max(LARGEST_ERRORS.values())
    assert measure_speed_up(runner) >= 1
    before = runner(images)[0]
    kept = before.copy()
    runner(-images)
    np.testing.assert_array_equal(before, kept)  # maps of the next pictures leave those of these alone


@pytest.mark.parametrize(("runner", "words"), [("onnxruntime", "ONNX Runtime, "), ("openvino", "OpenVINO, ")])
def test_a_library_that_is_asked_for_runs_the_network_or_says_why_it_cannot(folder, runner, words):
    image = next(pictures(1))
    opened = open_runner(folder / "model.onnx", runner=runner)
    if runner == "openvino" and any(name in os.environ for name in LIMITS):  # it does not run under a limit of oneDNN's
        with pytest.raises(UserError, match="openvino cannot run it rightly"):
            opened(image)
        return
    exact = open_runner(folder / "model.onnx", runner="exact")
    assert map_error(exact(image), opened(image)) <= LARGEST_ERRORS[""]
    assert describe_runner(opened).startswith(words)


def test_a_choice_is_kept_in_the_cache_and_not_beside_the_model(folder, kept):
    before = sorted(folder.iterdir())
    first, second = (open_runner(folder / "model.int8.cpu.onnx", runner="auto") for _ in range(2))
    image = next(pictures(1))
    first(image)
    (file,) = kept.iterdir()
    written = file.read_bytes()
    second(image)
    assert second.choice == first.choice  # times and all: nothing was measured again
    assert file.read_bytes() == written
    assert sorted(folder.iterdir()) == before


def test_other_threads_processors_and_networks_are_measured_for_themselves(folder, kept):
    image = next(pictures(1))
    for name, options in [
        ("model.int8.cpu.onnx", {"threads": 1}),
        ("model.int8.cpu.onnx", {"threads": 2}),
        ("model.int8.cpu.onnx", {"threads": 1, "processor": OLD}),
        ("model.onnx", {"threads": 1}),
    ]:
        open_runner(folder / name, runner="auto", **options)(image)
    assert len(list(kept.iterdir())) == 4


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.cpu.onnx"])
def test_a_choice_for_calls_at_the_same_time_is_that_for_one_and_gives_its_maps(folder, kept, name):
    image = next(pictures(1))
    shared, again, alone = (open_runner(folder / name, threads=2, at_once=calls, runner="auto") for calls in (3, 3, 1))
    maps = shared(image)
    (file,) = kept.iterdir()
    for other in (again, alone):
        for ours, theirs in zip(maps, other(image), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        assert other.choice == shared.choice
    assert list(kept.iterdir()) == [file]


def test_a_kept_choice_that_cannot_be_read_or_run_is_made_anew(folder, kept, caplog):
    image = next(pictures(1))
    open_runner(folder / "model.onnx", runner="auto")(image)
    (file,) = kept.iterdir()
    for content in ("{", json.dumps({"form": "openvino"}), json.dumps(json.loads(file.read_text()) | {"form": "x"})):
        file.write_text(content)
        open_runner(folder / "model.onnx", runner="auto")(image)
        assert json.loads(file.read_text())["form"] in ("exact", "openvino")
    assert "cannot be read: what runs the network is chosen anew" in caplog.text


def test_the_exact_way_measures_and_keeps_nothing(folder, kept):
    runner = open_runner(folder / "model.int8.cpu.onnx", runner="exact", processor=NEW)
    runner(next(pictures(1)))
    assert not kept.exists()
    assert describe_runner(runner) == "ONNX Runtime, 8 bits (AVX-512 VNNI)"


def test_without_openvino_everything_else_works(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(
        "bodyposenet.common.deploy.runtime.runner_choice.find_spec", lambda name: None if name == "openvino" else name
    )
    image = next(pictures(1))
    runner = open_runner(folder / "model.int8.cpu.onnx", runner="auto")
    runner(image)
    assert describe_runner(runner).startswith("ONNX Runtime")
    with pytest.raises(UserError, match=r"openvino is not installed: pip install 'bodyposenet\[openvino\]'"):
        open_runner(folder / "model.int8.cpu.onnx", runner="openvino")(image)
    assert [state.available for state in list_runners()] == [True, False]


def test_importing_openvino_loads_none_of_its_telemetry():
    code = """
import sys
from bodyposenet.common.deploy.runtime.openvino_session import import_openvino
import_openvino()
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
import openvino_telemetry  # whoever wants it can still have it
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_keras_model_is_not_run_by_a_library_for_onnx(folder):
    with pytest.raises(UserError, match=r"openvino does not run a Keras model; export it to ONNX: bpnet export"):
        open_runner(folder / "model.keras", runner="openvino")


def test_the_verb_takes_flag_before_spec_and_says_what_ran(folder, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), draw_photo((64, 96)))
    (tmp_path / "infer.yaml").write_text("input_shape: [64, 96]\nrunner: openvino\n")
    given = ["-i", tmp_path / "infer.yaml", "--input", tmp_path / "photo.png", "-m", folder / "model.int8.cpu.onnx"]
    options = ["--runner", "exact", "--results_dir", tmp_path / "out"]
    result = CliRunner().invoke(main, ["inference", *map(str, [*given, *options])])
    assert result.exit_code == 0, result.output
    assert "ran in ONNX Runtime, 8 bits" in result.output
    assert not (tmp_path / "cache").exists()


def test_the_environment_names_a_runner_where_nobody_else_does(monkeypatch):
    monkeypatch.setenv("BODYPOSENET_RUNNER", "exact")
    assert [resolve_runner(), resolve_runner(None, "openvino"), resolve_runner("auto", "exact")] == [
        "exact", "openvino", "auto",
    ]  # fmt: skip
    monkeypatch.delenv("BODYPOSENET_RUNNER")
    assert resolve_runner() == "auto"
    monkeypatch.setenv("BODYPOSENET_RUNNER", "fastest")
    with pytest.raises(UserError, match=r"BODYPOSENET_RUNNER: there is no runner 'fastest'; choose auto, exact"):
        resolve_runner()


def test_a_choice_tells_form_instruction_set_and_speed_up():
    tried = tuple(trials(exact=5, onnxruntime_float=12, openvino=3))
    choice = Choice("openvino", "OpenVINO, 8 bits", "AVX-512 VNNI", tried, "onnxruntime-float", (192, 256))
    assert choice.describe() == (
        "OpenVINO, 8 bits (AVX-512 VNNI): 3.0 ms at 192x256, 4.0 times as fast as float in ONNX Runtime"
    )


@pytest.mark.parametrize("size", [(8, 8), (64, 96), (200, 160)])
def test_the_picture_that_forms_are_held_to_is_the_same_every_time_and_no_plain_colour(size):
    photo = draw_photo(size)
    assert photo.shape == (*size, 3)
    assert photo.std() > 10
    draw_photo.cache_clear()
    np.testing.assert_array_equal(draw_photo(size), photo)


def test_a_choice_that_cannot_be_kept_stops_nothing_and_leaves_nothing(folder, kept):
    image = next(pictures(1))
    open_runner(folder / "model.onnx", runner="auto")(image)
    (file,) = kept.iterdir()
    file.unlink()
    file.mkdir()  # a rename onto it fails
    open_runner(folder / "model.onnx", runner="auto")(image)
    assert list(kept.iterdir()) == [file]
