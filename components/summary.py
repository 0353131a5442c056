"""summary: what became of a run, written whatever happened."""

from kfp import dsl

from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def summary(name: str, data: str, status: dsl.PipelineTaskFinalStatus, page: dsl.Output[dsl.Markdown]) -> None:
    """List the run's tasks, why one failed, and their numbers.

    Args:
        name: Of the pipeline.
        data: What it was given.
        status: How it ended; Kubeflow fills that in.
        page: The summary.
    """
    from bodyposenet.common import tasks

    tasks.summary(name, data, status.state, status.error_message or "", page.path)
