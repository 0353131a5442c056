"""Packaging: the archives hold what the tree holds, run without the tree, and ask for the versions that work."""

import configparser
import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from wheels import FACES, MOST_WHEEL, build, copy_source

import bodyposenet

ROOT = Path(__file__).parents[1]

# The versions that were found to work together; the newest ones must be tried before a bound moves.
RANGES = {
    "pipelines": {"kfp": ">=2.17,<3", "kfp-kubernetes": ">=2.17,<3", "mlflow": ">=3.10,<4", "psutil": ">=5.9,<8"},
    "kubeflow": {"kfp": ">=2.17,<3", "kfp-kubernetes": ">=2.17,<3"},
    "gcs": {
        "aiohttp": ">=3.12.15,<4",
        "gcsfs": ">=2025.2",
        "google-cloud-storage": ">=3.0,<4",
        "universal-pathlib": ">=0.3.3,<0.4",
    },
    "crypto": {"cryptography": ">=42,<51", "pyrage": ">=1.2,<2"},
    "train": {"tensorflow-cpu": ">=2.21,<2.22", "tensorflow": ">=2.21,<2.22", "keras": ">=3.12,<4"},
    "train-gpu": {"tensorflow": ">=2.21,<2.22", "keras": ">=3.12,<4"},
    "deploy": {"tf2onnx": ">=1.17,<1.18"},
    "trt": {"tensorrt-cu12": ">=10.9,<12"},
    "trt-rtx": {"tensorrt-rtx-cu12": ">=1.7,<2"},
    "": {
        "click": ">=8.1,<9",
        "jinja2": ">=3.1,<4",
        "msgspec": ">=0.19,<1",
        "numba": ">=0.61,<1",
        "numpy": ">=1.26,<3",
        "onnx": ">=1.17,<1.24",
        "onnxruntime": ">=1.24,<2",
        "opencv-python-headless": ">=4.11,<6",
        "protobuf": ">=6.31.1",  # kfp holds it below 7; without kfp nothing does
        "pycocotools": ">=2.0.11,<3",
        "pydantic": ">=2.7,<3",
        "pyyaml": ">=6.0,<7",
    },
}
PINNED_BY_KFP = {"requests", "urllib3", "certifi", "kubernetes"}  # exactly, and otherwise in each of its releases


def setup_cfg():
    parsed = configparser.ConfigParser()
    parsed.read(ROOT / "setup.cfg")
    return parsed


def listed(text):
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def requirements(extra):
    """What an extra asks for; the package itself asks for what the extra ``""`` does."""
    parsed = setup_cfg()
    text = parsed["options.extras_require"][extra] if extra else parsed["options"]["install_requires"]
    return [Requirement(line) for line in listed(text)]


def is_source(path):
    return path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".md")


def tree():
    """The files of the package: path in the wheel -> file here."""
    found = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "bodyposenet").rglob("*")}
    for face in set(FACES) - {"bodyposenet"}:
        found |= {f"bodyposenet/{path.relative_to(ROOT).as_posix()}": path for path in (ROOT / face).rglob("*")}
    return {name: path for name, path in found.items() if is_source(path)}


