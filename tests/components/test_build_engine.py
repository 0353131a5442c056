"""The component build_engine: what it takes from artifacts and what it leaves in them."""

import json
import shutil
from types import SimpleNamespace

import pytest
from support.engines import exported

from bodyposenet.common.deploy.tensorrt.engine_file import read_engine
from bodyposenet.components.build_engine import build_engine

SPEC = {"input_shape": [64.0, 128.0], "keep_aspect_ratio_mode": "pad_image_input"}  # Kubeflow's numbers are floats


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("task"))


def artifact(path):
    return SimpleNamespace(path=str(path), metadata={})


def run(folder, tmp_path, names, **options):
    for name in names:
        (tmp_path / "onnx").mkdir(exist_ok=True)
        shutil.copy(folder / name, tmp_path / "onnx" / name.replace("net", "model"))
    metrics = artifact(tmp_path / "metrics" / "m")
    given = {"onnx": artifact(tmp_path / "onnx"), "inference_spec": SPEC, "engine_for": ["sm86"], **options}
    build_engine.python_func(engine=artifact(tmp_path / "engine"), metrics=metrics, **given)
    return read_engine(tmp_path / "engine" / "model.engine"), metrics


@pytest.mark.parametrize(
    ("names", "options", "precision"),
    [
        (["net.onnx"], {}, "fp32"),
        (["net.onnx"], {"data_type": "fp16"}, "fp16"),
        (["net.int8.onnx", "net.int8.cpu.onnx"], {"data_type": "int8"}, "int8"),
    ],
)
def test_an_engine_has_the_specs_input_and_the_models_precision(folder, tmp_path, names, options, precision):
    (content, card), metrics = run(folder, tmp_path, names, max_batch_size=4, **options)
    assert card.precision == precision
    assert card.shapes == {"min": (1, 64, 128, 3), "opt": (1, 64, 128, 3), "max": (4, 64, 128, 3)}
    assert metrics.metadata["bytes"] == len(content)
    assert json.loads((tmp_path / "metrics" / "m").read_text()) == metrics.metadata


def test_a_float_network_does_not_become_one_of_8_bits(folder, tmp_path, capfd):
    with pytest.raises(SystemExit, match=r"^2$"):
        run(folder, tmp_path, ["net.onnx"], data_type="int8")
    assert "the model is in fp32, not int8" in capfd.readouterr().err
