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
        task = train(
            dataset=self.dataset, train_spec=self.seen.outputs["train_spec"],
            weights_digest=self.seen.outputs["weights"], checkpoint_dir=CLUSTER.checkpoints, gpus=max(1, CLUSTER.gpus),
        )  # fmt: skip
        return with_resources(task, "train", "Train").outputs["model"]

    def retrain(self, model: Any) -> Any:
        """A pruned network, trained again."""
        task = train(
            dataset=self.dataset, train_spec=self.seen.outputs["retrain_spec"], start_from=model,
            checkpoint_dir=CLUSTER.checkpoints, gpus=max(1, CLUSTER.gpus),
        )  # fmt: skip
        return with_resources(task, "train", "Retrain").outputs["model"]

    def prune(self, model: Any, prune_spec: Any, *, cut: Any = None) -> dsl.PipelineTask:
        """A network with fewer filters; ``cut`` changes some of the spec's keys."""
        changes = {} if cut is None else {"cut": cut}
        task = prune(
            model=model, prune_spec=prune_spec, dataset=self.dataset, train_spec=self.seen.outputs["train_spec"],
            **changes,
        )  # fmt: skip
        return with_resources(task, "prune", "Prune")

    def export(self, model: Any, title: str = "Export") -> Any:
        """A network as ONNX."""
        return with_resources(export(model=model), "export", title).outputs["onnx"]

    def evaluate(self, name: str, *, model: Any = None, onnx: Any = None) -> dsl.PipelineTask:
        """A network's AP and what it found; ``model`` or ``onnx`` is the network."""
        network = {"onnx": onnx} if model is None else {"model": model}
        task = evaluate(dataset=self.dataset, inference_spec=self.inference_spec, name=name, **network)
        return with_resources(task, "evaluate", f"Evaluate {name}")

    def register(
        self, onnx: Any, ap: Any, name: Any, *, int8: Any = None, int8_ap: Any = None
    ) -> dsl.PipelineTask:  # fmt: skip
        """Register a network; it becomes the champion if it beats that on the same photos."""
        quantized = {} if int8 is None else {"int8": int8, "int8_ap": int8_ap}
        said, task = self.seen.outputs, {"inference_spec": self.inference_spec}
        champion = challenge(champion=said["champion"], dataset=self.dataset, model_name=name, **task)
        task |= {"champion": said["champion"], "inputs": said["inputs"], "name": name}
        task["champion_ap"] = with_resources(champion, "challenge", "Challenge").output
        return with_resources(register(onnx=onnx, ap=ap, **task, **quantized), "register", "Register")


def note_end(title: str, *last: dsl.PipelineTask) -> None:
    """The task that notes a good end; wherever a run may end it comes after all that have nobody after them."""
    with_resources(finish(), "finish", title).set_caching_options(False).after(*last)


def summarize(name: str, data: Any) -> dsl.PipelineTask:
    """The task that tells what became of a run; for :class:`dsl.ExitHandler`."""
    return with_resources(summary(name=name, data=data), "summary", "Summary").set_caching_options(False)


def fingerprint_inputs(
    specs: dict[str, Any], *, data: Any, start_weights: Any, model_name: Any, only_if_new: Any, salt: Any, bound: Any,
    cuts: Any = None,
) -> dsl.PipelineTask:  # fmt: skip
    """The task that reads the inputs, in every run anew: what a path or an address holds may have changed.

    Args:
        specs: What the form holds for each spec, by the spec's name.
        data: As in the form.
        start_weights: As in the form.
        model_name: As in the form.
        only_if_new: As in the form.
        salt: As in the form.
        bound: Of the AP, or of its loss, with which a network is registered.
        cuts: Of a sweep.
    """
    texts = {f"{name.removesuffix('_spec')}_text": text for name, text in specs.items()}
    sweep = {} if cuts is None else {"cuts": cuts}
    task = fingerprint(
        data=data, defaults=DEFAULTS, start_weights=start_weights, model_name=model_name, only_if_new=only_if_new,
        salt=salt, gpus=max(1, CLUSTER.gpus), bound=bound, **texts, **sweep,
    )  # fmt: skip
    return with_resources(task, "fingerprint", "Fingerprint").set_caching_options(False)
