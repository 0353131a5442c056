"""Nightly: three nights of retraining from the champion, against the same nights from the shipped weights.

    python -m benchmarks.nightly [--results_dir FOLDER]

Each night there are 5 % more drawn people to train on: as the shipped weights know them, and, in nights of their own,
as another camera takes them, darkened and noisy, so that there is something to learn. One arm starts from the champion
and takes half the steps of the other; it goes through the tasks and a registry as the pipeline does, pruning and 8 bits
aside. After the last night a network whose weights were disturbed challenges the champion, too. Forty minutes on one
thread.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.train import TrainSpec

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SEEDS = (0, 1, 2)
FIRST, GROWTH, NIGHTS = 160, 1.05, 3  # photos that the first champion is trained on; more each night
HELD_OUT = {False: 200, True: 80}  # photos; of another camera fewer, as the arms are far apart there
EPOCHS = 2  # from the shipped weights; half of them from the champion
DARKER, GRAIN = 0.5, 10.0  # of the camera: share of the light, spread of the noise of 255
NOISE = 0.5  # of a weight's own size, by which the network that must not win is disturbed
ROWS = {
    "nightly_ap_drop": (
        "AP from the shipped weights less that from the champion at half the steps; worst night's mean of 3 seeds",
        "≤ 0.005",
    ),
    "nightly_ap_champion": ("for comparison: mean AP from the champion, third night", ""),
    "nightly_ap_shipped": ("the same from the shipped weights", ""),
    "nightly_camera_ap_drop": ("as the first, of photos that another camera takes", "≤ 0.005"),
    "nightly_camera_ap_champion": ("for comparison: mean AP from the champion, third night", ""),
    "nightly_camera_ap_shipped": ("the same from the shipped weights", ""),
    "nightly_worse_champions": ("champions with a lower AP on the kept photos than the one before, of both", "≤ 0"),
}  # fmt: skip


@dataclass
class Runs:
    """The nights of one seed, in a folder; what is done there already is not done again.

    Attributes:
        folder: Of everything.
        seed: Of the photos and of the trainings.
        camera: The photos are those of another camera.
    """

    folder: Path
    seed: int
    camera: bool

    @cached_property
    def counts(self) -> list[int]:
        """Photos that are trained on, at first and every night."""
        return [round(FIRST * GROWTH**night) for night in range(NIGHTS + 1)]

    @cached_property
    def photos(self) -> Path:
        """All photos there will be."""
        from bodyposenet.common.data.synthetic.dataset import synthesize

        folder = self.folder / "photos"
        if not folder.exists():
            synthesize(folder, train=self.counts[-1], val=HELD_OUT[self.camera], seed=self.seed)
            for number, photo in enumerate(sorted((folder / "images").iterdir()) if self.camera else ()):
                change_camera(photo, seed=number)
        return folder

    def convert(self, night: int) -> "tuple[Path, DatasetSpec]":
        """The dataset of a night, as the pipeline's tasks leave it, and its spec."""
        from bodyposenet.common.data.conversion.convert import convert_dataset
        from bodyposenet.common.data.photo_set import DATASET_SPEC, keep_test_half, make_dataset_spec
        from bodyposenet.pipelines.specs import default

        folder, source = self.folder / f"night{night}", self.folder / f"photos{night}"
        if not source.exists():
            (source / "annotations").mkdir(parents=True)
            (source / "images").symlink_to(self.photos / "images")
            for half in ("train", "val"):
                file = Path("annotations") / f"person_keypoints_{half}.json"
                document = json.loads((self.photos / file).read_text(encoding="utf-8"))
                count = self.counts[night] if half == "train" else HELD_OUT[self.camera]
                document["images"] = document["images"][:count]
                ids = {image["id"] for image in document["images"]}
                document["annotations"] = [each for each in document["annotations"] if each["image_id"] in ids]
                (source / file).write_text(json.dumps(document), encoding="utf-8")
        spec = make_dataset_spec(source, default("dataset"))
        convert_dataset(spec, folder / "train")
        convert_dataset(spec, folder / "val", mode="test")
        (folder / DATASET_SPEC).write_text(
            keep_test_half(spec, folder).model_dump_json(by_alias=True), encoding="utf-8"
        )
        return folder, spec

    def train(self, name: str, night: int, *, epochs: int, weights: str) -> Path:
        """Folder of a trained network with its exported form."""
        from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
        from bodyposenet.common.model.training.plan import make_plan
        from bodyposenet.common.model.training.train import train
        from bodyposenet.common.steps.start_weights import take_start

        folder = self.folder / f"{name}{night}"
        if not (folder / "model.onnx").exists():
            folder.mkdir(exist_ok=True)
            with take_start(self._spec(night, epochs=epochs, weights=weights), folder) as begin:
                train(begin.spec, folder, source=make_plan(begin.spec).source)
            export_onnx(folder / "model.keras", folder / "model.onnx")
        return folder

    def _spec(self, night: int, *, epochs: int, weights: str) -> "TrainSpec":
        from bodyposenet.common.tasks.training import train_spec_for
        from bodyposenet.pipelines.specs import default

        changes = {"num_epoch": epochs, "pretrained_weights": weights, "random_seed": self.seed}
        return train_spec_for(default("train") | changes, str(self.convert(night)[0]))


def change_camera(photo: Path, *, seed: int) -> None:
    """Make a photo darker and noisy, its red blue and its blue red: what the shipped weights have never seen."""
    import cv2
    import numpy as np

    pixels = cv2.imread(str(photo))[..., ::-1] * DARKER
    noise = np.random.default_rng(seed).normal(0, GRAIN, pixels.shape)
    cv2.imwrite(str(photo), np.clip(pixels + noise, 0, 255).astype(np.uint8))


