"""Photo reader: from a photo's name to its entry in ``detections.json``, whatever is wrong with the photo."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.fit import decode_image
from bodyposenet.common.inference.detections import Entry, entry
from bodyposenet.common.inference.detector import find_people
from bodyposenet.common.pose.people import People
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import Location, join
from bodyposenet.common.storage.photo_store import PhotoStore, open_photos

if TYPE_CHECKING:
    from bodyposenet.common.deploy.runner import Runner


class PhotoReader:
    """Looks at one photo after another.

    Args:
        runner: The network.
        spec: How to find people.
        store: Has the photos.
        source: The same place as text.
    """

    def __init__(self, runner: "Runner", spec: InferenceSpec, store: PhotoStore, source: str) -> None:
        self.runner, self.spec, self.store, self.source = runner, spec, store, source

    def pixels(self, name: str) -> np.ndarray | UserError:
        """A photo's pixels, or what is wrong with it; from any thread.

        Raises:
            UserError: All photos have gone.
        """
        try:
            data = self.store.read(name)
        except AwayError:
            raise
        except UserError as error:
            with translate_errors(self.source):
                open_photos(self.source)
            return error
        return _decode(data, str(self._path(name)))

    def entry(self, number: int, name: str, pixels: np.ndarray | UserError) -> Entry:
        """What ``detections.json`` says of a photo."""
        meta: dict[str, Any] = {"id": number, "file_name": name}
        if isinstance(pixels, UserError):
            return entry(self._path(name), None, {"image_meta": meta, "problem": str(pixels)})
        meta |= {"height": pixels.shape[0], "width": pixels.shape[1]}
        try:
            people = find_people(self.runner, pixels, self.spec)
        except UserError as error:  # it is a line rather than a photo
            return entry(self._path(name), None, {"image_meta": meta, "problem": f"{self._path(name)}: {error}"})
        return self.describe(self._path(name), people, pixels, {"image_meta": meta})

    def describe(self, path: Location, people: People, pixels: np.ndarray, given: Mapping[str, Any]) -> Entry:
        """Tell of a photo with its people; those who want to know more of it add to this."""
        return entry(path, people, given)

    def _path(self, name: str) -> Location:
        return join(self.source, name)


def _decode(data: bytes, where: str) -> np.ndarray | UserError:
    try:
        return decode_image(data, where=where)
    except UserError as error:
        return error
