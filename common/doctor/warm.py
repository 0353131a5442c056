"""Warm: compiles beforehand what would be compiled in the first training, evaluation or inference."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.doctor.compiled import look_into, mark_warm, name_processor
from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.storage.locking import scratch_folder

SIZE = (96, 128)  # pixels, of drawn pictures and of the network
SCHEDULE = {"base_learning_rate": 1e-4, "min_learning_rate": 1e-6, "soft_start": 0.1, "annealing": 0.3}
TRAIN: dict[str, Any] = {  # nothing is trained; a spec without these is none
    "model": {"backbone_attributes": {"architecture": "vgg"}},
    "optimizer": {
        "__class_name__": "AdamW",
        "learning_rate_schedule": {"__class_name__": "SoftstartAnnealingLearningRateSchedule"} | SCHEDULE,
    },
    "loss": {},
}
LOADER: dict[str, Any] = {
    "batch_size": 2,
    "image_config": {"image_dims": {"height": SIZE[0], "width": SIZE[1], "channels": 3}},
    "pose_config": {"target_shape": [SIZE[0] // 8, SIZE[1] // 8]},
    "augmentation_config": {
        "spatial_augmentation_mode": "standard",
        "color_aug_params": {"brightness_max": 0.1, "contrast_max": 0.1, "saturation_max": 0.1, "hue_deg_max": 5.0},
    },
}


@dataclass(frozen=True)
class Warmth:
    """What was compiled.

    Attributes:
        functions: How many were not there before.
        seconds: That all of it took.
        folder: Where they are kept.
    """

    functions: int
    seconds: float
    folder: Path


def warm() -> Warmth:
    """Compile what is not there yet, by calling what the verbs call on as little as makes a batch.

    The code is made for numba's ``NUMBA_CPU_NAME``, else for the processor at hand.

    Raises:
        UserError: There is no folder to keep it in, or numba is told to compile nothing.
    """
    from bodyposenet.common.machine.compiled_folder import find_compiled_folder
    from bodyposenet.common.machine.compiling import SETTINGS, announcer

    if SETTINGS.DISABLE_JIT:  # all would be called as plain Python, and be marked as compiled
        fix = "compile with: env -u NUMBA_DISABLE_JIT bpnet doctor --warm"
        raise UserError("numba compiles nothing while this is set", where="NUMBA_DISABLE_JIT", fix=fix)
    folder = find_compiled_folder()
    if folder is None:
        raise UserError("what is compiled can be kept nowhere", fix="name a folder in BODYPOSENET_CACHE")
    before, begun = announcer.count, time.perf_counter()
    if look_into(folder, name_processor()).state != "warm":
        with scratch_folder() as temporary:
            call_all(Path(temporary))
        mark_warm(folder, name_processor())
    return Warmth(announcer.count - before, time.perf_counter() - begun, folder)


def call_all(folder: Path) -> None:
    """Draw people, convert them, make a batch with all that varies in it, decode perfect maps of others, write them."""
    import numpy as np

    from bodyposenet.common.data.conversion.convert import convert_dataset
    from bodyposenet.common.data.photo_set import make_dataset_spec
    from bodyposenet.common.data.synthetic.dataset import synthesize
    from bodyposenet.common.evaluation.ceiling import ceiling_ap
    from bodyposenet.common.pose.point_text import write_points
    from bodyposenet.common.skeleton.skeleton import COCO_17

    synthesize(folder / "photos", train=4, val=2, size=SIZE)
    dataset = make_dataset_spec(folder / "photos", {"dataset": "coco"})
    convert_dataset(dataset, folder / "records", mode="train", generate_masks=True)
    make_one_batch(dataset, folder)
    ceiling_ap(dataset, InferenceSpec(input_shape=SIZE), COCO_17)
    write_points(np.zeros((1, 1, 2)))
    read_one_bitmap()


def make_one_batch(dataset: DatasetSpec, folder: Path) -> None:
    """Make the training data of one step from ``folder/records``."""
    from bodyposenet.common.data.loading.batches import make_batch
    from bodyposenet.common.model.training.plan import make_plan

    described = folder / "dataset.json"
    described.write_text(dataset.model_dump_json(by_alias=True), encoding="utf-8")
    records = {
        "train_records_folder_path": str(folder),
        "train_records_path": ["records"],
        "dataset_specs": {dataset.dataset: str(described)},
    }
    settings = TRAIN | {"dataloader": LOADER | {"dataset_config": records}}
    plan = make_plan(parse_spec(settings, TrainSpec))
    make_batch(plan.source, plan.drawing, range(2), 0)


def read_one_bitmap() -> None:
    """Read a mask of one bit a pixel, as records keep them, and take it to a network's grid."""
    import cv2
    import numpy as np

    from bodyposenet.common.data.loading.affine import Warp
    from bodyposenet.common.imaging.bitmask_png import read_bitmap

    mask = cv2.imencode(".png", np.eye(8, dtype=np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes()
    Warp(np.eye(3)).mask(read_bitmap(mask), (1, 1), 8)
