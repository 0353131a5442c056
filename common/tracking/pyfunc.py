"""Pyfunc: what ``mlflow.pyfunc.load_model`` loads for a registered network: a photo in, people out.

MLflow stores this module's name with the ONNX file and imports it when the model is loaded, so nothing is pickled and
the model needs this package beside ONNX Runtime. Importing it imports neither.
"""

from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.errors import UserError

Person = dict[str, Any]


class PoseModel:
    """Finds people in photos.

    Args:
        network: An ONNX file that this package exported.
        settings: Keys of an inference spec (thresholds, input size); those left out have their defaults, the input size
            that of the training.
    """

    def __init__(self, network: Path, settings: dict[str, Any]) -> None:
        from bodyposenet.common.deploy.runners import open_runner
        from bodyposenet.common.spec import parse_spec
        from bodyposenet.common.spec.inference import InferenceSpec

        self.runner = open_runner(network)
        complete = {"input_shape": list(self.runner.card.input_size)} | settings
        self.spec = parse_spec(complete, InferenceSpec, where="the registered model's settings")

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> list[Any]:
        """Find the people in one photo or several.

        Args:
            data: A photo, RGB uint8 ``(H, W, 3)``; or a batch ``(N, H, W, 3)``; or a list of photos or of encoded files
                (the bytes of a JPEG or PNG).
            params: MLflow's; there are none.

        Returns:
            The photo's people; for several photos a list of those. A person is a dict: ``keypoints`` K times x, y in
            the photo's pixels and a score (0: not found), ``score``, ``joints`` the K names.

        Raises:
            UserError: This is not a photo.
        """
        if isinstance(data, np.ndarray) and data.ndim == 3:
            return self._people(data)
        if getattr(data, "ndim", 0) == 4 or isinstance(data, (list, tuple)):
            return [self._people(_photo(item)) for item in data]
        raise UserError(
            f"{type(data).__name__} of shape {getattr(data, 'shape', '?')} is no photo",
            fix="give RGB uint8 (H, W, 3), a batch of them, or a list of encoded files",
        )

    def _people(self, photo: np.ndarray) -> list[Person]:
        from bodyposenet.common.evaluate.predict import find_people

        found = find_people(self.runner, _checked(photo), self.spec)
        joints = list(self.runner.card.skeleton.joints)
        return [
            {"keypoints": np.asarray(keypoints, float).tolist(), "score": float(score), "joints": joints}
            for keypoints, score in zip(found.keypoints, found.scores, strict=True)
        ]


def _photo(item: Any) -> np.ndarray:
    if isinstance(item, np.ndarray):
        return item
    if not isinstance(item, (bytes, bytearray)):
        raise UserError(f"{type(item).__name__} is no photo", fix="give pixels or the bytes of an encoded file")
    import cv2

    decoded = cv2.imdecode(np.frombuffer(item, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise UserError(f"{len(item)} bytes that cannot be decoded as a photo", fix="give a JPEG or PNG file's bytes")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def _checked(photo: np.ndarray) -> np.ndarray:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise UserError(f"{photo.dtype} of shape {photo.shape} is no photo", fix="give RGB uint8 (H, W, 3)")
    return photo


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> PoseModel:
    """MLflow's entry: the stored file, and the settings stored with it."""
    return PoseModel(Path(path), (model_config or {}).get("inference", {}))
