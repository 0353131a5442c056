"""dataset_convert: COCO keypoints and photos to record shards."""

from kfp import dsl

from bodyposenet.common import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def dataset_convert(
    photo_set: dsl.Input[artifacts.PhotoSet],
    fingerprint: str,
    spec: dict,
    dataset: dsl.Output[artifacts.PoseDataset],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Filter the annotated people and write shards with photos, masks and joints inside.

    Args:
        photo_set: Photos and COCO keypoint files.
        fingerprint: Digest of their content; a new one makes this task run again.
        spec: Keys of a TAO dataset spec; folders and files are filled in.
        dataset: Shards of the sets train and val, and their manifest.
        metrics: Photos, people and samples of each set.
    """
    from bodyposenet.common import tasks

    metrics.metadata.update(tasks.convert(photo_set.path, spec, dataset.path, metrics.path))
    dataset.metadata["fingerprint"] = fingerprint
