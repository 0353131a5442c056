"""prune_retrain: train, prune, retrain, export, quantize, evaluate, register and report."""

from typing import Any, NamedTuple

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components.calibrate import calibrate
from bodyposenet.components.gate import gate
from bodyposenet.components.prune_rounds import prune_rounds
from bodyposenet.components.report import report
from bodyposenet.components.sample_calibration import sample_calibration
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


class Shrunk(NamedTuple):
    """What :func:`shrink` makes."""

    pruned: artifacts.PoseModel
    retrained: artifacts.PoseModel


@dsl.pipeline(name="shrink", description="A network with fewer filters, before and after it is trained again.")
def shrink(
    base: dsl.Input[artifacts.PoseModel], dataset: dsl.Input[artifacts.PoseDataset], train_spec: dict, prune_spec: dict,
    retrain_spec: dict, work: str,
) -> Shrunk:  # fmt: skip
    """Prune in rounds, and retrain: all rounds but the last, the last one's pruning, and its training."""
    early = prune_rounds(model=base, dataset=dataset, prune_spec=prune_spec, retrain_spec=retrain_spec, work=work)
    handed = with_resources(early, "prune-rounds", "Earlier rounds").outputs
    pruned = prune_network(handed["pruned"], handed["Output"], dataset, train_spec).outputs["pruned"]
    return Shrunk(pruned=pruned, retrained=retrain(dataset, retrain_spec, pruned, base, work))


class Deployed(NamedTuple):
    """What :func:`deploy` makes."""

    onnx: artifacts.OnnxPoseModel
    int8: artifacts.OnnxPoseModel


@dsl.pipeline(name="deploy", description="A network as ONNX, and with 8-bit weights and activations.")
def deploy(
    model: dsl.Input[artifacts.PoseModel], photo_set: dsl.Input[artifacts.PhotoSet],
    dataset: dsl.Input[artifacts.PoseDataset], fingerprint: str, dataset_spec: dict, inference_spec: dict,
    calibration_images: int, method: str, keep_float: list, max_int8_drop: float,
) -> Deployed:  # fmt: skip
    """Export a network, and quantize it but for the layers that would cost too much AP."""
    onnx = export_network(model)
    photos = {"photo_set": photo_set, "fingerprint": fingerprint, "dataset_spec": dataset_spec}
    sampled = sample_calibration(**photos, images=calibration_images)
    stand_ins = with_resources(sampled, "sample-calibration", "Sample").outputs["photos"]
    budget = {"keep": keep_float, "max_drop": max_int8_drop, "dataset": dataset}
    task = calibrate(onnx=onnx, photos=stand_ins, inference_spec=inference_spec, method=method, **budget)
    return Deployed(onnx=onnx, int8=with_resources(task, "calibrate", "Calibrate").outputs["int8"])


class Judged(NamedTuple):
    """What :func:`judge` finds: the AP of the retrained network and of its 8-bit form."""

    ap: float
    int8_ap: float


@dsl.pipeline(name="judge", description="The AP of every stage on the held-out photos, and a page that compares them.")
def judge(
    base: dsl.Input[artifacts.PoseModel], pruned: dsl.Input[artifacts.PoseModel],
    retrained: dsl.Input[artifacts.PoseModel], onnx: dsl.Input[artifacts.OnnxPoseModel],
    int8: dsl.Input[artifacts.OnnxPoseModel], dataset: dsl.Input[artifacts.PoseDataset], inference_spec: dict,
) -> Judged:  # fmt: skip
    """Score the four stages of a network, and compare them."""
    given = {"dataset": dataset, "inference_spec": inference_spec}
    scores = {
        "base": evaluate_network("base", **given, model=base),
        "pruned": evaluate_network("pruned", **given, model=pruned),
        "retrained": evaluate_network("retrained", **given, onnx=onnx),
        "int8": evaluate_network("int8", **given, onnx=int8),
    }
    aps = {f"{stage}_ap": score.outputs["Output"] for stage, score in scores.items()}
    compared = report(
        base=base, pruned=pruned, retrained=retrained, onnx=onnx, int8=int8, **given, **aps,
        detections=scores["int8"].outputs["detections"],
    )  # fmt: skip
    with_resources(compared, "report", "Report")
    return Judged(ap=aps["retrained_ap"], int8_ap=aps["int8_ap"])


