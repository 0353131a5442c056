"""Component pages: what ``bpnet component`` tells of the components that others load."""

import pytest
import yaml
from click.testing import CliRunner
from kfp import components, dsl

from bodyposenet.common.cli.main import main
from bodyposenet.pipelines.catalogue import all_components, purpose
from bodyposenet.pipelines.component_pages import FILES

COMPONENTS = all_components()


def bpnet(*words, **variables):
    return CliRunner().invoke(main, ["component", *words], catch_exceptions=False, env=variables)


def test_the_list_has_a_line_for_each_component_with_what_it_does():
    lines = [line.split(maxsplit=1) for line in bpnet("list").stdout.splitlines()]
    assert lines == [[name, purpose(component)] for name, component in COMPONENTS.items()]


def test_the_page_has_types_defaults_and_descriptions():
    said = bpnet("show", "calibrate").stdout
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines[0] == "calibrate: Measure what the activations hold on photos and write explicit Q/DQ networks."
    inputs = lines[lines.index("inputs") + 1 : lines.index("outputs") - 1]
    assert [line.split()[0] for line in inputs] == [
        "onnx", "photos", "inference_spec", "dataset", "keep", "max_drop", "method",
    ]  # fmt: skip
    assert "onnx Model Exported network." in inputs
    assert "method str = 'entropy' How ranges are cut: entropy, percentile or minmax." in inputs
    assert "Output list The convolutions that stay in float." in lines


@pytest.mark.parametrize(
    "name", sorted(COMPONENTS.keys() - {"choose_smallest", "dataset_join", "summary"})
)  # of loops and exits
def test_the_snippet_runs_where_its_file_is(name, tmp_path, monkeypatch):
    """In a pipeline, with an importer for every artifact and a word for everything else that is wanted."""
    (tmp_path / f"{name}.yaml").write_text(bpnet("show", name, "--yaml").stdout)
    monkeypatch.chdir(tmp_path)
    said = bpnet("show", name).stdout
    snippet = said[said.index("# bpnet component show") :]
    inputs = components.load_component_from_file(f"{name}.yaml").component_spec.inputs or {}
    words = {"Dict": {}, "List": [], "String": "x", "Float": 0.5}
    given = {}
    for key, each in inputs.items():
        if f"{key}=..." in snippet:
            given[key] = words.get(each.type, each)
            snippet = snippet.replace(f"{key}=...", f"{key}=given[{key!r}]")

    @dsl.pipeline
    def one() -> None:
        for key, each in given.items():
            if each is inputs[key]:
                made = dsl.importer(artifact_uri="gs://b/a", artifact_class=dsl.Artifact)
                given[key] = made.output
        exec(snippet, {"given": given})

    assert COMPONENTS[name].name in one.pipeline_spec.root.dag.tasks


def test_the_file_names_the_registry_s_image_and_is_else_the_committed_one():
    said = bpnet("show", "dataset-convert", "--yaml", BODYPOSENET_REGISTRY="registry.example.com/vision/").stdout
    committed = (FILES / "dataset_convert.yaml").read_text()
    assert said != committed
    assert said.replace("registry.example.com/vision/", "") == committed
    (executor,) = yaml.safe_load(said)["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"].startswith("registry.example.com/vision/bodyposenet-deploy:")


def test_an_unknown_name_is_told_with_the_nearest():
    done = bpnet("show", "calibrat")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: calibrat: no such component; did you mean 'calibrate'?; bpnet component list names them\n"
    )
