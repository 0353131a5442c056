"""Catalogue: the components' README says what the components say."""

import pytest

from bodyposenet.pipelines.catalogue import FILE, all_components, catalogue, descriptions

COMPONENTS = all_components()


def test_the_readme_is_what_the_catalogue_writes():
    assert FILE.read_text(encoding="utf-8") == catalogue(), "run: python -m bodyposenet.pipelines.catalogue"


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_input_and_output_is_described_in_ascii(name):
    spec = COMPONENTS[name].component_spec
    told = descriptions(COMPONENTS[name])
    for entry in [*(spec.inputs or {}), *(spec.outputs or {})]:
        assert told.get(entry), f"{name}: nothing is said of {entry!r}"
        assert told[entry].isascii()
    assert spec.description.isascii()


def test_the_readme_names_everything_that_a_pipeline_can_wire():
    text = FILE.read_text(encoding="utf-8")
    sections = {part.splitlines()[0]: part for part in text.split("\n## ")[1:]}
    assert list(sections) == sorted(COMPONENTS)
    prune = sections["prune"]
    assert "| in | `prune_spec` | Dict |" in prune
    assert "| out | `pruned` | PoseModel | | The smaller network, ready to retrain. |" in prune
    assert "| out | `Output` | Float | | Parameters kept, as a fraction. |" in prune
