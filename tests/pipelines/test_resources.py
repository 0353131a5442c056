"""Cluster: what a pipeline compiled for GPUs, spot nodes and a shared volume asks of Kubernetes."""

import subprocess
import sys

import pytest
from kfp import components, dsl
from kfp.compiler import Compiler

from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow.yaml_text import load_documents
from bodyposenet.common.tasks.failure import LAST_WORDS
from bodyposenet.components.evaluate import evaluate
from bodyposenet.pipelines.component_pages import FILES
from bodyposenet.pipelines.resources import KEYLESS, NEEDS, Cluster, with_resources

FLAGS = ["--gpus", "2", "--spot", "--volume", "photos", "--mount", "/photos", "--retries", "1", "--run-as", "4000:5000"]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Executors, their platform, tasks and form of prune_retrain, compiled for such a cluster in another process."""
    folder = tmp_path_factory.mktemp("cluster")
    command = ["-m", "bodyposenet.common.cli.main", "pipeline", "compile", "-o", str(folder), *FLAGS]
    subprocess.run([sys.executable, "-W", "ignore", *command], check=True)
    pipeline, platform = load_documents((folder / "prune_retrain.yaml").read_text())
    executors = pipeline["deploymentSpec"]["executors"]
    tasks = [task for each in pipeline["components"].values() if "dag" in each for task in each["dag"]["tasks"].items()]
    form = pipeline["root"]["inputDefinitions"]["parameters"]
    return executors, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"], dict(tasks), form


@pytest.mark.parametrize(("executor", "gpus"), [("exec-train", "2"), ("exec-prune-rounds", "2"), ("exec-gate", None)])
def test_trainings_get_the_gpus_and_tolerate_their_taints(compiled, executor, gpus):
    accelerator = compiled[0][executor]["container"]["resources"].get("accelerator", {})
    assert accelerator.get("resourceCount") == gpus
    keys = [each["key"] for each in compiled[1][executor].get("tolerations", [])]
    assert keys == (["nvidia.com/gpu", "cloud.google.com/gke-spot"] if gpus else [])


def test_every_task_finds_the_volume_and_trainings_keep_their_checkpoints_there(compiled):
    _, platform, tasks, form = compiled
    mounts = {name: each["pvcMount"][0] for name, each in platform.items()}
    assert {mount["mountPath"] for mount in mounts.values()} == {"/photos"}
    assert form["work"]["defaultValue"] == "/photos/checkpoints"
    for name in ("train", "retrain", "prune-rounds"):
        assert tasks[name]["inputs"]["parameters"]["work"]["componentInputParameter"].endswith("work")


def test_trainings_use_all_the_gpus_that_they_get(compiled):
    for name in ("train", "retrain"):
        assert compiled[2][name]["inputs"]["parameters"]["gpus"]["runtimeValue"]["constant"] == 2


def test_tasks_are_tried_again_as_often_as_asked_and_given_up_in_the_end(compiled):
    _, platform, tasks, _ = compiled
    retries = {task["retryPolicy"]["maxRetryCount"] for task in tasks.values() if "retryPolicy" in task}
    assert retries == {1}
    assert {name: int(each["activeDeadlineSeconds"]) for name, each in platform.items()} == {
        name: int(NEEDS[find_need(name.removeprefix("exec-"))].hours * 3600) for name in platform
    }


def find_need(task):
    """The need of a task, whose name may say more: ``evaluate-base``, ``finish-unregistered``."""
    return {"retrain": "train"}.get(task) or max((need for need in NEEDS if task.startswith(need)), key=len)


def test_trainings_have_shared_memory_for_their_data(compiled):
    (mount,) = compiled[1]["exec-train"]["emptyDirMounts"]
    assert (mount["mountPath"], mount["medium"], mount["sizeLimit"]) == ("/dev/shm", "Memory", "2Gi")


def test_secrets_are_kubernetes_secrets_and_nothing_else(compiled):
    always = ("bodyposenet-mlflow", "bodyposenet-model-key")
    every = ("bodyposenet-bucket", "bodyposenet-s3", "bodyposenet-azure")
    for task, executor in compiled[1].items():
        names = {each["secretName"]: each["optional"] for each in executor["secretAsEnv"]}
        stores = () if find_need(task.removeprefix("exec-")) in KEYLESS else every
        assert names == dict.fromkeys((*always, *stores), True), task
    env = [each["container"].get("env") for each in compiled[0].values()]
    assert not any(env), "a value in the clear"


def test_no_task_runs_as_root(compiled):
    contexts = [each["securityContext"] for each in compiled[1].values()]
    assert contexts == [{"runAsUser": "4000", "runAsGroup": "5000", "runAsNonRoot": True}] * len(compiled[1])
    assert compiled[1].keys() == {name for name, each in compiled[0].items() if "container" in each}


@pytest.mark.parametrize("value", ["0:0", "root", "1000", "-1:5", "1000:", "a:b", "9999999999:1", "\u0661:1"])
def test_users_that_are_none_or_root_are_refused(value):
    with pytest.raises(UserError, match="BODYPOSENET_RUN_AS: should be USER:GROUP in numbers, not root"):
        Cluster.read({"BODYPOSENET_RUN_AS": value})


def test_the_user_can_be_left_to_the_cluster():
    assert Cluster.read({"BODYPOSENET_RUN_AS": ""}).run_as == ""


def test_without_settings_there_is_neither_gpu_nor_volume():
    assert Cluster.read({}) == Cluster()
    assert Cluster.read({}).checkpoints == ""


@pytest.mark.parametrize("name", ["BODYPOSENET_GPUS", "BODYPOSENET_RETRIES", "BODYPOSENET_SPOT"])
@pytest.mark.parametrize("value", ["many", "-1", "1.5", "1001", "9" * 5000])
def test_a_setting_that_is_none_is_refused_by_its_name(name, value):
    with pytest.raises(UserError, match=f"{name}: should be"):
        Cluster.read({name: value})


@pytest.mark.parametrize(("name", "bad", "good"), [
    ("VOLUME", ["my photos", "Photos", "a_b", "-a", "a" * 254], ["photos", "photos-2.nfs"]),
    ("MOUNT", ["data", "/", "/a:b", "//a", "a/b"], ["/data", "/data/", "/mnt/my photos"]),
    ("GPU_KIND", ["gpu", "nvidia.com/", "nvidia com/gpu", "NVIDIA.com/gpu"], ["nvidia.com/gpu", "amd.com/gpu"]),
])  # fmt: skip
def test_what_kubernetes_would_refuse_is_refused_when_a_pipeline_is_compiled(name, bad, good):
    for value in bad:
        with pytest.raises(UserError, match=f"BODYPOSENET_{name}: should be a "):
            Cluster.read({f"BODYPOSENET_{name}": value})
    for value in good:
        assert getattr(Cluster.read({f"BODYPOSENET_{name}": value}), name.lower()) == value


@pytest.mark.parametrize(("value", "spot"), [("1", True), ("True", True), ("0", False), ("false", False), ("", False)])
def test_spot_is_yes_or_no_in_any_of_the_usual_spellings(value, spot):
    assert Cluster.read({"BODYPOSENET_SPOT": value}).spot is spot


def test_last_words_go_where_kubernetes_looks():
    assert LAST_WORDS == "/dev/termination-log"


def compile_task(make, file):
    """A pipeline of one evaluation, compiled: its executor, the task and what Kubernetes is told."""

    @dsl.pipeline(name="one")
    def one() -> None:
        given = dsl.importer(artifact_uri="gs://b/set", artifact_class=dsl.Artifact)
        make(given.output)

    Compiler().compile(one, str(file))
    pipeline, platform = load_documents(file.read_text())
    executor = pipeline["deploymentSpec"]["executors"]["exec-evaluate"]["container"]
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return executor, pipeline["root"]["dag"]["tasks"]["evaluate"], executors["exec-evaluate"]


def test_a_loaded_component_gets_what_our_own_pipelines_give_it(tmp_path):
    loaded = components.load_component_from_file(str(FILES / "evaluate.yaml"))

    def theirs(given):
        with_resources(loaded(dataset=given, onnx=given, inference_spec={}))

    def ours(given):
        with_resources(evaluate(dataset=given, onnx=given, inference_spec={}), "evaluate", "evaluate")

    assert compile_task(theirs, tmp_path / "theirs.yaml") == compile_task(ours, tmp_path / "ours.yaml")


def test_a_loaded_component_runs_in_the_image_of_the_registry(tmp_path, monkeypatch):
    monkeypatch.setenv("BODYPOSENET_REGISTRY", "registry.example.com/")
    loaded = components.load_component_from_file(str(FILES / "evaluate.yaml"))
    executor, _, _ = compile_task(
        lambda given: with_resources(loaded(dataset=given, onnx=given, inference_spec={})), tmp_path / "one.yaml"
    )
    assert executor["image"].startswith("registry.example.com/bodyposenet-train:")


def test_somebody_else_s_component_is_told_to_have_its_own_needs():
    @dsl.container_component
    def other() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="busybox", command=["true"])

    with pytest.raises(UserError, match=r"^other: is no component of this package; set what it needs on the task"):

        @dsl.pipeline
        def wrong() -> None:
            with_resources(other())


LIGHT = """
import sys
import kfp.kubernetes
known = {name.partition(".")[0] for name in sys.modules}
import bodyposenet.pipelines.resources
print(*{name.partition(".")[0] for name in sys.modules} - known)
"""


def test_it_is_imported_without_any_library_but_kfp_s():
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", LIGHT], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["bodyposenet"]
