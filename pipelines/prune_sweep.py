"""prune_sweep: prune and retrain a network in several ways side by side, and register the smallest good one."""

from kfp import dsl

from bodyposenet.components.choose_smallest import choose_smallest
from bodyposenet.components.register import register
from bodyposenet.pipelines.blocks import DATASET, INFERENCE, PRUNE, RETRAIN, TRAIN, WHOLE, Data, photos_and_dataset
from bodyposenet.pipelines.resources import equipped

CUTS = [{"target_flops": 0.7}, {"target_flops": 0.5}, {"target_flops": 0.3}]


@dsl.pipeline(name="prune-sweep", description="BodyPoseNet: prune in several ways, register the smallest good network.")
def prune_sweep(
    source: str = "",
    dataset_spec: dict = DATASET,
    train_spec: dict = TRAIN,
    prune_spec: dict = PRUNE,
    retrain_spec: dict = RETRAIN,
    inference_spec: dict = INFERENCE,
    cuts: list[dict] = CUTS,
    draw_train: int = 600,
    draw_val: int = 200,
    conversion_parts: list[str] = WHOLE,
    max_ap_drop: float = 0.02,
    model_name: str = "bodyposenet",
) -> str:
    """Find out how far a network can be pruned.

    Args:
        source: Folder with images/ and COCO keypoint files; empty draws a set.
        dataset_spec: Keys of a TAO dataset spec.
        train_spec: TAO train spec of the first training.
        prune_spec: Threshold or target, and what goes with it.
        retrain_spec: TAO train spec of the training after each pruning.
        inference_spec: TAO inference spec of the evaluations.
        cuts: Keys of prune_spec that are to be others, once for each network: a few thresholds or targets.
        draw_train: Pictures to draw for training, if no source is given.
        draw_val: Pictures to draw for evaluation.
        conversion_parts: Shares of the conversion, a pod each: 0/1 is all in one, 0/2 and 1/2 are two halves.
        max_ap_drop: Greatest loss of AP with which a network is good enough; the smallest such is registered.
        model_name: In MLflow's registry.

    Returns:
        Which network was chosen and why, or why none.
    """
    photo_set, dataset = photos_and_dataset(source, draw_train, draw_val, dataset_spec, conversion_parts)
    data = Data(photo_set, dataset, train_spec, inference_spec)
    trained = data.trained()
    base = data.exported(trained, "Export base")
    with dsl.ParallelFor(cuts, name="cut") as cut:
        smaller = data.pruned(trained, prune_spec, cut=cut)
        onnx = data.exported(data.retrained(smaller.outputs["pruned"], retrain_spec))
        score = data.evaluated(onnx, "retrained")
    choice = choose_smallest(
        base=base, base_ap=data.evaluated(base, "base").outputs["Output"], networks=dsl.Collected(onnx),
        figures=dsl.Collected(smaller.outputs["metrics"]), aps=dsl.Collected(score.outputs["Output"]), cuts=cuts,
        max_ap_drop=max_ap_drop,
    )  # fmt: skip
    ap = equipped(choice, "choose-smallest", "Choose").outputs["Output"]
    with dsl.If(ap >= 0.0, name="one is good enough"):
        task = register(onnx=choice.outputs["chosen"], spec=inference_spec, ap=ap, name=model_name)
        equipped(task, "register", "Register").set_caching_options(False)
    return choice.outputs["reason"]
