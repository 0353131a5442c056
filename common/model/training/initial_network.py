"""Initial network: what a training begins with, and its numeric precision."""

import logging
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.model.files.keras_applications import as_backbone, is_vgg19
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.files.weights_file import Stored, holds_hdf5, read_weights
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.network.dtype_policy import convert_policy
from bodyposenet.common.model.network.start_file import (
    list_weights,
    open_for_skeleton,
    open_graph,
    take_by_places,
    take_strongest,
)
from bodyposenet.common.model.network.teacher import Teacher, load_teacher
from bodyposenet.common.model.network.transfer import TransferReport, load_matching_weights
from bodyposenet.common.model.training.checkpoints import find_precision, read_state
from bodyposenet.common.model.training.plan import OTHER_POSE_CONFIG, Plan
from bodyposenet.common.model.training.precision import FLOAT32, PrecisionChoice, take_precision
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.storage.model_key import taking_plain

log = logging.getLogger(__name__)

BACKBONE = "block_1a_conv_1"  # the VGG backbone's first layer
MAPS = ("heatmap_out", "paf_out")  # layers that are named so whatever the network


def starting_precision(plan: Plan, results_dir: Path | None = None, *, kept: str = "") -> PrecisionChoice:
    """Choose what a training computes in: as its spec wishes, as this machine is fast, and as it began.

    Args:
        plan: The training.
        results_dir: Where checkpoints may be that it goes on from.
        kept: The format of earlier trainings that it is one with.

    Raises:
        UserError: It is to go on in a format that this machine cannot compute in.
    """
    spec, tuning = plan.spec, plan.spec.finetuning_config
    begun = find_precision(results_dir, plan.epochs) if results_dir else ""
    if not begun and tuning.is_finetune_exp:  # it takes the optimizer's variables, too, which differ by format
        begun = read_state(Path(str(tuning.checkpoint_path))).precision
    return take_precision(spec.mixed_precision, deterministic=bool(spec.deterministic), kept=begun or kept)


def starting_network(
    spec: TrainSpec, skeleton: Skeleton, results_dir: Path | None = None, *, policy: str = FLOAT32
) -> Any:
    """The network of a train spec, with the weights it starts from, in the precision it trains in.

    Args:
        spec: What to train, and from which weights.
        skeleton: Says how many maps there are.
        results_dir: Gets ``pretrained.txt``: which layers took weights, and why others did not.
        policy: Keras' dtype policy of that precision.

    Raises:
        UserError: The weights cannot be read, none of them fits, or they do not fit the spec or the skeleton.
    """
    with taking_plain():
        if spec.load_graph:
            model = _check_graph(spec, skeleton)
            log.info("%s: trained as it is, %s parameters", spec.pretrained_weights, f"{model.count_params():,}")
            return convert_policy(model, policy, regularized=False)
        model = build_model(spec.model, skeleton)
        if spec.pretrained_weights:
            _take_weights(model, spec, skeleton, results_dir)
    return convert_policy(model, policy)


def _take_weights(model: Any, spec: TrainSpec, skeleton: Skeleton, results_dir: Path | None) -> None:
    """Give a network the weights that its spec names: by places in the graph, or layer by layer by name."""
    path = weights_path(str(spec.pretrained_weights))
    if spec.fit_width == "prune":
        return take_strongest(model, open_graph(path, skeleton), path)
    fitted = open_for_skeleton(path, skeleton)
    if _is_foreign(model, path):
        return take_by_places(model, fitted or load_model(path)[0], path)
    stored = list_weights(fitted, path) if fitted else _weights_for(model, spec)
    return _tell(load_matching_weights(model, stored), results_dir)


def _is_foreign(model: Any, path: Path) -> bool:
    """Whether a file's network draws maps, and nothing else in it is named as here: it was adopted."""
    if not path.is_file() or holds_hdf5(path):
        return False
    given, names = set(read_weights(path).layers), {layer.name for layer in model.layers if layer.weights}
    return given.issuperset(MAPS) and not (given & names).difference(MAPS)


def starting_teacher(plan: Plan, policy: str = FLOAT32) -> Teacher | None:
    """The teacher of a training, and what it costs, told; None where the spec names none.

    Raises:
        UserError: It cannot be read, or does not fit the spec.
    """
    told = plan.spec.teaching
    if told is None:
        return None
    teacher = load_teacher(str(told.teacher), plan.card, policy=policy)
    log.info("%s: teacher, %s; weight %g to %g", told.teacher, teacher.cost(plan.card.input_size), told.weight,
             told.final_weight)  # fmt: skip
    return teacher


def _weights_for(model: Any, spec: TrainSpec) -> Stored:
    """The weights that the spec names, in terms of the network's layers."""
    names = {layer.name for layer in model.layers}
    stored = read_weights(weights_path(str(spec.pretrained_weights)), names)
    if BACKBONE not in names or not is_vgg19(stored):
        return stored
    seen = spec.dataloader.normalization_params
    return as_backbone(stored, model, scale=seen.image_scale, offset=seen.image_offset)


def _tell(filled: TransferReport, results_dir: Path | None) -> None:
    """Log what took weights, and write all of it beside the results."""
    log.info("%s", filled.summary())
    for note in filled.source.notes:
        log.info("%s: %s", filled.source.path, note)
    for line in filled.warnings():
        log.warning("%s: %s", filled.source.path, line)
    if results_dir:
        log.info("every layer: %s", filled.write(results_dir))


def _check_graph(spec: TrainSpec, skeleton: Skeleton) -> Any:
    """The network in the file itself, held against the spec, and fitted to the skeleton if it draws another."""
    path = weights_path(str(spec.pretrained_weights))
    model = open_graph(path, skeleton)
    stages, odd = divmod(len(model.outputs), 2)
    if odd or stages != spec.model.stages:
        raise UserError(
            f"has {stages} stages, the spec {spec.model.stages}", where=str(path), fix=f"set model.stages: {stages}"
        )
    heatmaps, fields = skeleton.num_joints + 1, 2 * skeleton.num_limbs
    drawn = [output.shape[-1] for output in model.outputs]
    if drawn != [heatmaps] * stages + [fields] * stages:
        raise UserError(
            f"draws maps of {drawn} channels, skeleton {skeleton.name!r} needs {heatmaps} and {fields}",
            where=str(path),
            fix=OTHER_POSE_CONFIG,
        )
    return model
