"""Hold-out: what is kept of a dataset's held-out photos is the same on every machine, and comes back as a test set."""

import json
import zipfile

import pytest

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.hold_out import (
    ARCHIVE,
    PHOTOS,
    list_photos,
    open_hold_out,
    read_photos,
    write_hold_out,
)
from bodyposenet.common.data.photo_set import DATASET_SPEC, keep_test_half, make_dataset_spec
from bodyposenet.common.data.synthetic.dataset import synthesize
from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.storage.digests import digest_file


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    synthesize(folder, train=6, val=5)
    return folder


@pytest.fixture(scope="module")
def dataset(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    kept = keep_test_half(make_dataset_spec(photos), folder)
    (folder / DATASET_SPEC).write_text(kept.model_dump_json(by_alias=True))
    return folder


def test_a_hold_out_comes_back_with_the_same_photos_and_people(photos, dataset, tmp_path):
    made = write_hold_out(dataset, tmp_path / "kept")
    assert (made.kept, made.of) == (5, 5)
    back = read_test_set(open_hold_out(made.photos, made.archive, tmp_path / "back"))
    there = read_test_set(make_dataset_spec(photos))
    assert back.images.file_names == there.images.file_names
    assert back.annotations.keypoints[:].tolist() == there.annotations.keypoints[:].tolist()
    for name in back.images.file_names:
        assert (tmp_path / "back/test/images" / name).read_bytes() == (photos / "images" / name).read_bytes()


def test_the_same_photos_give_the_same_bytes(dataset, tmp_path):
    for folder in ("one", "two"):
        write_hold_out(dataset, tmp_path / folder)
    for name in (PHOTOS, ARCHIVE):
        assert digest_file(tmp_path / "one" / name) == digest_file(tmp_path / "two" / name)


def test_of_too_many_photos_a_sample_is_kept_with_its_people_alone(dataset, tmp_path):
    most = sum(photo.size for photo in list_photos(dataset)[:3])
    made = write_hold_out(dataset, tmp_path / "kept", most=most)
    assert (made.kept, made.of) == (3, 5)
    assert read_photos(made.photos) == list_photos(dataset)[:3], "by digest, so not by name"
    back = read_test_set(open_hold_out(made.photos, made.archive, tmp_path / "back"))
    assert sorted(back.images.file_names) == sorted(photo.name for photo in read_photos(made.photos))
    counts = {photo.file_name: len(photo.people) for photo in read_test_set(_spec(dataset)).photos}
    assert {photo.file_name: len(photo.people) for photo in back.photos} == {
        photo.name: counts[photo.name] for photo in read_photos(made.photos)
    }


def _spec(dataset):
    from bodyposenet.common.data.photo_set import spec_in

    return spec_in(dataset)


def test_another_archive_and_one_that_leads_outside_are_refused(dataset, tmp_path):
    made = write_hold_out(dataset, tmp_path / "kept")
    with zipfile.ZipFile(made.archive, "a") as archive:
        archive.writestr("../outside", "x")
    with pytest.raises(UserError, match="is not the archive that was kept"):
        open_hold_out(made.photos, made.archive, tmp_path / "back")
    told = json.loads(made.photos.read_text()) | {"archive_sha256": digest_file(made.archive)}
    made.photos.write_text(json.dumps(told))
    with pytest.raises(UserError, match="names a file outside of it"):
        open_hold_out(made.photos, made.archive, tmp_path / "back")
    assert not (tmp_path / "outside").exists()


def test_photos_that_are_withheld_get_no_record_whatever_they_are_called(photos, tmp_path):
    """As when a photo of the champion's hold-out is among the new night's training photos, under another name."""
    document = json.loads((photos / "annotations/person_keypoints_train.json").read_text())
    plain = convert_dataset(make_dataset_spec(photos), tmp_path / "plain/train")
    names = [image["file_name"] for image in document["images"]][:2]
    withheld = {digest_file(photos / "images" / name): (photos / "images" / name).stat().st_size for name in names}
    held = convert_dataset(make_dataset_spec(photos, {"withheld_photos": withheld}), tmp_path / "held/train")
    assert held.images == plain.images - 2
    report = json.loads((tmp_path / "held/manifest.json").read_text())["sets"]["train"]
    assert "withheld" not in json.dumps(report)
    same = convert_dataset(make_dataset_spec(photos, {"withheld_photos": {"0" * 64: 5}}), tmp_path / "same/train")
    assert (tmp_path / "same/train").parent.joinpath("manifest.json").read_text() == (
        tmp_path / "plain/manifest.json"
    ).read_text()
    assert same.images == plain.images


def test_the_test_half_keeps_them(photos, tmp_path):
    name = json.loads((photos / "annotations/person_keypoints_val.json").read_text())["images"][0]["file_name"]
    withheld = {digest_file(photos / "images" / name): (photos / "images" / name).stat().st_size}
    spec = make_dataset_spec(photos, {"withheld_photos": withheld})
    assert convert_dataset(spec, tmp_path / "val", mode="test").images == 5


def test_a_set_of_withheld_photos_alone_is_refused(photos, tmp_path):
    withheld = {digest_file(path): path.stat().st_size for path in (photos / "images").iterdir()}
    with pytest.raises(
        UserError,
        match=r"no person of interest in 6 photos\n17 people are in photos that are held out elsewhere; give others",
    ):
        convert_dataset(make_dataset_spec(photos, {"withheld_photos": withheld}), tmp_path / "train")
