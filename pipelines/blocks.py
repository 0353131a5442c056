"""Blocks: parts of a graph that several pipelines are built of."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

from bodyposenet.common.kubeflow.parameter_values import to_kfp
from bodyposenet.components.challenge import challenge
from bodyposenet.components.dataset_convert import dataset_convert
from bodyposenet.components.dataset_join import dataset_join
from bodyposenet.components.evaluate import evaluate
from bodyposenet.components.export import export
from bodyposenet.components.fingerprint import fingerprint
from bodyposenet.components.finish import finish
from bodyposenet.components.photos import photos
from bodyposenet.components.prune import prune
from bodyposenet.components.register import register
from bodyposenet.components.summary import summary
from bodyposenet.components.train import train
from bodyposenet.pipelines.resources import CLUSTER, with_resources
from bodyposenet.pipelines.specs import NAMES, default

DRAWN = "synthetic:600,200"  # what a pipeline trains on unless it is given photos
DEFAULTS = {f"{name}_spec": to_kfp(default(name)) for name in NAMES}


@dataclass(frozen=True)
class Graph:
    """A graph in the making, and what its tasks work on.

    Attributes:
        seen: The task that read the inputs; its outputs are their settings and digests.
        photo_set: Arguments that name the photos to a component.
        dataset: The converted shards.
    """

    seen: Any
    photo_set: dict[str, Any]
    dataset: Any

    @classmethod
    def start(cls, seen: Any, data: Any) -> "Graph":
        """Find or draw the photos and convert them, in as many parts as the inputs call for."""
        found = photos(data=data, fingerprint=seen.outputs["photos"])
        with_resources(found, "photos", "Photos")
        photo_set = {"photo_set": found.outputs["photo_set"], "fingerprint": seen.outputs["photos"]}
        photo_set["dataset_spec"] = seen.outputs["dataset_spec"]
        with dsl.ParallelFor(seen.outputs["parts"], name="convert") as part:
            converted = with_resources(dataset_convert(**photo_set, part=part), "dataset-convert", "Convert")
        joined = dataset_join(**photo_set, parts=dsl.Collected(converted.outputs["dataset"]))
        return cls(seen, photo_set, with_resources(joined, "dataset-join", "Join").outputs["dataset"])

    @property
    def inference_spec(self) -> Any:
        """Settings of the evaluations."""
        return self.seen.outputs["inference_spec"]

    def train(self) -> Any:
        """The base network."""
        return self._fit("Train", self.seen.outputs["train_spec"], weights_digest=self.seen.outputs["weights"])

    def retrain(self, model: Any) -> Any:
        """A pruned network, trained again."""
        return self._fit("Retrain", self.seen.outputs["retrain_spec"], start_from=model)

    def _fit(self, title: str, spec: Any, **more: Any) -> Any:
        where = {"checkpoint_dir": CLUSTER.checkpoints, "gpus": max(1, CLUSTER.gpus)}
        task = train(dataset=self.dataset, train_spec=spec, **where, **more)
        return with_resources(task, "train", title).outputs["model"]

    def prune(self, model: Any, spec: Any, **cut: Any) -> dsl.PipelineTask:
        """A network with fewer filters."""
        task = prune(
            model=model, prune_spec=spec, dataset=self.dataset, train_spec=self.seen.outputs["train_spec"], **cut
        )
        return with_resources(task, "prune", "Prune")

    def export(self, model: Any, title: str = "Export") -> Any:
        """A network as ONNX."""
        return with_resources(export(model=model), "export", title).outputs["onnx"]

    def evaluate(self, name: str, **network: Any) -> dsl.PipelineTask:
        """A network's AP and what it found; ``model`` or ``onnx`` is the network."""
        task = evaluate(dataset=self.dataset, inference_spec=self.inference_spec, name=name, **network)
        return with_resources(task, "evaluate", f"Evaluate {name}")

    def register(self, onnx: Any, ap: Any, name: Any, **made: Any) -> dsl.PipelineTask:
        """Register a network; it becomes the champion if it beats that on the same photos."""
        said, task = self.seen.outputs, {"inference_spec": self.inference_spec}
        champion = challenge(champion=said["champion"], dataset=self.dataset, model_name=name, **task)
        task |= {"champion": said["champion"], "inputs": said["inputs"], "name": name}
        task["champion_ap"] = with_resources(champion, "challenge", "Challenge").output
        return with_resources(register(onnx=onnx, ap=ap, **task, **made), "register", "Register")


def note_end(title: str, *last: dsl.PipelineTask) -> None:
    """The task that notes a good end; wherever a run may end it comes after all that have nobody after them."""
    with_resources(finish(), "finish", title).set_caching_options(False).after(*last)


def summarize(name: str, data: Any) -> dsl.PipelineTask:
    """The task that tells what became of a run; for :class:`dsl.ExitHandler`."""
    return with_resources(summary(name=name, data=data), "summary", "Summary").set_caching_options(False)


def fingerprint_inputs(specs: dict[str, Any], **inputs: Any) -> dsl.PipelineTask:
    """The task that reads the inputs, in every run anew: what a path or an address holds may have changed.

    Args:
        specs: What the form holds for each spec, by the spec's name.
        **inputs: Further inputs of the component.
    """
    texts = {f"{name.removesuffix('_spec')}_text": text for name, text in specs.items()}
    task = fingerprint(defaults=DEFAULTS, gpus=max(1, CLUSTER.gpus), **texts, **inputs)
    return with_resources(task, "fingerprint", "Fingerprint").set_caching_options(False)
