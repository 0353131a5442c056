"""Plan: what a training will do, worked out and checked before TensorFlow starts."""

import contextlib
import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bodyposenet.common.data.loading.batches import (
    STRIDE,
    SampleSource,
    TargetDrawing,
    TrainingBatch,
    epoch_batches,
    require_batch,
)
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.bundled import is_registered, weights_path
from bodyposenet.common.model.files.model_file import read_card
from bodyposenet.common.model.network.teacher import KEY, require_likeness
from bodyposenet.common.model.training.checkpoints import Epoch, read_state
from bodyposenet.common.model.training.cluster import ALONE, TrainingCluster
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.train import EarlyStopping, TrainSpec
from bodyposenet.common.storage.model_key import open_model_file, taking_plain
from bodyposenet.common.storage.unpacking import begins_zip

TAO_CHECKPOINT = ".ckzip"
OTHER_POSE_CONFIG = "give the pose config that it was trained with"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A training that fits its data.

    Attributes:
        spec: What was asked for.
        skeleton: What the network draws.
        source: Where samples come from.
        validation: Records that are held out; None trains without validation.
        inference: How people are found in those.
        cluster: Processes and devices, each device with a batch of its own at every step.
        first: Epochs that the checkpoint of a fine-tuning has seen.
    """

    spec: TrainSpec
    skeleton: Skeleton
    source: SampleSource
    validation: RecordSource | None
    inference: InferenceSpec
    cluster: TrainingCluster = ALONE
    first: int = 0

    @property
    def batch_size(self) -> int:
        """Samples a step, on all devices."""
        return self.spec.dataloader.batch_size * self.cluster.replicas

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return len(self.source) // self.batch_size

    @property
    def epochs(self) -> int:
        """Number of the last epoch, counted from 1: a fine-tuning counts on from its checkpoint."""
        tuning = self.spec.finetuning_config
        return self.spec.num_epoch + (self.first - tuning.ckpt_epoch_num if tuning.is_finetune_exp else 0)

    @cached_property
    def card(self) -> Card:
        """The card of the network that comes out; with what is told of the one that the training begins with."""
        made, begun = make_card(self.spec, self.skeleton), self._read_start()
        if begun is None:
            return made
        same = (begun.skeleton.joints, begun.skeleton.limbs) == (made.skeleton.joints, made.skeleton.limbs)
        decoding = dict(begun.decoding) if same else {}  # thresholds are those of its joints
        if "input_shape" in decoding and begun.input_size != made.input_size:
            decoding["input_shape"] = list(made.input_size)  # people are as large as this training shows them
        return replace(made, made_from=begun.made_from, decoding=decoding, trained_on=begun.trained_on)

    def _read_start(self) -> Card | None:
        """The card of the network that a training begins with; None where there is none."""
        weights = str(self.spec.pretrained_weights or "")
        if not weights or is_registered(weights) or not (path := weights_path(weights)).is_file():
            return None
        with contextlib.suppress(UserError), taking_plain():  # of weights without a card, such as Keras' own
            return read_card(path)
        return None

    @cached_property
    def drawing(self) -> TargetDrawing:
        """How samples become batches."""
        card, normalization = self.card, self.spec.dataloader.normalization_params
        return TargetDrawing(
            skeleton=self.skeleton,
            size=card.input_size,
            sigma=card.sigma,
            paf_width=self.spec.dataloader.label_processor_config.paf_ortho_dist_thresh,
            scale=card.image_scale,
            offset=card.image_offset,
            mask_scale=normalization.mask_scale[0],
            mask_offset=normalization.mask_offset[0],
        )

    def batches(self, epoch: int, *, first: int) -> Iterator[TrainingBatch]:
        """This process's parts of the batches of an epoch, from number ``first`` on."""
        return epoch_batches(
            self.source, self.drawing, batch_size=self.batch_size, seed=self.spec.random_seed, epoch=epoch,
            first=first, threads=os.cpu_count() or 1, shard=self.cluster.shard,
        )  # fmt: skip


def make_plan(spec: TrainSpec, source: SampleSource | None = None, *, cluster: TrainingCluster = ALONE) -> Plan:
    """Hold a train spec against its data, its weights and its skeleton.

    Args:
        spec: What is asked for.
        source: Where samples come from; the spec's records by default.
        cluster: Processes and devices that train side by side.

    Raises:
        UserError: They do not fit.
    """
    skeleton = spec.dataloader.pose_config.skeleton()
    _check_channels(spec, skeleton)
    _check_start(spec)
    _check_teacher(spec, skeleton)
    first = _epochs_seen(spec)
    validation = None
    if source is None:
        source = RecordSource.from_spec(spec, skeleton)
        _check_datasets(source)
        validation = _open_validation(spec, source)
        if room := spec.dataloader.cache_megabytes:
            log.info("photos are kept as they were decoded, in up to %s MB of this process's memory", f"{room:,}")
    if spec.jit_compile and cluster.replicas > 1:
        raise UserError(
            f"XLA compiles for one device, not {cluster.replicas}", where="jit_compile", fix="set it to null"
        )
    plan = Plan(spec, skeleton, source, validation, _inference(spec, validation), cluster, first)
    require_batch(len(source), plan.batch_size)
    return plan


