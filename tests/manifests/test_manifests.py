"""Manifests: every overlay renders, keeps to the schemas and fits together; planted mistakes are told."""

import json
import re
import shutil

import pytest
import yaml
from support.manifest_files import (
    CUSTOM,
    ROOT,
    RenderError,
    called,
    core_problems,
    custom_problems,
    pods_of,
    rendered,
    together,
)
from support.manifest_rules import broken_rules, keys_wanted

from bodyposenet import __version__
from bodyposenet.common.cli.main import main
from bodyposenet.common.model.training.cluster import read_cluster
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.pipelines.resources import SECRETS, TRACKING_CONFIG

MANIFESTS = ROOT / "manifests"
DEV = ("overlays/dev", "training/job", "training/tfjob", "training/trainjob")
GKE = ("overlays/gke", *(f"overlays/gke/{kind}" for kind in DEV[1:]))
WORLDS = {"dev": DEV, "gke": GKE}  # what is applied together; one of the trainings would do

pytestmark = pytest.mark.kubectl


def world(name, manifests=MANIFESTS):
    return together(*(manifests / folder for folder in WORLDS[name]))


@pytest.fixture(scope="module", params=WORLDS)
def objects(request):
    return world(request.param)


@pytest.fixture(scope="module")
def provided():
    """The secrets that the README has people make."""
    table = (MANIFESTS / "README.md").read_text().split("## Secrets", 1)[1]
    rows = re.findall(r"^\| `(bodyposenet-[\w-]+)` \| ([^|]+)\|", table, re.MULTILINE)
    return {name: set(re.findall(r"`([\w-]+)`", keys)) for name, keys in rows}


def one(objects, kind, name):
    return next(thing for thing in objects if (thing["kind"], thing["metadata"]["name"]) == (kind, name))


def trainings(objects):
    """Environment, words of the command and pods of each training."""
    for pods in pods_of(objects):
        if pods.labels.get("app.kubernetes.io/component") == "training":
            (container,) = pods.spec["containers"]
            job = one(objects, "TrainJob", "bodyposenet-trainjob")["spec"]["trainer"]
            command = container if "command" in container else job
            yield pods, container, command["command"] + command["args"]


def test_what_kubernetes_knows_keeps_to_its_schemas(objects):
    assert core_problems(objects) == []


@pytest.mark.data
def test_what_kubeflow_knows_keeps_to_its_definitions(objects, data_folder):
    assert {thing["kind"] for thing in objects} >= CUSTOM.keys()
    assert custom_problems(objects, data_folder / "crds") == []


def test_the_objects_fit_together(objects, provided):
    assert broken_rules(objects, provided) == []


def test_all_is_in_the_project_s_namespace(objects):
    places = {thing["metadata"].get("namespace") for thing in objects if thing["kind"] != "Namespace"}
    assert places == {"bodyposenet"}
    assert one(objects, "Namespace", "bodyposenet")


@pytest.mark.parametrize("name", WORLDS)
def test_the_trainings_share_what_is_theirs(name):
    """``together`` keeps one of what several folders bring, so they must bring the same."""
    seen = {}
    for folder in WORLDS[name]:
        for thing in rendered(MANIFESTS / folder):
            assert seen.setdefault(called(thing), thing) == thing


def test_every_folder_with_a_kustomization_is_rendered():
    whole = {path.parent.relative_to(MANIFESTS).as_posix() for path in MANIFESTS.rglob("kustomization.yaml")}
    parts = {"base", "base/tasks", "training/common", "overlays/gke/identity", "overlays/gke/gpu"}
    assert whole == {*DEV, *GKE} | parts


