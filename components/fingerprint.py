"""fingerprint: read and check what a run is given, and tell whether it is new."""

from kfp import dsl

from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def fingerprint(
    data: str,
    defaults: dict,
    photos: dsl.OutputPath(str),
    weights: dsl.OutputPath(str),
    inputs: dsl.OutputPath(str),
    champion: dsl.OutputPath(str),
    hold_out: dsl.OutputPath(str),
    reason: dsl.OutputPath(str),
    parts: dsl.OutputPath(list),
    dataset_spec: dsl.OutputPath(dict),
    train_spec: dsl.OutputPath(dict),
    prune_spec: dsl.OutputPath(dict),
    retrain_spec: dsl.OutputPath(dict),
    inference_spec: dsl.OutputPath(dict),
    calibration_images: dsl.OutputPath(int),
    method: dsl.OutputPath(str),
    keep_float: dsl.OutputPath(list),
    max_int8_drop: dsl.OutputPath(float),
    dataset_given: dict = {},  # noqa: B006
    train_given: dict = {},  # noqa: B006
    prune_given: dict = {},  # noqa: B006
    retrain_given: dict = {},  # noqa: B006
    inference_given: dict = {},  # noqa: B006
    deploy_given: dict = {},  # noqa: B006
    start_weights: str = "",
    model_name: str = "bodyposenet",
    cuts: list = [],  # noqa: B006 - a task's function is called once
    only_if_new: bool = False,
    salt: str = "",
    gpus: int = 1,
    bound: float = 0.0,
) -> bool:
    """Look at everything a run depends on; never cached, so that the tasks after it may be.

    Args:
        data: Folder or gs:// or s3:// URI with photos and annotations, or synthetic:600,200 to draw people.
        defaults: Settings of each spec for which none are given; under "photos" those for photos.
        photos: Digest of the photos: names, sizes and bytes or generations.
        weights: Digest of the start weights.
        inputs: Digest of all of it.
        champion: Version of the registered champion to beat; empty where there is none.
        hold_out: Where the champion's held-out photos are kept; empty where nothing is.
        reason: Why there is something to do, or nothing.
        parts: Shares of the conversion, a pod each.
        dataset_spec: Keys of the dataset spec.
        train_spec: The train spec.
        prune_spec: The prune spec.
        retrain_spec: The train spec of the training after pruning.
        inference_spec: The inference spec.
        calibration_images: Of the deploy spec.
        method: Of the deploy spec.
        keep_float: Of the deploy spec.
        max_int8_drop: Of the deploy spec.
        dataset_given: Settings, or {"from": PLACE}; none takes the default.
        train_given: The same.
        prune_given: The same.
        retrain_given: The same.
        inference_given: The same.
        deploy_given: The same.
        start_weights: A model to start from, in place of the train spec's; auto takes the champion's base network.
        model_name: In MLflow's registry.
        cuts: Of a sweep, further inputs.
        only_if_new: End early if a run that was asked for the very same came to a good end.
        salt: Another text makes every task run again.
        gpus: Of each training.
        bound: Of the AP, or of its loss, with which a network is registered.

    Returns:
        True if there is something to do.
    """
    from bodyposenet.common import tasks

    given = {"dataset_spec": dataset_given, "train_spec": train_given, "prune_spec": prune_given}
    given |= {"retrain_spec": retrain_given, "inference_spec": inference_given, "deploy_spec": deploy_given}
    outputs = {"photos": photos, "weights": weights, "inputs": inputs, "champion": champion, "reason": reason}
    outputs |= {
        "hold_out": hold_out,
        "parts": parts,
        "dataset_spec": dataset_spec,
        "train_spec": train_spec,
        "prune_spec": prune_spec,
    }
    outputs |= {"retrain_spec": retrain_spec, "inference_spec": inference_spec}
    outputs |= {
        "calibration_images": calibration_images,
        "method": method,
        "keep_float": keep_float,
        "max_int8_drop": max_int8_drop,
    }
    return tasks.fingerprint(
        given, defaults, outputs, data=data, start_weights=start_weights, model_name=model_name,
        only_if_new=only_if_new, salt=salt, more={"cuts": cuts, "gpus": gpus}, bound=bound,
    )  # fmt: skip
