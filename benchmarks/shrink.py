"""Shrink: prune a network of drawn people to 30 % of its FLOPs, train it again, and hold its AP against what it was.

    python -m benchmarks.shrink [--results_dir FOLDER]

The pipeline's own specs are taken, with more pictures, a longer retraining and the Taylor criterion: the pipeline's are
meant for a lighter cut. Half an hour; the outcome goes to ``shrink.json``.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.data.synthetic.dataset import synthesize
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.pipelines.specs import default

RESULT = Path(__file__).with_suffix(".json")
KEPT = 0.3  # of the FLOPs
MOST_DROP = 0.02
PRUNE = {"target_flops": KEPT, "criterion": "taylor", "normalizer": "L2"}
PICTURES = 2400  # to train on: the pipeline's 600 are learnt by heart in that many steps
EPOCHS = 36
SCHEDULE = {"base_learning_rate": 2e-3, "annealing": 0.5, "min_learning_rate": 5e-5}
BATCHES = 40  # that the criterion looks at


def shrink(folder: Path) -> dict[str, Any]:
    """Train, prune, train again, evaluate before and after; what is done already in ``folder`` is not done again."""
    from bodyposenet.common.model.training.train import train
    from bodyposenet.common.prune.prune import prune_file
    from bodyposenet.common.prune.taylor import TrainingData

    photos = folder / "photos"
    if not photos.exists():
        synthesize(photos, train=PICTURES)
    dataset = make_dataset_spec(photos, default("dataset"))
    convert_dataset(dataset, folder / "records" / "train")
    described = folder / "dataset_spec.json"
    described.write_text(dataset.model_dump_json(by_alias=True), encoding="utf-8")

    def spec(name: str, **changes: Any) -> TrainSpec:
        document = default(name) | changes
        document["dataloader"] |= {
            "dataset_config": {
                "train_records_folder_path": str(folder / "records"),
                "train_records_path": ["train"],
                "dataset_specs": {dataset.dataset: str(described)},
            }
        }
        return parse_spec(document, TrainSpec, where=name)

    def score(model: Path, name: str) -> float:
        geometry = parse_spec(default("inference"), InferenceSpec)
        return evaluate(model, geometry, dataset, folder / name, progress=False).ap

    base = train(spec("train"), folder / "base").model
    settings = parse_spec(default("prune") | PRUNE, PruneSpec)
    data = TrainingData.read(spec("train"), BATCHES)
    pruned = prune_file(base, folder / "pruned.keras", settings, data=data)
    document = spec("retrain", pretrained_weights=str(pruned.path), load_graph=True, num_epoch=EPOCHS)
    schedule = document.optimizer.learning_rate_schedule.model_copy(update=SCHEDULE)
    optimizer = document.optimizer.model_copy(update={"learning_rate_schedule": schedule})
    retrained = train(document.model_copy(update={"optimizer": optimizer}), folder / "retrained").model
    before, after = score(base, "evaluated-base"), score(retrained, "evaluated-retrained")
    return {
        "ap_drop": round(before - after, 4),
        "ap_before": round(before, 4),
        "ap_after": round(after, 4),
        "flops_kept": round(pruned.gflops_after / pruned.gflops_before, 4),
        "params_kept": round(pruned.kept, 4),
        "epochs": EPOCHS,
    }


def main() -> int:
    """Command line of this module; fails if more AP is lost than allowed."""
    parser = argparse.ArgumentParser(description="Prune to 30 % of the FLOPs and train again.")
    parser.add_argument("--results_dir", type=Path, help="where to keep everything; run again to go on")
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with tempfile.TemporaryDirectory() as folder:
        results = shrink(given.results_dir or Path(folder))
    RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    kept = f"{results['flops_kept']:.1%} of the FLOPs"
    print(f"AP {results['ap_before']:.3f}, with {kept} {results['ap_after']:.3f}: a loss of {results['ap_drop']:.3f}")
    return 0 if results["ap_drop"] <= MOST_DROP else 1


if __name__ == "__main__":
    sys.exit(main())
