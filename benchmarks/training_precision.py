"""Precision: what a step of the demo's train spec takes as shipped, over the same step in float32.

Steps are compared by processor time, which a machine that is busy elsewhere changes least.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bodyposenet.common.spec.train import TrainSpec

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SPEC = Path(__file__).parents[1] / "pipelines" / "specs" / "train.yaml"
RATE = 1e-6
ROUNDS = 9
LIMIT = "ONEDNN_MAX_CPU_ISA"  # what oneDNN may use of the processor
ROWS = {
    "precision_step": ("processor time of a step of the demo's train spec as shipped, over one in float32", "≤ 1.05"),
    "precision_step_avx2": ("the same where oneDNN may use no more than AVX2", "≤ 1.05"),
    "precision_step_16_bits": ("the worse of those that took 16 bits", "≤ 0.90"),
}


def measure() -> dict[str, float]:
    """All of ``ROWS``; the last one where 16 bits were taken."""
    found = {"precision_step": run({}), "precision_step_avx2": run({LIMIT: "AVX2"})}
    taken = [one["ratio"] for one in found.values() if one["precision"] != "float32"]
    figures = {key: one["ratio"] for key, one in found.items()}
    return figures | ({"precision_step_16_bits": max(taken)} if taken else {})


def run(limits: dict[str, str]) -> dict[str, Any]:
    """What a process of its own finds, for oneDNN reads its limits once."""
    environ = {name: value for name, value in os.environ.items() if name != LIMIT} | limits
    command = [sys.executable, "-m", __spec__.name]
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{limits or 'free'}: {done.stdout.strip()}", file=sys.stderr)
    return json.loads(done.stdout)


def compare() -> dict:
    """Median of the ratios of steps taken in turn, the precision that was chosen, why, and what choosing took."""
    from bodyposenet.common.model.training.precision import FLOAT32, PrecisionChoice, find_half, take_precision

    spec = shipped_spec()
    find_half()  # reads TensorFlow
    begun = time.perf_counter()
    choice = take_precision(spec.mixed_precision, deterministic=bool(spec.deterministic))
    seconds = time.perf_counter() - begun
    steps = [build_step(spec, policy) for policy in (choice.policy, PrecisionChoice(FLOAT32, "").policy)]
    taken = [[time_step(step) for step in steps] for _ in range(ROUNDS + 1)][1:]  # the first compiles
    ratio = median(shipped / whole for shipped, whole in taken)
    return {"ratio": ratio, "precision": choice.name, "reason": choice.reason, "seconds_to_choose": seconds}


def shipped_spec() -> "TrainSpec":
    """The train spec of the demo; its records are not looked at."""
    import yaml

    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.train import TrainSpec

    settings = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    settings["dataloader"]["dataset_config"] = {"train_records_folder_path": "none", "train_records_path": ["none"]}
    return parse_spec(settings, TrainSpec)


def build_step(spec: "TrainSpec", policy: str) -> Callable[[], object]:
    """A step on a batch of noise, from the start weights that the spec names."""
    import numpy as np

    from bodyposenet.common.data.loading.batches import STRIDE, TrainingBatch
    from bodyposenet.common.model.training.initial_network import starting_network
    from bodyposenet.common.model.training.optimizer import make_optimizer
    from bodyposenet.common.model.training.step import make_step, with_loss_scale

    skeleton = spec.dataloader.pose_config.skeleton()
    model = starting_network(spec, skeleton, policy=policy)
    optimizer = with_loss_scale(make_optimizer(spec.optimizer, model, stagewise=False), model)
    step = make_step(model, optimizer, spec.loss)
    rng, (height, width) = np.random.default_rng(0), spec.dataloader.image_config.image_dims.size
    images = rng.standard_normal((spec.dataloader.batch_size, height, width, 3), np.float32)
    channels = (skeleton.num_joints + 1, 2 * skeleton.num_limbs, 1)
    maps = [rng.random((len(images), height // STRIDE, width // STRIDE, depth), np.float32) for depth in channels]
    batch = TrainingBatch(images, *maps, np.arange(len(images)))
    return lambda: step(batch, RATE).read()


def time_step(step: Callable[[], object]) -> float:
    """Seconds that all processors together spend on a step."""
    begun = time.process_time()
    step()
    return time.process_time() - begun


if __name__ == "__main__":
    print(json.dumps(compare()))
