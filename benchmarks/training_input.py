"""Input: what training's batches cost over only reading and decoding their photos, small ones and larger ones."""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.loading import decoding
from bodyposenet.common.data.loading.batches import Sample, TargetDrawing, epoch_batches
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.data.records.tfrecord import write_records
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17
from bodyposenet.common.spec.augmentation import AugmentationConfig
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec

ROUNDS = 15
ROUNDS_LARGER = 5
TIMES = 3  # that each photo is seen in a round
SIZE = (256, 256)
BATCH = 10
THREADS = 2
VARIED = {"flip_lr_prob": 0.5, "rotate_deg_max": 40.0, "translate_max_x": 40.0, "translate_max_y": 40.0}  # TAO's sample
LARGER = {"input_rate_512": 512, "input_rate_1024": 1024, "input_rate_2048": 2048}  # pixels of the shorter side
KEPT = "input_rate_kept", "input_rate_512_kept"  # as they are, and of one of LARGER
CACHE = 10**9  # bytes: more than the sample's photos take
QUALITY = 90  # of JPEG
ROWS = {
    "input_rate": (
        "images/s of batches, augmented and with targets, over those of reading and cv2.imdecode",
        "≥ 0.60",
    ),
    "input_rate_512": ("the same of photos enlarged to a shorter side of 512 pixels, twice the input's", ""),
    "input_rate_1024": ("the same, 1,024 pixels", ""),
    "input_rate_2048": ("the same, 2,048 pixels", "≥ 1.0"),
    "input_rate_kept": ("the first, photos kept as they were decoded in an epoch before", "≥ 1.0"),
    "input_rate_512_kept": ("the same of photos of 512 pixels", "≥ 1.0"),
    "input_masks": ("the same with masks that cv2.imdecode reads, over those with our reader of bitmaps", "≤ 0.98"),
    "input_scaling": ("images/s of batches of two threads, over those of one", "≥ 1.7"),
    "input_scaling_decode": ("for comparison: of reading and cv2.imdecode", ""),
}


@dataclass(frozen=True)
class Again:
    """A source whose samples come ``TIMES`` times an epoch, augmented anew."""

    source: RecordSource

    def __len__(self) -> int:
        return TIMES * len(self.source)

    def sample(self, index: int, epoch: int) -> Sample:
        """Sample ``index`` of the whole."""
        turn, index = divmod(index, len(self.source))
        return self.source.sample(index, TIMES * epoch + turn)


