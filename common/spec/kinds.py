"""Kinds: which of the specs a file holds, and what there is to say about it in a line."""

from collections.abc import Callable, Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import SpecError
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.plain_text import escape_line
from bodyposenet.common.skeleton.joint_names import find_side, pairs_by_name
from bodyposenet.common.spec.base import Strict
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.deploy import DeploySpec
from bodyposenet.common.spec.document import CLASS_KEY, read_document
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.pose_config import Category, PoseConfig, find_person
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec

KINDS: dict[str, type[Strict]] = {
    "train": TrainSpec,
    "dataset": DatasetSpec,
    "infer": InferenceSpec,
    "pose": PoseConfig,
    "prune": PruneSpec,
    "deploy": DeploySpec,
}


def detect_kind(path: str | Path) -> type[Strict]:
    """Find the model of the spec in a file, by its keys.

    Raises:
        SpecError: The file cannot be read, or its keys fit no kind of spec, or two equally well.
    """
    data = read_document(path).data
    if data.get(CLASS_KEY) == "BpNetTrainer":
        return TrainSpec
    ranked = sorted(KINDS.values(), key=lambda kind: -_likeness(data, kind))
    if _likeness(data, ranked[0]) == 0 or _likeness(data, ranked[0]) == _likeness(data, ranked[1]):
        keys = ", ".join(map(str, list(data)[:6])) or "none"
        known = "a train, dataset, inference, pose-config, prune or deploy spec"
        told = f"{path}:1: no telling what kind of spec this is; the keys ({keys}) are not those of {known}"
        raise SpecError([escape_line(told)])
    return ranked[0]


def _likeness(data: Mapping[str, Any], kind: type[Strict]) -> float:
    """Count the top-level keys that are the kind's; a misspelled one counts as far as it is like one of them."""
    known = [field.alias or name for name, field in kind.model_fields.items()]
    likeness = 0.0
    for key in data:
        nearness = max(SequenceMatcher(None, str(key), name).ratio() for name in known)
        if key in known:
            likeness += 1
        elif nearness > 0.8:
            likeness += nearness / 2
    return likeness


def describe(spec: Strict) -> str:
    """Describe a spec in a line."""
    return next(tell(spec) for kind, tell in DESCRIPTIONS.items() if isinstance(spec, kind))


def _train(spec: TrainSpec) -> str:
    height, width = spec.dataloader.image_config.image_dims.size
    what = "retrain spec" if spec.load_graph else "train spec"
    network = f"{pluralize(spec.model.stages, 'stage')}, {height}x{width}, batch {spec.dataloader.batch_size}"
    return f"{what}, {network}, {pluralize(spec.num_epoch, 'epoch')}, {spec.optimizer.class_name}"


def _dataset(spec: DatasetSpec) -> str:
    joints = pluralize(len(spec.joints), "joint")
    several = f" of {' and '.join(spec.people)}" if len(spec.people) > 1 else ""
    return f"dataset spec, {spec.dataset!r}, {joints}{several}, in {spec.root_directory_path}"


def _inference(spec: InferenceSpec) -> str:
    height, width = spec.input_shape
    scales = pluralize(len(spec.scales), "scale") if spec.multi_scale_inference else "1 scale"
    mode = spec.keep_aspect_ratio_mode or "stretched"
    return f"inference spec, {height}x{width}, {mode}, {scales}, at least {pluralize(spec.min_parts, 'part')}"


def _pose_config(spec: PoseConfig) -> str:
    person = find_person(spec.categories)
    limbs = pluralize(len(person.limbs), "limb")
    return f"pose config, {spec.pose_config_type}, {pluralize(person.num_joints, 'joint')}, {limbs}"


def _prune(spec: PruneSpec) -> str:
    rule = f"threshold {spec.pruning_threshold:g}, {spec.normalizer}, {spec.equalization_criterion}"
    return f"prune spec, {rule}, multiples of {spec.pruning_granularity}, at least {spec.min_num_filters}"


def _deploy(spec: DeploySpec) -> str:
    kept = ", ".join(spec.keep_float) or "nothing"
    photos = pluralize(spec.calibration_images, "photo")
    return f"deploy spec, {spec.method} on {photos}, {kept} kept in float, at most {spec.max_int8_drop:g} AP lost"


DESCRIPTIONS: dict[type[Strict], Callable[[Any], str]] = {
    TrainSpec: _train,
    DatasetSpec: _dataset,
    InferenceSpec: _inference,
    PoseConfig: _pose_config,
    PruneSpec: _prune,
    DeploySpec: _deploy,
}


def notes(spec: Strict) -> list[str]:
    """List what a spec says without effect here, or with one that may not be meant, a line each."""
    if isinstance(spec, TrainSpec):
        return list(_train_notes(spec))
    if isinstance(spec, InferenceSpec) and "output_upsampling_factor" in spec.model_fields_set:
        return ["output_upsampling_factor has no effect: decoding is sub-cell on the network's own grid"]
    return list(_pose_notes(spec)) if isinstance(spec, PoseConfig) else []


def _pose_notes(spec: PoseConfig) -> Iterator[str]:
    person = find_person(spec.categories)
    pairs = pairs_by_name(person.keypoints) if spec.flip_pairs is None else spec.flip_pairs
    paired = {joint for pair in pairs for joint in pair}
    for joint in person.keypoints:
        if find_side(joint) and joint not in paired and spec.flip_pairs is None:
            yield f"joint {joint!r} has no partner on the other side: a mirror leaves it as it is; see flip_pairs"
    reached, *others = _pieces(person)
    if others:
        apart = ", ".join(person.keypoints[joint] for piece in others for joint in sorted(piece))
        yield f"no limb leads from {person.keypoints[min(reached)]} to {apart}: only a prior joins these to the others"


def _pieces(person: Category) -> list[set[int]]:
    """Collect the joints that limbs connect, the largest set first."""
    pieces = [{joint} for joint in range(len(person.keypoints))]
    for limb in person.limbs:
        touched = [piece for piece in pieces if piece & {*limb}]
        pieces = [piece for piece in pieces if piece not in touched] + [set().union(*touched)]
    return sorted(pieces, key=lambda piece: (-len(piece), min(piece)))


def _train_notes(spec: TrainSpec) -> Iterator[str]:
    loader = spec.dataloader
    told = {
        "paf_gaussian_sigma has no effect, as in TAO: the part affinity field is a band with hard edges": (
            "paf_gaussian_sigma" in loader.label_processor_config.model_fields_set
        ),
        "infrequent_summary_every_n_steps has no effect, as in TAO": spec.infrequent_summary_every_n_steps,
        "shuffle_buffer_size has no effect: every epoch shuffles all samples": (
            "shuffle_buffer_size" in loader.model_fields_set
        ),
        "image_encoding has no effect: a photo's own bytes tell it": loader.image_config.image_encoding == "fp16",
        "data_format has no effect: networks are channels_last here": spec.model.data_format == "channels_first",
        "evaluator and hooks have no effect": spec.evaluator or spec.hooks,
    }
    return (note for note, holds in told.items() if holds)
