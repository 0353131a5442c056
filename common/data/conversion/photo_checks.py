"""Photos: image files as they are, held to what the annotations say of them."""

from bodyposenet.common.data.annotations.coco import Photo
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.imaging.headers import decode_size, read_header_size


def photo_problem(data: bytes, photo: Photo, file: str, *, thorough: bool = False) -> Problem | None:
    """Hold an image file to what the annotations say of it.

    Args:
        data: The file's bytes.
        photo: What the annotations say.
        file: The file's name, for the problem.
        thorough: Decode it, so that a damaged file is found too; else its header is read.

    Returns:
        What is wrong: it is no image, damaged, or of another size; None if it is sound.
    """
    size = read_header_size(data)
    if size is None or (thorough and size == (photo.height, photo.width)):
        size = decode_size(data)
    if size is None:
        return Problem(file, "unreadable image", "this is no readable image", "replace it", photo.image_id)
    if size != (photo.height, photo.width):
        text = f"the image has {size[1]} x {size[0]} pixels, the annotations say {photo.width} x {photo.height}"
        return Problem(file, "size of the image", text, "annotate the image as it is", photo.image_id)
    return None