def folder_of(package):
    """Where a package's files are in this tree."""
    below = package.split(".")[1:]
    return ROOT.joinpath(*below) if below else ROOT / "bodyposenet"


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The source archive and the wheel, built where tests lie about, too."""
    source = tmp_path_factory.mktemp("source")
    copy_source(source)
    (source / "tests").mkdir()
    shutil.copy(__file__, source / "tests")
    return build(source, source / "dist")


@pytest.fixture(scope="module")
def wheel(archives):
    return archives[1]


@pytest.fixture(scope="module")
def metadata(wheel):
    """What the wheel tells of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel in it, and nothing else."""
    target = tmp_path_factory.mktemp("target")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return target


def run_installed(target, *arguments):
    """Run Python with the wheel and the libraries; ``-S`` leaves out the link to this tree of a development install."""
    folders = [str(target), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=target, env=environment, check=True).stdout


def test_the_package_list_is_the_tree():
    found = {name.removesuffix("/__init__.py").replace("/", ".") for name in tree() if name.endswith("/__init__.py")}
    assert set(listed(setup_cfg()["options"]["packages"])) == found


def test_no_python_file_is_outside_a_package():
    packages = {package.replace(".", "/") for package in listed(setup_cfg()["options"]["packages"])}
    assert [name for name in tree() if name.endswith(".py") and name.rpartition("/")[0] not in packages] == []


def test_every_data_file_has_its_pattern_and_every_pattern_its_files():
    matched = set()
    for package, patterns in setup_cfg()["options.package_data"].items():
        for pattern in listed(patterns):
            files = {path for path in folder_of(package).glob(pattern) if is_source(path)}
            assert files, f"{package}: nothing matches {pattern}"
            matched |= files
    data = {path for name, path in tree().items() if not name.endswith(".py")}
    assert data == matched
    names = {path.relative_to(ROOT).as_posix() for path in data}
    assert {
        "common/report/report.html",
        "common/model/files/pretrained/drawn_people.yaml",
        "pipelines/compiled/prune_retrain.yaml",
        "pipelines/specs/train.yaml",
    } <= names


@pytest.mark.parametrize("extra", list(RANGES))
def test_an_extra_asks_for_the_ranges_that_work_together(extra):
    asked = {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements(extra)}
    wanted = {name: Requirement(f"{name}{text}").specifier for name, text in RANGES[extra].items()}
    assert {name: asked.get(name) for name in wanted} == wanted


def test_one_tensorflow_is_installed_wherever_it_is():
    places = [
        {"sys_platform": "linux", "platform_machine": "x86_64"},
        {"sys_platform": "linux", "platform_machine": "aarch64"},
        {"sys_platform": "darwin", "platform_machine": "arm64"},
        {"sys_platform": "darwin", "platform_machine": "x86_64"},
    ]
    for place in places:
        named = [r.name for r in requirements("train") if r.name.startswith("tensorflow") and r.marker.evaluate(place)]
        assert named == ["tensorflow-cpu" if place == places[0] else "tensorflow"]


def test_all_is_everything_that_can_stand_together_and_dev_has_it():
    (everything,) = requirements("all")
    assert (everything.name, everything.extras) == ("bodyposenet", {"pipelines", "train", "deploy"})
    assert any(r.name == "bodyposenet" and "all" in r.extras for r in requirements("dev"))


def test_what_kfp_pins_is_not_pinned_again():
    extras = ["", *setup_cfg()["options.extras_require"]]
    assert not {canonicalize_name(r.name) for extra in extras for r in requirements(extra)} & PINNED_BY_KFP


def test_the_lock_has_a_version_in_every_range():
    lines = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    locked = {canonicalize_name(name): version for name, version in lines}
    for extra in ("", "pipelines", "crypto", "train", "deploy", "trt-rtx", "dev"):
        for requirement in requirements(extra):
            if requirement.name == "bodyposenet" or (requirement.marker and not requirement.marker.evaluate()):
                continue
            version = locked.get(canonicalize_name(requirement.name))
            assert version, f"{requirement} is not in the lock"
            assert requirement.specifier.contains(version, prereleases=True), f"{requirement} against {version}"


def test_the_wheel_holds_the_tree_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    files = tree()
    assert sorted(held) == sorted(files)
    assert [name for name, content in held.items() if content != files[name].read_bytes()] == []


def test_no_file_is_twice_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert [name for name, times in Counter(archive.namelist()).items() if times > 1] == []


def test_the_source_archive_has_what_the_wheel_is_made_of_and_no_tests(archives):
    """The wheel was built of it, so nothing is missing."""
    with tarfile.open(archives[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CHANGELOG.md", "LICENSE", "NOTICE", "README.md", "pyproject.toml", "setup.cfg"} <= names
    assert [name for name in names if name.startswith("tests")] == []


def test_the_wheel_is_small_and_of_that_the_networks_are_most(wheel):
    with zipfile.ZipFile(wheel) as archive:
        networks = [each for each in archive.infolist() if "/pretrained/" in each.filename]
    people = sum(each.file_size for each in networks if each.filename.rpartition("/")[2].startswith("people"))
    assert wheel.stat().st_size <= MOST_WHEEL
    assert people <= 12e6
    assert wheel.stat().st_size - sum(each.compress_size for each in networks) <= 1.5e6


def test_the_wheel_asks_for_what_setup_cfg_says(metadata):
    extras = ["", *setup_cfg()["options.extras_require"]]
    assert metadata.get_all("Provides-Extra") == extras[1:]
    asked = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    for extra in extras:
        wanted = {(each.name, each.specifier, frozenset(each.extras)) for each in requirements(extra)}
        named = [each for each in asked if (f'extra == "{extra}"' in str(each.marker)) == bool(extra)]
        told = {(each.name, each.specifier, frozenset(each.extras)) for each in named if extra or not of_extra(each)}
        assert told == wanted, extra


def of_extra(requirement):
    return "extra ==" in str(requirement.marker)


def test_the_changelog_begins_with_this_version_and_no_version_is_in_it_twice():
    headings = re.findall(r"^## \[(\S+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0][0] == bodyposenet.__version__
    versions = [Version(version) for version, _ in headings]
    assert versions == sorted(set(versions), reverse=True)
    assert [date for _, date in headings[1:] if not re.fullmatch(r"\d{4}-\d\d-\d\d", date)] == []


def test_the_wheel_tells_its_version_licence_and_readme(metadata):
    assert metadata["Name"] == "bodyposenet"
    assert metadata["Version"] == bodyposenet.__version__
    assert metadata["License"] or metadata["License-Expression"]
    assert metadata.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    assert metadata.get_payload().startswith("# BodyPoseNet")


def test_the_wheel_runs_without_the_tree(installed):
    assert bodyposenet.__version__ in run_installed(installed, "-m", "bodyposenet", "--version")
    places = "import bodyposenet, bodyposenet.common.tasks as t; print(bodyposenet.__file__); print(t.__file__)"
    for line in run_installed(installed, "-c", places).split():
        assert Path(line).is_relative_to(installed)


def test_the_wheel_finds_its_data_without_the_tree(installed):
    code = (
        "from bodyposenet.pipelines.specs import default\n"
        "from bodyposenet.common.model.files.bundled import weights_path\n"
        "print(default('train')['num_epoch'])\n"
        "print(weights_path(default('train')['pretrained_weights']))\n"
    )
    epochs, weights = run_installed(installed, "-c", code).split()
    assert int(epochs) >= 1
    assert Path(weights).is_relative_to(installed)


def test_the_wheel_brings_the_commands(installed):
    code = (
        "from importlib.metadata import distributions\n"
        "import sys\n"
        "(dist,) = distributions(name='bodyposenet', path=[sys.argv[1]])\n"
        "for entry in dist.entry_points: print(entry.group, entry.name, entry.load().name)\n"
    )
    lines = run_installed(installed, "-c", code, str(installed)).splitlines()
    commands = [f"bodyposenet.commands {name} {name}" for name in ("component", "demo", "pipeline", "schedule")]
    assert sorted(lines) == [*commands, "console_scripts bpnet bpnet"]
