"""Photos that show nobody: which of a file they are, and their share of every batch."""

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support.coco_files import annotation, category, image, write_annotations, write_dataset
from support.tiny_training import ADAM

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.loading.batches import TargetDrawing, epoch_batches, make_batch, order_samples
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.data.records.manifest import NAME, open_shards
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.augmentation import AugmentationConfig, SpatialAugParams
from bodyposenet.common.spec.base import dump_yaml, parse_spec
from bodyposenet.common.spec.train import TrainSpec

SIZE = (32, 32)
DRAWING = TargetDrawing(BODYPOSENET_18, SIZE, 7.0, 1.0, (256.0,) * 3, (0.5,) * 3)
MOVED = AugmentationConfig(spatial_aug_params=SpatialAugParams(rotate_deg_max=40, flip_lr_prob=0.5))
PEOPLE, BLANK = range(1, 28), range(101, 106)
CROWD, BROKEN, DOG, UNLABELLED, TEXT = 201, 202, 203, 204, 205  # photos of which there is something in the file
BOX = (20, 15, 50, 70)


def others():
    """Annotations that make no sample, one for each of the photos above."""
    return [
        annotation(CROWD, CROWD, BOX, iscrowd=1),
        annotation(BROKEN, BROKEN, (0, 0, 0, 0), keypoints=[1, 2], segmentation=[]),
        {"id": DOG, "image_id": DOG, "category_id": 2, "bbox": list(BOX), "area": 3500, "iscrowd": 0},
        annotation(UNLABELLED, UNLABELLED, BOX, labelled=0),
        annotation(TEXT, str(TEXT), BOX, iscrowd=1),
    ]


def mixed(numbers):
    """The photos in an order of their own, so that negatives stand among the others."""
    return sorted(numbers, key=lambda number: number * 7 % 31)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("negatives")
    strange = [CROWD, BROKEN, DOG, UNLABELLED, TEXT]
    images = [image(number, size=(100, 100)) for number in mixed([*PEOPLE, *BLANK, *strange])]
    people = [annotation(number, number, BOX) for number in PEOPLE] + others()
    spec = write_dataset(folder, images, people)
    dog = {"id": 2, "name": "dog", "supercategory": "animal", "keypoints": [], "skeleton": []}
    document = {"images": images, "annotations": people, "categories": [category(), dog]}
    write_annotations(folder / "annotations/people.json", document)
    return spec


def converted(spec, folder, **changes):
    done = convert_dataset(spec.model_copy(update=changes), folder / "records/train", shards=(1, 2))
    return done, tuple(open_shards(folder / "records", ["train"]))


def source_of(spec, shards, share, seed=3):
    return RecordSource(shards, {"coco": spec}, BODYPOSENET_18, SIZE, MOVED, seed, share)


@pytest.fixture(scope="module")
def shards(dataset, tmp_path_factory):
    return converted(dataset, tmp_path_factory.mktemp("records"), negative_photos=True)[1]


def test_only_photos_of_which_the_file_says_nothing_are_negatives(dataset, tmp_path):
    done, shards = converted(dataset, tmp_path, negative_photos=True)
    records = [shard[number] for shard in shards for number in range(len(shard))]
    assert {record.image_id for record in records if not len(record.boxes)} == set(BLANK)
    assert {record.image_id for record in records} == {*PEOPLE, *BLANK}
    assert (done.images, done.people, done.samples, done.negatives) == (32, 27, 27, 5)
    assert all(record.mask is None and not record.main for record in records if record.image_id in BLANK)


def test_without_the_key_shards_are_those_of_a_file_without_these_photos(dataset, tmp_path):
    done, _ = converted(dataset, tmp_path / "all")
    images = [image(number, size=(100, 100)) for number in mixed(PEOPLE)]
    alone = write_dataset(tmp_path / "alone", images, [annotation(number, number, BOX) for number in PEOPLE])
    other, _ = converted(alone, tmp_path / "alone")
    bytes_of = [[shard.read_bytes() for shard in each.shards] for each in (done, other)]
    assert bytes_of[0] == bytes_of[1]
    assert done.negatives == 0


def test_shards_without_a_manifest_tell_negatives_by_their_records(shards, tmp_path):
    names = [shard.records.path.name for shard in shards]
    for shard in shards:
        (tmp_path / shard.records.path.name).write_bytes(shard.records.path.read_bytes())
    assert not (tmp_path / NAME).exists()
    assert [shard.negatives for shard in open_shards(tmp_path, names)] == [shard.negatives for shard in shards]


def test_negatives_that_are_held_out_elsewhere_get_no_record(dataset, tmp_path):
    photo = tmp_path.joinpath(dataset.root_directory_path, f"images/{BLANK[1]}.png").read_bytes()
    withheld = {hashlib.sha256(photo).hexdigest(): len(photo)}
    done, _ = converted(dataset, tmp_path, negative_photos=True, withheld_photos=withheld)
    assert (done.samples, done.negatives) == (27, 4)


