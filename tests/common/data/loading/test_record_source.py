"""Training on shards in a bucket: the batches of a disk, by a bounded number of requests at once."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from support.coco_files import annotation, image, write_dataset

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.loading.batches import AHEAD, READERS, TargetDrawing, epoch_batches
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.data.records.tfrecord import frame
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.augmentation import AugmentationConfig, SpatialAugParams

SIZE, BATCH = (32, 32), 4
DRAWING = TargetDrawing(BODYPOSENET_18, SIZE, 7.0, 1.0, (256.0,) * 3, (0.5,) * 3)
MOVED = AugmentationConfig(spatial_aug_params=SpatialAugParams(rotate_deg_max=40, flip_lr_prob=0.5))


@pytest.fixture
def sources(bucket, tmp_path):
    """The same shards on the disk and in a bucket."""
    images = [image(number, size=(100, 100)) for number in range(1, 31)]
    people = [annotation(number, number, (20, 15, 50, 70)) for number in range(1, 31)]
    spec = write_dataset(tmp_path / "data", images, people)
    made = []
    for folder in (str(tmp_path / "records"), bucket):
        convert_dataset(spec, f"{folder}/train", shards=(1, 3))
        shards = tuple(open_shards(folder, ["train"]))
        made.append(RecordSource(shards, {"coco": spec}, BODYPOSENET_18, SIZE, MOVED, 3))
    return made


def batches(source, **options):
    return epoch_batches(source, DRAWING, **({"batch_size": BATCH, "seed": 0, "epoch": 1, "threads": 2} | options))


def test_batches_are_those_of_a_disk(sources):
    local, remote = (list(batches(source)) for source in sources)
    assert len(local) == len(remote) == 7
    for one, other in zip(local, remote, strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))


def slowed(source, monkeypatch, seconds=0.03):
    """Requests that take a while; how many there were, and the most at once."""
    lock, count = threading.Lock(), {"now": 0, "most": 0, "all": 0}
    fs = source.shards[0].records.path.fs
    read = fs.read

    def slow(*args):
        with lock:
            count["now"] += 1
            count["all"] += 1
            count["most"] = max(count["most"], count["now"])
        time.sleep(seconds)
        try:
            return read(*args)
        finally:
            with lock:
                count["now"] -= 1

    monkeypatch.setattr(fs, "read", slow)
    return count


def test_requests_wait_side_by_side_but_for_no_more_than_so_many(sources, monkeypatch):
    source = replace(sources[1])
    count = slowed(source, monkeypatch)
    assert np.concatenate([batch.image_ids for batch in batches(source)]).size == 28
    assert 4 < count["most"] <= READERS
    assert count["all"] == 28  # a request a sample


def test_what_is_not_used_is_not_asked_for(sources, monkeypatch):
    count = slowed(sources[1], monkeypatch, seconds=0.0)
    stream = batches(sources[1], batch_size=1)
    next(stream)
    stream.close()
    assert count["all"] <= 2 * READERS + AHEAD


def test_a_shard_that_is_gone_is_named(sources):
    source = sources[1]
    path = source.shards[1].records.path
    path.unlink()
    with pytest.raises(UserError, match="train"):
        list(batches(source))


def test_a_photo_that_has_gone_bad_is_skipped_told_once_and_the_next_stands_in(tmp_path, caplog):
    images = [image(number, size=(100, 100)) for number in range(1, 9)]
    people = [annotation(number, number, (20, 15, 50, 70)) for number in range(1, 9)]
    spec = write_dataset(tmp_path / "data", images, people)
    convert_dataset(spec, tmp_path / "records/train")
    (shard,) = open_shards(tmp_path / "records", ["train"])
    records = [shard[number] for number in range(8)]
    before = [record.image_id for record in records]
    records[2] = replace(records[2], image=bytes(len(records[2].image)))
    (tmp_path / "records/train-fold-000-of-001").write_bytes(b"".join(frame(made.to_bytes()) for made in records))
    shards = tuple(open_shards(tmp_path / "records", ["train"]))
    source = RecordSource(shards, {"coco": spec}, BODYPOSENET_18, SIZE, MOVED, 3)
    seen = [source.sample(index, epoch).image_id for epoch in range(2) for index in range(8)]
    assert seen == [*before[:2], before[3], *before[3:]] * 2
    (told,) = [entry.getMessage() for entry in caplog.records]
    assert f"image {before[2]}, images/{before[2]:03d}.png: frame/image of this record cannot be decoded" in told
    assert "skipped, as 1 photos are so far" in told
