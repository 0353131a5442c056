"""photos: find the photo set, or draw one, and tell what is in it."""

from kfp import dsl

from bodyposenet.common import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def photos(
    photo_set: dsl.Output[artifacts.PhotoSet],
    source: str = "",
    draw_train: int = 600,
    draw_val: int = 200,
    seed: int = 0,
) -> str:
    """Point at a folder of photos and COCO keypoint files, or draw people where none is given.

    Args:
        photo_set: The folder, or a file that names it.
        source: Folder with images/ and annotations/; empty draws a set.
        draw_train: Pictures to draw for training.
        draw_val: Pictures to draw for evaluation.
        seed: Of the drawing.

    Returns:
        A digest of all files, so that later tasks run again when the photos change.
    """
    from bodyposenet.common import tasks

    return tasks.gather_photos(source, photo_set.path, train=draw_train, val=draw_val, seed=seed)
