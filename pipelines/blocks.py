"""Blocks: parts of a graph that several pipelines are built of."""

import copy
import dataclasses
from typing import Any, NamedTuple

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
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
from bodyposenet.pipelines.specs import NAMES, PEOPLE, default, default_for

DRAWN = "synthetic:600,200"  # what a pipeline trains on unless it is given photos
DEFAULTS = {f"{name}_spec": to_kfp(default(name)) for name in NAMES}
FOR_PHOTOS = {f"{name}_spec": to_kfp(default_for(name, drawn=False)) for name in PEOPLE}


class PreparedData(NamedTuple):
    """What :func:`prepare_data` makes."""

    photo_set: artifacts.PhotoSet
    dataset: artifacts.PoseDataset


@dsl.pipeline(name="data", description="Photos, and the record shards made of them.")
def prepare_data(data: str, fingerprint: str, dataset_spec: dict, parts: list, hold_out: str) -> PreparedData:
    """Find or draw the photos and convert them, in as many parts as the inputs call for."""
    found = with_resources(photos(data=data, fingerprint=fingerprint), "photos", "Photos").outputs["photo_set"]
    photo_set = {"photo_set": found, "fingerprint": fingerprint, "dataset_spec": dataset_spec}
    with dsl.ParallelFor(parts, name="convert") as part:
        task = dataset_convert(**photo_set, part=part, hold_out=hold_out)
        converted = with_resources(task, "dataset-convert", "Convert")
    joined = dataset_join(**photo_set, parts=dsl.Collected(converted.outputs["dataset"]))
    dataset = with_resources(joined, "dataset-join", "Join").outputs["dataset"]
    return PreparedData(photo_set=found, dataset=dataset)


def rename(component: Any, name: str) -> Any:
    """The same component under another name, by which lists and logs tell its task from others."""
    renamed = copy.copy(component)
    renamed.component_spec = dataclasses.replace(component.component_spec, name=name)
    return renamed


def train_base(dataset: Any, train_spec: Any, weights_digest: Any, work: Any) -> Any:
    """The base network."""
    task = train(
        dataset=dataset, train_spec=train_spec, weights_digest=weights_digest, work=work,
        gpus=max(1, CLUSTER.gpus),
    )  # fmt: skip
    return with_resources(task, "train", "Train").outputs["model"]


def retrain(dataset: Any, retrain_spec: Any, model: Any, base: Any, work: Any) -> Any:
    """A pruned network, trained again, with the network that it was cut from as the teacher."""
    task = rename(train, "retrain")(
        dataset=dataset, train_spec=retrain_spec, start_from=model, teacher=base, work=work, gpus=max(1, CLUSTER.gpus),
    )  # fmt: skip
    return with_resources(task, "train", "Retrain").outputs["model"]


def prune_network(model: Any, prune_spec: Any, dataset: Any, train_spec: Any, *, cut: Any = None) -> dsl.PipelineTask:
    """A network with fewer filters; ``cut`` changes some of the spec's keys."""
    changes = {} if cut is None else {"cut": cut}
    task = prune(model=model, prune_spec=prune_spec, dataset=dataset, train_spec=train_spec, **changes)
    return with_resources(task, "prune", "Prune")


def export_network(model: Any, title: str = "Export") -> Any:
    """A network as ONNX."""
    return with_resources(export(model=model), "export", title).outputs["onnx"]


def evaluate_network(
    name: str, dataset: Any, inference_spec: Any, *, model: Any = None, onnx: Any = None
) -> dsl.PipelineTask:
    """A network's AP and what it found; ``model`` or ``onnx`` is the network."""
    network = {"onnx": onnx} if model is None else {"model": model}
    task = rename(evaluate, f"evaluate-{name}")(dataset=dataset, inference_spec=inference_spec, name=name, **network)
    return with_resources(task, "evaluate", f"Evaluate {name}")


def register_network(
    said: Any, dataset: Any, base: Any, onnx: Any, ap: Any, name: Any, *, int8: Any = None, int8_ap: Any = None
) -> dsl.PipelineTask:
    """Register a network; it becomes the champion if it beats that on the photos that were kept with it.

    Args:
        said: The outputs of the task that read the inputs.
        dataset: Whose held-out photos are kept where the champion has none.
        base: What the network was before pruning.
        onnx: The network.
        ap: Its AP.
        name: In the registry.
        int8: Its quantized files.
        int8_ap: Their AP.
    """
    quantized = {} if int8 is None else {"int8": int8, "int8_ap": int8_ap}
    known = {"champion": said["champion"], "inference_spec": said["inference_spec"]}
    met = challenge(dataset=dataset, onnx=onnx, model_name=name, hold_out=said["hold_out"], **known)
    scores = with_resources(met, "challenge", "Challenge").outputs
    known |= {"inputs": said["inputs"], "name": name, "champion_ap": scores["Output"], "hold_out": scores["kept"]}
    known |= {key: scores[key] for key in ("challenger_ap", "champion_new_ap")}
    return with_resources(register(base=base, onnx=onnx, ap=ap, **known, **quantized), "register", "Register")


def note_end(name: str, *last: dsl.PipelineTask) -> None:
    """The task that notes a good end; wherever a run may end it comes after all that have nobody after them."""
    noted = with_resources(rename(finish, name)(), "finish", name.replace("-", " ").capitalize())
    noted.set_caching_options(False).after(*last)


def summarize(name: str, data: Any) -> dsl.PipelineTask:
    """The task that tells what became of a run; for :class:`dsl.ExitHandler`."""
    return with_resources(summary(name=name, data=data), "summary", "Summary").set_caching_options(False)


def fingerprint_inputs(
    specs: dict[str, Any], *, data: Any, start_weights: Any, model_name: Any, only_if_new: Any, salt: Any, bound: Any,
    cuts: Any = None,
) -> Any:  # fmt: skip
    """The outputs of the task that reads the inputs, in every run anew: what an address holds may have changed.

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
    given = {f"{name.removesuffix('_spec')}_given": settings for name, settings in specs.items()}
    sweep = {} if cuts is None else {"cuts": cuts}
    defaults = {**DEFAULTS, "photos": FOR_PHOTOS}
    task = fingerprint(
        data=data, defaults=defaults, start_weights=start_weights, model_name=model_name, only_if_new=only_if_new,
        salt=salt, gpus=max(1, CLUSTER.gpus), bound=bound, **given, **sweep,
    )  # fmt: skip
    return with_resources(task, "fingerprint", "Fingerprint").set_caching_options(False).outputs


def prepare(said: Any, data: Any) -> Any:
    """The outputs of :func:`prepare_data` on what the inputs say."""
    layer = prepare_data(
        data=data,
        fingerprint=said["photos"],
        dataset_spec=said["dataset_spec"],
        parts=said["parts"],
        hold_out=said["hold_out"],
    ).set_display_name("Data")
    return layer.outputs
