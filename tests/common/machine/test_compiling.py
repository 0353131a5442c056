"""What is compiled is kept where the user may write, forgotten when its sources change, and announced in a line."""

import ast
import importlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.permissions import run_bound

import bodyposenet.common
from bodyposenet.common.machine.compiled_folder import COPY, WAIT, digest_sources, find_compiled_folder, list_sources
from bodyposenet.common.machine.compiling import TRAINING_DATA, find_subject

COMMON = Path(bodyposenet.common.__path__[0])
PROBE = """
import logging
from bodyposenet.common.machine.compiling import njit

logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")

@njit(nogil=True, cache=True)
def add(one, other):
    return one + other

print(add(2, 3))
"""


LATER = """
import sys
from bodyposenet.common.machine.compiling import njit

@njit(cache=True)
def double(numbers):
    return numbers + numbers

@njit(cache=False)
def quadruple(numbers):
    return double(double(numbers))

numbers = __import__("numpy").arange(3.0)
print(double(numbers), "numba.typed.listobject" in sys.modules, quadruple(numbers), double(numbers.astype("f4")).dtype)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with one compiled module, and a user with a home."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("BODYPOSENET_CACHE", str(tmp_path / "user"))
    source = tmp_path / "package" / "pose" / "one.py"
    source.parent.mkdir(parents=True)
    source.write_text("from bodyposenet.common.machine.compiling import njit\n")
    return tmp_path / "package"


@pytest.fixture
def installed(tmp_path):
    """Runs a script with a compiled function on a package that may only be read, with folders that may be written."""
    root = tmp_path / "site" / "bodyposenet"
    packages = write_package(root)
    for package in packages:
        package.chmod(0o555)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)

    def run(temporary, **more):
        where = {"PYTHONPATH": str(root.parent), "HOME": str(locked / "home"), "TMPDIR": str(temporary)}
        path = {"PATH": os.environ["PATH"]}
        return run_bound(
            [sys.executable, "-c", "import bodyposenet.common.pose.probe"], env=where | path | more, cwd=locked
        )

    yield run
    for package in packages:
        package.chmod(0o755)


def write_package(root):
    """Write a package with one compiled function; its folders, the innermost first."""
    shutil.copytree(COMMON / "machine", root / "common" / "machine", ignore=shutil.ignore_patterns("__pycache__"))
    packages = (root / "common" / "pose", root / "common", root)
    packages[0].mkdir()
    (packages[0] / "probe.py").write_text(PROBE)
    for package in packages:
        (package / "__init__.py").touch()
    return packages


def compile_nothing(package, place):
    """Leave at a place what an earlier compilation of the package would."""
    kept = place / digest_sources(list_sources(package))
    kept.mkdir(parents=True)
    (kept / "one.nbi").write_text("index")
    return kept


def read_names(node):
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def is_compiled(node):
    calls = (each for each in getattr(node, "decorator_list", ()) if isinstance(each, ast.Call))
    return any(getattr(each.func, "id", "") == "njit" for each in calls)


def test_every_compiled_function_goes_through_one_decorator():
    users = [
        path for path in COMMON.rglob("*.py") if path.parent.name != "machine" and "numba import" in path.read_text()
    ]
    assert users == []
    found = {path for path in COMMON.rglob("*.py") if any(map(is_compiled, ast.walk(ast.parse(path.read_text()))))}
    assert found == set(list_sources())


@pytest.mark.parametrize("path", list_sources(), ids=lambda path: path.stem)
def test_compiled_functions_read_nothing_but_compiled_modules(path):
    """A number from another module would be compiled in, and the digest would not know when it changes."""
    tree = ast.parse(path.read_text())
    ours = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module.startswith("bodyposenet")]
    outside = {
        name.asname or name.name
        for node in ours
        for name in node.names
        if Path(importlib.import_module(node.module).__file__) not in list_sources()
    }
    assert [
        node.name for node in tree.body if is_compiled(node) and outside & set().union(*map(read_names, node.body))
    ] == []


def test_the_digest_tells_names_and_texts_apart(tmp_path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    texts = [("a", "b"), ("a", "c"), ("b", "b"), ("ab", ""), ("", "ab")]
    digests = set()
    for texts_of in texts:
        one.write_text(texts_of[0])
        other.write_text(texts_of[1])
        digests |= {digest_sources([one, other]), digest_sources([other, one])}
    assert len(digests) == 2 * len(texts)


def test_it_is_kept_beside_the_package_under_the_digest_of_its_sources(package):
    assert find_compiled_folder(package) == package / "__pycache__" / "numba" / digest_sources(list_sources(package))


def test_numba_s_own_variable_goes_first(package, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    assert find_compiled_folder(package).parent == tmp_path / "named" / "bodyposenet"


def test_who_may_not_write_there_keeps_it_in_his_cache(package, tmp_path):
    (tmp_path / "file").touch()
    package.joinpath("__pycache__").symlink_to(tmp_path / "file")  # even root makes no folder below a file
    found = find_compiled_folder(package)
    assert (found.parent, list(found.iterdir())) == (tmp_path / "user" / "numba", [])


def test_what_another_place_has_compiled_is_copied(package, tmp_path, monkeypatch):
    compile_nothing(package, package / "__pycache__" / "numba")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "named"))
    found = find_compiled_folder(package)
    assert (found.parent.parent, [file.read_text() for file in found.iterdir()]) == (tmp_path / "named", ["index"])
    assert [each.name for each in found.parent.iterdir()] == [found.name]


def test_a_folder_of_somebody_else_s_in_a_shared_place_is_passed_over(package, tmp_path):
    """Two users, one NUMBA_CACHE_DIR: who came second goes on to his own."""
    kept = compile_nothing(package, tmp_path / "shared" / "bodyposenet")
    kept.chmod(0o555)
    script = "import sys, pathlib; from bodyposenet.common.machine.compiled_folder import *; "
    script += "print(find_compiled_folder(pathlib.Path(sys.argv[1])))"
    package.chmod(0o555)
    where = {"NUMBA_CACHE_DIR": str(tmp_path / "shared"), "BODYPOSENET_CACHE": str(tmp_path / "user")}
    done = run_bound([sys.executable, "-c", script, package], env=os.environ | where)
    package.chmod(0o755)
    assert done.stdout.strip() == str(tmp_path / "user" / "numba" / kept.name), done.stderr
    assert (tmp_path / "user" / "numba" / kept.name / "one.nbi").read_text() == "index"


def test_earlier_sources_go_after_a_month_and_no_sooner(package):
    place = package / "__pycache__" / "numba"
    for name, days in (("old", 31), ("young", 29)):
        (place / name).mkdir(parents=True)
        os.utime(place / name, (time.time() - days * 86400,) * 2)
    find_compiled_folder(package)
    assert {folder.name for folder in place.iterdir()} == {"young", digest_sources(list_sources(package))}


def test_a_package_and_a_home_that_may_not_be_written_are_no_hindrance(installed, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    first, second = installed(temporary), installed(temporary)
    kept = temporary / f"bodyposenet-{os.getuid()}" / "numba"
    assert (first.stdout, second.stdout) == ("5\n", "5\n"), first.stderr
    assert first.stderr == f"INFO compiling the decoder, {WAIT}, once; kept in {kept}\n"
    assert second.stderr == ""


def test_where_nothing_may_be_written_it_compiles_at_every_start(installed, tmp_path):
    done = installed(tmp_path, BODYPOSENET_CACHE=str(tmp_path / "locked" / "cache"))
    remedy = "as no folder can be written to keep it; name one in BODYPOSENET_CACHE"
    assert done.stdout == "5\n", done.stderr
    assert done.stderr == f"WARNING compiling the decoder, {WAIT}, at every start, {remedy}\n"


def test_what_a_copy_in_a_registered_network_compiled_the_next_copy_finds(tmp_path):
    """Each is downloaded to a folder of its own, later than the one before."""
    said = []
    for number in range(2):
        root = tmp_path / f"model {number}" / "code" / "bodyposenet"
        write_package(root)
        (root / COPY).touch()
        os.utime(root / "common" / "pose" / "probe.py", (1e9 + number, 1e9 + number))
        where = {
            "PYTHONPATH": str(root.parent),
            "BODYPOSENET_CACHE": str(tmp_path / "user"),
            "PATH": os.environ["PATH"],
        }
        command = [sys.executable, "-c", "import bodyposenet.common.pose.probe as p; print(p.__file__)"]
        done = subprocess.run(command, env=where, cwd=root.parent, capture_output=True, text=True, check=True)
        assert done.stdout == f"5\n{root / 'common' / 'pose' / 'probe.py'}\n"
        assert not list(root.rglob("numba"))
        said.append(done.stderr)
    assert said == [f"INFO compiling the decoder, {WAIT}, once; kept in {tmp_path / 'user' / 'numba'}\n", ""]


def test_what_is_found_compiled_is_loaded_without_what_compiles_and_may_be_called_by_what_is_compiled_later(tmp_path):
    packages = write_package(tmp_path / "bodyposenet")
    (packages[0] / "later.py").write_text(LATER)
    where = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", "import bodyposenet.common.pose.later"]
    for fetched in (True, False):
        done = subprocess.run(command, env=where, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout == f"[0. 2. 4.] {fetched} [0. 4. 8.] float32\n"


SPOKEN_OF = {
    "pose.decoder": f"the decoder, {WAIT}",
    "pose.limbs": f"the decoder, {WAIT}",
    "pose.encoder": TRAINING_DATA,
    "data.loading.batches": TRAINING_DATA,
    "imaging.bitmask_png": TRAINING_DATA,
}


@pytest.mark.parametrize("module", SPOKEN_OF)
def test_what_is_compiled_is_announced_by_what_it_serves(module):
    assert find_subject(f"bodyposenet.common.{module}") == SPOKEN_OF[module]


def test_functions_of_others_are_not_announced():
    assert find_subject("pycocotools.mask") is None


def test_no_module_with_compiled_functions_is_forgotten():
    names = (path.relative_to(COMMON).with_suffix("").as_posix().replace("/", ".") for path in list_sources())
    assert [name for name in names if find_subject(f"bodyposenet.common.{name}") is None] == []


PAGES = ("README.md", "docs/doctor.md", "docs/tracking.md", "docs/first-people.ipynb", "images/README.md",
         "benchmarks/README.md")  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_pages_tell_the_same_wait_as_the_log(page):
    assert WAIT in " ".join((Path(__file__).parents[3] / page).read_text(encoding="utf-8").split())
