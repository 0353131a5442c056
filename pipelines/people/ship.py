"""Ship: the files of ``pretrained:people``, small, with thresholds that fit it, and what it was measured to find."""

import json
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.deploy.export.fp16 import pack_weights
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.onnx_file import card_of_model, read_model, write_model
from bodyposenet.common.deploy.quantization.calibration_images import Fitting, from_folder
from bodyposenet.common.deploy.quantization.quantize import quantize_int8
from bodyposenet.common.deploy.quantization.sensitivity import Budget
from bodyposenet.common.deploy.runner import Maps, Runner
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.model.files.bundled import FLOAT, FOLDER, PEOPLE, PRETRAINED, QUANTIZED
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.network.flops import flops
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.digests import digest_file
from bodyposenet.common.storage.files import whole_file
from bodyposenet.pipelines.pretrain import compress

log = logging.getLogger(__name__)

NAME = PEOPLE.removeprefix(PRETRAINED)
SIDE = 368  # pixels of a photo's shorter side
COUNTED = (256, 456)  # the size that FLOPs are told for
TUNED = {"heatmap_threshold": (0.05, 0.08, 0.1, 0.15, 0.2), "paf_threshold": (0.03, 0.05, 0.1), "min_parts": (4, 3, 2)}
SCORES = (0.0, *(round(0.5 + 0.05 * step, 2) for step in range(10)))  # so few photos tell no finer ones apart
RIGHT = 0.95  # of the people who are told of, on photos that were learnt from: of others about nine of ten
LEVEL = 0.01  # of AP: on so few photos it goes up and down by that with any setting
LOST = 0.045  # relative error of the maps, that 8 bits may cost


def ship(student: Path, seen: Sequence[Path], photos: Path, whole: Path, folder: Path = FOLDER) -> dict[str, Any]:
    """Write the network in its three forms, and ``people.json``.

    Args:
        student: The trained network.
        seen: The photos that it was trained on.
        photos: COCO, of which the train half is for thresholds and calibration, the other one for measuring.
        whole: The network that it was cut from.
        folder: Where to.

    Returns:
        What ``people.json`` says: AP on the photos that nothing was trained on, FLOPs, bytes.
    """
    with tempfile.TemporaryDirectory() as place:
        done = make_files(student, seen, photos, whole, Path(place))
        for path in sorted(Path(place).iterdir()):  # all are made before any is replaced
            with whole_file(folder / path.name) as file:
                file.write(path.read_bytes())
    return done


