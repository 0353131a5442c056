"""Blocks: parts of a graph that several pipelines are built of."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

from bodyposenet.common.settings import portable
from bodyposenet.components.dataset_convert import dataset_convert
from bodyposenet.components.dataset_join import dataset_join
from bodyposenet.components.evaluate import evaluate
from bodyposenet.components.export import export
from bodyposenet.components.photos import photos
from bodyposenet.components.prune import prune
from bodyposenet.components.train import train
from bodyposenet.pipelines.resources import equipped
from bodyposenet.pipelines.specs import default

DATASET, TRAIN, PRUNE, RETRAIN, INFERENCE = (
    portable(default(name)) for name in ("dataset", "train", "prune", "retrain", "inference")
)
WHOLE = ["0/1"]  # a conversion in one part


@dataclass(frozen=True)
class Data:
    """What a graph works on.

    Attributes:
        photo_set: Arguments that name the photos to a component.
        dataset: The converted shards.
        train_spec: Of the first training.
        inference_spec: Of the evaluations.
    """

    photo_set: dict[str, Any]
    dataset: Any
    train_spec: Any
    inference_spec: Any

    def trained(self) -> Any:
        """The base network."""
        return equipped(train(dataset=self.dataset, spec=self.train_spec), "train", "Train").outputs["model"]

    def pruned(self, model: Any, spec: Any, **cut: Any) -> dsl.PipelineTask:
        """A network with fewer filters."""
        task = prune(model=model, spec=spec, dataset=self.dataset, train_spec=self.train_spec, **cut)
        return equipped(task, "prune", "Prune")

    def retrained(self, model: Any, spec: Any) -> Any:
        """A pruned network, trained again."""
        task = train(dataset=self.dataset, spec=spec, start_from=model)
        return equipped(task, "train", "Retrain").outputs["model"]

    def exported(self, model: Any, title: str = "Export") -> Any:
        """A network as ONNX."""
        return equipped(export(model=model), "export", title).outputs["onnx"]

    def evaluated(self, model: Any, name: str) -> dsl.PipelineTask:
        """A network's AP and what it found."""
        task = evaluate(model=model, dataset=self.dataset, spec=self.inference_spec, name=name)
        return equipped(task, "evaluate", f"Evaluate {name}")


def photos_and_dataset(
    source: Any, draw_train: Any, draw_val: Any, spec: Any, parts: Any
) -> tuple[dict[str, Any], Any]:
    """Find or draw photos and convert them in parts; the arguments that name the photos, and the dataset."""
    found = photos(source=source, draw_train=draw_train, draw_val=draw_val)
    equipped(found, "photos", "Photos").set_caching_options(False)
    photo_set = {"photo_set": found.outputs["photo_set"], "fingerprint": found.outputs["Output"], "spec": spec}
    with dsl.ParallelFor(parts, name="convert") as part:
        converted = equipped(dataset_convert(**photo_set, part=part), "dataset-convert", "Convert")
    joined = dataset_join(**photo_set, parts=dsl.Collected(converted.outputs["dataset"]))
    return photo_set, equipped(joined, "dataset-join", "Join").outputs["dataset"]
