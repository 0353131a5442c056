"""Exports that are killed at any moment: the same command, given again, ends as an undisturbed one."""

import os
import re
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto
from support.killing import contents
from support.moments import moments_of
from support.pose_net import CARD, pictures, pose_net

from bodyposenet.common import tasks
from bodyposenet.common.cli.main import main
from bodyposenet.common.model.files.model_file import save_model

PIXELS = ["--uint8-input", "--static_batch_size", "1"]
FORMS = {
    "fp32": ["model.onnx"],
    "fp16": ["model.onnx", "model.fp16.onnx"],
    "int8": ["model.onnx", "model.int8.onnx", "model.int8.cpu.onnx", "ranges.cache"],
}
KILL = """
import os, signal, sys
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, os.PathLike)) and sys.argv[1] in os.fspath(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
from bodyposenet.common.cli.main import main
main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A network and six photos."""
    folder = tmp_path_factory.mktemp("source")
    save_model(pose_net(stages=1), folder / "net.keras", CARD)
    (folder / "photos").mkdir()
    for number, picture in enumerate(pictures(6)):
        cv2.imwrite(str(folder / "photos" / f"{number}.png"), ((picture[0] + 0.5) * 255).astype(np.uint8))
    return folder


def command(source, folder, kind, *more):
    arguments = [
        "export",
        "-m",
        source / "net.keras",
        "-o",
        folder / "model.onnx",
        "-d",
        "64,96,3",
        "--data_type",
        kind,
    ]
    calibration = ["--cal_image_dir", source / "photos", "--batches", "6", "--cal_cache_file", folder / "ranges.cache"]
    return [*map(str, arguments), *map(str, calibration if kind == "int8" else []), *more]


def export(source, folder, kind, *more):
    done = CliRunner().invoke(main, command(source, folder, kind, *more))
    assert done.exit_code == 0, done.output
    return done


def written(folder):
    """Everything below a folder, hidden or not, but the log of its runs."""
    return {name: content for name, content in contents(folder).items() if name != "status.json"}


def unlike(moments):
    """One of each set of names: what half a file holds makes no difference."""
    found = {}
    for moment in moments:
        names = (str(path.relative_to(moment)) for path in moment.rglob("*"))
        found.setdefault(tuple(sorted(re.sub(r"\.[0-9a-f]+\.tmp$", ".tmp", name) for name in names)), moment)
    return list(found.values())


@pytest.mark.parametrize(("kind", "more"), [("fp32", []), ("fp16", PIXELS), ("int8", PIXELS)])
def test_whatever_a_kill_leaves_the_second_run_ends_as_an_undisturbed_one(source, tmp_path, kind, more):
    """All outputs or none are there at every moment, those there are have the interface that was asked for."""
    with moments_of(tmp_path / "whole", tmp_path / "moments"):
        export(source, tmp_path / "whole", kind, *more)
    wanted = written(tmp_path / "whole")
    assert sorted(wanted) == sorted(FORMS[kind])
    taken = onnx.load(tmp_path / "whole" / FORMS[kind][-1 if kind != "int8" else 1]).graph.input[0].type.tensor_type
    assert taken.elem_type == (TensorProto.UINT8 if more else TensorProto.FLOAT)
    moments = sorted((tmp_path / "moments").iterdir())
    assert len(moments) > 8
    for moment in moments:
        there = {name: content for name, content in written(moment).items() if not name.startswith(".")}
        assert all(wanted[name] == content for name, content in there.items())
        assert not there or there == wanted or (moment / ".model.onnx.journal").exists()
    for moment in moments[::3] if kind == "fp32" else unlike(moments)[::2]:
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        shutil.copytree(moment, tmp_path / "killed")
        export(source, tmp_path / "killed", kind, *more)
        assert written(tmp_path / "killed") == wanted, moment.name
        assert not [path.name for path in (tmp_path / "killed").iterdir() if path.name.startswith(".")]


def test_a_process_that_is_killed_for_good_leaves_nothing_under_a_final_name(source, tmp_path):
    arguments = command(source, tmp_path / "out", "fp16")
    done = subprocess.run([sys.executable, "-c", KILL, "model.fp16.onnx", *arguments], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")] == ["status.json"]
    export(source, tmp_path / "out", "fp16")
    assert sorted(written(tmp_path / "out")) == sorted(FORMS["fp16"])


def test_a_finished_export_is_never_replaced_nor_a_file_of_somebody_else(source, tmp_path):
    export(source, tmp_path, "fp32")
    before = os.stat(tmp_path / "model.onnx").st_mtime_ns
    done = CliRunner().invoke(main, command(source, tmp_path, "fp32"))
    assert done.exit_code == 2
    assert "the file exists; name another with -o, or remove it" in done.stderr
    assert os.stat(tmp_path / "model.onnx").st_mtime_ns == before


def test_the_pipeline_s_task_killed_at_any_moment_ends_alike_when_it_is_tried_again(source, tmp_path):
    shutil.copytree(source, tmp_path / "model")
    (tmp_path / "model/net.keras").rename(tmp_path / "model/model.keras")
    options = {"data_type": "fp16", "interface": {"pixels": True}}
    with moments_of(tmp_path / "onnx", tmp_path / "moments"):
        tasks.export(str(tmp_path / "model"), str(tmp_path / "onnx"), str(tmp_path / "metrics"), **options)
    wanted = contents(tmp_path / "onnx")
    assert len(wanted) == 2
    for moment in unlike(sorted((tmp_path / "moments").iterdir()))[::2]:
        assert all(wanted[name] == found for name, found in contents(moment).items() if not name.startswith("."))
        tasks.export(str(tmp_path / "model"), str(moment), str(tmp_path / "metrics"), **options)
        assert contents(moment) == wanted, moment.name
