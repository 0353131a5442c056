"""dataset_join: the parts of a conversion as one dataset."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def dataset_join(
    photo_set: dsl.Input[artifacts.PhotoSet],
    parts: dsl.Input[list[dsl.Artifact]],  # kfp 2.17 finds no type of our own inside a list
    fingerprint: str,
    dataset_spec: dict,
    dataset: dsl.Output[artifacts.PoseDataset],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Put the shards of all parts under one manifest, and the held-out photos beside them.

    Args:
        photo_set: Photos and their annotations.
        parts: What dataset_convert wrote.
        fingerprint: Digest of the photo set's content.
        dataset_spec: Keys of a TAO dataset spec, as dataset_convert had it.
        dataset: Shards of the sets train and val, their manifest, and all that an evaluation needs.
        metrics: Photos, people and samples of each set.
    """
    from bodyposenet.common import tasks

    folders = [part.path for part in parts]
    metrics.metadata.update(tasks.join(photo_set.path, dataset_spec, folders, dataset.path, metrics.path))
    dataset.metadata["fingerprint"] = fingerprint
