"""dataset_convert: annotated photos to record shards, all of them or a part."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def dataset_convert(
    photo_set: dsl.Input[artifacts.PhotoSet],
    fingerprint: str,
    dataset_spec: dict,
    dataset: dsl.Output[artifacts.PoseDataset],
    metrics: dsl.Output[dsl.Metrics],
    page: dsl.Output[dsl.HTML],
    part: str = "0/1",
    strict: bool = False,
    hold_out: str = "",
) -> None:
    """Filter the annotated people and write shards with photos, masks and joints inside.

    Args:
        photo_set: Photos and their annotations.
        fingerprint: Digest of their content; a new one makes this task run again.
        dataset_spec: Keys of a TAO dataset spec; folders and files are filled in.
        dataset: Shards of the sets train and val, their manifest and their reports.
        metrics: Photos, people and samples of each set.
        page: What is in the training set, who is learned from, what is wrong.
        part: Which share of the work, counted from 0: 0/1 is all, 3/4 the last of four.
        strict: Refuse wrong annotations and photos instead of leaving them out.
        hold_out: Where the champion's held-out photos are kept; none of them is trained on.
    """
    from bodyposenet.common import tasks

    outputs = dataset.path, metrics.path, page.path
    numbers = tasks.convert(
        photo_set.path, dataset_spec, part, *outputs, strict=strict, fingerprint=fingerprint, hold_out=hold_out
    )
    metrics.metadata.update(numbers)
    dataset.metadata.update(fingerprint=fingerprint, part=part)
