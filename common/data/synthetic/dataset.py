"""Synthetic dataset: drawn people, as a dataset on disk and as an endless source to train on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from bodyposenet.common.data.loading.affine import Warp
from bodyposenet.common.data.loading.batches import STRIDE, Sample
from bodyposenet.common.data.synthetic.scenes import DrawnPerson, Scene, random_scene
from bodyposenet.common.skeleton.skeleton import COCO_17, Skeleton
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import whole_file, write_unsynced
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.together import appear_together

SIZE = (360, 480)  # height, width of a picture
JPEG_QUALITY = 92
SETS = ("train", "val")


def synthesize(
    folder: Path, *, train: int = 600, val: int = 200, seed: int = 0, size: tuple[int, int] = SIZE
) -> dict[str, Path]:
    """Write a COCO-format set of drawn people.

    Args:
        folder: Gets ``images/`` and ``annotations/person_keypoints_train.json`` and ``…_val.json``.
        train: Pictures to train on.
        val: Pictures held out.
        seed: The same seed gives the same bytes.
        size: ``(height, width)`` of the pictures.

    Returns:
        The annotation file of each set.

    Examples:
        >>> import bodyposenet
        >>> from pathlib import Path
        >>> sets = bodyposenet.synthesize(Path("photos"), train=8, val=4)
        >>> sets["val"].as_posix()
        'photos/annotations/person_keypoints_val.json'
    """
    folder = Path(folder)
    files = {name: f"annotations/person_keypoints_{name}.json" for name in SETS}
    with appear_together(locate(folder), "synthesize") as staged:
        for number, (name, count) in enumerate(zip(SETS, (train, val), strict=True)):
            document = _draw_set(staged / "images", name, count, (seed, number), size)
            with whole_file(staged / files[name]) as file:
                file.write(json.dumps(document).encode())
    return {name: folder / file for name, file in files.items()}


def make_scene(seed: tuple[int, ...], index: int, size: tuple[int, int]) -> Scene:
    """Draw scene ``index`` of a stream."""
    return random_scene(np.random.default_rng([*seed, index]), size)


def _draw_set(images: Location, name: str, count: int, seed: tuple[int, int], size: tuple[int, int]) -> dict[str, Any]:
    """Draw and write ``count`` pictures; the COCO document that describes them."""
    person = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": list(COCO_17.joints),
        "skeleton": [[a + 1, b + 1] for a, b in COCO_17.limbs],
    }
    document: dict[str, Any] = {
        "info": {"description": f"drawn people, {name}, seed {seed[0]}"},
        "images": [],
        "annotations": [],
        "categories": [person],
    }
    with translate_errors(images):
        images.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        scene = make_scene(seed, index, size)
        image_id = seed[1] * 1_000_000 + index + 1
        file_name = f"{name}_{index:06d}.jpg"
        with write_unsynced(images / file_name) as file:
            file.write(_to_jpeg(scene.image))
        document["images"].append({"id": image_id, "file_name": file_name, "height": size[0], "width": size[1]})
        document["annotations"] += [
            _annotation(drawn, image_id, image_id * 100 + place) for place, drawn in enumerate(scene.people)
        ]
    return document


def _to_jpeg(image: np.ndarray) -> bytes:
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes()


def _annotation(person: DrawnPerson, image_id: int, annotation_id: int) -> dict[str, Any]:
    """Write one person as COCO does; the segmentation is run-length encoded."""
    encoded = coco_mask.encode(np.asfortranarray(person.mask, np.uint8))
    (left, top), (right, bottom) = person.box.tolist()
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": int(person.crowd),
        "bbox": [round(value, 2) for value in (left, top, right - left, bottom - top)],
        "area": float(person.mask.sum()),
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
        "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
        "keypoints": person.keypoints.ravel().tolist(),
    }


@dataclass(frozen=True)
class EndlessScenes:
    """A source that never shows the same picture twice.

    Attributes:
        skeleton: Whose joints are drawn as targets.
        size: ``(height, width)`` of the input.
        samples: In an epoch.
        seed: Of the stream.
    """

    skeleton: Skeleton
    size: tuple[int, int]
    samples: int
    seed: int

    def __len__(self) -> int:
        return self.samples

    def sample(self, index: int, epoch: int) -> Sample:
        """Draw picture ``index`` of epoch ``epoch``, a little turned, scaled and moved."""
        rng = np.random.default_rng([self.seed, 2, epoch, index])
        scene = random_scene(rng, SIZE)
        warp = _jitter(rng, SIZE, self.size)
        grid = (self.size[0] // STRIDE, self.size[1] // STRIDE)
        labelled = [person for person in scene.people if person.keypoints[:, 2].any()]
        keypoints = np.array([person.keypoints for person in labelled]).reshape(-1, COCO_17.num_joints, 3)
        joints = self.skeleton.take(COCO_17.joints, keypoints)
        return Sample(
            image=warp.image(scene.image, self.size),
            mask=warp.mask(draw_ignore_mask(scene), grid, STRIDE),
            joints=warp.points(joints[..., :2]),
            visible=joints[..., 2] > 0,
            image_id=index,
        )


def draw_ignore_mask(scene: Scene) -> np.ndarray | None:
    """Draw ``(H, W)`` uint8, 0 over crowds and unlabelled people and 255 elsewhere; None where there are none."""
    unlabelled = [person.mask for person in scene.people if not person.keypoints[:, 2].any()]
    if not unlabelled:
        return None
    return np.where(np.any(unlabelled, axis=0), 0, 255).astype(np.uint8)


def _jitter(rng: np.random.Generator, photo: tuple[int, int], size: tuple[int, int]) -> Warp:
    """Choose how to scale the whole picture by .85 to 1.2, turn it by up to 8 degrees and move it by up to a tenth."""
    scale = size[0] / photo[0] * np.exp(rng.uniform(np.log(0.85), np.log(1.2)))
    angle = np.deg2rad(rng.uniform(-8, 8))
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.array(photo[::-1]) - 1) / 2 + rng.uniform(-0.1, 0.1, 2) * photo[::-1]
    matrix[:2, 2] = (np.array(size[::-1]) - 1) / 2 - matrix[:2, :2] @ centre
    return Warp(matrix)
