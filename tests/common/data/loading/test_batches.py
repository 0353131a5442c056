"""Batches: what (seed, epoch, index) decide, whatever the threads; and samples read from converted records."""

import threading
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import pytest
from support.coco_files import annotation, image, write_dataset

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.loading.batches import Sample, TargetDrawing, epoch_batches, make_batch, shuffle_order
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.data.records.tfrecord import write_records
from bodyposenet.common.errors import UserError
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, make_skeleton
from bodyposenet.common.spec.base import dump_yaml, parse_spec
from bodyposenet.common.spec.train import AugmentationConfig, SpatialAugParams, TrainSpec

STICK = make_skeleton("stick", ("head", "foot"), ((0, 1),))
DRAWING = TargetDrawing(STICK, (32, 40), sigma=7.0, paf_width=1.0, scale=(256.0, 128.0, 64.0), offset=(0.5, 0.25, 0.0))


@dataclass
class Numbered:
    """A source whose samples tell their number and epoch, and that notes who asked."""

    count: int = 10
    breaks: int = -1
    asked: list = field(default_factory=list)

    def __len__(self):
        return self.count

    def sample(self, index, epoch):
        self.asked.append((index, threading.current_thread().name))
        if index == self.breaks:
            raise UserError("the picture cannot be decoded", where=f"image {index}")
        rng = np.random.default_rng([index, epoch])
        pixels = np.full((32, 40, 3), index % 250, np.uint8)
        pixels[0, 0] = epoch
        return Sample(
            pixels, rng.random((4, 5)).astype(np.float32), rng.uniform(0, 32, (2, 2, 2)), rng.random((2, 2)) < 0.8,
            image_id=1000 + index,
        )  # fmt: skip


def batches(source=None, **options):
    return list(epoch_batches(source or Numbered(), DRAWING, **({"batch_size": 3, "seed": 1, "epoch": 0} | options)))


def numbers_of(batch):
    """The sample numbers that a batch of :class:`Numbered` was made of."""
    return np.round((batch.images[:, 5, 5, 0] + 0.5) * 256).astype(int).tolist()


