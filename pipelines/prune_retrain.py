"""prune_retrain: train, prune, retrain, export, quantize, evaluate, register and report."""

from typing import Any

from kfp import dsl

from bodyposenet.components.calibrate import calibrate
from bodyposenet.components.gate import gate
from bodyposenet.components.prune_rounds import prune_rounds
from bodyposenet.components.report import report
from bodyposenet.components.sample_calibration import sample_calibration
from bodyposenet.pipelines.blocks import DRAWN, Graph, fingerprint_inputs, note_end, summarize
from bodyposenet.pipelines.resources import with_resources


def cut(graph: Graph, base: Any) -> Any:
    """The base network with fewer filters: all rounds but the last, and the last one's pruning."""
    spec = {"prune_spec": graph.seen.outputs["prune_spec"], "retrain_spec": graph.seen.outputs["retrain_spec"]}
    early = with_resources(prune_rounds(model=base, dataset=graph.dataset, **spec), "prune-rounds", "Earlier rounds")
    return graph.prune(early.outputs["pruned"], early.outputs["Output"]).outputs["pruned"]


def quantize(graph: Graph, onnx: Any) -> Any:
    """An exported network with 8-bit weights and activations, but for those that would cost too much AP."""
    said = graph.seen.outputs
    sampled = sample_calibration(**graph.photo_set, images=said["calibration_images"])
    stand_ins = with_resources(sampled, "sample-calibration", "Sample").outputs["photos"]
    budget = {"keep": said["keep_float"], "max_drop": said["max_int8_drop"], "dataset": graph.dataset}
    task = calibrate(onnx=onnx, photos=stand_ins, inference_spec=graph.inference_spec, method=said["method"], **budget)
    return with_resources(task, "calibrate", "Calibrate").outputs["int8"]


def register_if_good(
    graph: Graph, onnx: Any, int8: Any, aps: dict[str, Any], min_ap: Any, name: Any, compared: dsl.PipelineTask
) -> None:
    """Register a network whose AP is high enough, and whose 8-bit form loses little of it; either way this is the end.

    Args:
        graph: What it all works on.
        onnx: The network.
        int8: Its quantized files.
        aps: Of all stages.
        min_ap: Least AP that is registered.
        name: In the registry.
        compared: The report, which is written before.
    """
    wanted = {"min_ap": min_ap, "max_int8_drop": graph.seen.outputs["max_int8_drop"]}
    good = with_resources(gate(float_ap=aps["retrained_ap"], int8_ap=aps["int8_ap"], **wanted), "gate", "Gate")
    with dsl.If(good.outputs["Output"] == True, name="good enough"):  # noqa: E712 - compared by Kubeflow
        registered = graph.register(onnx, aps["retrained_ap"], name, int8=int8, int8_ap=aps["int8_ap"])
        note_end("Finish", registered, compared)
    with dsl.If(good.outputs["Output"] == False, name="not good enough"):  # noqa: E712
        note_end("Finish unregistered", compared)


def prune_and_retrain(graph: Graph, min_ap: Any, name: Any) -> None:
    """The whole graph from photos to registry and report."""
    base = graph.train()
    pruned = cut(graph, base)
    retrained = graph.retrain(pruned)
    onnx = graph.export(retrained)
    int8 = quantize(graph, onnx)
    scores = {
        "base": graph.evaluate("base", model=base),
        "pruned": graph.evaluate("pruned", model=pruned),
        "retrained": graph.evaluate("retrained", onnx=onnx),
        "int8": graph.evaluate("int8", onnx=int8),
    }
    aps = {f"{stage}_ap": score.outputs["Output"] for stage, score in scores.items()}
    compared = report(
        base=base, pruned=pruned, retrained=retrained, onnx=onnx, int8=int8, dataset=graph.dataset, **aps,
        detections=scores["int8"].outputs["detections"], inference_spec=graph.inference_spec,
    )  # fmt: skip
    register_if_good(graph, onnx, int8, aps, min_ap, name, with_resources(compared, "report", "Report"))


@dsl.pipeline(name="prune-retrain", description="BodyPoseNet: train, prune, retrain, quantize, evaluate, register.")
def prune_retrain(
    data: str = DRAWN,
    start_weights: str = "",
    dataset_spec: str = "",
    train_spec: str = "",
    prune_spec: str = "",
    retrain_spec: str = "",
    inference_spec: str = "",
    deploy_spec: str = "",
    model_name: str = "bodyposenet",
    min_ap: float = 0.0,
    only_if_new: bool = False,
    salt: str = "",
) -> None:
    """Make a small network out of a large one, and show what that cost.

    Args:
        data: Folder or gs:// URI with images/ and COCO keypoint files, or synthetic:TRAIN,VAL to draw people.
        start_weights: Model to start from, a path or gs:// URI; empty takes the train spec's.
        dataset_spec: Which people count: keys of a TAO dataset spec, as YAML, JSON or URI; empty takes the default.
        train_spec: The first training: a TAO train spec, as YAML, JSON or URI; empty takes the default.
        prune_spec: What to cut, and in how many rounds, as YAML, JSON or URI; empty takes the default.
        retrain_spec: The training after pruning, as YAML, JSON or URI; empty takes the default.
        inference_spec: Input size and thresholds of the evaluations, as YAML, JSON or URI; empty takes the default.
        deploy_spec: Quantization and what it may cost, as YAML, JSON or URI; empty takes the default.
        model_name: Name in MLflow's registry.
        min_ap: Least AP with which the network is registered.
        only_if_new: End early if a run with the same photos, weights and specs came to a good end.
        salt: Any text; another one makes every task run again, whatever Kubeflow's cache holds.
    """
    with dsl.ExitHandler(summarize("prune-retrain", data), name="whole run"):
        specs = {"dataset_spec": dataset_spec, "train_spec": train_spec, "prune_spec": prune_spec}
        specs |= {"retrain_spec": retrain_spec, "inference_spec": inference_spec, "deploy_spec": deploy_spec}
        rest = {"model_name": model_name, "only_if_new": only_if_new, "salt": salt, "bound": min_ap}
        seen = fingerprint_inputs(specs, data=data, start_weights=start_weights, **rest)
        with dsl.If(seen.outputs["Output"] == True, name="something new"):  # noqa: E712 - compared by Kubeflow
            prune_and_retrain(Graph.start(seen, data), min_ap, model_name)
