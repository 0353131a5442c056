"""Make: the network that finds people in photos, ``pretrained:people``, of one that somebody else trained.

The network of Intel's Open Model Zoo is adopted, its convolutions are factored until half of its floating-point
operations are left, and it learns to draw what the whole one draws, on pictures mixed of few photos (``photos.py``)
and of people who are drawn in three dimensions (``bodies``). A run that was interrupted goes on from its last step.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bodyposenet.common.adopt.adopt import adopt
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.photo import read_image
from bodyposenet.common.model.files.model_file import load_model, save_model
from bodyposenet.common.prune.factor import factor
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.storage.digests import digest_file
from bodyposenet.common.storage.files import whole_file
from bodyposenet.pipelines.people.bodies.files import MESH, read_body
from bodyposenet.pipelines.people.crowd import draw_crowd
from bodyposenet.pipelines.people.imitation import Course, imitate
from bodyposenet.pipelines.people.photos import PhotoMix, Picture

LICENCE = "Apache-2.0 (Open Model Zoo, Intel)"
SIZE = (256, 256)  # of the pictures that are learnt from
COUNTED = (256, 456)  # the size that the network's FLOPs are published for
LEFT = 0.5  # of the FLOPs
BATCHES, EACH = 4, 8  # that layers are fitted to; pictures of each
STEPS = 2800
HINTS_LEFT, AVERAGED = 0.12, 0.995
CROWD = 9500  # people who are drawn in three dimensions
HINTS = (
    "conv4_2_sep", *(f"conv5_{number}_sep" for number in range(1, 6)), "conv4_3_CPM_al_WithoutBiases",
    "conv4_4_CPM_WithoutBiases", "Mconv1_stage2_L1_sq_WithoutBiases",
    *(f"Mconv{number}_stage2_L1_3x3_2_WithoutBiases" for number in range(1, 6)),
    "Mconv6_stage2_L1_WithoutBiases", "Mconv6_stage2_L2_WithoutBiases",
)  # fmt: skip

# Photos of free licences that come with packages: scikit-image's (public domain or CC0) and scikit-learn's (CC BY).
PEOPLE = ("skimage/data/astronaut.png",)
OTHERS = (
    *(f"skimage/data/{name}.png" for name in ("brick", "chelsea", "coffee", "grass", "gravel", "camera")),
    "skimage/data/rocket.jpg", "sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg",
)  # fmt: skip


def make_people(network: Path, photos: Path, packages: Sequence[Path], folder: Path, *, steps: int = STEPS) -> Path:
    """Make the network, step by step; what is there already is not made again.

    Args:
        network: Intel's ``.xml``, its ``.bin`` beside it.
        photos: COCO: ``images/`` and ``annotations/person_keypoints_train.json``, whose photos alone are seen.
        packages: Folders with the packages that photos of free licences come with, and the body of people to draw.
        folder: Gets all that is made, ``learnt/student.keras`` last.
        steps: Of the learning.

    Returns:
        The network's file, in floats.
    """
    for path in (network, network.with_suffix(".bin")):
        if not path.is_file():
            raise UserError("no such file", where=str(path), fix="give Intel's .xml, its .bin beside it")
    body, made_of = read_body(packages), [network.with_suffix(".bin"), *list_seen(photos, packages)]
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, {"steps": steps, "made_of": digests([*made_of, body.folder.parent / MESH]), "crowd": CROWD})
    adopted, cut = folder / "adopted.keras", folder / "cut.keras"
    if not adopted.is_file():
        done = adopt(network)
        made_from = (
            f"{network.name}, SHA-256 of {network.stem}.bin {digest_file(network.with_suffix('.bin'))}; {LICENCE}"
        )
        save_model(done.model, adopted, replace(done.card, made_from=made_from))
    if not cut.is_file():
        cut_network(adopted, mix_photos(photos, packages, seed=0), cut)
    source = mix_photos(photos, packages, seed=1)
    crowd = draw_crowd(body, [*source.people, *source.others], folder / "bodies", CROWD)
    course = Course(HINTS, steps, hints_left=HINTS_LEFT, averaged=AVERAGED)
    return imitate(cut, adopted, {}, replace(source, crowd=crowd), folder / "learnt", course)


def digests(paths: Sequence[Path]) -> list[str]:
    """The SHA-256 of files."""
    return [digest_file(path) for path in paths]


def claim(folder: Path, plan: dict[str, Any]) -> None:
    """Note what a folder is for; one that is for something else is left alone.

    Raises:
        UserError: It is.
    """
    path = folder / "plan.json"
    if not path.is_file():
        with whole_file(path) as file:
            file.write(json.dumps(plan).encode())
    elif json.loads(path.read_text(encoding="utf-8")) != plan:
        fix = "give another --output, or remove it"
        raise UserError("holds a network of other files, or of other steps", where=str(folder), fix=fix)


def cut_network(whole: Path, source: PhotoMix, output: Path) -> None:
    """Factor a network, as the pictures that it is to learn from leave it the most."""
    model, card = load_model(whole)
    batches = [_stack(source, number, card) for number in range(BATCHES)]
    save_model(factor(model, batches, target_flops=LEFT, size=COUNTED), output, card)


def _stack(source: PhotoMix, number: int, card: Any) -> Any:
    images = [source.sample(number * EACH + each, 0).image for each in range(EACH)]
    scale, offset = np.asarray(card.image_scale, np.float32), np.asarray(card.image_offset, np.float32)
    return np.stack(images) / scale - offset


def mix_photos(photos: Path, packages: Sequence[Path], *, seed: int) -> PhotoMix:
    """The stream of pictures of the train photos, of those that come with packages, and of drawn people."""
    pictures = [_read(path) for path in list_seen(photos, packages)]
    people = len(pictures) - len(OTHERS)
    return PhotoMix(tuple(pictures[:people]), tuple(pictures[people:]), BODYPOSENET_18, SIZE, 2**40, seed)


def list_seen(photos: Path, packages: Sequence[Path]) -> list[Path]:
    """The photos that are learnt from: those of the train half, of people, and of other things."""
    train = read_annotations(photos / "annotations" / "person_keypoints_train.json").photos
    own = [photos / "images" / each.file_name for each in train]
    return own + [find_photo(packages, name) for name in (*PEOPLE, *OTHERS)]


def find_photo(packages: Sequence[Path], name: str) -> Path:
    """A photo in the first of the folders that has it."""
    for folder in packages:
        if (folder / name).is_file():
            return folder / name
    fix = "install the package, or name the folder that has it with --packages"
    raise UserError(f"no {name}", where=", ".join(map(str, packages)), fix=fix)


def _read(path: Path) -> Picture:
    image = read_image(path, upright=False)
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image[..., :3])