def same(one, other):
    return all((a == b).all() for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


def test_a_batch_is_the_same_whatever_the_number_of_threads():
    wanted = batches(threads=1)
    assert len(wanted) == 3
    for threads in (2, 5):
        assert same(batches(threads=threads), wanted)


def test_an_epoch_visits_every_sample_once_and_drops_what_fills_no_batch():
    visited = [number for batch in batches(Numbered(12)) for number in numbers_of(batch)]
    assert sorted(visited) == list(range(12))
    visited = [number for batch in batches(Numbered(10)) for number in numbers_of(batch)]
    assert len(visited) == len(set(visited)) == 9


def test_seed_and_epoch_decide_the_order():
    def order(**options):
        return [numbers_of(batch) for batch in batches(**options)]

    assert order() == order()
    assert order(epoch=1) != order()
    assert order(seed=2) != order()
    assert [number for batch in order() for number in batch] == shuffle_order(0, samples=10, seed=1)[:9].tolist()


def test_every_sample_gets_its_turn_over_the_epochs():
    seen = {number for epoch in range(8) for batch in batches(epoch=epoch) for number in numbers_of(batch)}
    assert seen == set(range(10))


def test_samples_know_their_epoch():
    for epoch in (0, 3):
        for batch in batches(epoch=epoch):
            assert np.round((batch.images[:, 0, 0, 0] + 0.5) * 256).tolist() == [epoch] * 3


def test_batches_that_were_seen_are_left_out_and_not_even_drawn():
    source = Numbered()
    assert same(batches(source, first=2), batches()[2:])
    assert len(source.asked) == 3


def test_what_is_not_used_is_not_drawn_far_ahead():
    source = Numbered(300)
    stream = epoch_batches(source, DRAWING, batch_size=2, seed=0, epoch=0, threads=2)
    next(stream)
    stream.close()
    assert len(source.asked) <= 2 * 8


def test_the_threads_stay_for_the_next_epoch():
    def drawing_threads():
        return {thread for thread in threading.enumerate() if thread.name.startswith("batches")}

    before = drawing_threads()  # some of earlier tests may just be ending
    for epoch in range(6):
        batches(threads=3, epoch=epoch)
    assert len(drawing_threads() - before) <= 3


def test_a_small_batch_keeps_many_threads_busy():
    """A batch of one sample must not leave threads without work."""
    meeting = threading.Barrier(12, timeout=20)

    class Meeting(Numbered):
        def sample(self, index, epoch):
            meeting.wait()
            return super().sample(index, epoch)

    assert len(batches(Meeting(24), batch_size=1, threads=12)) == 24


@pytest.mark.parametrize(("batch_size", "of"), [(6, 2), (6, 3), (7, 3), (3, 1)])
def test_the_shards_of_a_batch_joined_are_the_batch(batch_size, of):
    whole = batches(Numbered(20), batch_size=batch_size)
    shards = [batches(Numbered(20), batch_size=batch_size, shard=(index, of)) for index in range(of)]
    assert same([tuple(map(np.concatenate, zip(*parts, strict=True))) for parts in zip(*shards, strict=True)], whole)
    sizes = {len(part.images) for parts in zip(*shards, strict=True) for part in parts}
    assert max(sizes) - min(sizes) <= 1


def test_a_resumed_shard_goes_on_where_it_was():
    assert same(batches(Numbered(20), shard=(1, 3), first=2), batches(Numbered(20), shard=(1, 3))[2:])


def test_an_error_in_a_thread_reaches_the_caller():
    with pytest.raises(UserError) as caught:
        batches(Numbered(9, breaks=4))
    assert caught.value.where == "image 4"


def test_too_few_samples_for_a_batch_are_an_error_that_names_the_key():
    with pytest.raises(UserError, match="2 samples do not fill a batch of 3") as caught:
        batches(Numbered(2))
    assert caught.value.where == "dataloader.batch_size"


def test_a_batch_holds_normalised_images_targets_and_masks():
    source = Numbered()
    batch = make_batch(source, DRAWING, np.array([7, 2]), 5)
    for place, index in enumerate((7, 2)):
        sample = source.sample(index, 5)
        heatmaps, pafs = encode(sample.joints, sample.visible, STICK, size=(4, 5))
        wanted = sample.image / np.array([256.0, 128.0, 64.0]) - [0.5, 0.25, 0.0]
        np.testing.assert_allclose(batch.images[place], wanted, atol=1e-6)
        assert (batch.heatmaps[place] == heatmaps).all()
        assert (batch.pafs[place] == pafs).all()
        assert (batch.mask[place, ..., 0] == sample.mask).all()
        assert batch.image_ids[place] == 1000 + index
    assert {part.dtype for part in batch[:4]} == {np.dtype(np.float32)}


# Samples from records

BOX, FAR = (20, 10, 40, 60), (100, 40, 40, 70)
STILL = AugmentationConfig()


@pytest.fixture
def dataset(tmp_path):
    """Three photos: two people of interest and a stranger behind glass; one; one with hidden joints."""
    hidden = annotation(5, 3, FAR)
    hidden["keypoints"][2::3] = [2] * 5 + [1] * 12
    people = [annotation(1, 1, BOX), annotation(2, 1, FAR), annotation(3, 1, (0, 90, 30, 30), labelled=0),
              annotation(4, 2, BOX), hidden]  # fmt: skip
    return write_dataset(tmp_path / "data", [image(number) for number in (1, 2, 3)], people)


def source_of(spec, folder, *, size=(64, 96), skeleton=BODYPOSENET_18, augmentation=STILL, seed=3, datasets=None):
    done = convert_dataset(spec, folder / "records" / "train")
    shards = tuple(open_shards(done.manifest.parent, [path.name for path in done.shards]))
    return RecordSource(shards, {"coco": spec} if datasets is None else datasets, skeleton, size, augmentation, seed)


def by_image(source):
    """The first sample of each photo, by image id."""
    found = {}
    for index, (shard, record, person) in enumerate(source.people):
        if person == 0:
            found[source.shards[shard][int(record)].image_id] = index
    return found


def test_every_person_of_interest_is_a_sample_in_the_middle(dataset, tmp_path):
    source = source_of(dataset, tmp_path)
    assert len(source) == 4
    for index, (shard, record, person) in enumerate(source.people):
        sample = source.sample(index, 0)
        _, _, width, height = source.shards[shard][int(record)].boxes[person]
        head, foot = sample.joints[person, [0, 10]]  # along the diagonal of the box: nose first, right ankle last
        scale = 0.6 * 64 / height
        np.testing.assert_allclose(foot - head, [width * scale, height * scale], atol=1e-6)
        np.testing.assert_allclose((head + foot) / 2, np.array([47.5, 31.5]) + 0.5 * scale, atol=1e-6)
        assert sample.image.shape == (64, 96, 3)


def test_joints_come_in_the_skeletons_order_with_a_neck(dataset, tmp_path):
    source = source_of(dataset, tmp_path)
    sample = source.sample(by_image(source)[2], 0)
    assert sample.joints.shape == (1, 18, 2)
    assert sample.visible.all()
    shoulders = [BODYPOSENET_18.joints.index(f"{side}_shoulder") for side in ("left", "right")]
    np.testing.assert_allclose(sample.joints[0, 1], sample.joints[0, shoulders].mean(axis=0))
    along = np.array([COCO_17.joints.index(joint) for joint in BODYPOSENET_18.joints if joint != "neck"])
    steps = np.delete(sample.joints[0, :, 1], 1)[np.argsort(along)]
    assert (np.diff(steps) > 0).all()


@pytest.mark.parametrize(("meaning", "drawn"), [("occluded", 17), ("annotatable", 17), ("not_labeled", 5)])
def test_hidden_joints_count_as_the_dataset_spec_says(dataset, tmp_path, meaning, drawn):
    mapping = {"visible": "visible", "occluded": meaning, "not_labeled": "not_labeled"}
    flags = dataset.visibility_flags.model_copy(update={"mapping": mapping})
    source = source_of(dataset.model_copy(update={"visibility_flags": flags}), tmp_path, skeleton=COCO_17)
    assert source.sample(by_image(source)[3], 0).visible.sum() == drawn


def test_the_mask_is_the_records_at_the_cells_and_only_where_there_is_one(dataset, tmp_path):
    config = AugmentationConfig(spatial_augmentation_mode="standard")
    source = source_of(dataset, tmp_path, size=(120, 160), augmentation=config)
    photos = by_image(source)
    mask = source.sample(photos[1], 0).mask
    ignored = np.zeros((15, 20), bool)
    ignored[11:, :4] = True  # cell centres 91.5, … and 3.5 to 27.5 lie in the stranger's box
    assert ((mask == 0) == ignored).all()
    assert (source.sample(photos[2], 0).mask == 1).all()


def test_the_whole_photo_at_its_own_size_is_the_photo(dataset, tmp_path):
    config = AugmentationConfig(spatial_augmentation_mode="standard")
    source = source_of(dataset, tmp_path, size=(120, 160), augmentation=config)
    sample = source.sample(by_image(source)[2], 0)
    photo = cv2.imread(str(tmp_path / "data/images/002.png"), cv2.IMREAD_COLOR_RGB)
    assert (sample.image == photo).all()
    np.testing.assert_allclose(sample.joints[0, 0], BOX[:2])


def test_a_mirrored_sample_swaps_the_names_of_the_sides(dataset, tmp_path):
    plain = source_of(dataset, tmp_path, size=(64, 96))
    config = AugmentationConfig(spatial_aug_params=SpatialAugParams(flip_lr_prob=1))
    flipped = source_of(dataset, tmp_path, size=(64, 96), augmentation=config)
    one, other = plain.sample(0, 0), flipped.sample(0, 0)
    wanted = one.joints[:, BODYPOSENET_18.flip_order]
    wanted[..., 0] = 95 - wanted[..., 0]
    np.testing.assert_allclose(other.joints, wanted, atol=1e-6)
    assert np.abs(other.image[:, ::-1].astype(int) - one.image).mean() < 3


def test_augmentation_depends_on_seed_epoch_and_index_alone(dataset, tmp_path):
    config = AugmentationConfig(spatial_aug_params=SpatialAugParams(rotate_deg_max=40, translate_max_x=20))
    source = source_of(dataset, tmp_path, augmentation=config)
    again = source_of(dataset, tmp_path, augmentation=config)
    assert (source.sample(2, 7).image == again.sample(2, 7).image).all()
    other_seed = source_of(dataset, tmp_path, augmentation=config, seed=4)
    for other in (source.sample(2, 8), other_seed.sample(2, 7)):
        assert (source.sample(2, 7).joints != other.joints).any()


def test_records_of_a_dataset_without_a_spec_are_an_error_that_names_it(dataset, tmp_path):
    with pytest.raises(UserError, match="'coco', which has no spec"):
        source_of(dataset, tmp_path, datasets={"other": dataset}).sample(0, 0)


def test_a_picture_that_does_not_decode_is_an_error_that_names_it(dataset, tmp_path):
    source = source_of(dataset, tmp_path)
    record = source.shards[0][0]
    write_records(tmp_path / "cut", [replace(record, image=record.image[:40]).to_bytes()])
    alone = replace(source, shards=tuple(open_shards(tmp_path, ["cut"])))
    with pytest.raises(UserError, match=f"image {record.image_id}"):
        alone.sample(0, 0)


def test_a_train_spec_names_the_shards_the_datasets_and_the_size(dataset, tmp_path):
    convert_dataset(dataset, tmp_path / "records" / "train", shards=(1, 2))
    spec_path = tmp_path / "coco.yaml"
    spec_path.write_text(dump_yaml(dataset))
    data = {
        "dataloader": {
            "batch_size": 2,
            "image_config": {"image_dims": {"height": 64, "width": 96}},
            "pose_config": {"target_shape": [8, 12]},
            "dataset_config": {
                "train_records_folder_path": str(tmp_path / "records"),
                "train_records_path": ["train"],
                "dataset_specs": {"coco": str(spec_path)},
            },
        },
        "model": {},
        "optimizer": {
            "__class_name__": "Adam",
            "learning_rate_schedule": {
                "__class_name__": "BpNetExponentialDecayLRSchedule",
                "learning_rate": 1e-3, "decay_epochs": 1, "decay_rate": 0.5,
            },
        },
    }  # fmt: skip
    source = RecordSource.from_spec(parse_spec(data, TrainSpec), BODYPOSENET_18)
    assert len(source) == 4
    drawing = TargetDrawing(BODYPOSENET_18, source.size, 7.0, 1.0, (256.0,) * 3, (0.5,) * 3)
    made = list(epoch_batches(source, drawing, batch_size=2, seed=0, epoch=0))
    assert [batch.images.shape for batch in made] == [(2, 64, 96, 3)] * 2
    assert all(batch.heatmaps.shape == (2, 8, 12, 19) and batch.pafs.shape == (2, 8, 12, 38) for batch in made)
