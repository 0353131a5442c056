"""Pretrain: the weights that ``make demo`` starts from, trained on drawn people that are never shown twice.

    python -m bodyposenet.pipelines.pretrain build/pretrain

The recipes are ``drawn_people.narrow.yaml`` and ``drawn_people.yaml`` in ``common/model/files/pretrained``. An
interrupted run goes on from its last checkpoint.
"""

import argparse
import json
import logging
import os
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.data.synthetic.dataset import EndlessScenes, synthesize
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.evaluation.ceiling import ceiling_ap
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.machine.imports import leave_greetings_out
from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.network.widen import widen
from bodyposenet.common.model.training.train import Training, make_card, train
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.storage.model_key import open_model_file

log = logging.getLogger(__name__)

NAME = "drawn_people"
SHIPPED = Path(__file__).parents[1] / "common" / "model" / "files" / "pretrained"
EPOCH = 2000  # pictures between checkpoints
STREAM = 1000  # seed of the endless stream; the held-out set has seed 0
HELD_OUT = 200
KEPT_BITS = 16  # of a float32 weight: what bfloat16 keeps, so that the file packs to half its size


def pretrain(results_dir: Path) -> dict[str, Any]:
    """Train the demo's start weights, and write file, curves and AP where the package ships them.

    The first part trains a network of width 1/4. The second widens it to 3/8, which changes nothing at first, and
    trains on for a while. So the network has more filters than it needs, as networks that are worth pruning do, for a
    fraction of what training it from nothing would cost.

    Args:
        results_dir: For checkpoints; the run goes on from those that are there.

    Returns:
        AP of the shipped file on the held-out set, the ceiling AP of that set, and the size of the file.
    """
    narrow, wide = (load_spec(SHIPPED / f"{name}.yaml", TrainSpec) for name in (f"{NAME}.narrow", NAME))
    size = wide.dataloader.image_config.image_dims.size
    source = EndlessScenes(BODYPOSENET_18, size, EPOCH, STREAM)
    first = train(narrow, results_dir / "narrow", source=source)
    widened = results_dir / "widened.keras"
    if not widened.is_file():
        model = build_model(wide.model, BODYPOSENET_18)
        widen(load_model(first.model)[0], model)
        save_model(model, widened, make_card(wide, BODYPOSENET_18))
    second = train(
        wide.model_copy(update={"pretrained_weights": str(widened)}),
        results_dir / "wide",
        source=replace(source, seed=STREAM + 1),
    )
    shipped = SHIPPED / f"{NAME}.keras"
    pack(second.model, shipped)
    measured = {**measure(shipped, size), "narrow_ap": measure(first.model, size)["ap"]}
    log_of = {"narrow": _make_log(first), "wide": _make_log(second)}
    (SHIPPED / f"{NAME}.json").write_text(json.dumps({**measured, "epochs": log_of}, indent=1) + "\n", encoding="utf-8")
    return measured


def pack(source: Path, output: Path) -> None:
    """Write a model file with its weights rounded to bfloat16's precision, and compressed."""
    model, card = load_model(source)
    model.set_weights([round_weights(weights) for weights in model.get_weights()])
    compress(model, card, output)


def compress(model: Any, card: Card, output: Path) -> None:
    """Write a model file in as few bytes as there are."""
    with tempfile.TemporaryDirectory() as folder:
        loose, packed = Path(folder) / "loose.keras", Path(folder) / "packed.keras"
        save_model(model, loose, card)
        with open_model_file(loose) as file, zipfile.ZipFile(file) as old, zipfile.ZipFile(packed, "w") as new:
            for member in old.infolist():
                new.writestr(zipfile.ZipInfo(member.filename), old.read(member), zipfile.ZIP_LZMA)
        shutil.copyfile(packed, output)


def round_weights(weights: np.ndarray) -> np.ndarray:
    """float32 weights, to nearest, with the lower half of their bits zero."""
    bits = np.ascontiguousarray(weights, np.float32).view(np.uint32)
    half = np.uint32(1 << (KEPT_BITS - 1))
    return ((bits + half) & np.uint32(0xFFFFFFFF << KEPT_BITS & 0xFFFFFFFF)).view(np.float32)


def measure(model: Path, size: tuple[int, int], pictures: int = HELD_OUT) -> dict[str, Any]:
    """AP of a network on the held-out drawn people, beside the ceiling AP of that set with the same decoder."""
    spec = InferenceSpec(input_shape=size)
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder), train=0, val=pictures)
        dataset = make_dataset_spec(Path(folder))
        found = evaluate(open_runner(model), spec, dataset, Path(folder) / "results")
        ceiling = ceiling_ap(dataset, spec, BODYPOSENET_18)
    return {"ap": found.ap, "ceiling_ap": ceiling, "pictures": pictures, "bytes": model.stat().st_size}


def _make_log(done: Training) -> list[dict[str, float]]:
    names = ("epoch", "loss", "learning_rate", "seconds")
    return [{name: float(f"{row[name]:.4g}") for name in names} for row in done.history]


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Train the weights that `make demo` starts from.")
    parser.add_argument("results_dir", type=Path, help="for checkpoints; run again to go on")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    leave_greetings_out()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    measured = pretrain(parser.parse_args().results_dir)
    share = measured["ap"] / measured["ceiling_ap"]
    print(
        f"AP {measured['ap']:.3f}, {share:.0%} of the ceiling {measured['ceiling_ap']:.3f}; {measured['bytes']} bytes"
    )


if __name__ == "__main__":
    main()
