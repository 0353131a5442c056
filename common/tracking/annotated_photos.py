"""Annotated photos: what a task worked on, where that is the photos and annotations that a dataset spec names.

Apart from :mod:`~bodyposenet.common.tracking.datasets`, whose code goes with every registered model: what reads other
tools' annotations need not.
"""

from collections.abc import Mapping
from typing import Any

from bodyposenet.common.data.importers.load import digest_annotations, is_one_file
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.storage.digests import digest_bytes, digest_content, digest_settings, fingerprint
from bodyposenet.common.storage.photo_store import open_photos
from bodyposenet.common.tracking.datasets import Dataset


def describe_half(spec: DatasetSpec, half: str, context: str, profile: Mapping[str, Any] | None = None) -> Dataset:
    """Describe the photos and annotations of a dataset's ``train`` or ``test`` half, wherever they are.

    Of photos in an archive what its directory says of them counts in place of their bytes.

    Raises:
        UserError: They cannot be read.
    """
    its = spec.locate_half(half)
    photos = fingerprint(its.images) if its.images.is_dir() else digest_settings(open_photos(its.images).listing())
    one = is_one_file(its.annotations)
    annotations = digest_content(its.annotations) if one else digest_annotations(its.annotations)
    whole = digest_bytes(annotations + photos)
    return Dataset(f"{spec.dataset} {half}", whole, str(its.images.parent), profile or {}, context)
