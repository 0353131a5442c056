"""Lists of the images' packages: what setup.cfg asks for, at the versions that the tests run with, each with a hash."""

import re
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LISTS = sorted(path.relative_to(ROOT / "images").as_posix() for path in (ROOT / "images").glob("*/requirements*.txt"))
LINE = re.compile(r"([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}")


def packages(path):
    """Versions by name; every line must name a version and a hash."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    return dict(LINE.fullmatch(line).groups() for line in lines)


def locked():
    text = (ROOT / "requirements.lock").read_text()
    pairs = re.findall(r"^([\w.-]+)==(\S+)(?: ;.*)? \\$", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_package_of_the_lock_has_hashes_and_names_no_index():
    text = (ROOT / "requirements.lock").read_text()
    entries = [entry for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if entry and not entry.startswith("#")]
    assert len(entries) == len(locked()) > 150
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}$", entry, re.MULTILINE)] == []
    assert "://" not in text


def test_there_is_a_list_for_each_image_and_one_for_gpus():
    assert LISTS == ["deploy/requirements.txt", "train/requirements.gpu.txt", "train/requirements.txt"]


@pytest.mark.parametrize("name", LISTS)
def test_an_image_has_the_versions_that_the_tests_run_with(name):
    known = locked()
    found = packages(ROOT / "images" / name)
    assert len(found) > 80
    assert {package: version for package, version in found.items() if known.get(package, version) != version} == {}


@pytest.mark.parametrize(("name", "has", "lacks"), [
    ("deploy/requirements.txt", {"kfp", "mlflow-skinny", "onnxruntime", "cryptography", "psutil"}, {"keras", "mlflow"}),
    ("train/requirements.txt", {"kfp", "mlflow-skinny", "tensorflow-cpu", "keras", "tf2onnx"}, {"mlflow", "pytest"}),
    ("train/requirements.gpu.txt", {"tensorflow", "nvidia-cudnn-cu12", "keras"}, {"tensorflow-cpu", "pytest"}),
])  # fmt: skip
def test_an_image_has_what_its_tasks_need_and_no_more(name, has, lacks):
    found = packages(ROOT / "images" / name).keys()
    assert has <= found
    assert not lacks & found


def test_the_tag_and_the_version_are_declared_once():
    version = re.search(r'__version__ = "(.+)"', (ROOT / "bodyposenet" / "__init__.py").read_text())[1]
    for path in [*(ROOT / "images").glob("*"), ROOT / "setup.cfg", ROOT / "Makefile"]:
        if path.is_file():
            assert f":{version}" not in path.read_text(), path