def test_the_secrets_and_the_configmap_are_those_of_the_pipelines(objects, provided):
    assert SECRETS.keys() <= provided.keys()
    assert all(keys.keys() <= provided[name] for name, keys in SECRETS.items())
    assert provided.keys() == keys_wanted(world("dev")).keys()
    address = one(objects, "ConfigMap", TRACKING_CONFIG)["data"]["MLFLOW_TRACKING_URI"]
    service, namespace, rest = address.removeprefix("http://").split(".", 2)
    assert (namespace, rest) == ("bodyposenet", "svc.cluster.local:5000")
    assert one(objects, "Service", service)["spec"]["ports"][0]["port"] == 5000
    allowed = one(objects, "ConfigMap", "mlflow")["data"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert address.removeprefix("http://") in allowed


def test_trainings_track_where_tasks_do_with_the_tasks_secrets(objects):
    address = one(objects, "ConfigMap", TRACKING_CONFIG)["data"]["MLFLOW_TRACKING_URI"]
    for _, container, _ in trainings(objects):
        env = {entry["name"]: entry for entry in container["env"]}
        assert env["MLFLOW_TRACKING_URI"]["value"] == address
        for secret, keys in SECRETS.items():
            for key, variable in keys.items():
                assert env[variable]["valueFrom"]["secretKeyRef"] == {"name": secret, "key": key, "optional": True}


def test_images_are_of_this_version_and_of_the_locked_mlflow(objects):
    images = {container["image"] for pods in pods_of(objects) for container in pods.spec["containers"]}
    own = {image for image in images if "bodyposenet" in image}
    assert {image.rpartition(":")[2] for image in own} == {__version__}
    locked = re.search(r"^mlflow==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)[1]
    assert f"ghcr.io/mlflow/mlflow:v{locked}-full" in images


@pytest.mark.filterwarnings("ignore")  # what MLflow says of itself when its server is imported
def test_the_server_s_command_and_settings_are_mlflow_s(objects):
    import mlflow.environment_variables
    from mlflow.cli import cli

    container = one(objects, "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"][0]
    program, verb = container["command"]
    assert program == "mlflow"
    options = cli.commands[verb]
    with options.make_context(verb, list(container["args"])) as context:
        assert (context.params["host"], context.params["port"]) == ("0.0.0.0", 5000)
    config = one(objects, "ConfigMap", "mlflow")["data"]
    names = {*config, *(entry["name"] for entry in container["env"] if entry["name"].startswith("MLFLOW_"))}
    known = {option.envvar for option in options.params} | set(vars(mlflow.environment_variables))
    assert names <= known


def test_a_training_s_command_is_one_of_bpnet_s(objects):
    found = list(trainings(objects))
    assert len(found) == 3
    for pods, _, (program, verb, *words) in found:
        assert program == "bpnet", pods.where
        with main.commands[verb].make_context(verb, words) as context:
            assert context.params["multi_node"]
            assert str(context.params["results_dir"]).startswith("/data/")


def test_a_training_s_spec_is_where_its_command_looks_and_says_what_it_needs(objects, tmp_path):
    spec = one(objects, "ConfigMap", "bodyposenet-training-spec")["data"]
    for pods, container, words in trainings(objects):
        path = words[words.index("-e") + 1]
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pods.spec["volumes"]}
        folder, _, name = path.rpartition("/")
        assert volumes[mounts[folder]]["configMap"]["name"] == "bodyposenet-training-spec"
        (tmp_path / name).write_text(spec[name])
        trained = load_spec(tmp_path / name, TrainSpec)
        assert str(trained.dataloader.dataset_config.root_data_path) in mounts
        assert "/dev/shm" in mounts


def test_workers_of_indexed_jobs_find_each_other(objects):
    """By the names that Kubernetes gives the pods of an indexed job, and that JobSet gives those of a TrainJob."""
    names = {"Job bodyposenet-training": ("bodyposenet-training", "bodyposenet-training")}
    names["TrainingRuntime bodyposenet"] = ("bodyposenet-trainjob-node-0", "bodyposenet-trainjob")
    for pods, container, _ in trainings(objects):
        if pods.where not in names:
            continue
        job, service = names[pods.where]
        env = {entry["name"]: entry.get("value", "") for entry in container["env"]}
        port = container["ports"][0]["containerPort"]
        clusters = [read_cluster(env | {"JOB_COMPLETION_INDEX": str(index)}) for index in range(2)]
        assert [cluster.index for cluster in clusters] == [0, 1]
        assert {cluster.workers for cluster in clusters} == {tuple(f"{job}-{n}.{service}:{port}" for n in range(2))}


def test_as_many_workers_start_as_are_waited_for(objects):
    job = one(objects, "Job", "bodyposenet-training")["spec"]
    assert (job["completions"], job["parallelism"], job["completionMode"]) == (2, 2, "Indexed")
    assert one(objects, "TrainJob", "bodyposenet-trainjob")["spec"]["trainer"]["numNodes"] == 2
    assert one(objects, "TrainingRuntime", "bodyposenet")["spec"]["mlPolicy"]["numNodes"] == 2
    for kind in ("training", "tfjob", "trainjob"):
        assert one(objects, "PodDisruptionBudget", f"bodyposenet-{kind}")["spec"]["minAvailable"] == 2


def test_the_training_operator_finds_what_it_looks_for(objects):
    job = one(objects, "TFJob", "bodyposenet-tfjob")
    (container,) = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    assert (container["name"], container["ports"][0]["name"]) == ("tensorflow", "tfjob-port")
    hosts = [f"bodyposenet-tfjob-worker-{n}.bodyposenet.svc:2222" for n in range(2)]
    config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": 1}, "environment": "cloud"}
    assert read_cluster({"TF_CONFIG": json.dumps(config)}).workers == tuple(hosts)


def test_gke_trains_on_gpus_within_its_quota_and_dev_on_processors():
    def gpus(objects):
        limits = [container["resources"]["limits"] for _, container, _ in trainings(objects)]
        return [int(limit.get("nvidia.com/gpu", 0)) for limit in limits]

    dev, gke = world("dev"), world("gke")
    assert (gpus(dev), gpus(gke)) == ([0, 0, 0], [1, 1, 1])
    quota = one(gke, "ResourceQuota", "gpus")["spec"]["hard"]["requests.nvidia.com/gpu"]
    assert int(quota) >= 2 * sum(gpus(gke)), "all three trainings at once, on two nodes each"
    for pods, _, _ in trainings(gke):
        assert {taint["key"] for taint in pods.spec["tolerations"]} == {"nvidia.com/gpu", "cloud.google.com/gke-spot"}
        assert "cloud.google.com/gke-accelerator" in pods.spec["nodeSelector"]


def test_gke_has_no_key_of_a_bucket_and_no_object_store():
    objects = world("gke")
    assert "bodyposenet-object-store" not in keys_wanted(objects)
    assert not [called(thing) for thing in objects if thing["metadata"]["name"] == "object-store"]
    assert one(objects, "ConfigMap", "mlflow")["data"]["MLFLOW_ARTIFACTS_DESTINATION"].startswith("gs://")
    for account in ("mlflow", "bodyposenet-runner", "bodyposenet-training"):
        assert "iam.gke.io/gcp-service-account" in one(objects, "ServiceAccount", account)["metadata"]["annotations"]


TYPOS = yaml.safe_load((ROOT / "tests" / "support" / "manifest_typos.yaml").read_text())


def planted(folder, typo):
    """A copy of the manifests with a mistake in one of their files."""
    copy = folder / "manifests"
    shutil.copytree(MANIFESTS, copy)
    text = (copy / typo["file"]).read_text()
    assert typo["right"] in text
    assert typo["right"] != typo["wrong"]
    (copy / typo["file"]).write_text(text.replace(typo["right"], typo["wrong"], 1))
    return copy


def told(copy, provided, crds=None):
    try:
        objects = world("dev", copy)
    except RenderError as error:
        return [str(error)]
    problems = core_problems(objects) + (custom_problems(objects, crds) if crds else [])
    return problems or broken_rules(objects, provided)  # the rules rely on the schemas


@pytest.mark.parametrize("name", TYPOS["kubernetes"])
def test_a_planted_mistake_is_told(name, tmp_path, provided):
    typo = TYPOS["kubernetes"][name]
    problems = told(planted(tmp_path, typo), provided)
    assert any(typo["says"] in problem for problem in problems), problems


@pytest.mark.data
@pytest.mark.parametrize("name", TYPOS["kubeflow"])
def test_a_planted_mistake_in_a_kubeflow_object_is_told(name, tmp_path, provided, data_folder):
    typo = TYPOS["kubeflow"][name]
    problems = told(planted(tmp_path, typo), provided, data_folder / "crds")
    assert any(typo["says"] in problem for problem in problems), problems
