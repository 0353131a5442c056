"""Creatures: pictures of foxes and cranes with their joints, as an annotation tool would export them.

python docs/example/creatures/draw.py creatures [--train 96] [--val 12] [--seed 0]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HEIGHT, WIDTH = 120, 160  # of a picture, in pixels
SEEN, HIDDEN, ABSENT = 1, 2, 0  # this tool's visibility flags
BODY = {"fox": (255, 140, 40), "crane": (200, 200, 210)}
JOINTS = {  # in the order of the triplets
    "fox": ("nose", "tail", "LFore", "RFore", "LHind", "RHind"),
    "crane": ("tail", "nose", "LHind", "RHind"),
}
COLOURS = {
    "nose": (230, 30, 60), "tail": (30, 60, 230), "near Fore": (40, 200, 60), "far Fore": (10, 90, 30),
    "near Hind": (240, 220, 40), "far Hind": (120, 90, 10),
}  # fmt: skip
PLACES = {  # x to the front and y downwards, in halves of the body's length
    "nose": (1.0, -0.55), "tail": (-1.0, -0.45), "near Fore": (0.65, 0.75), "far Fore": (0.3, 0.6),
    "near Hind": (-0.3, 0.75), "far Hind": (-0.65, 0.6),
}  # fmt: skip
IDS = {"fox": 3, "crane": 7}


def draw_set(folder: Path, name: str, count: int, seed: int) -> Path:
    """Draw pictures and write their annotations; returns the annotation file.

    Args:
        folder: Gets ``images/`` and ``annotations/``.
        name: Of the set: ``train`` or ``val``.
        count: Pictures.
        seed: The same seed draws the same pictures.
    """
    rng = np.random.default_rng([seed, name == "val"])
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        file_name = f"{name}_{number:03d}.png"
        images.append({"id": number, "file_name": file_name, "height": HEIGHT, "width": WIDTH})
        picture = np.full((HEIGHT, WIDTH, 3), rng.integers(70, 120, 3), np.uint8)
        for slot in rng.permutation(2)[: rng.integers(1, 3)]:
            creature = _draw_creature(rng, picture, (40 + 80 * int(slot), 60))
            annotations.append({"id": 100 + len(annotations), "image_id": number, **creature})
        cv2.imwrite(str(folder / "images" / file_name), picture[..., ::-1])
    categories = [{"id": IDS[kind], "name": kind, "keypoints": list(names)} for kind, names in JOINTS.items()]
    file = folder / "annotations" / f"creatures_{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


def _draw_creature(rng: np.random.Generator, picture: np.ndarray, middle: tuple[int, int]) -> dict[str, Any]:
    """Draw one creature, from its side, and return its annotation, ids aside.

    Who faces right shows the right legs. One joint in nine is hidden, one in thirty is not labelled.
    """
    kind = "fox" if rng.random() < 0.6 else "crane"
    names = JOINTS[kind]
    half = rng.uniform(24, 30)
    facing = -1 if rng.random() < 0.5 else 1
    centre = middle + rng.uniform(-6, 6, 2)
    near = "R" if facing > 0 else "L"
    parts = [f"{'near' if name[0] == near else 'far'} {name[1:]}" if name[0] in "LR" else name for name in names]
    places = np.array([PLACES[part] for part in parts]) * [facing * half, half]
    points = np.round(centre + places + rng.uniform(-2, 2, places.shape), 1)
    hidden = rng.random(len(names)) < 1 / 9
    absent = rng.random(len(names)) < 1 / 30
    for point in points:
        cv2.line(picture, _pixel(centre), _pixel(point), BODY[kind], 3, cv2.LINE_AA)
    cv2.ellipse(picture, _pixel(centre), (int(0.6 * half), int(0.3 * half)), 0, 0, 360, BODY[kind], -1, cv2.LINE_AA)
    for part, point, out_of_sight in zip(parts, points, hidden, strict=True):
        cv2.circle(picture, _pixel(point), 4, BODY[kind] if out_of_sight else COLOURS[part], -1, cv2.LINE_AA)
    flags = np.where(absent, ABSENT, np.where(hidden, HIDDEN, SEEN))
    triplets = [
        number for point, flag in zip(points.tolist(), flags.tolist(), strict=True) for number in (*point, flag)
    ]
    corner = points.min(axis=0) - 4
    box = np.round([*corner, *(points.max(axis=0) + 4 - corner)], 1)
    fields = {"bbox": box.tolist(), "area": round(float(box[2] * box[3]) / 2, 1), "iscrowd": 0, "segmentation": []}
    return {"category_id": IDS[kind], "keypoints": triplets, "num_keypoints": int(np.sum(~absent)), **fields}


def _pixel(point: np.ndarray) -> tuple[int, int]:
    x, y = np.round(point).astype(int).tolist()
    return x, y


def main() -> None:
    """Command line of this example."""
    parser = argparse.ArgumentParser(description="Draw foxes and cranes with their joints.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--train", type=int, default=96, help="pictures to train on")
    parser.add_argument("--val", type=int, default=12, help="pictures held out")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name, count in (("train", given.train), ("val", given.val)):
        print(f"wrote {draw_set(given.output, name, count, given.seed)}")


if __name__ == "__main__":
    main()