@pytest.mark.parametrize(("share", "negatives"), [(0.1, 3), (0.25, 9), (0.5, 27), (0.7, 63)])
def test_an_epoch_has_everybody_once_and_its_share_of_nobody_spread_evenly(dataset, shards, share, negatives):
    source = source_of(dataset, shards, share)
    assert len(source) == 27 + negatives
    for epoch in range(3):
        order = order_samples(source, epoch, seed=5)
        assert sorted(order.tolist()) == list(range(27 + negatives))
        is_negative = order >= 27
        for size in (1, 2, 5, 8, 16):
            counts = np.convolve(is_negative, np.ones(size, int), "valid")
            exact = size * negatives / (27 + negatives)
            assert (np.abs(counts - exact) < 1).all()


def test_orders_differ_by_epoch_and_seed_and_by_nothing_else(dataset, shards):
    source = source_of(dataset, shards, 0.25)
    seeds = [(epoch, seed) for epoch in range(4) for seed in (1, 2)]
    places = {each: tuple(order_samples(source, each[0], seed=each[1]) >= 27) for each in seeds}
    assert len(set(places.values())) > 2
    assert places[2, 1] == tuple(order_samples(source_of(dataset, shards, 0.25), 2, seed=1) >= 27)


def test_no_share_leaves_the_order_and_the_samples_as_they_are(dataset, shards, tmp_path):
    plain = converted(dataset, tmp_path)[1]
    source = source_of(dataset, plain, 0.0)
    order = np.random.default_rng([5, 2]).permutation(27)
    assert order_samples(source, 2, seed=5).tolist() == order.tolist()
    assert len(source_of(dataset, shards, 0.0)) == 27


def test_negatives_are_drawn_in_turn_through_all_epochs(dataset, shards):
    source = source_of(dataset, shards, 0.1)  # 3 an epoch, of 5
    seen = Counter()
    for epoch in range(20):
        seen.update(source.sample(index, epoch).image_id for index in range(27, 30))
        assert max(seen.values()) - min(seen[number] for number in BLANK) <= 1
    assert seen == dict.fromkeys(BLANK, 12)


def read(source, epoch, **options):
    return list(epoch_batches(source, DRAWING, **({"batch_size": 6, "seed": 3, "epoch": epoch} | options)))


def test_resumed_and_divided_batches_are_those_of_one_device(dataset, shards):
    whole = read(source_of(dataset, shards, 0.25), 1)
    assert len(whole) == 6
    assert {sum(number in BLANK for number in batch.image_ids.tolist()) for batch in whole} <= {1, 2}
    resumed = read(source_of(dataset, shards, 0.25), 1, first=2, threads=1)
    parts = [read(source_of(dataset, shards, 0.25), 1, shard=(part, 3)) for part in range(3)]
    for one, other in zip(whole[2:], resumed, strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))
    for one, *divided in zip(whole, *parts, strict=True):
        assert all((a == np.concatenate(b)).all() for a, b in zip(one, zip(*divided, strict=True), strict=True))


@pytest.mark.parametrize("mode", ["person_centric", "standard", "standard_with_fixed_aspect_ratio"])
def test_the_targets_of_nobody_are_background_that_counts(dataset, shards, mode):
    augmentation = MOVED.model_copy(update={"spatial_augmentation_mode": mode})
    source = replace(source_of(dataset, shards, 0.25), augmentation=augmentation)
    batch = make_batch(source, DRAWING, [27, 30, 35], 0)
    assert set(batch.image_ids.tolist()) <= set(BLANK)
    assert (batch.heatmaps[..., -1] == 1).all()
    assert not batch.heatmaps[..., :-1].any()
    assert not batch.pafs.any()
    assert (batch.mask == 1).all()
    assert batch.images.std(axis=(1, 2)).min() > 0.01  # each shows its photo


def train_spec(dataset, records, share):
    records.joinpath("coco.yaml").write_text(dump_yaml(dataset))
    where = {"train_records_folder_path": str(records), "train_records_path": ["train"], "val_records_path": ["train"],
             "dataset_specs": {"coco": str(records / "coco.yaml")}}  # fmt: skip
    dims = {"image_config": {"image_dims": {"height": 32, "width": 32}}, "pose_config": {"target_shape": [4, 4]}}
    loader = {"batch_size": 4, "negatives": share, "dataset_config": where, **dims}
    return parse_spec({"dataloader": loader, "model": {}, "optimizer": ADAM}, TrainSpec)


def test_a_share_lengthens_the_training_and_leaves_validation_alone(dataset, tmp_path):
    converted(dataset, tmp_path, negative_photos=True)
    plan = make_plan(train_spec(dataset, tmp_path / "records", 0.5))
    assert (len(plan.source), plan.steps, len(plan.validation)) == (54, 13, 27)


def test_a_share_of_photos_that_there_are_none_of_is_refused(dataset, tmp_path):
    converted(dataset, tmp_path)
    with pytest.raises(UserError, match=r"dataloader\.negatives: 0\.1 of each batch.*negative_photos"):
        make_plan(train_spec(dataset, tmp_path / "records", 0.1))
