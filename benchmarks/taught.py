"""Taught: ``pretrained:people`` cut smaller and trained again, with the network before pruning as teacher and without.

On the 25 train photos of coco_sample and as many drawn people in turn; scored on its 36 val photos, which nothing is
trained on. The specs are those that pipelines take for photos, shortened, with a higher learning rate, as more is cut.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.loading.batches import Sample, SampleSource
from bodyposenet.common.data.photo_set import DATASET_SPEC, make_dataset_spec
from bodyposenet.common.data.synthetic.dataset import EndlessScenes
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.model.files.bundled import PEOPLE, weights_path
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.model.training.train import train
from bodyposenet.common.prune.prune import prune_file
from bodyposenet.common.prune.taylor import VIEWS, TrainingData
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.pipelines.specs import default

STEPS = int(os.environ.get("BODYPOSENET_TAUGHT_STEPS", "2000"))
RATE = 3e-4  # after 300 steps AP was .003 with the specs' 1e-4, .006 with this, and 0 with 1e-3
SEEDS = 2
BATCHES = 8  # that pruning looks at
KINDS = {"taught": {"enabled": True, "teacher": PEOPLE}, "alone": {"enabled": False}}  # beside what the specs say

ROWS = {
    "taught_30": ("AP of pretrained:people cut to 30 % of its FLOPs and trained 2,000 steps with it as teacher", ""),
    "taught_30_alone": ("the same without a teacher", ""),
    "taught_30_gain": ("the smaller gain of the two seeds", "> 0"),
    "taught_60_drop": ("AP of pretrained:people less that of it cut to 60 % and trained so with the teacher", "≤ 0.03"),
}


@dataclass(frozen=True)
class InTurn:
    """Samples of two sources in turn."""

    photos: SampleSource
    drawn: SampleSource
    samples: int

    def __len__(self) -> int:
        return self.samples

    def sample(self, index: int, epoch: int) -> Sample:
        """Sample ``index``: of a photo where that is even."""
        if index % 2:
            return self.drawn.sample(index, epoch)
        seen = index // 2
        return self.photos.sample(seen % len(self.photos), epoch * self.samples + seen)


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    with tempfile.TemporaryDirectory() as folder:
        return measure_in(Path(folder))


def measure_in(folder: Path) -> dict[str, float]:
    """The same, in a folder that keeps everything: run again, it goes on."""
    photos = Path(os.environ["BODYPOSENET_TEST_DATA"]) / "coco_sample"
    dataset = make_dataset_spec(photos)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DATASET_SPEC).write_text(dataset.model_dump_json(by_alias=True), encoding="utf-8")
    if not (folder / "records").is_dir():
        convert_dataset(dataset, folder / "records" / "train", mode="train")
    base = make_spec(folder, 0, KINDS["alone"])
    data = TrainingData.read(base, BATCHES, views=VIEWS)
    found = {}
    for share in (0.3, 0.6):
        cut = parse_spec(default("prune_people") | {"target_flops": share}, PruneSpec)
        pruned = folder / f"pruned_{share:g}.keras"
        if not pruned.is_file():
            prune_file(weights_path(PEOPLE), pruned, cut, data=data)
        for seed in range(SEEDS if share < 0.5 else 1):
            for kind in KINDS if share < 0.5 else ("taught",):
                made = retrain(folder, pruned, seed, kind)
                found[share, seed, kind] = score(made, dataset)
                print(share, seed, kind, found[share, seed, kind], flush=True)
    start = score(weights_path(PEOPLE), dataset)
    taught, alone = ([found[0.3, seed, kind] for seed in range(SEEDS)] for kind in ("taught", "alone"))
    return {
        "taught_30": sum(taught) / SEEDS,
        "taught_30_alone": sum(alone) / SEEDS,
        "taught_30_gain": min(one - other for one, other in zip(taught, alone, strict=True)),
        "taught_60_drop": start - found[0.6, 0, "taught"],
    }


def make_spec(folder: Path, seed: int, distillation: dict[str, Any]) -> TrainSpec:
    """The retraining that pipelines take for photos, of ``STEPS`` steps in all."""
    said = default("retrain_people") | {"random_seed": seed, "num_epoch": 1, "checkpoint_n_epoch": 1}
    said["optimizer"]["learning_rate_schedule"]["base_learning_rate"] = RATE
    said["dataloader"]["dataset_config"] = {
        "train_records_folder_path": str(folder / "records"),
        "train_records_path": ["train"],
        "dataset_specs": {"coco": str(folder / DATASET_SPEC)},
    }
    taught = said["distillation"] | distillation
    return parse_spec(said | {"distillation": taught, "validation_every_n_epoch": 1}, TrainSpec)


def retrain(folder: Path, pruned: Path, seed: int, kind: str) -> Path:
    """Train a pruned network; its file."""
    spec = make_spec(folder, seed, KINDS[kind])
    spec = spec.model_copy(update={"pretrained_weights": str(pruned), "load_graph": True})
    size = spec.dataloader.image_config.image_dims.size
    samples = STEPS * spec.dataloader.batch_size
    source = InTurn(make_plan(spec).source, EndlessScenes(BODYPOSENET_18, size, samples, 2000 + seed), samples)
    return train(spec, folder / f"{pruned.stem}_{seed}_{kind}", source=source).model


def score(network: Path, dataset: Any) -> float:
    """AP on the val photos, with what the network's card tells."""
    with tempfile.TemporaryDirectory() as folder:
        return evaluate(network, InferenceSpec(), dataset, Path(folder), progress=False).ap
