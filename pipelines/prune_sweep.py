"""prune_sweep: prune and retrain a network in several ways side by side, and register the smallest good one."""

from typing import Any, NamedTuple

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components.choose_smallest import choose_smallest
from bodyposenet.pipelines.blocks import (
    DRAWN,
    evaluate_network,
    export_network,
    fingerprint_inputs,
    note_end,
    prepare,
    prune_network,
    register_network,
    retrain,
    summarize,
    train_base,
)
from bodyposenet.pipelines.resources import CLUSTER, with_resources

CUTS = [{"target_flops": 0.7}, {"target_flops": 0.5}, {"target_flops": 0.3}]


class Base(NamedTuple):
    """What :func:`make_base` makes: the network, the same as ONNX, and its AP."""

    model: artifacts.PoseModel
    onnx: artifacts.OnnxPoseModel
    ap: float


@dsl.pipeline(name="base", description="The network that all cuts begin with, trained, exported and scored.")
def make_base(
    dataset: dsl.Input[artifacts.PoseDataset], train_spec: dict, weights: str, inference_spec: dict, work: str
) -> Base:
    """Train a network, export it, and score what was exported."""
    model = train_base(dataset, train_spec, weights, work)
    onnx = export_network(model, "Export base")
    ap = evaluate_network("base", dataset, inference_spec, onnx=onnx).outputs["Output"]
    return Base(model=model, onnx=onnx, ap=ap)


def sweep(said: Any, data: Any, cuts: Any, max_ap_drop: Any, name: Any, work: Any) -> None:
    """One training, and a pruned network for each cut; the smallest good one is registered."""
    dataset = prepare(said, data)["dataset"]
    specs = {name: said[name] for name in ("train_spec", "weights", "inference_spec")}
    base = make_base(dataset=dataset, **specs, work=work).set_display_name("Base").outputs
    with dsl.ParallelFor(cuts, name="cut") as cut:
        smaller = prune_network(base["model"], said["prune_spec"], dataset, said["train_spec"], cut=cut)
        again = retrain(dataset, said["retrain_spec"], smaller.outputs["pruned"], base["model"], work)
        onnx = export_network(again)
        score = evaluate_network("retrained", dataset, said["inference_spec"], onnx=onnx)
    choice = choose_smallest(
        base=base["onnx"], base_ap=base["ap"], networks=dsl.Collected(onnx),
        figures=dsl.Collected(smaller.outputs["metrics"]), aps=dsl.Collected(score.outputs["Output"]), cuts=cuts,
        max_ap_drop=max_ap_drop,
    )  # fmt: skip
    ap = with_resources(choice, "choose-smallest", "Choose").outputs["Output"]
    with dsl.If(ap > 0.0, name="one is good enough"):
        note_end("finish", register_network(said, dataset, base["model"], choice.outputs["chosen"], ap, name))
    with dsl.If(ap <= 0.0, name="none is good enough"):
        note_end("finish-unregistered", choice)


@dsl.pipeline(name="prune-sweep", description="BodyPoseNet: prune in several ways, register the smallest good network.")
def prune_sweep(
    data: str = DRAWN,
    start_weights: str = "",
    dataset_spec: dict = {},  # noqa: B006 - nobody changes it
    train_spec: dict = {},  # noqa: B006 - nobody changes it
    prune_spec: dict = {},  # noqa: B006 - nobody changes it
    retrain_spec: dict = {},  # noqa: B006 - nobody changes it
    inference_spec: dict = {},  # noqa: B006 - nobody changes it
    cuts: list[dict] = CUTS,
    max_ap_drop: float = 0.02,
    model_name: str = "bodyposenet",
    only_if_new: bool = False,
    salt: str = "",
    work: str = CLUSTER.checkpoints,
) -> None:
    """Find out how far a network can be pruned.

    Args:
        data: Folder or gs:// or s3:// URI with images/ and annotations, or synthetic:TRAIN,VAL to draw people.
        start_weights: Model to start from: a path, an address, models:/NAME@champion or models:/NAME/VERSION for the
            base network of a registered one, auto for the champion's if it fits; empty takes the train spec's.
        dataset_spec: Which people count: keys of a TAO dataset spec; {"from": PATH} reads a file, {} is the default.
        train_spec: The first training: a TAO train spec; {"from": PATH} reads a file, {} is the default.
        prune_spec: What goes with every cut; {"from": PATH} reads a file, {} is the default.
        retrain_spec: The training after each pruning; {"from": PATH} reads a file, {} is the default.
        inference_spec: Input size and thresholds of the evaluations; {"from": PATH} reads a file, {} is the default.
        cuts: Keys of prune_spec that are to be others, once for each network: a few thresholds or targets.
        max_ap_drop: Greatest loss of AP with which a network is good enough; the smallest such is registered.
        model_name: Name in MLflow's registry.
        only_if_new: End early if a run with the same photos, weights, specs and cuts came to a good end.
        salt: Any text; another one makes every task run again, whatever Kubeflow's cache holds.
        work: Folder or bucket in which a training whose pod was lost goes on; without it it starts anew.
    """
    with dsl.ExitHandler(summarize("prune-sweep", data), name="whole run"):
        specs = {"dataset_spec": dataset_spec, "train_spec": train_spec, "prune_spec": prune_spec}
        specs |= {"retrain_spec": retrain_spec, "inference_spec": inference_spec}
        rest = {"model_name": model_name, "only_if_new": only_if_new, "salt": salt, "cuts": cuts}
        rest["bound"] = max_ap_drop
        said = fingerprint_inputs(specs, data=data, start_weights=start_weights, **rest)
        with dsl.If(said["Output"] == True, name="something new"):  # noqa: E712 - compared by Kubeflow
            sweep(said, data, cuts, max_ap_drop, model_name, work)
