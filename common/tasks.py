"""Tasks: what each component does, as one call; the library's functions plus specs from dicts and tracking.

Paths are those of Kubeflow artifacts: a model is a folder, a dataset another. Every task writes a file at each output.
"""

from bodyposenet.common import tasks_registry
from bodyposenet.common.failure import told
from bodyposenet.common.task_files import MODEL, NOBODY, model_in
from bodyposenet.common.tasks_data import convert, gather_photos, join, sample_calibration
from bodyposenet.common.tasks_engines import build_engine
from bodyposenet.common.tasks_networks import calibrate, export, prune, prune_rounds, train
from bodyposenet.common.tasks_scores import choose_smallest, evaluate, register, report

infer_batch = told(tasks_registry.infer_batch)

__all__ = [
    "MODEL",
    "NOBODY",
    "build_engine",
    "calibrate",
    "choose_smallest",
    "convert",
    "evaluate",
    "export",
    "gather_photos",
    "infer_batch",
    "join",
    "model_in",
    "prune",
    "prune_rounds",
    "register",
    "report",
    "sample_calibration",
    "train",
]
