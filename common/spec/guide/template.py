"""Template: a new spec file with every key, what each is for, and the command that runs it."""

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bodyposenet.common.plain_text import escape_line
from bodyposenet.common.skeleton.skeleton import COCO_17, Skeleton
from bodyposenet.common.spec.base import Strict
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.guide.keys import REQUIRED, Key, format_value, list_keys, to_plain
from bodyposenet.common.spec.inference import TUNED
from bodyposenet.common.spec.kinds import KINDS
from bodyposenet.common.spec.loader import Dataloader, DatasetConfig
from bodyposenet.common.spec.optimizer import (
    Adam,
    AdamW,
    BpNetExponentialDecayLRSchedule,
    SoftstartAnnealingLearningRateSchedule,
    WeightedMomentumOptimizer,
)
from bodyposenet.common.spec.pose_config import Category, PoseConfig
from bodyposenet.common.spec.problems import models_in
from bodyposenet.common.spec.split import SplitRule
from bodyposenet.common.spec.train import EarlyStopping

COMMANDS = {
    "train": "bpnet train -e {file} -r results",
    "dataset": "bpnet dataset_convert -d {file} -o data/train",
    "infer": "bpnet inference -i {file} --input photo.jpg",
    "pose": "bpnet spec check {file} --draw skeleton.png",
    "prune": "bpnet pipeline run prune_retrain -p prune_spec=@{file}",
    "deploy": "bpnet pipeline run prune_retrain -p deploy_spec=@{file}",
}
MOST_WIDTH = 112  # characters of a line with its indentation
MOST_DEFAULT = 24  # characters of a default that a comment repeats
LEFT_OPEN = {"infer": TUNED, "dataset": {"unclear_orientation"}}  # whose absence says more than the default
NO_EFFECT = "without effect"
INDENT = "  "


def write_template(kind: str, *, schema: str, file: str | None = None) -> str:
    """Write a new spec: every key at its default, those that must be given with an example.

    Keys that are switched on by taking a ``#`` off are: parts that are null by default, keys without effect, and those
    that a model's card fills where they are left out.

    Args:
        kind: One of :data:`KINDS`.
        schema: Path or address of the kind's JSON Schema, for editors.
        file: Name of the file, for the command; by default one like the kind's.
    """
    model = KINDS[kind]
    head = [
        f"# yaml-language-server: $schema={escape_line(schema)}",
        f"# {escape_line(COMMANDS[kind].format(file=shlex.quote(file or f'{kind}.yaml')))}",
        "#",
        "# Every key with its default. With # before it a key is off, or left to the model's own settings.",
        "# All that is known of a key: bpnet spec explain KEY",
    ]
    spec = model.model_validate(make_example(model))
    return "\n".join([*head, *_write_part(kind, spec, ())]) + "\n"


def make_example(model: type[BaseModel]) -> dict[str, Any]:
    """Give values for all that cannot be left out of a spec, or of a part of one."""
    given = dict(EXAMPLES.get(model, {}))
    for name, field in model.model_fields.items():
        key, inner = field.alias or name, models_in(field.annotation)
        if field.is_required() and key not in given:
            given[key] = {"__class_name__": inner[0].__name__} if inner[0] in UNION_MEMBERS else {}
            given[key] |= make_example(inner[0])
    return given


def _describe_body(skeleton: Skeleton) -> dict[str, Any]:
    limbs = [[skeleton.joints[start], skeleton.joints[end]] for start, end in skeleton.limbs]
    body = {"name": "person", "keypoints": list(skeleton.joints), "num_joints": skeleton.num_joints}
    return {**body, "skeleton_edge_names": limbs}


