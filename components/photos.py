"""photos: the photo set of a run, found or drawn."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def photos(data: str, fingerprint: str, photo_set: dsl.Output[artifacts.PhotoSet]) -> None:
    """Point at a folder of photos and annotations, or draw people.

    Args:
        data: Folder or gs:// or s3:// URI with images/ and annotations/, or synthetic:600,200 to draw people.
        fingerprint: Digest of the photos; a new one makes this task run again.
        photo_set: The drawn set, or a file that names the folder.
    """
    from bodyposenet.common import tasks

    photo_set.metadata.update(tasks.gather_photos(data, photo_set.path), fingerprint=fingerprint)
