"""Pipelines: what is compiled for Kubeflow, and what the components look like from there."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import docstring_parser
import pytest
from google.protobuf import json_format, struct_pb2
from kfp.dsl.types.type_utils import InconsistentTypeException
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

import bodyposenet
from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow import container_images
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.kubeflow.yaml_text import load_documents
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.deploy import DeploySpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.pipelines.compile import COMPILED, PIPELINES, compile_all
from bodyposenet.pipelines.demo import demo
from bodyposenet.pipelines.specs import default

ROOT = Path(__file__).parents[2]
COMPONENTS = sorted(path.stem for path in (ROOT / "components").glob("*.py") if not path.stem.startswith("_"))
MODELS = {
    "dataset": DatasetSpec,
    "train": TrainSpec,
    "retrain": TrainSpec,
    "prune": PruneSpec,
    "inference": InferenceSpec,
    "deploy": DeploySpec,
}
HEAVY = ("tensorflow", "keras", "mlflow", "onnx", "onnxruntime", "tf2onnx")

# Compiles in a process where whatever is named cannot be imported.
BLOCKED = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[2:]:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
from pathlib import Path
from bodyposenet.pipelines.compile import compile_all
compile_all(Path(sys.argv[1]))
"""


def documents(path):
    """Pipeline and platform of a compiled file, the SDK's version dropped and nothing else."""
    pipeline, platform = load_documents(path.read_text())
    pipeline.pop("sdkVersion")
    return pipeline, platform


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The folder of this code's pipelines, compiled now."""
    folder = tmp_path_factory.mktemp("compiled")
    compile_all(folder)
    return folder


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline_and_platform(compiled, request):
    return documents(compiled / f"{request.param}.yaml")


@pytest.fixture(scope="module")
def pipeline(pipeline_and_platform):
    return pipeline_and_platform[0]


@pytest.fixture(scope="module")
def containers(pipeline):
    """Container of every executor, by the executor's name."""
    return {name: each["container"] for name, each in pipeline["deploymentSpec"]["executors"].items()}


def all_tasks(pipeline):
    """Tasks of a compiled pipeline, those of its conditions too, but not the conditions themselves."""
    dags = [pipeline["root"]["dag"], *(each["dag"] for each in pipeline["components"].values() if "dag" in each)]
    named = [task for dag in dags for task in dag["tasks"].items()]
    return {name: task for name, task in named if "dag" not in pipeline["components"][task["componentRef"]["name"]]}


@pytest.mark.parametrize("name", PIPELINES)
def test_the_committed_yaml_is_what_this_code_compiles_to(compiled, name):
    assert documents(COMPILED / f"{name}.yaml") == documents(compiled / f"{name}.yaml"), "run: make compile"


def test_nothing_else_is_committed():
    assert {path.name for path in COMPILED.iterdir()} == {f"{name}.yaml" for name in PIPELINES}


