"""infer_batch: a registered network over all photos of a folder, a bucket or an archive."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def infer_batch(
    inference_spec: dict,
    detections: dsl.Output[artifacts.Detections],
    gallery: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    source: str = "",
    model_name: str = "bodyposenet",
    alias: str = "champion",
    pictures: int = 24,
    draw: int = 24,
    work: str = "",
) -> str:
    """Find the people in very many photos with a registered network; a photo that cannot be read is reported.

    Args:
        inference_spec: Keys of a TAO inference spec that are to be others than those the network was registered with.
        detections: People found, as TAO and as COCO write them.
        gallery: The photos that are worth a look, people drawn on them.
        metrics: Photos, people, photos with nobody and photos that could not be used.
        source: Folder or zip archive of photos (JPEG, PNG, BMP, WebP, TIFF), gs://, s3:// or abfs://; empty draws some.
        model_name: In MLflow's registry.
        alias: Which version, an alias or a number.
        pictures: Photos in the gallery, 60 at most.
        draw: Photos to draw, if no source is given.
        work: Folder or bucket that a retried task sees again: it goes on there. Empty keeps it in the task.

    Returns:
        What came out.
    """
    from bodyposenet.common import tasks

    outputs = detections.path, gallery.path, metrics.path
    summary, numbers = tasks.infer_batch(
        source, model_name, alias, inference_spec, *outputs, pictures=pictures, draw=draw, work=work
    )
    metrics.metadata.update(numbers)
    return summary
