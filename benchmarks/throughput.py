"""Throughput: photos a second of the verbs that look at many, over ONNX Runtime alone on what they give it.

A verb is timed on some photos and on twice as many; the difference is free of its start. What ONNX Runtime does alone
is the faster of one session with two threads and of two with one, on the very inputs, made beforehand.
"""

import contextlib
import io
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np

from benchmarks.conversion import repeated
from benchmarks.pruning import THREADS
from benchmarks.runners import write_demo
from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS
from bodyposenet.common.deploy.runtime.sessions import open_session
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.imaging.fit import choose_reduction, fit_photo, normalise
from bodyposenet.common.imaging.photo import decode_photo
from bodyposenet.common.inference.batch import infer_batch
from bodyposenet.common.inference.detector import choose_decoding, find_people, open_model
from bodyposenet.common.inference.inference import infer
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.pose.people import People
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec

PHOTOS = int(os.environ.get("BODYPOSENET_BENCH_PHOTOS", "500"))
ROUNDS = 3
LARGE = (3000, 4000)  # what photos are enlarged to: 12 megapixels
SIDES = (368, 360, 352, 336)  # of inputs whose AP is taken together: that of one differs by .01 for half a grey level
BOUNDS = {"float": "≥ 0.90", "int8": "≥ 0.75"}
NETWORKS = {"demo": "the network of drawn people", "people": "pretrained:people"}
VERBS = ("inference", "infer_batch", "evaluate")
ROWS = {
    f"throughput_{network}_{form}_{verb}": (
        f"photos a second of `{verb}`, {words}, {form}, over ONNX Runtime alone; two threads, photos of COCO's size",
        BOUNDS[form],
    )
    for network, words in NETWORKS.items()
    for form in BOUNDS
    for verb in VERBS
} | {
    "decoding_ap": (
        "AP on coco_sample's val photos of 12 megapixels, mean of four inputs, decoded whole less small, either way",
        "≤ 0.005",
    ),
    "decoding_move": ("median move of a joint by it, pixels of the network's input", "≤ 0.1"),
    "decoding_time": ("photos a second at 12 megapixels, decoded small over decoded whole; demo's 8-bit network", ""),
}  # fmt: skip


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    logging.disable(logging.WARNING)
    sample = Path(os.environ["BODYPOSENET_TEST_DATA"]).resolve() / "coco_sample"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = write_demo(folder)
        people = weights_path("pretrained:people")
        files = {
            ("demo", "float"): folder / "demo.onnx",
            ("demo", "int8"): demo,
            ("people", "float"): people.with_suffix(".onnx"),
            ("people", "int8"): people.with_name("people_int8.onnx"),
        }
        found = {}
        for (network, form), file in files.items():
            rates = compare(sample, file)
            found |= {f"throughput_{network}_{form}_{verb}": rates[verb] / rates["alone"] for verb in VERBS}
            print(network, form, {key: round(rate, 1) for key, rate in rates.items()}, flush=True)
        return found | compare_decoding(sample, folder, files["people", "float"], demo)


def compare(sample: Path, file: Path) -> dict[str, float]:
    """Photos a second of each verb with a network, and of ONNX Runtime alone, by the best times of rounds in turn."""
    spec = InferenceSpec(runner="exact")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = {count: make_photos(sample, folder / str(count), count) for count in (PHOTOS, 2 * PHOTOS)}
        calls: dict[str, Callable[[int], object]] = {
            "inference": lambda count: infer(
                file, spec, input_type="dir", input=folder / str(count) / "images", results_dir=folder / "out",
                progress=False,
            ),
            "infer_batch": lambda count: infer_batch(
                file, spec, str(folder / str(count) / "images"), folder / "out", progress=False
            ),
            "evaluate": lambda count: evaluate(file, spec, sets[count], folder / "out", progress=False),
        }  # fmt: skip
        inputs = make_inputs(file, spec, sorted((folder / str(PHOTOS) / "images").iterdir()))
        alone, seconds = 0.0, {verb: {count: [] for count in sets} for verb in calls}
        for _ in range(ROUNDS):
            alone = max(alone, run_alone(file, inputs))
            for verb, call in calls.items():
                with contextlib.redirect_stdout(io.StringIO()):
                    for count in sets:
                        seconds[verb][count].append(time_call(call, count))
    return {"alone": alone} | {verb: find_rate(taken) for verb, taken in seconds.items()}


def find_rate(seconds: Mapping[int, Sequence[float]]) -> float:
    """Photos a second beyond the start, of a few times for some photos and for more.

    The best of each count: the difference of one round is too short where the smaller count was disturbed in it.
    """
    few, many = sorted(seconds)
    return (many - few) / (min(seconds[many]) - min(seconds[few]))


def make_photos(sample: Path, folder: Path, count: int) -> DatasetSpec:
    """A dataset of so many photos of the sample, again and again."""
    folder.mkdir()
    return repeated(sample, folder, count)


def make_inputs(file: Path, spec: InferenceSpec, photos: Sequence[Path]) -> list[np.ndarray]:
    """What a network is given of photos."""
    runner, spec = open_model(file, spec)
    reduce, inputs = choose_decoding(runner, spec), []
    for path in photos:
        photo = decode_photo(path.read_bytes(), where=str(path), reduce=reduce)
        fitted = fit_photo(photo, spec.input_shape, spec.keep_aspect_ratio_mode, runner.card.stride)
        inputs.append(normalise(fitted.image, runner.card)[None])
    return inputs


