"""Resources: what each task asks of the cluster, and the environment that every task gets."""

from dataclasses import dataclass

from kfp import kubernetes
from kfp.dsl import PipelineTask

RETRIES = 2
TRACKING_CONFIG = "bodyposenet-tracking"  # a ConfigMap with MLFLOW_TRACKING_URI; without it nothing is tracked
RUN_LABEL = "metadata.labels['pipeline/runid']"


@dataclass(frozen=True)
class Need:
    """CPU cores and memory; a GPU is asked for by the pipeline's user, for training only."""

    cpu: str
    memory: str


SMALL = Need("1", "2G")
NEEDS = {
    "photos": SMALL,
    "dataset-convert": Need("2", "4G"),
    "dataset-join": Need("1", "4G"),
    "sample-calibration": Need("1", "4G"),
    "train": Need("4", "12G"),
    "prune": Need("2", "6G"),
    "prune-rounds": Need("4", "12G"),  # retrains, too
    "export": Need("2", "10G"),  # tf2onnx takes 8.2 GB for the full network
    "calibrate": Need("2", "6G"),
    "build-engine": Need("2", "6G"),
    "evaluate": Need("2", "6G"),
    "report": Need("2", "10G"),
    "gate": SMALL,
    "choose-smallest": SMALL,
    "register": Need("1", "4G"),
    "infer-batch": Need("2", "4G"),
}


def equipped(task: PipelineTask, need: str, title: str) -> PipelineTask:
    """Give a task its name on the page, its resources, its retries and its environment.

    The run's id comes from a pod label and not from an argument, which would defeat Kubeflow's cache.
    """
    task.set_display_name(title)
    task.set_cpu_request(NEEDS[need].cpu).set_memory_request(NEEDS[need].memory).set_memory_limit(NEEDS[need].memory)
    task.set_retry(RETRIES, backoff_duration="30s", backoff_factor=2)
    kubernetes.use_field_path_as_env(task, env_name="KFP_RUN_ID", field_path=RUN_LABEL)
    kubernetes.use_config_map_as_env(
        task, TRACKING_CONFIG, {"MLFLOW_TRACKING_URI": "MLFLOW_TRACKING_URI"}, optional=True
    )
    return task
