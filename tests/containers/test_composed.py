"""The pipeline of docs/composing.md, compiled without this package, and run in containers beside somebody else's."""

import re
import shutil
import sys

import pytest
from kfp import components
from support.composed import compile_alone, write_page

import bodyposenet
from bodyposenet.common.model.files.bundled import weights_path

pytestmark = pytest.mark.docker

SPEC = {"input_shape": [96, 128]}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The network of the start weights, exported under a name of its own."""
    file = tmp_path_factory.mktemp("exported") / "people.onnx"
    bodyposenet.export_onnx(weights_path("pretrained:drawn_people"), file)
    return file


@pytest.fixture
def given(runner, network):
    """What the importers are to find: a network as a file, and a folder of photos."""
    folder = runner / "given"
    folder.mkdir()
    shutil.copy(network, folder)
    bodyposenet.synthesize(folder / "drawn", train=3, val=1)
    return {"network": str(folder / network.name), "photos": str(folder / "drawn" / "images")}


@pytest.fixture
def quantize(tmp_path):
    """The page's pipeline, loaded from what was compiled where nothing of this package could be imported."""
    (tmp_path / "page").mkdir()
    program, _ = write_page(tmp_path / "page")
    return components.load_component_from_file(str(compile_alone(sys.executable, program, "bodyposenet")))


def made(runner, task, output):
    """Where the outputs of a task are."""
    return [path for path in runner.rglob(output) if path.parent.name == task]


def test_an_imported_network_is_quantized_named_by_somebody_else_and_bundled(runner, given, quantize):
    quantize(**given, inference_spec=SPEC)
    (int8,) = made(runner, "calibrate", "int8")
    assert {path.name for path in int8.iterdir()} >= {"model.int8.onnx", "model.int8.cpu.onnx"}
    (name,) = made(runner, "weigh", "name")
    weight = sum(path.stat().st_size for path in int8.rglob("*") if path.is_file()) / 1024
    kilobytes = int(re.fullmatch(r"people-(\d+)k", name.read_text())[1])
    assert kilobytes == pytest.approx(weight, rel=0.05, abs=64)
    (files,) = made(runner, "bundle", "files")
    (written,) = files.rglob("config.pbtxt")
    assert f'name: "{name.read_text()}"' in written.read_text()


def test_photos_in_place_of_a_network_are_told_by_the_task(runner, given, quantize, capfd):
    with pytest.raises(RuntimeError, match="FAILURE"):
        quantize(network=given["photos"], photos=given["photos"], inference_spec=SPEC)
    said = capfd.readouterr().out
    assert "calibrate failed: " in said
    assert "is not one exported network: it holds train_000000.jpg, " in said
    assert "give a folder with model.onnx, or one file that ends in .onnx" in said
