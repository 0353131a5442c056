"""Front door: what the package itself gives, whose examples run one after another in one folder."""

import ast
import doctest
import importlib
import shutil
import subprocess
import sys

import pytest
from support.documents import ROOT

import bodyposenet

EXAMPLES = [name for name in bodyposenet.PLACES if not name.endswith("Spec")]


def test_the_types_that_checkers_see_are_those_of_the_places():
    stub = ast.parse((ROOT / "bodyposenet/__init__.pyi").read_text(encoding="utf-8"))
    given = {
        alias.asname: node.module.removeprefix("bodyposenet.common.")
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert given == bodyposenet.PLACES


@pytest.mark.parametrize("name", bodyposenet.PLACES)
def test_what_the_package_gives_is_what_its_module_has(name):
    module = importlib.import_module(f"bodyposenet.common.{bodyposenet.PLACES[name]}")
    assert getattr(bodyposenet, name) is getattr(module, name)
    assert name in dir(bodyposenet)


def test_nothing_is_imported_before_it_is_asked_for_and_what_is_not_there_is_told():
    code = "import bodyposenet, sys; print(*{'numpy', 'keras', 'pydantic', 'cv2'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
    with pytest.raises(AttributeError, match="module 'bodyposenet' has no attribute 'detect'"):
        bodyposenet.detect  # noqa: B018 - that is what is tried


@pytest.mark.slow
def test_the_examples_run_in_the_order_of_a_network_s_way(tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "docs/example", tmp_path / "example")
    monkeypatch.chdir(tmp_path / "example")
    known, runner = {}, doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name in EXAMPLES:
        (test,) = doctest.DocTestFinder(recurse=False).find(getattr(bodyposenet, name), name, globs=known)
        assert test.examples, name
        test.globs = known  # the next one's names are those that this one leaves
        found = runner.run(test, clear_globs=False)
        assert not found.failed, capsys.readouterr().out
