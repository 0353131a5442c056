"""Imports: what is hidden is hidden for that moment alone."""

import importlib
import sys

import pytest

from bodyposenet.common.machine.imports import import_without


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
