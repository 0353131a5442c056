"""bpnet build_engine: its flags, what it prints and how it fails."""

import json

import pytest
from click.testing import CliRunner
from support.engines import exported

from bodyposenet.common.cli.main import main
from bodyposenet.common.deploy.tensorrt.engine_file import read_engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("verb"))


def build(*arguments):
    return CliRunner().invoke(main, ["build_engine", *map(str, arguments)])


def test_the_flags_are_the_engines_shapes_and_gpus(folder, tmp_path):
    flags = ["--engine_for", "SM86", "sm89", "--input_size", "64,96", "--max_input_size", "128x128"]
    flags += [
        "--opt_batch_size",
        2,
        "--max_batch_size",
        4,
        "--max-workspace-size",
        1 << 26,
        "--library",
        "tensorrt-rtx",
    ]
    done = build("-m", folder / "net.int8.onnx", "-o", tmp_path / "new" / "net.engine", *flags, "--data_type", "int8")
    assert done.exit_code == 0, done.stderr
    _, card = read_engine(tmp_path / "new" / "net.engine")
    assert card.shapes == {"min": (1, 64, 96, 3), "opt": (2, 64, 96, 3), "max": (4, 128, 128, 3)}
    assert (card.gpus, card.workspace, card.precision) == (("sm86", "sm89"), 1 << 26, "int8")
    said = "int8 for sm86, sm89, inputs 1x64x96x3 to 4x128x128x3, fastest at 2x64x96x3"
    assert said in done.stdout
    assert f"wrote {tmp_path / 'new' / 'net.engine.json'}" in done.stdout
    status = [json.loads(line) for line in (tmp_path / "new" / "status.json").read_text().splitlines()]
    assert [line["status"] for line in status] == ["STARTED", "SUCCESS"]


def test_it_goes_beside_the_model_and_says_who_builds_it(folder):
    done = build("-m", folder / "net.fp16.onnx", "--engine_for", "sm86")
    assert done.exit_code == 0, done.stderr
    assert "inputs 1x64x96x3 (tensorrt-rtx" in done.stdout
    assert (folder / "net.fp16.engine").is_file()
    assert "net.fp16.engine for sm86 in fp16" in done.stderr


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--engine_for", "h100"], "unknown kind of GPU: h100; TensorRT-RTX"),
        (["--engine_for", "sm86", "--data_type", "fp16"], "the model is in fp32, not fp16"),
        (["--engine_for", "sm86", "--library", "tensorrt"], "TensorRT builds for the GPU at hand only"),
        (["--engine_for", "sm86", "--max_workspace_size", "4096"], "tensorrt-rtx cannot build the engine: "),
        (["--engine_for", "sm86", "--input_size", "64"], "'64' is not HEIGHT,WIDTH"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(folder, tmp_path, flags, problem):
    done = build("-m", folder / "net.onnx", "-o", tmp_path / "net.engine", *flags)
    assert done.exit_code == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "net.engine").exists()
