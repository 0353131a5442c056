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
from bodyposenet.common.tasks.failure import report_failures

build_engine = report_failures(deployment.build_engine)
bundle = report_failures(deployment.bundle)
calibrate = report_failures(deployment.calibrate)
challenge = report_failures(release.challenge)
choose_smallest = report_failures(evaluation.choose_smallest)
convert = report_failures(data.convert)
evaluate = report_failures(evaluation.evaluate)
export = report_failures(deployment.export)
fingerprint = report_failures(run.fingerprint)
finish = report_failures(run.finish)
gate = report_failures(release.gate)
gather_photos = report_failures(data.gather_photos)
infer_batch = report_failures(batch_inference.infer_batch)
join = report_failures(data.join)
prune = report_failures(pruning.prune)
prune_rounds = report_failures(pruning.prune_rounds)
register = report_failures(release.register)
report = report_failures(pages.report)
sample_calibration = report_failures(data.sample_calibration)
summary = report_failures(run.summary)
train = report_failures(training.train)
