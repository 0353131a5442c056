"""Validation: how well a network in training does on records that are held out: its loss, and COCO's AP."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.data.annotations.coco import CocoSet
from bodyposenet.common.data.loading.batches import Sample, TrainingBatch, make_batch
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.evaluation.coco_metrics import MAIN, coco_metrics
from bodyposenet.common.evaluation.ground_truth import build_truth, require_common_joints, sigmas_for
from bodyposenet.common.imaging.photo import decode_photo
from bodyposenet.common.inference.detections import to_coco
from bodyposenet.common.inference.detector import choose_decoding, find_people
from bodyposenet.common.inference.many import look_at_all
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.machine.prefetch import keep_ahead
from bodyposenet.common.model.training.plan import Plan
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.spec.inference import fill_from_card

if TYPE_CHECKING:
    from bodyposenet.common.deploy.runner import Runner

THREADS = os.cpu_count() or 1


def make_validation(plan: Plan) -> "Validation | None":
    """What a plan's training is validated with; None where no records are held out."""
    return None if plan.validation is None else Validation(plan, HeldOut(plan.validation))


@dataclass(frozen=True)
class HeldOut:
    """The photos of records, each once and as it is, whoever in them is of interest.

    Attributes:
        source: The records.
    """

    source: RecordSource

    @cached_property
    def firsts(self) -> np.ndarray:
        """``(P,)`` a sample of each photo."""
        return np.unique(self.source.people[:, :2], axis=0, return_index=True)[1]

    @cached_property
    def truth(self) -> CocoSet:
        """The people in the photos."""
        return build_truth(self.records(), self.source.datasets, where="val_records_path")

    def __len__(self) -> int:
        return len(self.firsts)

    def sample(self, index: int, epoch: int) -> Sample:
        """Photo ``index``, whole."""
        return self.source.sample(int(self.firsts[index]), epoch)

    def records(self) -> Iterator[Record]:
        """The photos' records, one after another."""
        for shard, number, _ in self.source.people[self.firsts]:
            yield self.source.shards[shard][int(number)]


class Validation:
    """Measures a network; the same object is traced once.

    Args:
        plan: The training's.
        photos: What to measure on.
    """

    def __init__(self, plan: Plan, photos: HeldOut) -> None:
        self.plan, self.photos = plan, photos
        self._model: Any = None
        self._loss: Any = None
        self._runner: Any = None

    def __call__(self, model: Any, card: Card) -> dict[str, float]:
        """The loss on the photos, without regularisation, and the AP of the people found in them.

        Args:
            model: The network, in float32.
            card: How to feed and read it.

        Returns:
            ``val_loss``, comparable with the training's heatmap and field losses, and ``val_ap``, COCO's AP; -1 where
            nobody is labelled.
        """
        if model is not self._model:
            from bodyposenet.common.deploy.runtime.keras_runner import LiveRunner
            from bodyposenet.common.model.training.step import make_loss

            self._model, self._loss = model, make_loss(model, self.plan.spec.loss)
            self._runner = LiveRunner(model, card, stage=self.plan.inference.output_stage_to_use)
        return {"val_loss": self._mean_loss(), "val_ap": self._ap(self._runner)}

    def _mean_loss(self) -> float:
        total = sum(len(batch.images) * float(self._loss(batch)) for batch in self._batches())
        return total / len(self.photos)

    def _batches(self) -> Iterator[TrainingBatch]:
        size = self.plan.spec.dataloader.batch_size
        parts = [np.arange(len(self.photos))[start : start + size] for start in range(0, len(self.photos), size)]
        with ThreadPoolExecutor(THREADS, thread_name_prefix="validation") as pool:
            begun = (pool.submit(make_batch, self.photos, self.plan.drawing, part, 0) for part in parts)
            yield from keep_ahead(begun, THREADS)  # a few at a time, as memory is finite

    def _ap(self, runner: "Runner") -> float:
        truth, skeleton = self.photos.truth, self.plan.skeleton
        require_common_joints(truth, skeleton)
        spec, detections = fill_from_card(self.plan.inference, self.plan.card), []
        reduce = choose_decoding(runner, spec)

        def look(record: Record) -> People:
            where = f"image {record.image_id}, {record.image_path}"
            image = decode_photo(record.image, where=where, orientation=record.orientation, reduce=reduce)
            return find_people(runner, image, spec)

        looked = look_at_all(self.photos.records(), look)
        for number, people in enumerate(
            Bar(looked, "validate", len(self.photos), unit="photo", disable=None, leave=False)
        ):
            detections += to_coco(people, skeleton, truth.joints, number)
        return coco_metrics(truth, detections, sigmas=sigmas_for(truth.joints, skeleton))[MAIN]