def make_files(student: Path, seen: Sequence[Path], photos: Path, whole: Path, folder: Path) -> dict[str, Any]:
    """Make them in an empty folder; arguments and what is returned as of :func:`ship`."""
    train, val = (make_half(photos, half) for half in ("train", "val"))
    model, card = load_model(student)
    model.set_weights([weights.astype(np.float16).astype(np.float32) for weights in model.get_weights()])
    card = replace(card, trained_on={digest_file(path): path.name for path in seen}, input_size=(SIDE, SIDE))
    keras, onnx, int8 = (folder / f"{NAME}{end}" for end in (".keras", FLOAT, QUANTIZED))
    compress(model, card, keras)
    tuned, tried = tune(Remembered(open_runner(keras)), train)
    compress(model, replace(card, decoding=tuned), keras)
    spec = InferenceSpec.model_validate(tuned)
    with tempfile.TemporaryDirectory() as place:
        export_onnx(keras, Path(place) / "net.onnx")
        write_model(pack_weights(read_model(Path(place) / "net.onnx")), onnx)
        kept = quantize(Path(place) / "net.onnx", seen, int8)
    measured = {
        "ap": {path.name: measure(path, spec, val) for path in (keras, onnx, int8)}
        | {"the whole network": measure(whole, spec, val)},
        "gflops": [round(flops(one, COUNTED) / 1e9, 3) for one in (model, load_model(whole)[0])],
        "parameters": model.count_params(),
        "bytes": {path.name: path.stat().st_size for path in (keras, onnx, int8)},
        "decoding": tuned,
        "train_ap_by_thresholds": tried,
        "kept_in_float": kept,
        "made_from": card.made_from,
        "trained_on": sorted(card.trained_on.values()),
        "learning": json.loads((student.parent / "log.json").read_text(encoding="utf-8")),
    }
    (folder / f"{NAME}.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return measured


def make_half(photos: Path, half: str) -> DatasetSpec:
    """Make the spec of a set whose photos to test on are those of one half."""
    spec = make_dataset_spec(photos)
    return spec if half == "val" else spec.model_copy(update={"test_data": spec.train_data})


def measure(network: "Path | Runner", spec: InferenceSpec, dataset: DatasetSpec) -> float:
    """AP on a set's test photos; of an ONNX file in the way that is the same on every machine."""
    if isinstance(network, Path) and network.suffix == FLOAT:
        network = open_runner(network, runner="exact")
    with tempfile.TemporaryDirectory() as folder:
        return round(evaluate(network, spec, dataset, Path(folder), progress=False).ap, 4)


def tune(network: Runner, dataset: DatasetSpec) -> tuple[dict[str, Any], dict[str, float]]:
    """Find the settings with the best AP on a set; and the AP of each that was tried.

    Few parts and weak fields hardly ever cost AP, as such people have low scores, but they are drawn all the same: of
    settings that differ by less than ``LEVEL``, that which asks for the most parts is taken, and of those the one that
    asks most of fields, then of heatmaps; and the lowest score of a person with which ``RIGHT`` of those who are told
    of are there.
    """
    shape = {"input_shape": [SIDE, SIDE]}
    tries = [shape | dict(zip(TUNED, values, strict=True)) for values in product(*TUNED.values())]
    found = [measure(network, InferenceSpec.model_validate(each), dataset) for each in tries]
    names = [" ".join(f"{value:g}" for name, value in each.items() if name in TUNED) for each in tries]
    good = [each for each, ap in zip(tries, found, strict=True) if ap > max(found) - LEVEL]
    best = max(good, key=itemgetter("min_parts", "paf_threshold", "heatmap_threshold"))
    return best | {"min_score": choose_score(network, best, dataset)}, dict(zip(names, found, strict=True))


def choose_score(network: Runner, settings: Mapping[str, Any], dataset: DatasetSpec) -> float:
    """Find the lowest score of a person with which ``RIGHT`` of those found on a set are there; 0 if none does it."""
    with tempfile.TemporaryDirectory() as folder:
        for score in SCORES:
            spec = InferenceSpec.model_validate({**settings, "min_score": score})
            found = evaluate(network, spec, dataset, Path(folder), progress=False)
            if found.people and found.false_positives.people <= (1 - RIGHT) * found.people:
                return score
    return 0.0


def quantize(onnx: Path, photos: Iterable[Path], output: Path) -> list[str]:
    """Write the 8-bit form for processors; the convolutions that stay in float."""
    card = card_of_model(read_model(onnx), onnx)
    with tempfile.TemporaryDirectory() as place:
        for path in photos:
            (Path(place) / path.name).symlink_to(path.resolve())
        pictures = from_folder(place, Fitting((SIDE, SIDE), card))
        keep = Budget(pictures, LOST).choose
        done = quantize_int8(onnx, pictures, onnx.with_suffix(".int8.onnx"), method="percentile", keep=keep)
    write_model(pack_weights(read_model(done.cpu_path)), output)
    return list(done.kept)


class Remembered:
    """A network that is asked for the maps of a picture only once."""

    def __init__(self, runner: Runner) -> None:
        self.card = runner.card
        self._runner = runner
        self._known: dict[bytes, Maps] = {}

    def __call__(self, images: np.ndarray) -> Maps:
        """Draw the maps of ``(B, H, W, 3)``, or tell them again."""
        key = images.tobytes()
        if key not in self._known:
            self._known[key] = self._runner(images)
        return self._known[key]
