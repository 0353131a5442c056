"""Photo reader: from a photo's name to its entry in ``detections.json``, whatever is wrong with the photo."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.imaging.photo import DecodedPhoto, decode_photo, make_room
from bodyposenet.common.inference.detections import Entry, dump_photo, entry
from bodyposenet.common.inference.detector import choose_decoding, find_people
from bodyposenet.common.pose.people import People
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import Location, join
from bodyposenet.common.storage.photo_store import PhotoStore, open_photos

if TYPE_CHECKING:
    from bodyposenet.common.deploy.runner import Runner


class PhotoReader:
    """Looks at photos; from any thread.

    Args:
        runner: The network.
        spec: How to find people.
        store: Has the photos.
        source: The same place as text.
    """

    def __init__(self, runner: "Runner", spec: InferenceSpec, store: PhotoStore, source: str) -> None:
        self.runner, self.spec, self.store, self.source = runner, spec, store, source
        self._reduce = choose_decoding(runner, spec)

    def look(self, number: int, name: str) -> Entry:
        """What ``detections.json`` says of a photo.

        Raises:
            UserError: All photos have gone.
        """
        data, path = self._read(name), self._path(name)
        meta: dict[str, Any] = {"id": number, "file_name": name}
        if isinstance(data, UserError):
            return entry(path, None, {"image_meta": meta, "problem": str(data)})
        with make_room(data):
            try:
                photo = decode_photo(data, where=str(path), reduce=self._reduce)
            except UserError as error:
                return entry(path, None, {"image_meta": meta, "problem": str(error)})
            meta |= {"height": photo.size[0], "width": photo.size[1]}
            try:
                people = find_people(self.runner, photo, self.spec)
            except UserError as error:  # it is a line rather than a photo
                return entry(path, None, {"image_meta": meta, "problem": f"{path}: {error}"})
            return self.describe(path, people, photo, {"image_meta": meta})

    def dump(self, number: int, name: str) -> list[str]:
        """Write the same as :func:`~bodyposenet.common.inference.detections.dump_photo` does."""
        return dump_photo(self.look(number, name), self.runner.card.skeleton)

    def _read(self, name: str) -> bytes | UserError:
        """A photo's file, or what is wrong with it."""
        try:
            return self.store.read(name)
        except AwayError:
            raise
        except UserError as error:
            with translate_errors(self.source):
                open_photos(self.source)
            return error

    def describe(self, path: Location, people: People, photo: DecodedPhoto, given: Mapping[str, Any]) -> Entry:
        """Tell of a photo with its people; those who want to know more of it add to this."""
        return entry(path, people, given)

    def _path(self, name: str) -> Location:
        return join(self.source, name)
