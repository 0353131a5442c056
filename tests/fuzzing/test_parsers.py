"""Parsers: whatever is in a file, what reads it makes something of it or tells in a line what is wrong."""

import importlib
import pkgutil

import pytest
from fuzzing.bench import CORPUS, Bench
from fuzzing.parsers import PARSERS

CASES = 10  # of each parser; make fuzz tries more

NAMES = [pytest.param(name, marks=[pytest.mark.heavy] if PARSERS[name].heavy else []) for name in PARSERS]
REFUSED = {  # seeds that are sound of themselves, and not what is asked for
    "split-rule": 2,
    "encrypted": 0,
    "tao-encrypted": 2,
    "address": 6,
    "answer": 3,
}
# Modules of the importers that read no file of a tool by themselves, and those whose files have a parser of other names
READ_BY = {
    "coco_dialects": "coco",
    "cvat_xml": "cvat",
    "datumaro_json": "datumaro",
    "label_studio": "label-studio",
    "labelme": "labelme",
    "mpii": "mpii",
    "yolo": "yolo-labels",
    "yolo_layout": "yolo-list",
    "yolo_settings": "yolo-yaml",
}
HELP = {
    "assembly",
    "cvat_elements",
    "document",
    "foreign",
    "json_text",
    "load",
    "people",
    "photo_names",
    "regions",
    "sources",
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = {}

    def make(name):
        if name not in made:
            made[name] = Bench(PARSERS[name], tmp_path_factory.mktemp(name))
        return made[name]

    return make


@pytest.mark.parametrize("name", NAMES)
def test_sound_files_are_read(bench, name):
    """Otherwise hostile ones would be refused for another reason."""
    assert len(bench(name).try_sound()) <= REFUSED.get(name, 0)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_found_once_is_never_found_again(bench, name):
    kept = CORPUS / name
    for path in sorted(kept.iterdir()) if kept.is_dir() else ():
        assert bench(name).try_one(path.read_bytes()) is None, path


@pytest.mark.parametrize("name", NAMES)
def test_hostile_files_end_in_something_or_in_a_line(bench, name):
    bench(name).run(0, CASES, fixed=True)
    assert [(find.place, find.reason) for find in bench(name).smallest.values()] == []


def test_every_importer_and_every_kind_of_spec_has_a_parser_here():
    from bodyposenet.common.data import importers
    from bodyposenet.common.spec import kinds

    modules = {module.name for module in pkgutil.iter_modules(importlib.import_module(importers.__name__).__path__)}
    assert modules == READ_BY.keys() | HELP
    assert {*READ_BY.values()} <= PARSERS.keys()
    specs = {"TrainSpec": "train-spec", "DatasetSpec": "dataset-spec", "InferenceSpec": "inference-spec",
             "PoseConfig": "pose-config", "PruneSpec": "prune-spec", "DeploySpec": "deploy-spec"}  # fmt: skip
    assert {kind.__name__ for kind in kinds.KINDS.values()} == specs.keys()
    assert len(PARSERS) >= 30
    assert {path.name for path in CORPUS.iterdir()} <= PARSERS.keys()
