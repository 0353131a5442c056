"""Growth: how time and memory of the verbs that run long grow with the photos, each in a process of its own."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks.conversion import repeated
from benchmarks.pruning import memory

if TYPE_CHECKING:
    from bodyposenet.common.data.loading.record_source import RecordSource
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.inference import InferenceSpec

FEW = int(os.environ.get("BODYPOSENET_BENCH_GROWTH", "400"))  # photos
TIMES = (1, 4, 16)
PAUSE = 0.05  # seconds between two looks at the memory
VERBS = ("convert", "input", "train", "infer_batch", "evaluate", "calibrate", "sample")
ROWS = {
    f"growth_{verb}{part}": (words.format(verb=verb), bound)
    for verb in VERBS
    for part, words, bound in (
        ("", f"seconds of `{{verb}}` for {TIMES[-1] * FEW} photos, over those for {FEW}", f"≤ {1.03 * TIMES[-1]:.1f}"),
        (
            "_processor",
            "processor seconds of `{verb}`, of the same: what else the machine does changes them little",
            f"≤ {1.03 * TIMES[-1]:.1f}",
        ),
        ("_memory", "peak of its own memory, of the same", ""),
        ("_kept", "MB more for 10,000 photos more, of the same", ""),
    )
}


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    sample = Path(os.environ["BODYPOSENET_TEST_DATA"]).resolve() / "coco_sample"
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for times in TIMES:
            (folder / str(times)).mkdir()
            spec = repeated(sample, folder / str(times), FEW * times)
            (folder / str(times) / "spec.json").write_text(spec.model_dump_json(by_alias=True), encoding="utf-8")
        for verb in VERBS:
            seconds, spent, peaks = zip(*(run(verb, folder / str(times)) for times in TIMES), strict=True)
            told = [[round(each, 1) for each in seconds], [round(each, 1) for each in spent]]
            print(verb, *told, [round(each / 1e6) for each in peaks], flush=True)
            found[f"growth_{verb}"] = seconds[-1] / seconds[0]
            found[f"growth_{verb}_processor"] = spent[-1] / spent[0]
            found[f"growth_{verb}_memory"] = peaks[-1] / peaks[0]
            found[f"growth_{verb}_kept"] = (peaks[-1] - peaks[0]) / 1e6 / (FEW * (TIMES[-1] - 1)) * 1e4
    return found


def run(verb: str, folder: Path) -> tuple[float, float, float]:
    """Seconds that a process takes for its work, what it and its own take of the processor, and bytes at most."""
    command = [sys.executable, "-m", "benchmarks.growth", verb, str(folder)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    seconds, spent, peak = json.loads(told)
    return seconds, spent, peak


def main(verb: str, folder: str) -> None:
    """Do the work once; print its seconds, those of the processor, and the peak."""
    logging.disable(logging.WARNING)
    work = WORK[verb](Path(folder))
    begun, spent = time.perf_counter(), sum(os.times()[:4])
    with watching() as peak:
        work()
    print("\n" + json.dumps([time.perf_counter() - begun, sum(os.times()[:4]) - spent, max(peak)]))


@contextlib.contextmanager
def watching() -> Iterator[list[int]]:
    """Watch this process's own memory; parts of files that are mapped are the kernel's, who takes them back at need."""
    seen, done = [memory("RssAnon")], threading.Event()

    def watch() -> None:
        while not done.wait(PAUSE):
            seen.append(max(seen.pop(), memory("RssAnon")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def converting(folder: Path) -> Callable[[], object]:
    """Convert all photos."""
    from bodyposenet.common.data.conversion.convert import convert_dataset

    return lambda: convert_dataset(read_spec(folder), folder / "records" / "train", mode="train")


def feeding(folder: Path) -> Callable[[], object]:
    """Make the batches of an epoch."""
    from benchmarks.training_input import BATCH, THREADS, drawing
    from bodyposenet.common.data.loading.batches import epoch_batches

    source = read_records(folder)
    return lambda: sum(
        len(batch.images)
        for batch in epoch_batches(source, drawing(), batch_size=BATCH, seed=0, epoch=0, threads=THREADS)
    )


def training(folder: Path) -> Callable[[], object]:
    """Train a narrow network for an epoch."""
    from bodyposenet.common.model.training.train import train
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.train import TrainSpec
    from bodyposenet.pipelines.specs import default

    said = default("train") | {"num_epoch": 1, "checkpoint_n_epoch": 1, "validation_every_n_epoch": 1}
    said["dataloader"]["image_config"]["image_dims"] = {"height": 64, "width": 64, "channels": 3}
    said["dataloader"]["pose_config"]["target_shape"] = [8, 8]
    said["dataloader"]["dataset_config"] = {
        "train_records_folder_path": str(folder / "records"),
        "train_records_path": ["train"],
        "dataset_specs": {"coco": str(folder / "spec.json")},
    }
    return lambda: train(parse_spec(said, TrainSpec), folder / "trained")


def inferring(folder: Path) -> Callable[[], object]:
    """Find the people in all photos."""
    from bodyposenet.common.inference.batch import infer_batch

    network, spec = choose_network()
    return lambda: infer_batch(network, spec, str(folder / "images"), folder / "found", progress=False)


def evaluating(folder: Path) -> Callable[[], object]:
    """Find and score them."""
    from bodyposenet.common.evaluation.evaluate import evaluate

    (network, spec), dataset = choose_network(), read_spec(folder)
    return lambda: evaluate(network, spec, dataset, folder / "scored", progress=False)


def calibrating(folder: Path) -> Callable[[], object]:
    """Calibrate with all photos."""
    from bodyposenet.common.deploy.onnx_file import card_of_model, read_model
    from bodyposenet.common.deploy.quantization.calibration_images import Fitting, from_folder
    from bodyposenet.common.deploy.quantization.quantize import quantize_int8

    network = choose_network()[0].with_name("people.onnx")
    pictures = from_folder(folder / "images", Fitting((96, 96), card_of_model(read_model(network), network)))
    return lambda: quantize_int8(network, pictures, folder / "int8.onnx")


def sampling(folder: Path) -> Callable[[], object]:
    """Choose calibration photos among all."""
    from bodyposenet.common.data.sampling.calibration_sample import sample_calibration

    annotations, photos = folder / "people.json", folder / "images"
    return lambda: sample_calibration(annotations, photos, folder / "sampled", num_images=FEW // 4)


def read_spec(folder: Path) -> "DatasetSpec":
    """The spec of the photos."""
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.dataset import DatasetSpec

    return load_spec(folder / "spec.json", DatasetSpec)


def read_records(folder: Path) -> "RecordSource":
    """The records that were made of them, augmented as in TAO's sample spec."""
    from benchmarks.training_input import SIZE, VARIED
    from bodyposenet.common.data.loading.record_source import RecordSource
    from bodyposenet.common.data.records.manifest import open_shards
    from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
    from bodyposenet.common.spec.augmentation import AugmentationConfig

    shards = tuple(open_shards(folder / "records", ["train"]))
    augmentation = AugmentationConfig(spatial_aug_params=VARIED)
    return RecordSource(shards, {"coco": read_spec(folder)}, BODYPOSENET_18, SIZE, augmentation, seed=0)


def choose_network() -> tuple[Path, "InferenceSpec"]:
    """A network on small pictures, so that what grows is what surrounds it."""
    from bodyposenet.common.model.files.bundled import weights_path
    from bodyposenet.common.spec.inference import InferenceSpec

    path = weights_path("pretrained:people").with_name("people_int8.onnx")
    return path, InferenceSpec(runner="exact", input_shape=(96, 96))


WORK = {
    "convert": converting,
    "input": feeding,
    "train": training,
    "infer_batch": inferring,
    "evaluate": evaluating,
    "calibrate": calibrating,
    "sample": sampling,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
