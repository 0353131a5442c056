"""Tasks: what each component does, as one call; the library's functions plus specs from dicts and tracking.

Paths are those of Kubeflow artifacts: a model is a folder, a dataset another. Every task writes a file at each output.
One that fails says why, without a traceback where its input is at fault, and ends the process.
"""

from bodyposenet.common import (
    tasks_data,
    tasks_deploy,
    tasks_inputs,
    tasks_networks,
    tasks_registry,
    tasks_release,
    tasks_scores,
    tasks_training,
)
from bodyposenet.common.failure import told

build_engine = told(tasks_deploy.build_engine)
bundle = told(tasks_deploy.bundle)
calibrate = told(tasks_deploy.calibrate)
challenge = told(tasks_release.challenge)
choose_smallest = told(tasks_scores.choose_smallest)
convert = told(tasks_data.convert)
evaluate = told(tasks_scores.evaluate)
export = told(tasks_deploy.export)
fingerprint = told(tasks_inputs.fingerprint)
finish = told(tasks_inputs.finish)
gate = told(tasks_release.gate)
gather_photos = told(tasks_data.gather_photos)
infer_batch = told(tasks_registry.infer_batch)
join = told(tasks_data.join)
prune = told(tasks_networks.prune)
prune_rounds = told(tasks_networks.prune_rounds)
register = told(tasks_release.register)
report = told(tasks_scores.report)
sample_calibration = told(tasks_data.sample_calibration)
summary = told(tasks_inputs.summary)
train = told(tasks_training.train)
