import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.engines import fixed
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.onnx_file import put_card
from bodyposenet.common.deploy.runtime.latency import compare_latency, latency_ms
from bodyposenet.common.deploy.runtime.providers import providers_for
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.deploy.runtime.sessions import share_threads
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.processor import count_cores
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.model.network.dtype_policy import convert_policy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One network as model.keras, model.tlt, model.onnx and model.etlt."""
    folder = tmp_path_factory.mktemp("runners")
    save_model(pose_net(stages=2), folder / "model.keras", CARD)
    export_onnx(folder / "model.keras", folder / "model.onnx")
    shutil.copy(folder / "model.keras", folder / "model.tlt")
    shutil.copy(folder / "model.onnx", folder / "model.etlt")
    return folder


@pytest.mark.parametrize("name", ["model.keras", "model.tlt", ".", "model.onnx", "model.etlt"])
@pytest.mark.parametrize(("batch", "size"), [(2, (64, 96)), (1, (24, 8))])
def test_every_form_of_a_model_gives_its_last_stages_maps(folder, name, batch, size):
    runner = open_runner(folder / name, threads=1)
    images = np.concatenate(list(pictures(batch, size)))
    outputs = pose_net(stages=2)(images, training=False)
    assert runner.card == CARD
    for expected, found in zip((outputs[1], outputs[3]), runner(images), strict=True):
        assert found.shape == (batch, size[0] // 8, size[1] // 8, expected.shape[-1])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_keras_model_shows_any_stage(folder):
    image = next(pictures(1))
    outputs = pose_net(stages=2)(image, training=False)
    for stage in (1, 2):
        heatmaps, pafs = open_runner(folder / "model.keras", stage=stage)(image)
        np.testing.assert_allclose(heatmaps, outputs[stage - 1], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(pafs, outputs[1 + stage], rtol=1e-4, atol=1e-4)


def test_a_network_in_mixed_precision_computes_in_float32(tmp_path):
    mixed, image = pose_net(stages=1, policy="mixed_bfloat16"), next(pictures(1))
    save_model(mixed, tmp_path / "mixed.keras", CARD)
    save_model(convert_policy(mixed, "float32"), tmp_path / "float.keras", CARD)
    found, expected = (open_runner(tmp_path / name)(image) for name in ("mixed.keras", "float.keras"))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("model.keras", {"stage": 3}, "there is no stage 3; the network has stages 1 to 2"),
        ("model.keras", {"stage": 0}, "there is no stage 0"),
        ("model.onnx", {"stage": 1}, "only its last stage"),
        ("absent.onnx", {}, "no such model"),
    ],
)
def test_what_a_model_does_not_have_is_told(folder, name, options, problem):
    with pytest.raises(UserError, match=problem):
        open_runner(folder / name, **options)


@pytest.mark.parametrize("name", ["model.keras", "model.onnx"])
@pytest.mark.parametrize("shape", [(1, 60, 96, 3), (64, 96, 3), (1, 64, 96, 1), (1, 0, 96, 3)])
def test_pictures_off_the_grid_are_refused(folder, name, shape):
    with pytest.raises(UserError, match="height and width multiples of 8"):
        open_runner(folder / name)(np.zeros(shape, np.float32))


def foreign(path, outputs):
    value = [helper.make_tensor_value_info(name, 1, ["b", "h", "w", 3]) for name in ("input_1", *outputs)]
    nodes = [helper.make_node("Identity", ["input_1"], [name]) for name in outputs]
    graph = helper.make_graph(nodes, "foreign", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_models_of_others_are_refused_with_the_reason(tmp_path):
    with pytest.raises(UserError, match=r"outputs are scores, not heatmap_out and paf_out"):
        open_runner(foreign(tmp_path / "a.onnx", ["scores"]))
    with pytest.raises(UserError, match=r"does not say what it was made for; export the Keras model again"):
        open_runner(foreign(tmp_path / "b.onnx", ["heatmap_out", "paf_out"]))


def test_a_card_that_cannot_be_read_is_told(tmp_path):
    model = onnx.load(foreign(tmp_path / "c.onnx", ["heatmap_out", "paf_out"]))
    helper.set_model_props(model, {"bodyposenet": '{"stride": 8}'})
    onnx.save(model, tmp_path / "c.onnx")
    with pytest.raises(UserError, match=r"c\.onnx: the model's bodyposenet metadata cannot be read"):
        open_runner(tmp_path / "c.onnx")


def test_the_library_itself_says_nothing_of_a_model_that_it_cannot_run(folder, tmp_path, capfd):
    """It would say it in colours, over several lines, with names from the model."""
    model = onnx.load(folder / "model.onnx")
    held = next(each for each in model.graph.initializer if len(each.raw_data) > 64)
    held.ClearField("raw_data")
    held.data_location = held.EXTERNAL
    for key, value in (("location", "weights.bin"), ("length", "99")):
        held.external_data.add(key=key, value=value)
    (tmp_path / "weights.bin").write_bytes(bytes(99))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="not a model that ONNX Runtime can run") as told:
        open_runner(tmp_path / "model.onnx")
    assert "\n" not in str(told.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "problem"), [("x.onnx", "no ONNX model"), ("x.h5", "neither")])
def test_files_that_are_no_models_are_told(tmp_path, name, problem):
    (tmp_path / name).write_bytes(b"\x00\x01 garbage")
    with pytest.raises(UserError, match=problem):
        open_runner(tmp_path / name)


def test_large_8_bit_products_do_not_overflow(tmp_path):
    # 64 products of 255 and 127: an x86 kernel that adds pairs of them in 16 bits saturates at half the sum
    constants = {
        "x_scale": np.float32(1 / 255), "x_zero": np.uint8(0), "k": np.full((4, 64, 1, 1), 127, np.int8),
        "k_scale": np.full(4, 1 / 127, np.float32), "k_zero": np.zeros(4, np.int8), "y_scale": np.float32(64 / 255),
        "ones": np.ones((64, 3, 1, 1), np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["input_1"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "ones"], ["x"]),
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["k", "k_scale", "k_zero"], ["w"], axis=0),
        helper.make_node("Conv", ["d", "w"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "y_scale", "x_zero"], ["e"]),
        helper.make_node("DequantizeLinear", ["e", "y_scale", "x_zero"], ["heatmap_out"]),
        helper.make_node("Identity", ["heatmap_out"], ["paf_out"]),
    ]
    values = [helper.make_tensor_value_info(name, 1, ["b", None, None, None]) for name in ("heatmap_out", "paf_out")]
    image = helper.make_tensor_value_info("input_1", 1, ["b", "h", "w", 3])
    arrays = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "large", [image], values, arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    put_card(model, CARD)
    onnx.save(model, tmp_path / "large.onnx")
    heatmaps, _ = open_runner(tmp_path / "large.onnx")(np.full((1, 8, 8, 3), 1 / 3, np.float32))
    np.testing.assert_allclose(heatmaps, 64, rtol=1e-2)


class Recorder:
    """A runner that notes its calls and takes its time."""

    card = CARD

    def __init__(self, name, calls, seconds):
        self.name, self.calls, self.seconds = name, calls, seconds

    def __call__(self, images):
        import time

        self.calls.append((self.name, images.shape))
        time.sleep(self.seconds)
        return images, images


@pytest.mark.parametrize(("threads", "at_once", "share"), [(8, 1, 8), (8, 3, 2), (2, 3, 1), (None, 1, None)])
def test_calls_at_the_same_time_share_the_threads(threads, at_once, share):
    assert share_threads(threads, at_once) == share
    assert share_threads(None, count_cores() + 1) == 1


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not list threads")
def test_a_network_that_is_called_several_times_at_once_starts_as_few_threads_as_it_has_cores_to_spare(folder):
    def count_started(**options):
        before = set(os.listdir("/proc/self/task"))
        runner = open_runner(folder / "model.onnx", runner="exact", threads=4, **options)
        runner(next(pictures(1)))
        return len(set(os.listdir("/proc/self/task")) - before)

    count_started()  # whatever the library starts once
    assert [count_started(at_once=calls) for calls in (1, 2, 4, 5)] == [3, 1, 0, 0]  # beside the one that calls


def test_models_are_timed_in_turn_and_in_milliseconds():
    calls = []
    runners = {"quick": Recorder("quick", calls, 0.0), "slow": Recorder("slow", calls, 0.02)}
    found = compare_latency(runners, (16, 24), repeats=3)
    assert calls == [("quick", (1, 16, 24, 3)), ("slow", (1, 16, 24, 3))] * 5
    assert list(found) == ["quick", "slow"]
    assert found["quick"] < 20 <= found["slow"] < 200


def test_one_model_can_be_timed_alone(folder):
    assert 0 < latency_ms(open_runner(folder / "model.onnx", threads=2), (32, 32), repeats=3) < 1000


@pytest.mark.parametrize("shape", [(2, 64, 96), (1, 64, 96), (0, 64, 96), (3, 0, 0)])
def test_a_network_of_fixed_shape_gives_the_maps_of_the_open_one(folder, tmp_path, shape):
    runner = open_runner(fixed(folder / "model.onnx", tmp_path / "fixed.onnx", shape), threads=1)
    for count in (1, 2, 5):
        images = np.concatenate(list(pictures(count, (64, 96))))
        for expected, found in zip(open_runner(folder / "model.onnx")(images), runner(images), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_network_of_fixed_shape_refuses_other_shapes_by_name(folder, tmp_path):
    runner = open_runner(fixed(folder / "model.onnx", tmp_path / "fixed.onnx", (1, 64, 96)))
    with pytest.raises(UserError, match=r"fixed\.onnx: takes inputs of 64x96, not 64x64"):
        runner(next(pictures(1, (64, 64))))


CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("device", "available", "chosen"),
    [
        ("auto", [CPU], [CPU]),
        ("auto", [TENSORRT, CUDA, CPU], [CUDA, CPU]),  # TensorRT takes minutes to start: only for who asks
        ("cpu", [TENSORRT, CUDA, CPU], [CPU]),
        ("cuda", [CUDA, CPU], [CUDA, CPU]),
        ("tensorrt", [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU]),
        ("tensorrt", [TENSORRT, CPU], [TENSORRT, CPU]),
    ],
)
def test_a_device_is_the_first_provider_and_what_it_cannot_do_the_next(device, available, chosen):
    assert [name if isinstance(name, str) else name[0] for name in providers_for(device, available)] == chosen


def test_engines_of_the_tensorrt_provider_are_kept_for_the_next_time(monkeypatch, tmp_path):
    monkeypatch.setenv("BODYPOSENET_CACHE", str(tmp_path))
    (_, options), *_ = providers_for("tensorrt", [TENSORRT, CPU])
    assert options["trt_engine_cache_enable"]
    assert options["trt_engine_cache_path"] == str(tmp_path / "tensorrt")


@pytest.mark.parametrize(
    ("name", "device", "problem"),
    [
        ("model.onnx", "cuda", r"--device: this ONNX Runtime has no CUDAExecutionProvider, only CPU.*onnxruntime-gpu"),
        ("model.onnx", "tensorrt", "this ONNX Runtime has no TensorrtExecutionProvider"),
        ("model.keras", "tensorrt", r"TensorFlow runs Keras models, not TensorRT; .* bpnet export"),
        ("model.engine", "cpu", "an engine runs on a GPU only; give the ONNX model"),
    ],
)
def test_what_a_device_cannot_run_is_told(folder, monkeypatch, name, device, problem):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [CPU])
    (folder / "model.engine").touch()
    with pytest.raises(UserError, match=problem):
        open_runner(folder / name, device=device)


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_gpu_that_does_not_start_is_told_where_it_was_asked_for_and_left_out_where_it_was_not(folder, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [CUDA, CPU])
    with pytest.raises(UserError, match=f"{CUDA} did not start; only {CPU} did; check `nvidia-smi`"):
        open_runner(folder / "model.onnx", device="cuda")
    assert len(open_runner(folder / "model.onnx")(next(pictures(1)))) == 2


def test_keras_computes_on_the_processor_if_told_to(folder):
    image = next(pictures(1))
    for one, other in zip(
        *(open_runner(folder / "model.keras", device=name)(image) for name in ("cpu", "auto")), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_keras_without_a_gpu_is_told(folder, monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    with pytest.raises(UserError, match=r"this TensorFlow sees no GPU; .*train-gpu"):
        open_runner(folder / "model.keras", device="cuda")