EXAMPLES: Mapping[type[BaseModel], dict[str, Any]] = {
    DatasetConfig: {
        "train_records_folder_path": "data",
        "train_records_path": ["train"],
    },
    Dataloader: {"batch_size": 8},
    SoftstartAnnealingLearningRateSchedule: {
        "base_learning_rate": 2e-5,
        "min_learning_rate": 8e-8,
        "soft_start": 0.05,
        "annealing": 0.5,
    },
    BpNetExponentialDecayLRSchedule: {"learning_rate": 2e-5, "decay_epochs": 10.0, "decay_rate": 0.5},
    EarlyStopping: {"patience": 3},
    DatasetSpec: {
        "dataset": "coco",
        "root_directory_path": "photos",
        "train_data": {
            "images_root_dir_path": "train2017",
            "mask_root_dir_path": "train_masks",
            "annotation_root_dir_path": "annotations/person_keypoints_train2017.json",
        },
        "test_data": {
            "images_root_dir_path": "val2017",
            "mask_root_dir_path": "val_masks",
            "annotation_root_dir_path": "annotations/person_keypoints_val2017.json",
        },
        "categories": [_describe_body(COCO_17)],
    },
    SplitRule: {"share": 0.1},
    PoseConfig: {"categories": [_describe_body(COCO_17)]},
    Category: _describe_body(COCO_17),
}
UNION_MEMBERS = (
    WeightedMomentumOptimizer,
    Adam,
    AdamW,
    SoftstartAnnealingLearningRateSchedule,
    BpNetExponentialDecayLRSchedule,
)


def _write_part(kind: str, part: BaseModel, path: tuple[str, ...]) -> Iterator[str]:
    """Write the keys of a part, as if it stood at the margin."""
    keys = {(key.model, key.path): key for key in list_keys(kind)}
    for name, field in type(part).model_fields.items():
        place = (*path, field.alias or name)
        key = keys[type(part), place]
        width = MOST_WIDTH - len(INDENT) * len(path)
        yield from textwrap.wrap(_comment(key), width, initial_indent="# ", subsequent_indent="# ")
        value = _value_of(part, name)
        inner = models_in(field.annotation)
        if value is None and inner:
            example = inner[0].model_validate(make_example(inner[0]))
            yield f"#{place[-1]}:"
            yield from (f"#{line}" for line in _indent(_write_part(kind, example, place)))
        elif _is_left_open(key):
            yield from (f"#{line}" for line in _write_value(kind, place, value))
        else:
            yield from _write_value(kind, place, value)


def _write_value(kind: str, place: tuple[str, ...], value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield f"{place[-1]}:"
        yield from _indent(_write_part(kind, value, place))
    elif isinstance(value, tuple) and value and isinstance(value[0], Strict):
        yield f"{place[-1]}:"
        for item in value:
            first, *rest = _write_part(kind, item, place)
            yield from _indent([f"- {first}", *_indent(rest)])
    elif isinstance(value, tuple | dict) and len(format_value(value)) > MOST_WIDTH / 2:
        text = yaml.safe_dump({place[-1]: to_plain(value)}, default_flow_style=None, sort_keys=False, width=100)
        yield from text.splitlines()
    else:
        yield f"{place[-1]}: {format_value(value)}"


def _value_of(part: BaseModel, name: str) -> Any:
    """The value to write: null where that stands for something that follows from another key."""
    default = type(part).model_fields[name].default
    is_open = name not in part.model_fields_set and default is not PydanticUndefined
    return default if is_open else getattr(part, name)


def _is_left_open(key: Key) -> bool:
    return NO_EFFECT in key.told.effect or (len(key.path) == 1 and key.path[0] in LEFT_OPEN.get(key.kind, ()))


def _comment(key: Key) -> str:
    """Say in a line what a key is."""
    summary, unit = key.told.summary, key.told.unit
    facts = [unit if unit not in summary.lower() else "", key.bounds, key.choices]
    if key.default == REQUIRED:
        facts.append(REQUIRED)
    elif len(key.default) <= MOST_DEFAULT and not isinstance(key.info.default, BaseModel):
        facts.append(f"default {key.default}")
    said = "; ".join(filter(None, facts))
    return f"{summary} ({said})" if said else summary


def _indent(lines: Iterable[str]) -> list[str]:
    return [INDENT + line for line in lines]