def stops_early(history: Sequence[Epoch], stopping: EarlyStopping | None) -> bool:
    """Whether the last validations found nothing better."""
    best, since = -math.inf, 0
    for ap in read_aps(history):
        best, since = (ap, 0) if stopping is None or ap > best + stopping.min_delta else (best, since + 1)
    return stopping is not None and since >= stopping.patience


def read_aps(history: Sequence[Epoch]) -> list[float]:
    """Read the APs that the validations of a training found."""
    return [entry["val_ap"] for entry in history if "val_ap" in entry]


def make_card(spec: TrainSpec, skeleton: Skeleton) -> Card:
    """The card of a network trained by this spec."""
    loader = spec.dataloader
    return Card(
        skeleton=skeleton,
        stride=STRIDE,
        image_scale=loader.normalization_params.image_scale,
        image_offset=loader.normalization_params.image_offset,
        input_size=loader.image_config.image_dims.size,
        sigma=loader.label_processor_config.heatmap_gaussian_sigma,
    )


def _check_channels(spec: TrainSpec, skeleton: Skeleton) -> None:
    wanted = (skeleton.num_joints + 1, 2 * skeleton.num_limbs)
    if (spec.model.heat_channels, spec.model.paf_channels) != wanted:
        raise UserError(
            f"{spec.model.heat_channels} heatmaps and {spec.model.paf_channels} field channels do not fit skeleton "
            f"{skeleton.name!r}, which needs {wanted[0]} and {wanted[1]}",
            where="model.heat_channels, model.paf_channels",
            fix="set them to that, or name the pose config that was meant",
        )


def _check_start(spec: TrainSpec) -> None:
    """The weights that training starts from must be there, and a graph tell what it draws."""
    if spec.pretrained_weights is None:
        return
    path = weights_path(spec.pretrained_weights)
    if not path.is_file():
        raise UserError(
            f"there is no such file: {path}", where="pretrained_weights", fix="check the path, or set it to null"
        )
    with taking_plain():
        with open_model_file(path) as file:  # a key that does not fit is told now
            is_keras = begins_zip(file)
        if spec.load_graph and is_keras:
            read_card(path)  # it tells what the graph draws


def _check_teacher(spec: TrainSpec, skeleton: Skeleton) -> None:
    """The teacher must be there, and draw what the spec's labels draw."""
    if spec.teaching is None:
        return
    path = weights_path(str(spec.teaching.teacher), where=KEY)
    if not path.is_file():
        raise UserError(f"there is no such file: {path}", where=KEY, fix="check the path, or set distillation to null")
    with open_model_file(path) as file:
        is_keras = begins_zip(file)
    if is_keras:
        require_likeness(read_card(path), make_card(spec, skeleton), path)


def _epochs_seen(spec: TrainSpec) -> int:
    """Epochs of the checkpoint that a fine-tuning begins with; 0 without fine-tuning."""
    config = spec.finetuning_config
    if not config.is_finetune_exp:
        return 0
    path = Path(str(config.checkpoint_path))
    if path.suffix == TAO_CHECKPOINT:
        raise UserError(
            "a checkpoint of TAO holds its optimizer's state in a form of its own",
            where=str(path),
            fix="give the .hdf5 beside it as pretrained_weights, without finetuning_config",
        )
    state = read_state(path)
    if config.ckpt_epoch_num >= spec.num_epoch:
        raise UserError(
            f"nothing is left to train: {config.ckpt_epoch_num} of {spec.num_epoch} epochs are done",
            where="finetuning_config.ckpt_epoch_num",
            fix="give a greater num_epoch",
        )
    return state.epoch


def _check_datasets(source: RecordSource) -> None:
    """Every shard's dataset must have a spec; the first record of a shard stands for all of it."""
    for shard in source.shards:
        if len(shard) and (name := shard[0].dataset):
            source.find_dataset(name)


def _open_validation(spec: TrainSpec, source: RecordSource) -> RecordSource | None:
    """The validation records of a spec, as they are but for its ``identity_spatial_aug_params``."""
    config = spec.dataloader.dataset_config
    if not config.val_records_path:
        return None
    folder = config.val_records_folder_path or config.train_records_folder_path
    shards = tuple(open_shards(folder, config.val_records_path))
    still = source.augmentation.switch_off()
    held_out = replace(source, shards=shards, augmentation=still, share=0.0, cache_bytes=0)
    _check_datasets(held_out)
    return held_out


def _inference(spec: TrainSpec, validation: RecordSource | None) -> InferenceSpec:
    if spec.inference_spec is None or validation is None:
        return InferenceSpec(input_shape=spec.dataloader.image_config.image_dims.size)
    return load_spec(spec.inference_spec, InferenceSpec)
