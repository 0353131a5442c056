"""Pyfunc: what ``mlflow.pyfunc.load_model`` loads for a registered network: a photo in, people out.

MLflow stores this module's name and a copy of its code with the ONNX file, and imports it when the model is loaded: so
nothing is pickled, and where it is loaded this package need not be installed. Importing it imports no ONNX Runtime.
"""

import base64
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bodyposenet
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.compiled_folder import COPY

if TYPE_CHECKING:
    from bodyposenet.common.imaging.photo import DecodedPhoto, Reduce
    from bodyposenet.common.skeleton.card import Card
    from bodyposenet.common.spec.inference import InferenceSpec

Person = dict[str, Any]


class RegisteredPoseModel:
    """Finds people in photos.

    Args:
        network: An ONNX file that this package exported.
        settings: Keys of an inference spec (thresholds, input size); those left out have their defaults, the input size
            that of the training.
    """

    def __init__(self, network: Path, settings: dict[str, Any]) -> None:
        from bodyposenet.common.deploy.runtime.runners import open_runner

        self.runner = open_runner(network, runner=settings.get("runner"))
        self.spec = inference_spec(self.runner.card, settings, where="the registered model's settings")

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> list[Any]:
        """Find the people in one photo or several.

        Args:
            data: A photo: RGB pixels ``(H, W, 3)`` of 0 to 255, or an encoded file (a JPEG's or PNG's bytes, or these
                in base64). Or several: a batch ``(N, H, W, 3)``, a list, a mapping's or a table's only column.
            params: MLflow's; there are none.

        Returns:
            The photo's people; for several photos a list of those. A person is a dict: ``keypoints`` K times x, y in
            the photo's pixels and a score (0: not found), ``score``, ``joints`` the K names.

        Raises:
            UserError: This is not a photo.
        """
        data = _unwrap(data)
        if isinstance(data, (list, tuple)) or getattr(data, "ndim", 0) == 4:
            return [self._people(item) for item in data]
        return self._people(data)

    def _people(self, item: Any) -> list[Person]:
        from bodyposenet.common.inference.detector import choose_decoding, find_people

        found = find_people(self.runner, _photo(item, choose_decoding(self.runner, self.spec)), self.spec)
        joints = list(self.runner.card.skeleton.joints)
        return [
            {"keypoints": np.asarray(keypoints, float).tolist(), "score": float(score), "joints": joints}
            for keypoints, score in zip(found.keypoints, found.scores, strict=True)
        ]


def inference_spec(card: "Card", settings: Mapping[str, Any], *, where: str) -> "InferenceSpec":
    """A network's inference spec: some keys of it, else what its card tells, else the input size of the training."""
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.inference import InferenceSpec

    given = {"input_shape": list(card.input_size)} | dict(card.decoding) | dict(settings)
    return parse_spec(given, InferenceSpec, where=where)


def _unwrap(data: Any) -> Any:
    """Photos without what pandas and MLflow's server put around them: tables of one column, arrays of text."""
    if isinstance(data, Mapping) and len(data) == 1:
        (data,) = data.values()
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
        data = data[:, 0] if data.ndim == 2 and data.shape[1] == 1 else data
    return data.tolist() if isinstance(data, np.ndarray) and data.dtype.kind in "OSU" else data


def _photo(item: Any, reduce: "Reduce") -> "DecodedPhoto | np.ndarray":
    """A photo, decoded no larger than needed, or ``(H, W, 3)`` RGB uint8."""
    if isinstance(item, np.ndarray):
        return _pixels(item)
    if isinstance(item, str):
        item = _from_base64(item)
    if not isinstance(item, (bytes, bytearray)):
        raise UserError(f"{type(item).__name__} is no photo", fix="give pixels or the bytes of an encoded file")
    from bodyposenet.common.imaging.photo import decode_photo

    return decode_photo(bytes(item), where=f"{len(item)} bytes", reduce=reduce)


def _pixels(photo: np.ndarray) -> np.ndarray:
    whole = photo.dtype.kind in "iu" and photo.size > 0 and photo.min() >= 0 and photo.max() <= 255
    if not whole or photo.ndim != 3 or photo.shape[2] != 3:
        raise UserError(f"{photo.dtype} of shape {photo.shape} is no photo", fix="give RGB uint8 (H, W, 3)")
    return photo.astype(np.uint8, copy=False)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        fix = "give an encoded file's bytes, in base64 where only text goes through"
        raise UserError(f"{text[:40]!r} is no photo in base64", fix=fix) from None


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> RegisteredPoseModel:
    """MLflow's entry: the stored file, and the settings stored with it.

    A server is ready when this returns, so a dark photo is looked at: what the first one compiles and chooses is done.
    """
    _forget_copies()
    model = RegisteredPoseModel(Path(path), (model_config or {}).get("inference", {}))
    model.predict(np.zeros((*model.runner.card.input_size, 3), np.uint8))
    return model


def _forget_copies() -> None:
    """Take the code that came with networks off the path, where this is no such code: workers find all of it."""
    package = Path(bodyposenet.__file__).parent
    if not (package / COPY).is_file():
        sys.path[:] = [place for place in sys.path if not (Path(place) / package.name / COPY).is_file()]
