"""Ranges' source: where a quantization takes its ranges from, of the three places that may hold them."""

from dataclasses import dataclass
from pathlib import Path

from bodyposenet.common.deploy.quantization.calibration_images import (
    CalibrationImages,
    Fitting,
    from_folder,
    from_tensorfile,
)
from bodyposenet.common.errors import UserError

NEEDED = "name photos with --cal_image_dir, or a tensorfile with --cal_data_file"


@dataclass(frozen=True)
class RangesSource:
    """Where the ranges come from: pictures, or else a cache that has them.

    Attributes:
        images: Pictures to calibrate with; None where a cache has the ranges.
        cache: The cache that is read.
        stored: Batches that were written to the tensorfile on the way.
    """

    images: CalibrationImages | None
    cache: Path | None = None
    stored: int = 0


def find_ranges(
    fitting: Fitting, *, cache: Path | None = None, tensorfile: Path | None = None, folder: str | Path = "",
    batches: int | None = None, batch_size: int = 1, compares: bool = False,
) -> RangesSource:  # fmt: skip
    """Take a calibration cache that exists, else a tensorfile that exists, else a folder's pictures.

    Pictures of a folder are kept in the tensorfile, if one is named, and read from there.

    Args:
        fitting: How photos become pictures.
        cache: A calibration cache; nothing is read of one that does not exist.
        tensorfile: A tensorfile; one that does not exist is made of the folder's pictures.
        folder: Photos, or record shards.
        batches: How many to calibrate with; None takes all.
        batch_size: Pictures of a batch.
        compares: Pictures will be compared, which a cache has none of.

    Raises:
        UserError: None is named, or what is named cannot be used.
    """
    if cache and cache.is_file():
        if compares:
            fix = "remove the file, or name the convolutions"
            raise UserError("--keep-fp32 auto compares pictures, and a cache has none", where=str(cache), fix=fix)
        return RangesSource(None, cache)
    if tensorfile and tensorfile.is_file():
        stored = from_tensorfile(tensorfile, fitting.size, batches=batches, batch_size=batch_size)
        return RangesSource(stored)
    if not folder:
        raise UserError("int8 needs pictures to calibrate with", where="bpnet export", fix=NEEDED)
    images = from_folder(folder, fitting, batches=batches, batch_size=batch_size)
    if tensorfile is None:
        return RangesSource(images)
    from bodyposenet.common.deploy.quantization.tensorfile import write_tensorfile

    count = write_tensorfile(tensorfile, images)
    return RangesSource(from_tensorfile(tensorfile, fitting.size), stored=count)
