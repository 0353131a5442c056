"""Imports: what is hidden is hidden for that moment alone."""

import importlib
import os
import sys

import pytest

from bodyposenet.common.machine.imports import import_without, leave_greetings_out


def test_what_is_hidden_cannot_be_imported_and_is_afterwards_what_it_was(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    before = sys.modules["json"]
    with pytest.raises(ImportError, match="json"):
        import_without(["json", "colorsys"], lambda: importlib.import_module("json"))
    assert sys.modules["json"] is before
    assert "colorsys" not in sys.modules
    assert importlib.import_module("colorsys").rgb_to_hsv(1, 1, 1) == (0, 0, 1)


def test_what_is_loaded_without_others_is_given():
    assert import_without(["colorsys"], lambda: 7) == 7


TALKS = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"I0000 00:00:1796068972.557610   25122 port.cc:153] custom operations are on.\\n")
os.write(2, b"E0000 00:00:1796068972.557611   25122 port.cc:160] this does not work\\n")
os.write(2, b"nor does this\\n")
"""


@pytest.mark.parametrize(("level", "greets"), [("2", False), ("0", True)])
def test_of_what_a_library_says_while_it_is_imported_errors_are_told(tmp_path, monkeypatch, capfd, level, greets):
    name = f"talks_{level}"
    (tmp_path / f"{name}.py").write_text(TALKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    leave_greetings_out(name)
    importlib.import_module(name)
    os.write(2, b"and this is later\n")
    *greetings, error, other, later = capfd.readouterr().err.splitlines()
    assert (error.startswith("E0000"), other, later) == (True, "nor does this", "and this is later")
    assert len(greetings) == 2 * greets


def test_a_library_that_cannot_be_imported_says_why(tmp_path, monkeypatch, capfd):
    (tmp_path / "talks_and_ends.py").write_text(TALKS + "import there_is_no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    leave_greetings_out("talks_and_ends")
    with pytest.raises(ImportError, match="there_is_no_such_module"):
        importlib.import_module("talks_and_ends")
    assert len(capfd.readouterr().err.splitlines()) == 2
