"""prune_retrain: train, prune, retrain, export, quantize, evaluate, register and report."""

from typing import Any

from kfp import dsl

from bodyposenet.common.settings import portable
from bodyposenet.components.calibrate import calibrate
from bodyposenet.components.dataset_convert import dataset_convert
from bodyposenet.components.dataset_join import dataset_join
from bodyposenet.components.evaluate import evaluate
from bodyposenet.components.export import export
from bodyposenet.components.gate import gate
from bodyposenet.components.photos import photos
from bodyposenet.components.prune import prune
from bodyposenet.components.register import register
from bodyposenet.components.report import report
from bodyposenet.components.sample_calibration import sample_calibration
from bodyposenet.components.train import train
from bodyposenet.pipelines.resources import equipped
from bodyposenet.pipelines.specs import default

DATASET, TRAIN, PRUNE, RETRAIN, INFERENCE = (
    portable(default(name)) for name in ("dataset", "train", "prune", "retrain", "inference")
)
WHOLE = ["0/1"]


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
    calibration_images: int = 100,
    max_int8_drop: float = 0.02,
    model_name: str = "bodyposenet",
) -> dict:
    """Make a small network out of a large one, and show what that cost.

    Args:
        source: Folder with images/ and COCO keypoint files; empty draws a set.
        dataset_spec: Keys of a TAO dataset spec.
        train_spec: TAO train spec of the first training.
        prune_spec: Threshold and what goes with it.
        retrain_spec: TAO train spec of the training after pruning.
        inference_spec: TAO inference spec of the evaluations.
        draw_train: Pictures to draw for training, if no source is given.
        draw_val: Pictures to draw for evaluation.
        conversion_parts: Shares of the conversion, a pod each: 0/1 is all in one, 0/2 and 1/2 are two halves.
        calibration_images: Training photos that the quantization looks at.
        max_int8_drop: Greatest loss of AP by quantization with which the network is still registered.
        model_name: In MLflow's registry.

    Returns:
        The figures of the report.
    """
    found = photos(source=source, draw_train=draw_train, draw_val=draw_val)
    equipped(found, "photos", "Photos").set_caching_options(False)
    photo_set = {"photo_set": found.outputs["photo_set"], "fingerprint": found.outputs["Output"], "spec": dataset_spec}
    with dsl.ParallelFor(conversion_parts, name="convert") as part:
        converted = equipped(dataset_convert(**photo_set, part=part), "dataset-convert", "Convert")
    joined = dataset_join(**photo_set, parts=dsl.Collected(converted.outputs["dataset"]))
    dataset = equipped(joined, "dataset-join", "Join").outputs["dataset"]

    def evaluated(model: Any, name: str) -> dsl.PipelineTask:
        task = evaluate(model=model, dataset=dataset, spec=inference_spec, name=name)
        return equipped(task, "evaluate", f"Evaluate {name}")

    base = equipped(train(dataset=dataset, spec=train_spec), "train", "Train").outputs["model"]
    base_score = evaluated(base, "base")
    smaller = equipped(prune(model=base, spec=prune_spec), "prune", "Prune").outputs["pruned"]
    smaller_score = evaluated(smaller, "pruned")
    retraining = train(dataset=dataset, spec=retrain_spec, start_from=smaller)
    retrained = equipped(retraining, "train", "Retrain").outputs["model"]
    onnx = equipped(export(model=retrained), "export", "Export").outputs["onnx"]
    onnx_score = evaluated(onnx, "retrained")
    sampled = sample_calibration(**photo_set, images=calibration_images)
    stand_ins = equipped(sampled, "sample-calibration", "Sample").outputs["photos"]
    quantized = calibrate(onnx=onnx, photos=stand_ins, spec=inference_spec)
    int8 = equipped(quantized, "calibrate", "Calibrate").outputs["int8"]
    int8_score = evaluated(int8, "int8")
    aps = {
        f"{name}_ap": score.outputs["Output"]
        for name, score in (
            ("base", base_score), ("pruned", smaller_score), ("retrained", onnx_score), ("int8", int8_score),
        )
    }  # fmt: skip
    good = gate(reference_ap=aps["retrained_ap"], candidate_ap=aps["int8_ap"], max_drop=max_int8_drop)
    equipped(good, "gate", "Gate")
    with dsl.If(good.output == True, name="good enough"):  # noqa: E712 - a comparison for Kubeflow, not for Python
        registered = register(
            onnx=onnx, int8=int8, spec=inference_spec, ap=aps["retrained_ap"], int8_ap=aps["int8_ap"], name=model_name
        )
        equipped(registered, "register", "Register").set_caching_options(False)
    compared = report(
        base=base, pruned=smaller, retrained=retrained, onnx=onnx, int8=int8,
        dataset=dataset, detections=int8_score.outputs["detections"], spec=inference_spec, **aps,
    )  # fmt: skip
    return equipped(compared, "report", "Report").outputs["Output"]
