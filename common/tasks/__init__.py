"""Tasks: what each component does, as one call; the library's functions plus specs from dicts and tracking.

Paths are those of Kubeflow artifacts: a model is a folder, a dataset another. Every task writes a file at each output.
One that fails says why, without a traceback where its input is at fault, and ends the process.
"""

from bodyposenet.common.tasks import (
    batch_inference,
    data,
    deployment,
    evaluation,
    pages,
    pruning,
    release,
    run,
    training,
)
from bodyposenet.common.tasks.failure import told

build_engine = told(deployment.build_engine)
bundle = told(deployment.bundle)
calibrate = told(deployment.calibrate)
challenge = told(release.challenge)
choose_smallest = told(evaluation.choose_smallest)
convert = told(data.convert)
evaluate = told(evaluation.evaluate)
export = told(deployment.export)
fingerprint = told(run.fingerprint)
finish = told(run.finish)
gate = told(release.gate)
gather_photos = told(data.gather_photos)
infer_batch = told(batch_inference.infer_batch)
join = told(data.join)
prune = told(pruning.prune)
prune_rounds = told(pruning.prune_rounds)
register = told(release.register)
report = told(pages.report)
sample_calibration = told(data.sample_calibration)
summary = told(run.summary)
train = told(training.train)
