"""What the processor is, and where caches go."""

import os
import stat

import pytest

from bodyposenet.common.machine.cache_folder import find_cache_folder
from bodyposenet.common.machine.home import name_folders
from bodyposenet.common.machine.processor import read_processor

HASWELL = """processor\t: 0
model name\t: Intel(R) Core(TM) i7-4770
flags\t\t: fpu sse2 avx avx2 fma

processor\t: 1
flags\t\t: fpu avx512_vnni
"""
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd asimddp bf16\n"


@pytest.fixture
def cpuinfo(tmp_path):
    def write(text):
        path = tmp_path / "cpuinfo"
        path.write_text(text)
        return path

    return write


def test_the_first_processor_of_a_description_counts(cpuinfo):
    found = read_processor(cpuinfo(HASWELL))
    assert (found.name, found.instruction_sets, found.has_vnni) == ("Intel(R) Core(TM) i7-4770", ["AVX2"], False)


@pytest.mark.parametrize("flag", ["avx_vnni", "avx512_vnni"])
def test_either_vnni_is_vnni(cpuinfo, flag):
    assert read_processor(cpuinfo(f"flags : avx2 {flag}\n")).has_vnni


def test_arm_calls_its_flags_features(cpuinfo):
    assert read_processor(cpuinfo(GRAVITON)).instruction_sets == ["NEON", "NEON dot product", "NEON BF16"]


def test_without_a_description_there_are_no_instruction_sets(tmp_path):
    assert read_processor(tmp_path / "none").flags == frozenset()


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """A user whose home cannot be made, with a folder for temporary files."""
    (tmp_path / "file").touch()
    monkeypatch.delenv("BODYPOSENET_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"bodyposenet-{os.getuid()}"


def test_a_named_folder_goes_first(tmp_path, homeless, monkeypatch):
    monkeypatch.setenv("BODYPOSENET_CACHE", str(tmp_path / "named"))
    assert find_cache_folder("numba") == tmp_path / "named" / "numba"


def test_who_has_no_home_gets_a_folder_of_his_own_among_the_temporary_files(homeless):
    assert find_cache_folder("numba") == homeless / "numba"
    assert stat.S_IMODE(homeless.stat().st_mode) == 0o700


def test_who_has_no_home_gives_matplotlib_another_folder(homeless, monkeypatch):
    monkeypatch.setattr("os.environ", os.environ.copy())
    os.environ.pop("MPLCONFIGDIR", None)
    name_folders()
    assert os.environ["MPLCONFIGDIR"] == str(homeless / "matplotlib")


def test_who_has_a_home_keeps_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", os.environ.copy() | {"HOME": str(tmp_path)})
    os.environ.pop("MPLCONFIGDIR", None)
    name_folders()
    assert "MPLCONFIGDIR" not in os.environ


def test_nothing_is_made_among_the_temporary_files_for_who_has_a_home(tmp_path, homeless, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_cache_folder("numba") == tmp_path / "home/.cache/bodyposenet/numba"
    assert not homeless.exists()


def test_a_folder_that_somebody_else_may_write_is_not_taken(homeless):
    homeless.mkdir()
    homeless.chmod(0o777)
    assert find_cache_folder("numba") is None
