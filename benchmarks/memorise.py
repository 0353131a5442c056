"""Memorise: train from scratch on the sample's 25 train photos, then look for the people in these very photos.

    BODYPOSENET_TEST_DATA=folder python -m benchmarks.memorise

A trainer whose targets, loss, gradients or normalisation are off does not get there. ``memorise.yaml`` says how it
trains: ten minutes on two free cores. The outcome goes to ``memorise.json``.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.loading.batches import Sample
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.evaluation.ceiling import ceiling_ap
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.document import read_document
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.train import TrainSpec

SPEC = Path(__file__).with_suffix(".yaml")
RESULT = Path(__file__).with_suffix(".json")
ASKED = 0.8  # of the ceiling
MOST_STEPS = 3000
TURNS = 12  # that each photo has in an epoch: 25 photos fill no whole number of batches of 10
ALL_PEOPLE = {  # a photo with anybody in it is one sample
    "duplicate_data_with_each_person_as_center": False,
    "data_filtering_params": {
        "min_acceptable_height": 0,
        "min_acceptable_width": 0,
        "min_acceptable_kpts": 1,
        "min_acceptable_interperson_dist_ratio": 0.0,
    },
}


@dataclass(frozen=True)
class Again:
    """A source whose samples come ``TURNS`` times an epoch, each time augmented anew."""

    source: RecordSource

    def __len__(self) -> int:
        return TURNS * len(self.source)

    def sample(self, index: int, epoch: int) -> Sample:
        """Sample ``index`` of what there is ``TURNS`` times."""
        turn, index = divmod(index, len(self.source))
        return self.source.sample(index, TURNS * epoch + turn)


def memorise(photos: Path, results_dir: Path, spec_path: Path = SPEC) -> dict[str, Any]:
    """Train, and evaluate on what was trained on.

    Args:
        photos: A folder with photos and COCO keypoint files; only its training half is used.
        results_dir: For records, checkpoints and detections; an interrupted training goes on.
        spec_path: A train spec without ``dataset_config``.

    Returns:
        AP over the ceiling AP of the same photos in the same geometry, both, and what was trained.
    """
    from bodyposenet.common.model.training.train import train

    dataset = make_dataset_spec(photos, ALL_PEOPLE)
    records = convert_dataset(dataset, results_dir / "train")
    spec = train_spec(spec_path, results_dir, dataset)
    skeleton = spec.dataloader.pose_config.skeleton()
    source = Again(RecordSource.from_spec(spec, skeleton))
    steps = spec.num_epoch * (len(source) // spec.dataloader.batch_size)
    trained = train(spec, results_dir / "training", source=source)
    same = dataset.model_copy(update={"test_data": dataset.train_data})
    geometry = InferenceSpec(
        input_shape=spec.dataloader.image_config.image_dims.size, keep_aspect_ratio_mode="pad_image_input"
    )
    found = evaluate(trained.model, geometry, same, results_dir / "evaluation", progress=False)
    ceiling = ceiling_ap(same, geometry, skeleton)
    return {
        "memorise_ratio": round(found.ap / ceiling, 4),
        "ap": round(found.ap, 4),
        "ceiling_ap": round(ceiling, 4),
        "steps": steps,
        "batch_size": spec.dataloader.batch_size,
        "photos": records.images,
        "params": trained.params,
        "loss": round(trained.history[-1]["loss"], 4),
    }


def train_spec(path: Path, records: Path, dataset: DatasetSpec) -> TrainSpec:
    """The spec at ``path``, for the records in a folder."""
    described = records / "dataset_spec.json"
    described.write_text(dataset.model_dump_json(by_alias=True), encoding="utf-8")
    document = dict(read_document(path).data)
    document["dataloader"] |= {
        "dataset_config": {
            "train_records_folder_path": str(records),
            "train_records_path": ["train"],
            "dataset_specs": {dataset.dataset: str(described)},
        }
    }
    return parse_spec(document, TrainSpec, where=str(path))


def main() -> int:
    """Command line of this module; fails if less is learnt than asked for."""
    parser = argparse.ArgumentParser(description="Learn the sample's train photos by heart.")
    parser.add_argument("--results_dir", type=Path, help="where to keep everything; run again to go on")
    parser.add_argument("--spec", type=Path, default=SPEC, help="another train spec; leaves the JSON file as it is")
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    photos = Path(os.environ.get("BODYPOSENET_TEST_DATA", "")) / "coco_sample"
    if not photos.is_dir():
        print("set BODYPOSENET_TEST_DATA to the folder of the test data (COCO photos and annotations)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        results = memorise(photos, given.results_dir or Path(folder), given.spec)
    if given.spec == SPEC:
        RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(
        f"AP {results['ap']:.3f} of a ceiling of {results['ceiling_ap']:.3f}: {results['memorise_ratio']:.3f}, after "
        f"{results['steps']} steps of {results['batch_size']}"
    )
    return 0 if results["memorise_ratio"] >= ASKED and results["steps"] <= MOST_STEPS else 1


if __name__ == "__main__":
    sys.exit(main())