def test_compiling_gives_the_same_bytes_under_any_hash_seed_and_needs_no_framework(compiled, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", BLOCKED, str(tmp_path), *HEAVY]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "4711"})
    assert ran.returncode == 0, ran.stderr
    for name in PIPELINES:
        there, here = ((folder / f"{name}.yaml").read_bytes() for folder in (tmp_path, compiled))
        assert there == here


def test_kubeflow_can_read_both_documents(pipeline_and_platform):
    pipeline, platform = pipeline_and_platform
    parsed = json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
    assert parsed.pipeline_info.name.replace("-", "_") in PIPELINES
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(executor, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def test_all_text_is_ascii(compiled):
    for path in compiled.iterdir():
        assert path.read_text().isascii()


def test_every_task_runs_its_command_in_an_image_of_this_version(containers):
    wanted = {container_images.TRAIN_IMAGE, container_images.DEPLOY_IMAGE}
    assert {container["image"] for container in containers.values()} <= wanted
    for image in wanted:
        assert re.fullmatch(rf"[\w./-]*bodyposenet-(train|deploy):{re.escape(bodyposenet.__version__)}", image)
    for container in containers.values():
        assert container["command"]
        assert "pip install" not in json.dumps(container)


def test_every_task_that_needs_tensorflow_has_the_image_that_holds_it(containers):
    light = {"photos", "dataset-convert", "dataset-join", "sample-calibration", "calibrate", "gate", "choose-smallest"}
    light |= {"fingerprint", "finish", "finish-unregistered", "summary", "infer-batch"}
    found = {name for name, each in containers.items() if each["image"] == container_images.DEPLOY_IMAGE}
    assert found == {f"exec-{name}" for name in light} & set(containers)


def test_every_task_asks_for_resources_and_is_retried(pipeline, containers):
    for container in containers.values():
        needs = container["resources"]
        assert float(needs["resourceCpuRequest"]) >= 1
        assert needs["resourceMemoryRequest"] == needs["resourceMemoryLimit"]
        assert needs["resourceMemoryLimit"].endswith("G")
    for task in all_tasks(pipeline).values():
        assert task["retryPolicy"]["maxRetryCount"] >= 1


def test_every_task_knows_the_tracking_store_and_the_pipeline_run(pipeline_and_platform, containers):
    platform = pipeline_and_platform[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(platform) == set(containers)
    for executor in platform.values():
        maps = [each for entry in executor["configMapAsEnv"] for each in entry["keyToEnv"]]
        assert "MLFLOW_TRACKING_URI" in [each["envVar"] for each in maps]
        assert all(entry["optional"] for entry in executor["configMapAsEnv"])
        fields = {field["name"]: field["fieldPath"] for field in executor["fieldPathAsEnv"]}
        assert fields == {"KFP_RUN_ID": "metadata.labels['pipeline/runid']"}


def test_only_the_first_task_and_the_last_ones_are_never_taken_from_the_cache(pipeline):
    uncached = {name for name, task in all_tasks(pipeline).items() if not task["cachingOptions"]}
    never = {"fingerprint", "finish", "finish-unregistered", "summary", "infer-batch"}
    assert uncached == never & set(all_tasks(pipeline))


def test_no_argument_differs_from_run_to_run(compiled):
    """Kubeflow's cache goes by arguments: one with a run's id or time in it would defeat it."""
    for path in compiled.iterdir():
        assert not re.search(r"\{\{\$\.pipeline_(job|task)", path.read_text())


def test_every_task_has_a_name_of_its_own_on_the_page(pipeline):
    names = [task["taskInfo"]["name"] for task in all_tasks(pipeline).values()]
    assert len(set(names)) == len(names)


def graphs(pipeline):
    """Tasks of every graph of a compiled pipeline, conditions and loops among them, by the name of its component."""
    found = {name: each["dag"]["tasks"] for name, each in pipeline["components"].items() if "dag" in each}
    return found | {"root": pipeline["root"]["dag"]["tasks"]}


def holder(pipeline, task):
    """Name and tasks of the graph that a task is in."""
    return next((name, tasks) for name, tasks in graphs(pipeline).items() if task in tasks)


def condition(pipeline, component):
    """What must hold for a graph to run; nothing if it always does."""
    tasks = [task for each in graphs(pipeline).values() for task in each.values()]
    (task,) = [task for task in tasks if task["componentRef"]["name"] == component]
    return task.get("triggerPolicy", {}).get("condition", "")


@pytest.fixture(params=["prune_retrain", "prune_sweep"])
def pruning(compiled, request):
    """A pipeline that prunes."""
    return documents(compiled / f"{request.param}.yaml")[0]


def test_a_network_is_registered_only_if_it_is_good_enough(pruning):
    name, tasks = holder(pruning, "register")
    assert set(tasks) == {"challenge", "register", "finish"}
    wanted = {"prune-retrain": "gate-Output'] == true", "prune-sweep": "choose-smallest-Output'] > 0.0"}
    assert condition(pruning, name).endswith(wanted[pruning["pipelineInfo"]["name"]])
    told = tasks["register"]["inputs"]["parameters"]["champion_ap"]["taskOutputParameter"]
    assert told["producerTask"] == "challenge"


def test_all_but_the_fingerprint_waits_for_something_new(pruning):
    whole_run, tasks = holder(pruning, "fingerprint")
    (only,) = tasks.keys() - {"fingerprint"}
    assert tasks[only]["triggerPolicy"]["condition"].endswith("fingerprint-Output'] == true")
    root = pruning["root"]["dag"]["tasks"]
    assert {task["componentRef"]["name"] for task in root.values()} == {whole_run, "comp-summary"}
    assert root["summary"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_whichever_way_a_run_ends_well_all_other_tasks_are_done_before_its_end_is_noted(pruning):
    """Every task but the exit task is before both ends, or before one and skipped on the way to the other."""
    register, tasks = holder(pruning, "register")
    outer = next(
        each for each in graphs(pruning).values() if any(t["componentRef"]["name"] == register for t in each.values())
    )
    ends = [name for name, task in outer.items() if task.get("triggerPolicy", {}).get("condition")]
    conditions = [outer[name]["triggerPolicy"]["condition"].split("-Output'] ") for name in ends]
    assert len({output for output, _ in conditions}) == 1
    assert {said for _, said in conditions} in ({"== true", "== false"}, {"> 0.0", "<= 0.0"})
    before = [{name, *upstream(outer, name)} for name in ends]
    assert before[0] | {ends[1]} == before[1] | {ends[0]} == set(outer)
    assert {"finish", *upstream(tasks, "finish")} == set(tasks)
    assert list(holder(pruning, "finish-unregistered")[1]) == ["finish-unregistered"]


def upstream(tasks, name):
    """All tasks of a graph that are done before one begins."""
    direct = tasks[name].get("dependentTasks", [])
    return {*direct, *(far for each in direct for far in upstream(tasks, each))}


def test_the_form_has_at_most_13_inputs(pipeline):
    assert len(pipeline["root"]["inputDefinitions"]["parameters"]) <= 13


SPEC_USERS = {
    "dataset_spec": {"dataset-convert", "dataset-join", "sample-calibration"},
    "train_spec": {"train", "prune"},
    "prune_spec": {"prune-rounds"},
    "retrain_spec": {"retrain", "prune-rounds"},
    "inference_spec": {
        "evaluate-base",
        "evaluate-pruned",
        "evaluate-retrained",
        "evaluate-int8",
        "calibrate",
        "challenge",
        "register",
        "report",
    },
    "calibration_images": {"sample-calibration"},
    "weights": {"train"},
    "champion": {"challenge", "register"},
    "hold_out": {"dataset-convert", "challenge"},
}


@pytest.mark.parametrize(("output", "users"), SPEC_USERS.items())
def test_a_changed_setting_reaches_the_tasks_that_use_it_and_no_others(compiled, output, users):
    """The arguments are what Kubeflow's cache looks at."""
    pipeline, _ = documents(compiled / "prune_retrain.yaml")
    assert set(trace(pipeline, "comp-exit-handler-1", output)) == users


def trace(pipeline, layer, output):
    """The tasks of a layer, and of those below it, that are given an output of ``fingerprint``."""
    for name, task in pipeline["components"][layer]["dag"]["tasks"].items():
        below = task["componentRef"]["name"]
        for its, given in task.get("inputs", {}).get("parameters", {}).items():
            told = given.get("taskOutputParameter", {})
            here = (told.get("producerTask"), told.get("outputParameterKey")) == ("fingerprint", output)
            if here or given.get("componentInputParameter") == output:
                yield from trace(pipeline, below, its) if "dag" in pipeline["components"][below] else [name]


def test_no_layer_of_a_graph_has_more_than_a_person_can_read(pipeline):
    """The page shows a layer at a time: its tasks, and what they put out."""
    for name, tasks in graphs(pipeline).items():
        components = [pipeline["components"][task["componentRef"]["name"]] for task in tasks.values()]
        artifacts = [each for made in components for each in made.get("outputDefinitions", {}).get("artifacts", {})]
        assert len(tasks) <= 9, name
        assert len(artifacts) <= 12, (name, artifacts)


def test_the_layers_tell_the_story(compiled):
    pipeline, _ = documents(compiled / "prune_retrain.yaml")
    _, layer = holder(pipeline, "gate")
    titles = [task["taskInfo"]["name"] for task in layer.values()]
    assert sorted(titles) == ["Data", "Deploy", "Gate", "Judge", "Shrink", "Train", "good enough", "not good enough"]


def test_all_cuts_run_side_by_side_and_meet_in_the_choice(compiled):
    pipeline, _ = documents(compiled / "prune_sweep.yaml")
    _, tasks = holder(pipeline, "choose-smallest")
    loops = {name: task["parameterIterator"] for name, task in tasks.items() if "parameterIterator" in task}
    (loop,) = [name for name, each in loops.items() if each["items"]["inputParameter"].endswith("cuts")]
    inside = pipeline["components"][tasks[loop]["componentRef"]["name"]]["dag"]["tasks"]
    assert sorted(task["taskInfo"]["name"] for task in inside.values()) == [
        "Evaluate retrained", "Export", "Prune", "Retrain",
    ]  # fmt: skip
    given = tasks["choose-smallest"]["inputs"]
    artifacts = {name: each["taskOutputArtifact"]["producerTask"] for name, each in given["artifacts"].items()}
    assert artifacts == {"base": "base", "figures": loop, "networks": loop}
    assert given["parameters"]["aps"]["taskOutputParameter"]["producerTask"] == loop


def wired_wrongly():
    """A graph that would train on a network."""
    from kfp import dsl

    from bodyposenet.common.kubeflow import artifacts
    from bodyposenet.components.train import train

    @dsl.pipeline
    def wrong() -> None:
        network = dsl.importer(artifact_uri="gs://b/model", artifact_class=artifacts.PoseModel)
        train(dataset=network.output, train_spec={})

    return wrong


def test_wrong_wiring_is_refused_when_it_is_compiled():
    with pytest.raises(InconsistentTypeException, match=r"PoseModel.* is incompatible .*PoseDataset"):
        wired_wrongly()


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_is_a_signature_a_docstring_and_one_call(name):
    source = (ROOT / "components" / f"{name}.py").read_text()
    assert source.isascii()
    function = getattr(import_module(f"bodyposenet.components.{name}"), name).python_func
    (tree,) = ast.parse(inspect.getsource(function)).body
    statements = tree.body[1:]
    assert sum(node.end_lineno - node.lineno + 1 for node in statements) <= 25
    said = docstring_parser.parse(inspect.getdoc(function), docstring_parser.DocstringStyle.GOOGLE)
    assert [parameter.arg_name for parameter in said.params] == list(inspect.signature(function).parameters)
    assert all(parameter.description for parameter in said.params)
    returned = inspect.signature(function).return_annotation
    assert (said.returns is None) == (returned is None)


def test_the_pipeline_says_what_each_of_its_arguments_is(pipeline):
    described = pipeline["root"]["inputDefinitions"]["parameters"]
    assert all(parameter.get("description") for parameter in described.values())
    assert all(parameter.get("isOptional") for parameter in described.values()), "it runs without any"


def through_kubeflow(settings):
    """A dict as a task gets it: a protobuf Struct has floats only."""
    struct = struct_pb2.Struct()
    struct.update(settings)
    return json_format.MessageToDict(struct)


@pytest.mark.parametrize(("name", "model"), MODELS.items())
def test_a_shipped_spec_means_the_same_after_kubeflow_made_its_numbers_floats(name, model):
    given = default(name)
    arrived = restore_ints(through_kubeflow(given))
    assert read(arrived, model) == read(given, model)
    assert json.dumps(arrived, sort_keys=True) == json.dumps(restore_ints(given), sort_keys=True)


def read(settings, model):
    """The spec of a dict, with what the pipeline fills in."""
    filled = dict(settings)
    if model is TrainSpec:
        records = {"train_records_folder_path": "somewhere", "train_records_path": ["train"]}
        filled["dataloader"] = {**settings["dataloader"], "dataset_config": records}
    if model is DatasetSpec:
        half = {"images_root_dir_path": "images", "mask_root_dir_path": "masks", "annotation_root_dir_path": "a.json"}
        person = {"name": "person", "num_joints": 1, "keypoints": ["nose"]}
        filled |= {"root_directory_path": "somewhere", "train_data": half, "test_data": half, "categories": [person]}
    return parse_spec(filled, model)


def test_whole_numbers_come_back_whole_and_others_stay():
    given = {"a": 3.0, "b": 0.5, "c": [1.0, {"d": 2.0}], "e": True, "f": None, "g": "4.0", "h": 1e-4}
    wanted = {"a": 3, "b": 0.5, "c": [1, {"d": 2}], "e": True, "f": None, "g": "4.0", "h": 1e-4}
    assert json.dumps(restore_ints(given)) == json.dumps(wanted)


def test_a_demo_on_a_folder_without_photos_ends_before_any_task(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="mine: has no folder images, train2017, train; put the photos in images/"):
        demo(tmp_path / "out", data=str(tmp_path / "mine"))
    for data in ("gs://bucket/photos", "https://host/a.zip", "synthetic:80,40"):
        with pytest.raises(UserError, match=f"{data}: a run on this machine takes a folder of its disks; download"):
            demo(tmp_path / "out", data=data)
    assert not (tmp_path / "out").exists()
