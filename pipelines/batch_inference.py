"""batch_inference: the champion over a folder, bucket or archive of photos."""

from kfp import dsl

from bodyposenet.components.infer_batch import infer_batch
from bodyposenet.pipelines.resources import with_resources


@dsl.pipeline(name="batch-inference", description="BodyPoseNet: the champion over a folder of photos.")
def batch_inference(
    source: str = "",
    model_name: str = "bodyposenet",
    alias: str = "champion",
    inference_spec: dict = {},  # noqa: B006 - Kubeflow's default, which nobody changes
    pictures: int = 24,
    draw: int = 24,
    work: str = "",
) -> str:
    """Find the people in very many photos.

    Args:
        source: Folder or zip archive of photos (JPEG, PNG, BMP, WebP, TIFF), gs://, s3:// or abfs://; empty draws some.
        model_name: In MLflow's registry.
        alias: Which version, an alias or a number; without it the run fails and says so.
        inference_spec: Keys of a TAO inference spec; those left out are as the network was registered with.
        pictures: Photos in the gallery, 60 at most.
        draw: Photos to draw, if no source is given.
        work: Folder or bucket in which a retried task goes on where it was; without it it starts anew.

    Returns:
        What came out.
    """
    task = infer_batch(
        source=source, model_name=model_name, alias=alias, inference_spec=inference_spec,
        pictures=pictures, draw=draw, work=work,
    )  # fmt: skip
    found: str = with_resources(task, "infer-batch", "Find people").set_caching_options(False).outputs["Output"]
    return found
