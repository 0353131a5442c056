"""prune_retrain: train, prune, retrain, export, quantize, evaluate, register and report."""

from typing import Any

from kfp import dsl

from bodyposenet.components.calibrate import calibrate
from bodyposenet.components.gate import gate
from bodyposenet.components.prune_rounds import prune_rounds
from bodyposenet.components.register import register
from bodyposenet.components.report import report
from bodyposenet.components.sample_calibration import sample_calibration
from bodyposenet.pipelines.blocks import DATASET, INFERENCE, PRUNE, RETRAIN, TRAIN, WHOLE, Data, photos_and_dataset
from bodyposenet.pipelines.resources import equipped


def quantized(data: Data, onnx: Any, images: Any, max_drop: Any) -> Any:
    """An exported network with 8-bit weights and activations, but for those that would cost too much AP."""
    sampled = sample_calibration(**data.photo_set, images=images)
    stand_ins = equipped(sampled, "sample-calibration", "Sample").outputs["photos"]
    budget = {"keep": ["auto"], "max_drop": max_drop, "dataset": data.dataset}
    task = calibrate(onnx=onnx, photos=stand_ins, spec=data.inference_spec, **budget)
    return equipped(task, "calibrate", "Calibrate").outputs["int8"]


def register_if_good(onnx: Any, int8: Any, spec: Any, aps: dict[str, Any], max_drop: Any, name: Any) -> None:
    """Register a network, if quantization cost it little."""
    good = gate(reference_ap=aps["retrained_ap"], candidate_ap=aps["int8_ap"], max_drop=max_drop)
    equipped(good, "gate", "Gate")
    with dsl.If(good.output == True, name="good enough"):  # noqa: E712 - a comparison for Kubeflow, not for Python
        task = register(onnx=onnx, int8=int8, spec=spec, ap=aps["retrained_ap"], int8_ap=aps["int8_ap"], name=name)
        equipped(task, "register", "Register").set_caching_options(False)


@dsl.pipeline(name="prune-retrain", description="BodyPoseNet: train, prune, retrain, quantize, evaluate, register.")
def prune_retrain(
    source: str = "",
    dataset_spec: dict = DATASET,
    train_spec: dict = TRAIN,
    prune_spec: dict = PRUNE,
    retrain_spec: dict = RETRAIN,
    inference_spec: dict = INFERENCE,
    draw_train: int = 600,
    draw_val: int = 200,
    conversion_parts: list[str] = WHOLE,
    rounds: int = 1,
    calibration_images: int = 100,
    max_int8_drop: float = 0.02,
    model_name: str = "bodyposenet",
) -> dict:
    """Make a small network out of a large one, and show what that cost.

    Args:
        source: Folder with images/ and COCO keypoint files; empty draws a set.
        dataset_spec: Keys of a TAO dataset spec.
        train_spec: TAO train spec of the first training.
        prune_spec: Threshold or target, and what goes with it.
        retrain_spec: TAO train spec of the training after pruning.
        inference_spec: TAO inference spec of the evaluations.
        draw_train: Pictures to draw for training, if no source is given.
        draw_val: Pictures to draw for evaluation.
        conversion_parts: Shares of the conversion, a pod each: 0/1 is all in one, 0/2 and 1/2 are two halves.
        rounds: How often to prune and retrain; a target is met by the last, a threshold is that of every round.
        calibration_images: Training photos that the quantization looks at.
        max_int8_drop: Greatest loss of AP by quantization with which the network is still registered.
        model_name: In MLflow's registry.

    Returns:
        The figures of the report.
    """
    photo_set, dataset = photos_and_dataset(source, draw_train, draw_val, dataset_spec, conversion_parts)
    data = Data(photo_set, dataset, train_spec, inference_spec)
    base = data.trained()
    early = prune_rounds(model=base, dataset=dataset, spec=prune_spec, retrain_spec=retrain_spec, rounds=rounds)
    equipped(early, "prune-rounds", "Earlier rounds")
    pruned = data.pruned(early.outputs["pruned"], early.outputs["Output"]).outputs["pruned"]
    retrained = data.retrained(pruned, retrain_spec)
    onnx = data.exported(retrained)
    int8 = quantized(data, onnx, calibration_images, max_int8_drop)
    networks = {"base": base, "pruned": pruned, "retrained": onnx, "int8": int8}
    scores = {name: data.evaluated(model, name) for name, model in networks.items()}
    aps = {f"{name}_ap": score.outputs["Output"] for name, score in scores.items()}
    register_if_good(onnx, int8, inference_spec, aps, max_int8_drop, model_name)
    compared = report(
        base=base, pruned=pruned, retrained=retrained, onnx=onnx, int8=int8,
        dataset=dataset, detections=scores["int8"].outputs["detections"], spec=inference_spec, **aps,
    )  # fmt: skip
    return equipped(compared, "report", "Report").outputs["Output"]