def inputs(source: Again, photos: list[Path]) -> dict[str, float]:
    """All of ``ROWS``.

    Args:
        source: Of the sample's records.
        photos: The file of each of its samples' photos.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return measure_larger(source.source) | measure_small(source, photos)
    finally:
        cv2.setNumThreads(threads)


def measure_small(source: Again, photos: list[Path]) -> dict[str, float]:
    """The rows of photos as they are."""
    rates, kept_rates, masks, scalings, decode_scalings = [], [], [], [], []
    kept = Again(replace(source.source, cache_bytes=CACHE))
    for number in range(ROUNDS + 1):  # the first compiles, and reads the files into memory
        decode = [rate(decoded, photos, count) for count in (THREADS, 1)]
        made = [rate(batched, source, count, number) for count in (THREADS, 1)]
        with bitmaps_by_opencv():
            masks.append(rate(batched, source, THREADS, number) / made[0])
        rates.append(made[0] / decode[0])
        kept_rates.append(rate(batched, kept, THREADS, number) / decode[0])
        scalings.append(made[0] / made[1])
        decode_scalings.append(decode[0] / decode[1])
    figures = {
        "input_rate": rates,
        KEPT[0]: kept_rates,
        "input_masks": masks,
        "input_scaling": scalings,
        "input_scaling_decode": decode_scalings,
    }
    return {key: median(values[1:]) for key, values in figures.items()}


def measure_larger(source: RecordSource) -> dict[str, float]:
    """The rows of ``LARGER``: the same samples out of photos that have more pixels."""
    found: dict[str, float] = {}
    for key, side in LARGER.items():
        with tempfile.TemporaryDirectory() as name:
            larger, photos = enlarge(source, side, Path(name))
            sources = {key: Again(larger)}
            if f"{key}_kept" in KEPT:
                sources[f"{key}_kept"] = Again(replace(larger, cache_bytes=CACHE))
            found |= compare_to_decoding(sources, photos)
    return found


def compare_to_decoding(sources: dict[str, Again], photos: list[Path]) -> dict[str, float]:
    """Images a second of batches of each source, over those of decoding their photos."""
    rates: dict[str, list[float]] = {key: [] for key in sources}
    for number in range(ROUNDS_LARGER + 1):
        decode = rate(decoded, photos, THREADS)
        for key, source in sources.items():
            rates[key].append(rate(batched, source, THREADS, number) / decode)
    return {key: median(values[1:]) for key, values in rates.items()}


@contextmanager
def bitmaps_by_opencv() -> Iterator[None]:
    """Have masks read as every other picture is."""
    ours = decoding.read_bitmap
    decoding.read_bitmap = lambda _: None
    try:
        yield
    finally:
        decoding.read_bitmap = ours


@contextmanager
def records(sample: Path) -> Iterator[tuple[Again, list[Path]]]:
    """The sample's photos as shards, and the photo's file of each training sample."""
    category = {"id": 1, "name": "person", "num_joints": 17, "keypoints": list(COCO_17.joints)}
    halves = {
        f"{name}_data": {
            "images_root_dir_path": "images",
            "mask_root_dir_path": "masks",
            "annotation_root_dir_path": f"annotations/person_keypoints_{half}.json",
        }
        for name, half in (("train", "train"), ("test", "val"))
    }
    document = {"dataset": "coco", "root_directory_path": str(sample), "categories": [category]} | halves
    spec = parse_spec(document, DatasetSpec)
    augmentation = AugmentationConfig(spatial_aug_params=VARIED)
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("train", "test"):
            convert_dataset(spec, Path(folder) / mode, mode=mode)
        shards = tuple(open_shards(folder, ["train", "test"]))
        source = RecordSource(shards, {"coco": spec}, BODYPOSENET_18, SIZE, augmentation, seed=0)
        photos = [sample / shards[shard][int(number)].image_path for shard, number, _ in source.people]
        yield Again(source), photos


def enlarge(source: RecordSource, side: int, folder: Path) -> tuple[RecordSource, list[Path]]:
    """The same records of photos with more pixels, and the photo's file of each training sample.

    Args:
        source: The records.
        side: Pixels of the photos' shorter side.
        folder: Gets records and photos.
    """
    shards, files = [], {}
    for number, shard in enumerate(source.shards):
        made = [scale_record(shard[place], side) for place in range(len(shard))]
        write_records(folder / str(number), [record.to_bytes() for record in made])
        shards += open_shards(folder, [str(number)])
        for place, record in enumerate(made):
            files[number, place] = folder / f"{number}_{place}.jpg"
            files[number, place].write_bytes(record.image)
    larger = replace(source, shards=tuple(shards))
    return larger, [files[shard, place] for shard, place, _ in larger.people.tolist()]


def scale_record(record: Record, side: int) -> Record:
    """A record of a photo whose shorter side has so many pixels, resized and coded anew."""
    scale = side / min(record.height, record.width)
    size = round(record.width * scale), round(record.height * scale)
    image = cv2.imdecode(np.frombuffer(record.image, np.uint8), cv2.IMREAD_COLOR)
    larger = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    mask = None
    if record.mask is not None:
        small = cv2.imdecode(np.frombuffer(record.mask, np.uint8), cv2.IMREAD_GRAYSCALE)
        resized = cv2.resize(small, size, interpolation=cv2.INTER_NEAREST)
        mask = cv2.imencode(".png", resized, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes()
    return replace(
        record,
        height=size[1],
        width=size[0],
        image=cv2.imencode(".jpg", larger, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes(),
        mask=mask,
        joints=record.joints * (scale, scale, 1),
        boxes=record.boxes * scale,
    )


def rate(make: Callable[..., int], *arguments) -> float:
    """Images a second."""
    begin = time.perf_counter()
    images = make(*arguments)
    return images / (time.perf_counter() - begin)


def decoded(photos: list[Path], threads: int) -> int:
    """Read and decode every photo ``TIMES`` times; how many that were."""
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(_decode, TIMES * photos))


def _decode(photo: Path) -> bool:
    return cv2.imdecode(np.frombuffer(photo.read_bytes(), np.uint8), cv2.IMREAD_COLOR) is not None


def drawing() -> TargetDrawing:
    """How samples become batches: the defaults of a spec."""
    return TargetDrawing(BODYPOSENET_18, SIZE, sigma=7.0, paf_width=1.0, scale=(256.0,) * 3, offset=(0.5,) * 3)


def batched(source: Again, threads: int, epoch: int) -> int:
    """Make an epoch's batches; how many images they hold."""
    batches = epoch_batches(source, drawing(), batch_size=BATCH, seed=0, epoch=epoch, threads=threads)
    return sum(len(batch.images) for batch in batches)
