"""Codec: the AP that perfect maps can reach, and what drawing and reading them costs."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from benchmarks.upsampled import decode_upsampled
from bodyposenet.common.data.annotations.coco import CocoSet, read_annotations
from bodyposenet.common.evaluation.ceiling import compute_ceiling_ap
from bodyposenet.common.evaluation.coco_metrics import MAIN, coco_metrics
from bodyposenet.common.evaluation.ground_truth import sigmas_for
from bodyposenet.common.imaging.fit import plan_fit
from bodyposenet.common.inference.detections import to_coco
from bodyposenet.common.pose import People, decode
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18 as SKELETON

GEOMETRIES = {
    "a368": ((368, 368), "adjust_network_input"),
    "p288": ((288, 384), "pad_image_input"),
    "a256": ((256, 256), "adjust_network_input"),
}
CROWDS = (1, 5, 10, 20, 50)
ROUNDS = 60
NEAR = 8  # pixels within which a joint is found
FOUND = 0.6  # of the joints of a person who is found
STRIDE = 8

ROWS = {
    "ceiling_a368": ("AP of perfect maps, shorter side 368, minimum parts 1", "≥ 0.940"),
    "ceiling_p288": ("the same, padded to 288 x 384", "≥ 0.905"),
    "ceiling_a256": ("the same, shorter side 256", "≥ 0.908"),
    "ceiling_a368_default": ("shorter side 368, minimum parts 3", "≥ 0.905"),
    "ceiling_a368_noisy": ("the same, maps blurred, damped and noisy", "≥ 0.875"),
    "people_a368_noisy": ("people found there, over people there", "≤ 1.3"),
    "ceiling_a368_upsampled": ("for comparison: the default's, decoded as TAO does, upsampled x 4", ""),
    "decode_n1": ("decode 1 person, over cv2.resize x 4 of the maps", "≤ 0.20"),
    "decode_n5": ("5 people", "≤ 0.22"),
    "decode_n10": ("10 people", "≤ 0.30"),
    "decode_n20": ("20 people", "≤ 0.50"),
    "decode_n50": ("50 people", "≤ 2.5"),
    "decode_n10_upsampled": ("for comparison: 10 people, decoded as TAO does, upsampled x 4", ""),
    "decode_noise": ("decode uniform noise, over decode of 10 people", "≤ 40"),
    "found_to_n20": ("share of the people found, up to 20", "≥ 0.98"),
    "found_n50": ("share of the people found, of 50", "≥ 0.95"),
    "error_n10": ("mean joint error, 10 people, pixels", "≤ 0.3"),
    "encode_n10": ("encode 10 people at 256 x 256, over cv2.imdecode of a COCO photo", "≤ 0.10"),
}


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    data = Path(os.environ["BODYPOSENET_TEST_DATA"])
    cv2.setNumThreads(1)
    return {**ceilings(data), **decoding(data), **encoding(data)}


def ceilings(data: Path) -> dict[str, float]:
    """AP of maps drawn from annotations."""
    path = data / "coco_annotations/person_keypoints_val2017_official538.json.gz"
    results = {}
    for name, (shape, mode) in GEOMETRIES.items():
        results[f"ceiling_{name}"] = compute_ceiling_ap(path, SKELETON, input_shape=shape, mode=mode, min_parts=1)
    shape, mode = GEOMETRIES["a368"]
    results["ceiling_a368_default"] = compute_ceiling_ap(path, SKELETON, input_shape=shape, mode=mode)
    truth, rng = read_annotations(path), np.random.default_rng(0)
    noisy = detections(
        truth, lambda heatmaps, pafs: decode(*(spoilt(heatmaps, 0.02, rng), spoilt(pafs, 0.05, rng)), SKELETON)
    )
    there = sum(person.labelled for photo in truth.photos for person in photo.people)
    results["ceiling_a368_noisy"], results["people_a368_noisy"] = ap(truth, noisy), len(noisy) / there
    results["ceiling_a368_upsampled"] = ap(truth, detections(truth, lambda *maps: decode_upsampled(*maps, SKELETON)))
    return results


def detections(truth: CocoSet, read: Callable[[np.ndarray, np.ndarray], People]) -> list[dict]:
    """What is read from the maps of all photos, at 368."""
    found = []
    for photo in truth.photos:
        fit = plan_fit((photo.height, photo.width), *GEOMETRIES["a368"], STRIDE)
        labelled = [person.keypoints for person in photo.people if person.labelled]
        people = SKELETON.take(truth.joints, np.array(labelled).reshape(-1, len(truth.joints), 3))
        size = (fit.size[0] // STRIDE, fit.size[1] // STRIDE)
        seen = read(*encode(fit.to_input(people[..., :2]), people[..., 2] > 0, SKELETON, size=size, stride=STRIDE))
        keypoints = seen.keypoints.copy()
        placed = keypoints.any(axis=-1)
        keypoints[placed, :2] = fit.to_photo(keypoints[placed, :2])
        found += to_coco(People(keypoints, seen.scores), SKELETON, truth.joints, photo.image_id)
    return found


def ap(truth: CocoSet, found: list[dict]) -> float:
    """COCO's AP."""
    return coco_metrics(truth, found, sigmas=sigmas_for(truth.joints, SKELETON))[MAIN]


