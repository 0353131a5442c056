"""Resources: what each task asks of the cluster, and the environment that every task gets.

Importing this wants kfp and kfp-kubernetes and nothing heavier, so that pipelines of loaded component files can use it.

What differs from cluster to cluster is read from the environment when a pipeline is compiled; ``bpnet pipeline compile
--help`` names the flags that set it.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kfp import kubernetes
from kfp.dsl import PipelineTask

from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow.container_images import rename_image
from bodyposenet.common.kubeflow.page_variables import KUBEFLOW_PAGE, MLFLOW_PAGE

HOUR = 3600
BACKOFF, FACTOR, LONGEST_BACKOFF = "30s", 2.0, "600s"  # a bucket that is away, a node that is taken back
# A ConfigMap and its keys, all optional: where MLflow is, without which nothing is tracked; for links, where browsers
# find the pages of Kubeflow and of MLflow
TRACKING_CONFIG = "bodyposenet-tracking"
TRACKING = ("MLFLOW_TRACKING_URI", KUBEFLOW_PAGE, MLFLOW_PAGE)
SECRETS = {  # optional ones: without them nothing is encrypted, and servers are asked without a password
    "bodyposenet-mlflow": {"username": "MLFLOW_TRACKING_USERNAME", "password": "MLFLOW_TRACKING_PASSWORD"},
    "bodyposenet-model-key": {"key": "BPNET_MODEL_KEY", "allow-plain": "BPNET_ALLOW_PLAIN"},
    "bodyposenet-bucket": {"key": "BODYPOSENET_BUCKET_KEY"},
    "bodyposenet-s3": {
        "access-key": "AWS_ACCESS_KEY_ID",
        "secret-key": "AWS_SECRET_ACCESS_KEY",
        "endpoint": "AWS_ENDPOINT_URL",
    },
    "bodyposenet-azure": {"connection-string": "AZURE_STORAGE_CONNECTION_STRING"},
}
OF_STORES = ("bodyposenet-bucket", "bodyposenet-s3", "bodyposenet-azure")  # those of users' photos
# Tasks that read and write nothing but what Kubeflow hands them: they get no keys of users' stores
KEYLESS = frozenset(("build-engine", "bundle", "calibrate", "choose-smallest", "export", "gate", "prune", "summary"))
NAMES = {  # what Kubernetes takes, by variable: anything else would be refused when the first pod is to start
    "BODYPOSENET_VOLUME": (r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "a claim's name: lower case, digits, dashes, dots"),
    "BODYPOSENET_GPU_KIND": (r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9._-]+", "a resource such as nvidia.com/gpu"),
    "BODYPOSENET_MOUNT": (r"(/[^/:\0]+)+/?", "a folder such as /data"),
}
MOST = 1000  # GPUs of a task, or tries
RUN_LABEL = "metadata.labels['pipeline/runid']"


@dataclass(frozen=True)
class TaskResources:
    """What a task asks for.

    Attributes:
        cpu: Cores.
        memory: Bytes, requested and at most; shared memory counts in.
        gpu: It computes on GPUs, where the cluster has some for it.
        shared: Shared memory, for the loading of data; empty leaves it at the container's 64 MiB.
        hours: Before it is given up.
        tries: How often it is tried again, at most: once, for a lost pod, where it reads nothing but its inputs, which
            are the same the next time.
    """

    cpu: str
    memory: str
    gpu: bool = False
    shared: str = ""
    hours: float = 2
    tries: int = 10


SMALL = TaskResources("1", "2G", hours=1)
QUICK = TaskResources("1", "2G", hours=1, tries=1)
TRAINING = TaskResources("4", "12G", gpu=True, shared="2Gi", hours=72)
NEEDS = {
    "fingerprint": TaskResources("1", "2G", tries=1),
    "photos": SMALL,
    "dataset-convert": TaskResources("2", "4G", hours=12),
    "dataset-join": TaskResources("1", "4G", tries=1),
    "sample-calibration": TaskResources("1", "4G", tries=1),
    "train": TRAINING,
    "prune": TaskResources("2", "6G", tries=1),
    "prune-rounds": TRAINING,  # retrains, too
    "export": TaskResources("2", "10G", tries=1),  # our networks take 1.3 GB; what tf2onnx must convert 8.2
    "calibrate": TaskResources("2", "6G", hours=6, tries=1),
    "bundle": TaskResources("1", "4G", hours=1, tries=1),
    "build-engine": TaskResources("2", "6G", gpu=True, tries=1),
    "evaluate": TaskResources("2", "6G", hours=6, tries=1),
    "challenge": TaskResources("2", "6G", hours=6),
    "report": TaskResources("2", "10G", tries=1),
    "gate": QUICK,
    "choose-smallest": QUICK,
    "register": TaskResources("1", "4G", hours=1),
    "finish": SMALL,
    "infer-batch": TaskResources("2", "4G", hours=72),
    "prelabel": TaskResources("2", "4G", hours=72),
    "summary": SMALL,
}


@dataclass(frozen=True)
class Cluster:
    """What differs from cluster to cluster.

    Attributes:
        gpus: For each task that computes on GPUs; 0 trains on processors.
        gpu_kind: Kubernetes' name of the resource.
        volume: Claim of a volume that all tasks share; empty where data come from buckets.
        mount: Where tasks find it.
        spot: Trainings may run on nodes that are taken back at any moment.
        retries: How often a task that failed is tried again.
        run_as: Numbers of the user and the group that tasks run as; empty leaves that to the cluster, as OpenShift,
            which gives each namespace numbers of its own, wants it.
    """

    gpus: int = 0
    gpu_kind: str = "nvidia.com/gpu"
    volume: str = ""
    mount: str = "/data"
    spot: bool = False
    retries: int = 3
    run_as: str = "1000:1000"  # the images' own

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Cluster":
        """As the environment says.

        Raises:
            UserError: A value is none that it can have.
        """
        return cls(
            gpus=_count(environment, "BODYPOSENET_GPUS", cls.gpus),
            gpu_kind=_name(environment, "BODYPOSENET_GPU_KIND", cls.gpu_kind),
            volume=_name(environment, "BODYPOSENET_VOLUME", cls.volume),
            mount=_name(environment, "BODYPOSENET_MOUNT", cls.mount),
            spot=_yes(environment, "BODYPOSENET_SPOT"),
            retries=_count(environment, "BODYPOSENET_RETRIES", cls.retries),
            run_as=_user(environment, "BODYPOSENET_RUN_AS", cls.run_as),
        )

    @property
    def checkpoints(self) -> str:
        """Where trainings keep checkpoints that a retried task goes on from; nothing without a volume."""
        return f"{self.mount.rstrip('/')}/checkpoints" if self.volume else ""


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isdecimal() and len(text) <= 9 and int(text) <= MOST):
        raise UserError(f"should be a whole number, 0 to {MOST} (got {text!r})", where=name, fix="mend or unset it")
    return int(text)


def _name(environment: Mapping[str, str], name: str, default: str) -> str:
    pattern, kind = NAMES[name]
    text = environment.get(name, "").strip()
    if text and not re.fullmatch(pattern, text):
        raise UserError(f"should be {kind} (got {text!r})", where=name, fix="mend or unset it")
    return text or default


def _yes(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name, "").strip().lower()
    if text not in ("", "0", "1", "false", "true"):
        raise UserError(f"should be true or false (got {text!r})", where=name, fix="mend or unset it")
    return text in ("1", "true")


def _user(environment: Mapping[str, str], name: str, default: str) -> str:
    text = environment.get(name, default).strip()
    if text and not re.fullmatch(r"[1-9][0-9]{0,8}:[0-9]{1,9}", text):
        raise UserError(f"should be USER:GROUP in numbers, not root (got {text!r})", where=name, fix="mend or unset it")
    return text


CLUSTER = Cluster.read(os.environ)


def with_resources(task: PipelineTask, need: str = "", title: str = "") -> PipelineTask:
    """Give a task its resources, its retries, its environment and the cluster's name of its image.

    The run's id comes from a pod label and not from an argument, which would defeat Kubeflow's cache.

    Args:
        task: Of a component of this package, or of one that was loaded from its file.
        need: Key of :data:`NEEDS`; the component's own name if none is given.
        title: Its name on the page; kfp's if none is given.

    Returns:
        The task itself.

    Raises:
        UserError: There is no such need: the component is somebody else's.
    """
    name = need or task.component_spec.name
    wanted = _find_need(name)
    if title:
        task.set_display_name(title)
    image = task.container_spec.image
    if (here := rename_image(image, os.environ)) != image:
        task.set_container_image(here)
    task.set_cpu_request(wanted.cpu).set_memory_request(wanted.memory).set_memory_limit(wanted.memory)
    backoff = {"backoff_duration": BACKOFF, "backoff_factor": FACTOR, "backoff_max_duration": LONGEST_BACKOFF}
    task.set_retry(min(CLUSTER.retries, wanted.tries), **backoff)
    kubernetes.set_timeout(task, int(wanted.hours * HOUR))
    if wanted.shared:
        kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", medium="Memory", size_limit=wanted.shared)
    _place(task, wanted)
    _confine(task)
    _inform(task, (secret for secret in SECRETS if name not in KEYLESS or secret not in OF_STORES))
    return task


def _find_need(name: str) -> TaskResources:
    if name not in NEEDS:
        fix = f"set what it needs on the task itself, or give need=: one of {', '.join(NEEDS)}"
        raise UserError("is no component of this package", where=name, fix=fix)
    return NEEDS[name]


def _place(task: PipelineTask, wanted: TaskResources) -> None:
    """The nodes that the task may run on, and the volume that it finds there."""
    if wanted.gpu and CLUSTER.gpus:
        task.set_accelerator_type(CLUSTER.gpu_kind).set_accelerator_limit(CLUSTER.gpus)
        kubernetes.add_toleration(task, key=CLUSTER.gpu_kind, operator="Exists", effect="NoSchedule")
    if wanted.gpu and CLUSTER.spot:
        kubernetes.add_toleration(task, key="cloud.google.com/gke-spot", operator="Exists", effect="NoSchedule")
    if CLUSTER.volume:
        kubernetes.mount_pvc(task, CLUSTER.volume, CLUSTER.mount)


def _confine(task: PipelineTask) -> None:
    """Take from the task what a pipeline can: root. The rest is Kubeflow's, see docs/pipeline.md."""
    if CLUSTER.run_as:
        user, group = map(int, CLUSTER.run_as.split(":"))
        kubernetes.set_security_context(task, run_as_user=user, run_as_group=group, run_as_non_root=True)


def _inform(task: PipelineTask, secrets: Iterable[str]) -> None:
    """What the task finds in its environment."""
    kubernetes.use_field_path_as_env(task, env_name="KFP_RUN_ID", field_path=RUN_LABEL)
    kubernetes.use_config_map_as_env(task, TRACKING_CONFIG, {name: name for name in TRACKING}, optional=True)
    for secret in secrets:
        kubernetes.use_secret_as_env(task, secret, SECRETS[secret], optional=True)