def register_if_good(
    said: Any, dataset: Any, networks: Any, judged: dsl.PipelineTask, min_ap: Any, name: Any
) -> None:  # fmt: skip
    """Register a network whose AP is high enough, and whose 8-bit form loses little of it; either way this is the end.

    Args:
        said: The outputs of the task that read the inputs.
        dataset: On whose held-out photos all networks are scored.
        networks: The base network, and the outputs of :func:`deploy`.
        judged: The layer of :func:`judge`.
        min_ap: Least AP that is registered.
        name: In the registry.
    """
    ap, int8_ap = judged.outputs["ap"], judged.outputs["int8_ap"]
    good = gate(float_ap=ap, int8_ap=int8_ap, min_ap=min_ap, max_int8_drop=said["max_int8_drop"])
    passed = with_resources(good, "gate", "Gate").outputs["Output"]
    with dsl.If(passed == True, name="good enough"):  # noqa: E712 - compared by Kubeflow
        given = {key: networks[key] for key in ("base", "onnx", "int8")}
        note_end("finish", register_network(said, dataset, ap=ap, name=name, int8_ap=int8_ap, **given))
    with dsl.If(passed == False, name="not good enough"):  # noqa: E712
        note_end("finish-unregistered", judged)


def prune_and_retrain(said: Any, data: Any, min_ap: Any, name: Any, work: Any) -> None:
    """The whole graph from photos to registry and report: a layer for each part of the story."""
    prepared = prepare(said, data)
    dataset = prepared["dataset"]
    base = train_base(dataset, said["train_spec"], said["weights"], work)
    specs = {key: said[key] for key in ("train_spec", "prune_spec", "retrain_spec")}
    shrunk = shrink(base=base, dataset=dataset, **specs, work=work).set_display_name("Shrink").outputs
    made = deploy(
        model=shrunk["retrained"], **prepared, fingerprint=said["photos"],
        **{key: said[key] for key in ("dataset_spec", "inference_spec", "calibration_images", "method", "keep_float",
                                      "max_int8_drop")},
    ).set_display_name("Deploy").outputs  # fmt: skip
    networks = {"base": base, **shrunk, **made}
    judged = judge(**networks, dataset=dataset, inference_spec=said["inference_spec"]).set_display_name("Judge")
    register_if_good(said, dataset, networks, judged, min_ap, name)


@dsl.pipeline(name="prune-retrain", description="BodyPoseNet: train, prune, retrain, quantize, evaluate, register.")
def prune_retrain(
    data: str = DRAWN,
    start_weights: str = "",
    dataset_spec: dict = {},  # noqa: B006 - nobody changes it
    train_spec: dict = {},  # noqa: B006 - nobody changes it
    prune_spec: dict = {},  # noqa: B006 - nobody changes it
    retrain_spec: dict = {},  # noqa: B006 - nobody changes it
    inference_spec: dict = {},  # noqa: B006 - nobody changes it
    deploy_spec: dict = {},  # noqa: B006 - nobody changes it
    model_name: str = "bodyposenet",
    min_ap: float = 0.0,
    only_if_new: bool = False,
    salt: str = "",
    work: str = CLUSTER.checkpoints,
) -> None:
    """Make a small network out of a large one, and show what that cost.

    Args:
        data: Folder or gs:// or s3:// URI with images/ and annotations, or synthetic:TRAIN,VAL to draw people.
        start_weights: Model to start from: a path, an address, models:/NAME@champion or models:/NAME/VERSION for the
            base network of a registered one, auto for the champion's if it fits; empty takes the train spec's.
        dataset_spec: Which people count: keys of a TAO dataset spec; {"from": PATH} reads a file, {} is the default.
        train_spec: The first training: a TAO train spec; {"from": PATH} reads a file, {} is the default.
        prune_spec: What to cut, and in how many rounds; {"from": PATH} reads a file, {} is the default.
        retrain_spec: The training after pruning; {"from": PATH} reads a file, {} is the default.
        inference_spec: Input size and thresholds of the evaluations; {"from": PATH} reads a file, {} is the default.
        deploy_spec: Quantization and what it may cost; {"from": PATH} reads a file, {} is the default.
        model_name: Name in MLflow's registry.
        min_ap: Least AP with which the network is registered.
        only_if_new: End early if a run with the same photos, weights and specs came to a good end.
        salt: Any text; another one makes every task run again, whatever Kubeflow's cache holds.
        work: Folder or bucket in which a training whose pod was lost goes on; without it it starts anew.
    """
    with dsl.ExitHandler(summarize("prune-retrain", data), name="whole run"):
        specs = {"dataset_spec": dataset_spec, "train_spec": train_spec, "prune_spec": prune_spec}
        specs |= {"retrain_spec": retrain_spec, "inference_spec": inference_spec, "deploy_spec": deploy_spec}
        rest = {"model_name": model_name, "only_if_new": only_if_new, "salt": salt, "bound": min_ap}
        said = fingerprint_inputs(specs, data=data, start_weights=start_weights, **rest)
        with dsl.If(said["Output"] == True, name="something new"):  # noqa: E712 - compared by Kubeflow
            prune_and_retrain(said, data, min_ap, model_name, work)
