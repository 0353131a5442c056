"""Docs: the example's specs fit together, and tables say what the code says."""

import inspect
import re
from inspect import signature
from pathlib import Path

import click
import pytest
import yaml

from bodyposenet.common.cli.main import main
from bodyposenet.common.kubeflow import container_images
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.kinds import notes
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.pipelines import resources
from bodyposenet.pipelines.blocks import DEFAULTS
from bodyposenet.pipelines.prune_retrain import prune_retrain
from bodyposenet.pipelines.resources import TRACKING_CONFIG

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "example"


def rows(page, heading):
    """Cells of the first table after a line of a page, its head aside."""
    text = (ROOT / page).read_text().split(heading, 1)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


@pytest.fixture(scope="module")
def example():
    kinds = {"train": TrainSpec, "retrain": TrainSpec, "infer": InferenceSpec}
    specs = {name: load_spec(EXAMPLE / f"{name}.yaml", kind) for name, kind in kinds.items()}
    return specs | {"coco": load_spec(EXAMPLE / "coco_spec.json", DatasetSpec)}


def test_the_example_says_nothing_without_effect(example):
    assert [note for spec in example.values() for note in notes(spec)] == []


def test_the_example_s_trainings_differ_in_their_start_and_rate_only(example):
    def rest(spec):
        plain = spec.model_dump(exclude={"pretrained_weights", "load_graph"})
        plain["optimizer"]["learning_rate_schedule"].pop("base_learning_rate")
        return plain

    assert rest(example["train"]) == rest(example["retrain"])
    assert (example["train"].load_graph, example["retrain"].load_graph) == (False, True)


def test_the_example_hands_its_files_on(example):
    text = (ROOT / "docs/worked-example.md").read_text()
    assert f"-o {example['retrain'].pretrained_weights} " in text
    assert f"synthesize -o {example['coco'].root_directory_path} " in text
    data = example["train"].dataloader.dataset_config
    assert f"-o {data.train_records_folder_path}/{data.train_records_path[0]} " in text
    assert data.dataset_specs == {example["coco"].dataset: "coco_spec.json"}
    size = example["train"].dataloader.image_config.image_dims.size
    assert example["infer"].input_shape == size
    assert f"-d {size[0]},{size[1]},3" in text


def test_the_page_lists_the_pipeline_s_parameters_and_plain_defaults():
    wanted = signature(prune_retrain.pipeline_func).parameters
    told = {name.strip("`"): default.strip("`") for name, default, _ in rows("docs/pipeline.md", "## On Kubeflow")}
    assert list(told) == list(wanted)
    for name, parameter in wanted.items():
        if name.endswith("_spec"):
            assert yaml.safe_load((ROOT / "pipelines" / told[name]).read_text()) == restore_ints(DEFAULTS[name])
        else:
            assert told[name] == (str(parameter.default) or "empty")


def test_the_page_lists_the_variables_that_tell_clusters_apart():
    table = rows("docs/pipeline.md", "## What differs from cluster to cluster")
    told = [name.strip("` ") for names, _, _ in table for name in names.split(",")]
    read = set(re.findall(r'"(BODYPOSENET_\w+)"', inspect.getsource(resources) + inspect.getsource(container_images)))
    assert set(told) == read - {"BODYPOSENET_BUCKET_KEY"}, "that one is a secret"


def test_every_decision_is_listed_and_has_the_four_parts():
    pages = sorted(page.name for page in (ROOT / "docs/adr").glob("0*.md"))
    assert [re.search(r"\((.*)\)", number)[1] for number, _ in rows("docs/adr/README.md", "# Decisions")] == pages
    for page in pages:
        text = (ROOT / "docs/adr" / page).read_text()
        assert text.startswith(f"# {page[:4]}: ")
        parts = ["Context", "Decision", "Consequences", "What else was tried"]
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == parts


def test_the_tracking_configmap_is_the_one_that_tasks_read():
    tasks = ROOT / "manifests" / "base" / "tasks"
    listed = yaml.safe_load((tasks / "kustomization.yaml").read_text())["resources"]
    config = yaml.safe_load((tasks / listed[0]).read_text())
    assert (config["kind"], config["metadata"]["name"]) == ("ConfigMap", TRACKING_CONFIG)
    assert config["data"].keys() == {"MLFLOW_TRACKING_URI"}


def test_the_architecture_draws_the_layers_that_are_held():
    contract = (ROOT / ".importlinter").read_text().split("layers =\n", 1)[1].split("\n\n", 1)[0]
    held = [line.strip() for line in contract.splitlines()]
    page = (ROOT / "docs/architecture.md").read_text()
    assert page.split("```\n")[1].splitlines() == held
    listed = re.findall(r"^\| [a-z ]+ \| (`.*?) \|", page, re.MULTILINE)
    assert [" | ".join(re.findall(r"`(\w+)`", folders)) for folders in listed] == held


def list_verbs(command, name=""):
    """Every verb with its command, those of groups as ``spec check``."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for part in command.list_commands(context):
        yield from list_verbs(command.get_command(context, part), f"{name} {part}".strip())


def test_the_flags_that_verbs_share_are_listed_as_click_knows_them():
    names = {"`-r`, `--results_dir`": "results_dir", "`-l`, `-ll`, `--log_level`": "log_level"}
    names |= {"`--path-map OLD=NEW`": "path_map", "`-k`, `--key`, `--key_file`, `--allow_plain`": "key"}
    names |= {"`--json`": "json", "`--dry-run`": "dry_run"}
    listed = {flag: re.findall(r"`([\w ]+)`", verbs) for flag, verbs in rows("docs/tao-migration.md", "## Commands")}
    for flag, name in names.items():
        takers = [verb for verb, command in list_verbs(main) if any(each.name == name for each in command.params)]
        assert listed[flag] == takers, flag
