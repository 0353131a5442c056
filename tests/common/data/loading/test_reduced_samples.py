"""Samples of photos that are decoded small: those of whole photos, within a bound, whoever draws them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.coco_files import annotation, image, write_dataset
from support.tiny_training import ADAM

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.loading.affine import person_centric
from bodyposenet.common.data.loading.batches import TargetDrawing, epoch_batches
from bodyposenet.common.data.loading.record_source import RecordSource
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17
from bodyposenet.common.spec.augmentation import AugmentationConfig, SpatialAugParams
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.train import TrainSpec

SIZE = (64, 64)
PHOTO = (483, 645)  # which no reduction divides
HEIGHTS = (
    60,
    70,
    76,
    78,
    150,
    200,
    360,
    440,
)  # of people: of these the first three are magnified, or shrunk to over half
SHRUNK = 0.6 * SIZE[0] / 0.5  # a person of this height or more is seen at half the photo's size or below
MOVED = AugmentationConfig(
    spatial_aug_params=SpatialAugParams(rotate_deg_max=40, flip_lr_prob=0.5, translate_max_x=20, translate_max_y=20)
)


def picture(number):
    """A photo of coarse and fine grain, whose colours vary less than its light, as a lens draws it."""
    rng = np.random.default_rng(number)
    grains = [rng.normal(0, 30, (PHOTO[0] // step, PHOTO[1] // step)) for step in (4, 16, 64)]
    light = sum(cv2.resize(grain, PHOTO[::-1]) for grain in grains)
    colours = cv2.resize(rng.normal(0, 20, (PHOTO[0] // 32, PHOTO[1] // 32, 3)), PHOTO[::-1])
    return np.clip(128 + light[..., None] + colours, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A photo for each height, a person of it in each; the dataset's spec and the folder of its records."""
    folder = tmp_path_factory.mktemp("reduced")
    images = [image(number, size=PHOTO, name=f"{number}.jpg") for number in range(1, len(HEIGHTS) + 1)]
    people = [annotation(number, number, (200, 20, 90, height)) for number, height in enumerate(HEIGHTS, 1)]
    crowds = [annotation(9 + number, number, (20, 20, 90, 200), labelled=0) for number in range(1, len(HEIGHTS) + 1)]
    spec = write_dataset(folder / "data", images, people + crowds)
    for entry in images:
        path = folder / "data/images" / entry["file_name"]
        cv2.imwrite(str(path), picture(entry["id"]), [cv2.IMWRITE_JPEG_QUALITY, 92])
    convert_dataset(spec, folder / "records/train")
    return spec, folder / "records"


@pytest.fixture
def source(dataset):
    spec, folder = dataset
    return RecordSource(tuple(open_shards(folder, ["train"])), {"coco": spec}, BODYPOSENET_18, SIZE, MOVED, seed=3)


def height_of(source, index):
    shard, record, person = source.people[index].tolist()
    return float(source.shards[shard][record].scales[person])


def test_a_sample_of_a_photo_decoded_small_is_that_of_all_its_pixels(source):
    whole, differing = replace(source, decode_whole=True), 0
    for index in range(len(source)):
        for epoch in range(2):
            ours, theirs = source.sample(index, epoch), whole.sample(index, epoch)
            assert (ours.joints == theirs.joints).all()
            assert (ours.visible == theirs.visible).all()
            assert (ours.mask == theirs.mask).all()
            apart = np.abs(ours.image.astype(int) - theirs.image)
            assert np.median(apart) <= 1
            assert apart.mean() <= 1
            differing += bool(apart.any())
    assert differing


def test_a_crop_that_magnifies_or_shrinks_less_than_by_half_sees_every_pixel(source):
    whole = replace(source, decode_whole=True)
    near = [index for index in range(len(source)) if height_of(source, index) < SHRUNK]
    assert len(near) == 3
    assert all((source.sample(index, 0).image == whole.sample(index, 0).image).all() for index in near)


@pytest.mark.parametrize("decode_whole", [False, True])
def test_the_same_seed_gives_the_same_batches_whatever_the_number_of_threads(source, decode_whole):
    source = replace(source, decode_whole=decode_whole)
    drawing = TargetDrawing(BODYPOSENET_18, SIZE, 7.0, 1.0, (256.0,) * 3, (0.5,) * 3)
    alone, *others = [
        list(epoch_batches(source, drawing, batch_size=3, seed=1, epoch=2, threads=threads)) for threads in (1, 2, 5)
    ]
    assert len(alone) == 2
    for other in others:
        for one, another in zip(alone, other, strict=True):
            assert all((a == b).all() for a, b in zip(one, another, strict=True))


@pytest.mark.parametrize("seed", [3, 2**40])
def test_seed_epoch_and_number_decide_a_sample_as_numpys_default_generator_has_it(source, seed):
    index, epoch = 1, 5
    shard, number, person = source.people[index].tolist()
    record = source.shards[shard][number]
    warp = person_centric(
        np.random.default_rng([seed, 1, epoch, index]), MOVED.spatial_aug_params, centre=record.centers[person] - 0.5,
        height=record.scales[person], photo=PHOTO, size=SIZE,
    )  # fmt: skip
    joints = BODYPOSENET_18.take(COCO_17.joints, record.joints)
    joints = joints[:, BODYPOSENET_18.flip_order] if warp.mirrored else joints
    assert (replace(source, seed=seed).sample(index, epoch).joints == warp.points(joints[..., :2])).all()


@pytest.mark.parametrize("given", [{}, {"decode_whole": False}, {"decode_whole": True}])
def test_the_spec_says_whether_photos_are_decoded_whole(dataset, tmp_path, given):
    spec, folder = dataset
    (tmp_path / "coco.json").write_text(spec.model_dump_json(by_alias=True))
    records = {
        "train_records_folder_path": str(folder),
        "train_records_path": ["train"],
        "dataset_specs": {"coco": str(tmp_path / "coco.json")},
    }
    loader = {"batch_size": 2, "dataset_config": records} | given
    train = parse_spec({"dataloader": loader, "model": {}, "optimizer": ADAM}, TrainSpec)
    assert RecordSource.from_spec(train, BODYPOSENET_18).decode_whole is given.get("decode_whole", False)
