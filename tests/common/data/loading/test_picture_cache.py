"""Photos kept as they were decoded: the same batches, in bounded memory, and no photo read twice."""

import logging
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.coco_files import annotation, image, write_dataset
from support.tiny_training import ADAM

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.loading.batches import TargetDrawing, epoch_batches
from bodyposenet.common.data.loading.picture_cache import OBJECTS, PictureCache
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.augmentation import AugmentationConfig, ColorAugParams, SpatialAugParams
from bodyposenet.common.spec.base import dump_yaml, parse_spec
from bodyposenet.common.spec.train import TrainSpec

SIZE = (64, 64)
PHOTO = (120, 160)
PIXELS = 3 * PHOTO[0] * PHOTO[1]
PHOTOS = 12
HEIGHTS = (40, 60, 110)  # of people: shown at the photo's size or larger, and at a half and a quarter of it
DRAWING = TargetDrawing(BODYPOSENET_18, SIZE, 7.0, 1.0, (256.0,) * 3, (0.5,) * 3)
VARIED = AugmentationConfig(
    spatial_aug_params=SpatialAugParams(
        rotate_deg_max=40, flip_lr_prob=0.5, zoom_prob=0.7, zoom_ratio_min=0.8, zoom_ratio_max=4.0
    ),
    color_aug_params=ColorAugParams(brightness_max=0.2, saturation_max=0.3),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Photos with a person who is labelled and a crowd to be masked; their spec."""
    folder = tmp_path_factory.mktemp("cache")
    images = [image(number, size=PHOTO, name=f"{number}.jpg") for number in range(1, PHOTOS + 1)]
    people = [annotation(each["id"], each["id"], (50, 5, 40, HEIGHTS[each["id"] % 3])) for each in images]
    crowds = [annotation(100 + each["id"], each["id"], (5, 5, 30, 60), labelled=0) for each in images]
    spec = write_dataset(folder, images, people + crowds)
    for each in images:
        grain = np.random.default_rng(each["id"]).integers(0, 255, (15, 20, 3), np.uint8)
        cv2.imwrite(str(folder / "images" / each["file_name"]), cv2.resize(grain, PHOTO[::-1]))
    return spec


@pytest.fixture
def source(dataset, tmp_path):
    convert_dataset(dataset, tmp_path / "records/train")
    shards = tuple(open_shards(tmp_path / "records", ["train"]))
    return RecordSource(shards, {"coco": dataset}, BODYPOSENET_18, SIZE, VARIED, seed=5)


def keeping(source, pictures):
    """A source with room for so many whole photos."""
    return replace(source, cache_bytes=pictures * (PIXELS + 2 * OBJECTS + 2000))


def epochs(source, threads=2):
    return [
        batch
        for epoch in range(3)
        for batch in epoch_batches(source, DRAWING, batch_size=4, seed=1, epoch=epoch, threads=threads)
    ]


@pytest.mark.parametrize("threads", [1, 5])
@pytest.mark.parametrize("decode_whole", [False, True])
@pytest.mark.parametrize("pictures", [3, 100])
def test_batches_are_those_of_photos_that_are_decoded_each_time(source, pictures, decode_whole, threads):
    source = replace(source, decode_whole=decode_whole)
    kept = keeping(source, pictures)
    for one, other in zip(epochs(source), epochs(kept, threads), strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert 0 < kept.kept.used <= kept.cache_bytes


def test_what_is_kept_is_not_read_again(source):
    kept = keeping(source, 100)
    seen = [kept.sample(index, 0) for index in range(len(kept))]
    for shard in source.shards:
        path = shard.records.path
        with path.open("r+b") as file:  # in its place: the file is mapped
            file.write(bytes(shard.records.size))
    again = [kept.sample(index, 0) for index in range(len(kept))]
    assert all((one.image == other.image).all() for one, other in zip(seen, again, strict=True))
    assert all((one.mask == other.mask).all() for one, other in zip(seen, again, strict=True))
    with pytest.raises(UserError, match=r"no record here"):
        source.sample(0, 0)


def test_nobody_can_write_to_what_is_kept(source):
    kept = keeping(source, 1)
    kept.sample(0, 0)
    shard, record, _ = kept.people[0].tolist()
    (picture,) = [found for factor in (1, 2, 4, 8) for found in [kept.kept.find_picture((shard, record), factor)]
                  if found is not None]  # fmt: skip
    with pytest.raises(ValueError, match="read-only"):
        picture[0, 0] = 0


def record_of(source):
    return source.shards[0][0]


def test_what_comes_first_stays_and_the_room_is_told_full_once(source, caplog):
    record, pixels = record_of(source), PIXELS + 2 * OBJECTS + 2000
    cache = PictureCache(2 * pixels)
    with caplog.at_level(logging.INFO):
        for number in range(4):
            cache.keep((0, number), 1, record, np.zeros((*PHOTO, 3), np.uint8))
        cache.keep((0, 9), 8, record, np.zeros((1, 1, 3), np.uint8))
    assert [cache.find_picture((0, number), 1) is not None for number in range(4)] == [True, True, False, False]
    assert [cache.find_record((0, number)) is not None for number in range(4)] == [True, True, False, False]
    assert cache.find_record((0, 0)).image == b""
    assert cache.used <= 2 * pixels
    assert [entry.getMessage() for entry in caplog.records] == [
        "2 photos fill the 0 MB of dataloader.cache_megabytes; the others are decoded each time"
    ]


def test_a_photo_that_is_kept_at_two_sizes_has_one_record(source):
    record = record_of(source)
    cache = PictureCache(10**6)
    cache.keep((0, 0), 1, record, np.zeros((*PHOTO, 3), np.uint8))
    before = cache.used
    cache.keep((0, 0), 2, record, np.zeros((2, 2, 3), np.uint8))
    assert cache.used - before == 12 + OBJECTS
    cache.keep((0, 0), 2, record, np.zeros((2, 2, 3), np.uint8))
    assert cache.used - before == 12 + OBJECTS


def test_threads_that_bring_the_same_photo_count_it_once(source):
    record, cache = record_of(source), PictureCache(10**8)
    gate = threading.Barrier(4)

    def bring():
        gate.wait()
        for number in range(50):
            cache.keep((0, number), 1, record, np.zeros((10, 10, 3), np.uint8))

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = PictureCache(10**8)
    alone.keep((0, 0), 1, record, np.zeros((10, 10, 3), np.uint8))
    assert cache.used == 50 * alone.used


@pytest.mark.parametrize("megabytes", [0, 1500])
def test_the_spec_says_how_much_is_kept_the_log_tells_and_validation_keeps_none(dataset, tmp_path, caplog, megabytes):
    convert_dataset(dataset, tmp_path / "records/train")
    (tmp_path / "coco.yaml").write_text(dump_yaml(dataset))
    config = {
        "train_records_folder_path": str(tmp_path / "records"), "train_records_path": ["train"],
        "val_records_path": ["train"], "dataset_specs": {"coco": str(tmp_path / "coco.yaml")},
    }  # fmt: skip
    loader = {"batch_size": 2, "dataset_config": config, "cache_megabytes": megabytes}
    with caplog.at_level(logging.INFO):
        plan = make_plan(parse_spec({"dataloader": loader, "model": {}, "optimizer": ADAM}, TrainSpec))
    assert plan.source.cache_bytes == megabytes * 10**6
    assert plan.validation.cache_bytes == 0
    told = "photos are kept as they were decoded, in up to 1,500 MB of this process's memory"
    assert (told in caplog.messages) == bool(megabytes)
