"""sample_calibration: training photos that stand for the whole set."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def sample_calibration(
    photo_set: dsl.Input[artifacts.PhotoSet],
    fingerprint: str,
    dataset_spec: dict,
    photos: dsl.Output[artifacts.CalibrationPhotos],
    metrics: dsl.Output[dsl.Metrics],
    images: int = 100,
    seed: int = 0,
) -> None:
    """Copy training photos with the set's mixture of people, joints and sizes.

    Args:
        photo_set: Photos and their annotations.
        fingerprint: Digest of their content; a new one makes this task run again.
        dataset_spec: Keys of a TAO dataset spec; says how many joints a person must have to count.
        photos: The copies.
        metrics: Photos copied, photos to choose from, and photos that could not be read.
        images: How many; fewer if fewer have people.
        seed: The same one chooses the same photos.
    """
    from bodyposenet.common import tasks

    numbers = tasks.sample_calibration(photo_set.path, dataset_spec, images, seed, photos.path, metrics.path)
    metrics.metadata.update(numbers)
    photos.metadata["fingerprint"] = fingerprint
