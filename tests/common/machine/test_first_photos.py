"""A few photos are looked at before the decoder is compiled; whoever has it, or many photos, has it compiled."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import bodyposenet
from bodyposenet.common.machine.compiled_folder import PACKAGE
from bodyposenet.common.machine.first_photos import FEW, describe_plain

GRACE_HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
PLAIN = "the decoder runs as plain Python"
KEPT = "pose_0123/decoder._decode-82.py{}{}.nbi".format(*sys.version_info[:2])
ASK = """
import sys
from bodyposenet.common.machine.first_photos import is_plain_sooner
assert "numba" not in sys.modules
print(is_plain_sooner(int(sys.argv[1])))
"""


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Runs Python on the package as it is just after its installation, with an empty folder for what is compiled."""
    root = tmp_path / "site" / "bodyposenet"
    (root / "common").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(Path(bodyposenet.__file__).with_name(name), root)
    for each in PACKAGE.iterdir():
        if each.name not in ("__pycache__", "machine"):  # which is where the package is looked for
            (root / "common" / each.name).symlink_to(each)
    shutil.copytree(PACKAGE / "machine", root / "common" / "machine", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "kept").mkdir()
    monkeypatch.chdir(tmp_path)  # else Python would take the package that lies where the tests are started

    def run(*words, **more):
        ours = {"PYTHONPATH": str(root.parent), "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        return start(*words, **ours | more)

    return run


def start(*words, **more):
    """Run Python with further variables, whatever was said of numba before."""
    environment = {name: text for name, text in os.environ.items() if name != "NUMBA_DISABLE_JIT"} | more
    return subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, check=True
    )


def find_people(run, folder):
    """The numbers that the verb prints of one photo, its log, and where it found the people."""
    done = run("-m", "bodyposenet", "inference", GRACE_HOPPER, "-r", folder, "--json")
    (photo,) = json.loads((folder / "detections.json").read_text())["images"]
    return json.loads(done.stdout), done.stderr, photo


def test_before_the_decoder_is_compiled_the_same_people_are_found_at_once(fresh, tmp_path):
    bodyposenet.PoseEstimator.load("people")(GRACE_HOPPER)  # compiles the decoder, where it is not
    told, log, plain = find_people(fresh, tmp_path / "plain")
    assert (told["photos"], told["people"]) == (1, 1)
    assert PLAIN in log
    assert "compiling" not in log
    assert list(tmp_path.rglob("*.nb?")) == []

    again, log, compiled = find_people(start, tmp_path / "compiled")
    assert again["people"] == 1
    assert "plain Python" not in log
    np.testing.assert_allclose(
        plain["keypoints"], compiled["keypoints"], atol=2e-3
    )  # pixels, of which it has thousandths
    np.testing.assert_allclose(plain["scores"], compiled["scores"], atol=1e-5)


@pytest.mark.parametrize(("photos", "answer"), [(1, True), (FEW, True), (FEW + 1, False), (24, False)])
def test_for_many_photos_it_is_compiled_first(photos, answer, fresh):
    assert fresh("-c", ASK, photos).stdout == f"{answer}\n"


@pytest.mark.parametrize("given", ["0", "1"])
def test_who_has_told_numba_what_to_do_is_not_overruled(given, fresh):
    assert fresh("-c", ASK, 1, NUMBA_DISABLE_JIT=given).stdout == "False\n"


@pytest.mark.parametrize(
    ("kept", "answer"),
    [(KEPT, False), (KEPT.replace("decoder._decode", "encoder._draw"), True), (KEPT.replace(".py3", ".py2"), True)],
)
def test_only_a_decoder_that_this_python_compiled_is_one(kept, answer, fresh, tmp_path):
    fresh("-c", ASK, 1)
    (folder,) = (tmp_path / "kept" / "bodyposenet").iterdir()
    (folder / kept).parent.mkdir()
    (folder / kept).touch()
    assert fresh("-c", ASK, 1).stdout == f"{answer}\n"


def test_where_numba_is_at_work_already_it_goes_on(fresh):
    script = ASK.replace("\nprint", "\nsys.modules['numba'] = sys\nprint")
    assert fresh("-c", script, 1).stdout == "False\n"


def test_where_nothing_can_be_kept_a_few_photos_are_looked_at_without_and_the_remedy_is_another(fresh, tmp_path):
    (tmp_path / "file").touch()  # below which even root makes no folder
    (tmp_path / "site/bodyposenet/common/__pycache__").symlink_to(tmp_path / "file")
    nowhere = dict.fromkeys(("NUMBA_CACHE_DIR", "BODYPOSENET_CACHE"), str(tmp_path / "file" / "kept"))
    assert fresh("-c", ASK, 1, **nowhere).stdout == "True\n"
    level, text = describe_plain(None)
    assert (level, text.split(", ")[0]) == (logging.WARNING, PLAIN)
    assert text.endswith("name one in BODYPOSENET_CACHE")
