"""prelabel: what a registered network finds in new photos, as drafts for a labelling tool."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def prelabel(
    inference_spec: dict,
    source: str,
    labels: dsl.Output[artifacts.DraftLabels],
    metrics: dsl.Output[dsl.Metrics],
    model_name: str = "bodyposenet",
    alias: str = "champion",
    label_format: str = "coco",
    limit: int = 0,
    least_score: float = 0.3,
    url_prefix: str = "",
    copy_photos: bool = False,
    work: str = "",
) -> str:
    """Write the people that a registered network finds in new photos for a labelling tool, the hardest photos first.

    Args:
        inference_spec: Keys of a TAO inference spec that are to be others than those the network was registered with.
        source: Folder or zip archive of photos (JPEG, PNG, BMP, WebP, TIFF), or gs://, s3://, abfs://.
        labels: The files to import, and order.csv, which lists the photos.
        metrics: Photos and people written, uncertain joints, photos looked at and photos that could not be used.
        model_name: In MLflow's registry.
        alias: Which version, an alias or a number.
        label_format: coco (for CVAT, too), label-studio or yolo.
        limit: Photos, at most, the hardest; 0 takes all.
        least_score: Joints of a lower score are written as not visible.
        url_prefix: What stands before photos' names in Label Studio's tasks.
        copy_photos: Also copy the photos, to images/train beside the labels.
        work: Folder or bucket that a retried task sees again: it goes on there. Empty keeps it in the task.

    Returns:
        What came out.
    """
    from bodyposenet.common import tasks

    told = {"form": label_format, "limit": limit, "least": least_score, "prefix": url_prefix, "copy": copy_photos}
    summary, numbers = tasks.prelabel(
        source, model_name, alias, inference_spec, labels.path, metrics.path, choice=told, work=work
    )
    metrics.metadata.update(numbers)
    return summary