def run_alone(file: Path, inputs: Sequence[np.ndarray]) -> float:
    """Pictures a second of ONNX Runtime: the faster of one session with all threads and of as many with one."""
    rates = []
    for sessions, threads in ((1, THREADS), (THREADS, 1)):
        opened = [open_session(file, threads) for _ in range(sessions)]
        shares = [inputs[number::sessions] for number in range(sessions)]

        def run(number: int, opened: list = opened, shares: list = shares) -> None:
            for given in shares[number]:
                opened[number].run(list(OUTPUTS), {INPUT: given})

        with ThreadPoolExecutor(sessions) as pool:
            list(pool.map(run, range(sessions)))  # once, to warm up
            begun = time.perf_counter()
            list(pool.map(run, range(sessions)))
            rates.append(len(inputs) / (time.perf_counter() - begun))
    return max(rates)


def time_call(call: Callable[[int], object], count: int) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    call(count)
    return time.perf_counter() - begun


def compare_decoding(sample: Path, folder: Path, network: Path, demo: Path) -> dict[str, float]:
    """AP, joints and time of photos of 12 megapixels, decoded whole and small."""
    large = folder / "large"
    enlarge(sample, large)
    dataset = large_dataset(sample, large)
    specs = {name: InferenceSpec(runner="exact", decode_whole=name == "whole") for name in ("whole", "small")}
    aps = {
        name: [
            evaluate(
                network, spec.model_copy(update={"input_shape": (side, side)}), dataset, folder / name, progress=False
            ).ap
            for side in SIDES
        ]
        for name, spec in specs.items()
    }
    moves = np.concatenate([measure_moves(network, specs, path) for path in sorted((large / "images").iterdir())])
    paths = sorted((large / "images").iterdir())
    rates = {name: rate_of(demo, spec, paths) for name, spec in specs.items()}
    print({"ap": aps, "joints": len(moves), "photos a second": rates}, flush=True)
    return {
        "decoding_ap": abs(float(np.mean(aps["whole"]) - np.mean(aps["small"]))),
        "decoding_move": float(np.median(moves)),
        "decoding_time": rates["small"] / rates["whole"],
    }


def enlarge(sample: Path, folder: Path) -> None:
    """The sample's val photos at 12 megapixels, and their annotations."""
    (folder / "images").mkdir(parents=True)
    document = json.loads((sample / "annotations/person_keypoints_val.json").read_text(encoding="utf-8"))
    scales = {}
    for photo in document["images"]:
        image = cv2.imread(
            str(sample / "images" / photo["file_name"]), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
        scale = (LARGE[0] * LARGE[1] / (photo["height"] * photo["width"])) ** 0.5
        photo["height"], photo["width"] = round(photo["height"] * scale), round(photo["width"] * scale)
        size = (photo["width"], photo["height"])
        scales[photo["id"]] = size[0] / image.shape[1], size[1] / image.shape[0]
        written = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "images" / photo["file_name"]), written, [cv2.IMWRITE_JPEG_QUALITY, 90])
    for person in document["annotations"]:
        stretch_person(person, *scales[person["image_id"]])
    (folder / "people.json").write_text(json.dumps(document), encoding="utf-8")


def stretch_person(person: dict, x: float, y: float) -> None:
    """Scale an annotation; of outlines boxes stay, as only areas count."""
    person["keypoints"][0::3] = [value * x for value in person["keypoints"][0::3]]
    person["keypoints"][1::3] = [value * y for value in person["keypoints"][1::3]]
    left, top, width, height = person["bbox"]
    person["bbox"] = [left * x, top * y, width * x, height * y]
    person["area"] *= x * y
    person["segmentation"] = [[left * x, top * y, (left + width) * x, top * y, (left + width) * x, (top + height) * y]]


def large_dataset(sample: Path, folder: Path) -> DatasetSpec:
    """The spec of the enlarged photos."""
    spec = make_dataset_spec(sample).model_dump(mode="json", by_alias=True, exclude_none=True)
    half = {"images_root_dir_path": "images", "mask_root_dir_path": "masks", "annotation_root_dir_path": "people.json"}
    return parse_spec(spec | {"root_directory_path": str(folder), "train_data": half, "test_data": half}, DatasetSpec)


def measure_moves(network: Path, specs: dict[str, InferenceSpec], path: Path) -> np.ndarray:
    """How far the joints of the same people lie apart, in pixels of the network's input."""
    found = {}
    for name, spec in specs.items():
        runner, filled = open_model(network, spec)
        reduce = choose_decoding(runner, filled)
        photo = decode_photo(path.read_bytes(), where=str(path), reduce=reduce)
        found[name] = find_people(runner, photo, filled)
        size, mode = filled.input_shape, filled.keep_aspect_ratio_mode
        assert name == "whole" or choose_reduction(photo.size, size, mode) > 1
        scale = min(size) / min(photo.size)
    return pair_joints(found["whole"], found["small"]) * scale


def pair_joints(some: People, others: People) -> np.ndarray:
    """Distances between joints of people of both, each with the nearest."""
    moves = []
    for person in some.keypoints:
        placed = (person[:, 2] > 0) & (others.keypoints[..., 2] > 0)
        apart = np.linalg.norm(others.keypoints[..., :2] - person[None, :, :2], axis=-1)
        means = [row[at].mean() if at.sum() >= 3 else np.inf for row, at in zip(apart, placed, strict=True)]
        if means and np.isfinite(min(means)):
            nearest = int(np.argmin(means))
            moves += apart[nearest][placed[nearest]].tolist()
    return np.array(moves)


def rate_of(file: Path, spec: InferenceSpec, photos: Sequence[Path]) -> float:
    """Photos a second, from file to people, one after another."""
    runner, filled = open_model(file, spec)
    reduce = choose_decoding(runner, filled)
    for number, path in enumerate(photos):
        if number == 1:  # after the first
            begun = time.perf_counter()
        find_people(runner, decode_photo(path.read_bytes(), where=str(path), reduce=reduce), filled)
    return (len(photos) - 1) / (time.perf_counter() - begun)
