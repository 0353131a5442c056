"""AP drop: the AP that rounded forms of a network lose."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.deploy.onnx_file import write_model
from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.locking import scratch_folder

if TYPE_CHECKING:
    from onnx import ModelProto


def ap_drop(network: Path, spec: InferenceSpec, dataset: DatasetSpec) -> Callable[["ModelProto"], float]:
    """A measure of models: AP of a float network less that of the model, on a dataset's held-out photos.

    Args:
        network: The float ONNX file; scored when the first model is. All run in the exact way, so that the same
            convolutions are kept on every machine.
        spec: How photos are fitted and people found.
        dataset: Its set ``test`` is used.

    Raises:
        UserError: When called, if nobody is labelled in the photos.
    """
    known: list[float] = []

    def score(file: Path, folder: Path) -> float:
        ap = evaluate(file, spec, dataset, folder, progress=False, runner="exact").ap
        if ap < 0:
            raise UserError("nobody is labelled in the held-out photos, so no AP is lost", where=dataset.dataset)
        return ap

    def drop(model: "ModelProto") -> float:
        with scratch_folder() as folder:
            if not known:
                known.append(score(network, Path(folder) / "float"))
            write_model(model, Path(folder) / "model.onnx")
            return known[0] - score(Path(folder) / "model.onnx", Path(folder) / "rounded")

    return drop