def run_nights(folder: Path, seed: int, *, camera: bool) -> dict[str, Any]:
    """APs of both arms, night by night, and the APs on the kept photos of those who were champion."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "nights.json"
    if done.exists():
        return dict(json.loads(done.read_text(encoding="utf-8")))
    (folder / "mlflow.db").unlink(missing_ok=True)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    runs, found = Runs(folder, seed, camera), {"champion": [], "shipped": [], "reign": []}
    base = runs.train("first", 0, epochs=EPOCHS, weights="pretrained:drawn_people")
    found["reign"].append(score(runs, base, 0))
    meet(runs, base, 0, "first", ap=found["reign"][0])
    for night in range(1, NIGHTS + 1):
        arm = runs.train("champion", night, epochs=EPOCHS // 2, weights="models:/bodyposenet@champion")
        other = runs.train("shipped", night, epochs=EPOCHS, weights="pretrained:drawn_people")
        ap, best = meet(runs, arm, night, "champion")
        found["champion"].append(ap)
        found["shipped"].append(score(runs, other, night))
        found["reign"].append(best)
        print(f"seed {seed}, night {night}: {found}", file=sys.stderr, flush=True)
    worse, best = meet(runs, disturb(arm, runs.folder / "disturbed"), NIGHTS, "disturbed")
    found |= {"disturbed": worse, "reign": [*found["reign"], best]}
    done.write_text(json.dumps(found), encoding="utf-8")
    return found


def score(runs: Runs, network: Path, night: int) -> float:
    """AP on the held-out photos, which are the same every night."""
    from bodyposenet.common.evaluation.evaluate import evaluate

    return evaluate(network / "model.onnx", _inference(), runs.convert(night)[1], network / "found", progress=False).ap


def meet(runs: Runs, network: Path, night: int, name: str, *, ap: float = -1.0) -> tuple[float, float]:
    """Let a network challenge the champion; the AP of both on the kept photos, the latter's after that.

    Args:
        runs: The nights.
        network: Its folder.
        night: Which of them.
        name: What the network is told from others by.
        ap: Its AP, where there is no champion to meet.
    """
    from bodyposenet.common import tasks
    from bodyposenet.common.tracking.registry import find_champion
    from bodyposenet.pipelines.specs import default

    dataset, spec = str(runs.convert(night)[0]), default("inference")
    now, folder = find_champion("bodyposenet"), runs.folder / f"met-{name}{night}"
    outputs = {each: str(folder / each) for each in ("kept", "challenger_ap", "champion_new_ap")}
    champion, kept = (now.version, now.tags["hold_out"]) if now else ("", "")
    given = {"onnx": str(network), "hold_out": kept, "outputs": outputs}
    champion_ap = tasks.challenge(champion, "bodyposenet", dataset, spec, **given)
    ap = json.loads((folder / "challenger_ap").read_text(encoding="utf-8")) if champion else ap
    tasks.register(
        str(network), None, spec, "bodyposenet", {"ap": ap, "hold_out_ap": ap}, str(folder / "page.md"),
        champion=champion, champion_ap=champion_ap, tags={"inputs": f"{name}{night}"},
        kept={"base": str(network), "hold_out": outputs["kept"]},
    )  # fmt: skip
    after = find_champion("bodyposenet")
    return ap, champion_ap if after and after.version == champion else ap


def disturb(network: Path, folder: Path) -> Path:
    """The same network with noise on the weights of its exported form."""
    import shutil

    import numpy as np
    from onnx import numpy_helper

    from bodyposenet.common.deploy.onnx_file import read_model, write_model

    shutil.copytree(network, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.onnx"))
    model, rng = read_model(network / "model.onnx"), np.random.default_rng(0)
    for each in model.graph.initializer:
        values = numpy_helper.to_array(each)
        if values.dtype == np.float32 and values.ndim == 4:
            noise = NOISE * values.std() * rng.standard_normal(values.shape)
            each.CopyFrom(numpy_helper.from_array(np.float32(values + noise), each.name))
    write_model(model, folder / "model.onnx")
    return folder


def _inference() -> Any:
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.pipelines.specs import default

    return parse_spec(default("inference"), InferenceSpec)


def summarize(found: list[dict[str, Any]], prefix: str) -> dict[str, float]:
    """The rows of one kind of photos, from what each seed's nights found."""
    champion, shipped = (
        [mean(each[arm][night] for each in found) for night in range(NIGHTS)] for arm in ("champion", "shipped")
    )
    falls = [after < before for each in found for before, after in zip(each["reign"], each["reign"][1:], strict=False)]
    return {
        f"{prefix}_ap_drop": max(b - a for a, b in zip(champion, shipped, strict=True)),
        f"{prefix}_ap_champion": champion[-1],
        f"{prefix}_ap_shipped": shipped[-1],
        "nightly_worse_champions": float(sum(falls)),
    }


def measure(folder: Path | None = None) -> dict[str, float]:
    """All of ``ROWS``."""
    with tempfile.TemporaryDirectory() as aside:
        place = Path(folder or aside).resolve()
        plain = [run_nights(place / f"seed{seed}", seed, camera=False) for seed in SEEDS]
        taken = [run_nights(place / f"camera{seed}", seed, camera=True) for seed in SEEDS]
    rows, others = summarize(plain, "nightly"), summarize(taken, "nightly_camera")
    worse = rows["nightly_worse_champions"] + others["nightly_worse_champions"]
    return {**rows, **others, "nightly_worse_champions": worse}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Three nights of retraining, from the champion and from the start.")
    parser.add_argument("--results_dir", type=Path, help="where to keep everything; run again to go on")
    print(json.dumps(measure(parser.parse_args().results_dir), indent=1))
