"""Tasks: what each component does, as one call; the library's functions plus specs from dicts and tracking.

Paths are those of Kubeflow artifacts: a model is a folder, a dataset another. Every task writes a file at each output.
One that fails says why, without a traceback where its input is at fault, and ends the process.
"""

from bodyposenet.common.tasks.batch_inference import infer_batch
from bodyposenet.common.tasks.challenge import challenge
from bodyposenet.common.tasks.data import convert, gather_photos, join, sample_calibration
from bodyposenet.common.tasks.deployment import build_engine, bundle, calibrate, export
from bodyposenet.common.tasks.evaluation import choose_smallest, evaluate
from bodyposenet.common.tasks.pages import report
from bodyposenet.common.tasks.prelabel import prelabel
from bodyposenet.common.tasks.pruning import prune, prune_rounds
from bodyposenet.common.tasks.release import gate, register
from bodyposenet.common.tasks.run import fingerprint, finish, summary
from bodyposenet.common.tasks.training import train

__all__ = [
    "build_engine",
    "bundle",
    "calibrate",
    "challenge",
    "choose_smallest",
    "convert",
    "evaluate",
    "export",
    "fingerprint",
    "finish",
    "gate",
    "gather_photos",
    "infer_batch",
    "join",
    "prelabel",
    "prune",
    "prune_rounds",
    "register",
    "report",
    "sample_calibration",
    "summary",
    "train",
]