def spoilt(maps: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Maps blurred by 0.6 cells, damped to 0.8, with white noise."""
    planes = [
        cv2.GaussianBlur(np.ascontiguousarray(maps[..., channel]), (0, 0), 0.6) for channel in range(maps.shape[2])
    ]
    return (0.8 * np.stack(planes, axis=-1) + rng.normal(0, noise, maps.shape)).astype(np.float32)


def decoding(data: Path) -> dict[str, float]:
    """Time and exactness on the made scenes."""
    results, found, errors, tens = {}, {}, {}, []
    for crowd in CROWDS:
        ratios, found[crowd], errors[crowd] = [], [], []
        for heatmaps, pafs, joints in scenes(data, crowd):
            both = np.concatenate([heatmaps, pafs], axis=-1)
            side = (4 * both.shape[1], 4 * both.shape[0])
            ours, resize = paired(
                lambda maps=(heatmaps, pafs): decode(*maps, SKELETON),
                lambda both=both, side=side: cv2.resize(both, side, interpolation=cv2.INTER_CUBIC),
            )
            ratios.append(ours / resize)
            tens += [(ours, resize, (heatmaps, pafs))] if crowd == 10 else []
            share, away = matched(decode(heatmaps, pafs, SKELETON), joints)
            found[crowd].append(share)
            errors[crowd] += away
        results[f"decode_n{crowd}"] = median(ratios)
    ours, resize, maps = tens[0]
    slow, quick = paired(lambda: decode_upsampled(*maps, SKELETON), lambda: decode(*maps, SKELETON), rounds=10)
    results["decode_n10_upsampled"] = slow / quick * ours / resize
    rng = np.random.default_rng(0)
    noise = [rng.random((36, 48, channels), np.float32) for channels in (19, 38)]
    slow, quick = paired(lambda: decode(*noise, SKELETON), lambda: decode(*maps, SKELETON))
    few = [share for crowd in CROWDS[:-1] for share in found[crowd]]
    return results | {
        "decode_noise": slow / quick,
        "found_to_n20": float(min(np.mean(found[crowd]) for crowd in CROWDS[:-1])) if few else 0.0,
        "found_n50": float(np.mean(found[50])),
        "error_n10": float(np.mean(errors[10])),
    }


def scenes(data: Path, people: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Heatmaps, PAFs ``(H, W, C)`` and joints ``(N, K, 3)`` in input pixels."""
    for path in sorted((data / "maps").glob(f"scene_N{people}_s*.npz")):
        with np.load(path) as scene:
            maps = [np.ascontiguousarray(scene[name].transpose(1, 2, 0)) for name in ("heat", "paf")]
            yield maps[0], maps[1], scene["kpts"]


def matched(people: People, joints: np.ndarray) -> tuple[float, list[float]]:
    """Share of people found, each by one, and the distances of their joints."""
    away = np.linalg.norm(people.keypoints[None, ..., :2] - joints[:, None, :, :2], axis=-1)  # (there, found, joint)
    labelled = joints[:, None, :, 2] > 0
    near = (away <= NEAR) & labelled & (people.keypoints[None, ..., 2] > 0)
    share = near.sum(axis=-1) / labelled.sum(axis=-1)
    errors, count = [], 0
    while share.size and share.max() >= FOUND:
        one, other = np.unravel_index(share.argmax(), share.shape)
        errors += away[one, other][near[one, other]].tolist()
        share[one], share[:, other] = -1, -1
        count += 1
    return count / len(joints), errors


def encoding(data: Path) -> dict[str, float]:
    """Time to draw ten people."""
    _, _, joints = next(scenes(data, 10))
    points = (joints[..., :2] * [256 / 384, 256 / 288]).astype(np.float32)
    photo = np.fromfile(data / "coco_sample/images/000000000257.jpg", np.uint8)
    ours, reading = paired(
        lambda: encode(points, joints[..., 2] > 0, SKELETON, size=(32, 32), stride=STRIDE),
        lambda: cv2.imdecode(photo, cv2.IMREAD_COLOR),
    )
    return {"encode_n10": ours / reading}


def paired(one: Callable[[], object], other: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """Median seconds of two calls, taken in turn, so that a busy machine slows both; each finds the other's caches."""
    one(), other()  # compiles
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, taken in zip((one, other), times, strict=True):
            begin = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begin)
    return median(times[0]), median(times[1])
