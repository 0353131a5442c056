"""Validation in training: its AP is that of an evaluation, its loss that of the formula, on each photo once."""

from dataclasses import replace

import numpy as np
import pytest
from support.drawn_records import convert_drawn, records_of
from support.tiny_training import tiny_spec

from bodyposenet.common.data.loading.batches import make_batch
from bodyposenet.common.deploy.runtime.keras_runner import LiveRunner
from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.ground_truth import build_truth, read_test_set
from bodyposenet.common.evaluation.validation import make_validation
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.model.files.model_file import load_model
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.spec.inference import InferenceSpec

PHOTOS = 9


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Drawn people, converted: the folder, and the dataset's spec."""
    folder = tmp_path_factory.mktemp("held_out")
    return folder, convert_drawn(folder, train=4, val=PHOTOS, size=(240, 320))


@pytest.fixture(scope="module")
def plan(dataset):
    loader = tiny_spec().model_dump(mode="json", by_alias=True)["dataloader"]
    loader |= {"batch_size": 4, "dataset_config": records_of(dataset[0])}
    loader["image_config"]["image_dims"] |= {"height": 192, "width": 256}
    loader["pose_config"]["target_shape"] = [24, 32]
    return make_plan(tiny_spec(dataloader=loader))


@pytest.fixture(scope="module")
def network():
    return load_model(weights_path("pretrained:drawn_people"))


@pytest.fixture(scope="module")
def found(plan, network):
    return make_validation(plan)(*network)


def test_the_ap_is_that_of_an_evaluation_of_the_same_photos(dataset, plan, network, found, tmp_path):
    model, card = network
    evaluated = evaluate(LiveRunner(model, card), plan.inference, dataset[1], tmp_path)
    assert plan.inference == InferenceSpec(input_shape=(192, 256))
    assert evaluated.ap > 0.4
    assert found["val_ap"] == pytest.approx(evaluated.ap, abs=0.02)


def test_the_loss_is_the_mean_over_whole_photos(plan, network, found):
    photos = make_validation(plan).photos
    assert len(photos) == PHOTOS
    total = 0.0
    for index in range(PHOTOS):
        batch = make_batch(photos, plan.drawing, np.array([index]), 0)
        outputs = [np.asarray(output) for output in network[0](batch.images, training=False)]
        stages = len(outputs) // 2
        for output, target in zip(outputs, [batch.heatmaps] * stages + [batch.pafs] * stages, strict=True):
            total += 0.5 * (((output - target) * batch.mask) ** 2).sum() / batch.mask[..., 0].size
    assert found["val_loss"] == pytest.approx(total / PHOTOS, rel=1e-4)


def test_another_network_is_measured_anew(plan, network, found):
    validation = make_validation(plan)
    model, card = network
    weights = model.get_weights()
    validation(model, card)
    model.set_weights([0 * array for array in weights])
    blank = validation(model, card)
    model.set_weights(weights)
    assert blank["val_ap"] == 0
    assert validation(model, card) == pytest.approx(found)


def test_records_tell_the_people_that_the_annotations_tell(dataset, plan):
    truth = read_test_set(dataset[1])
    told = build_truth(make_validation(plan).photos.records(), plan.validation.datasets)
    assert told.joints == truth.joints
    wanted = {tuple(p.box.round(3)): p for photo in truth.photos for p in photo.people if p.labelled}
    people = [person for photo in told.photos for person in photo.people if person.labelled]
    assert len(people) == len(wanted)
    for person in people:
        original = wanted[tuple(person.box.round(3))]
        assert (person.keypoints[:, 2] == original.keypoints[:, 2]).all()
        assert person.area == original.area
        assert person.num_keypoints == original.num_keypoints


def test_people_whom_nobody_labelled_are_a_crowd_in_records(dataset, plan):
    truth = read_test_set(dataset[1])
    told = build_truth(make_validation(plan).photos.records(), plan.validation.datasets)
    masked = sum(any(not person.labelled for person in photo.people) for photo in truth.photos)
    crowded = [photo for photo in told.photos if any(person.crowd for person in photo.people)]
    assert len(crowded) == masked
    assert all(person.num_keypoints == 0 for photo in crowded for person in photo.people if person.crowd)


def test_a_damaged_mask_is_told_with_its_record(plan):
    record = next(iter(make_validation(plan).photos.records()))
    with pytest.raises(UserError, match="cannot be decoded") as told:
        build_truth([replace(record, mask=b"damaged")], plan.validation.datasets)
    assert record.image_path in str(told.value)


def test_training_without_held_out_records_has_no_validation(dataset):
    loader = tiny_spec().model_dump(mode="json", by_alias=True)["dataloader"]
    loader |= {"batch_size": 2, "dataset_config": records_of(dataset[0], val_records_path=[])}
    assert make_validation(make_plan(tiny_spec(dataloader=loader))) is None
