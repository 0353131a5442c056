"""Conversion: every photo with somebody of interest, once, in shards that are always the same."""

import json
import random
import shutil
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from support.coco_files import annotation, dataset_spec, image, write_annotations, write_dataset

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.conversion.shard_plan import plan
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.errors import UserError

BOX, FAR = (5, 5, 40, 60), (90, 40, 50, 70)


@pytest.fixture
def spec(tmp_path):
    """Five photos: two people; one and a stranger; one too small; nobody; one."""
    people = [
        annotation(1, 1, BOX, labelled=0),
        annotation(2, 1, BOX),
        annotation(3, 1, FAR, labelled=6),
        annotation(4, 2, FAR),
        annotation(5, 2, BOX, labelled=0),
        annotation(6, 3, (5, 5, 20, 60)),
        annotation(7, 5, BOX),
    ]
    return write_dataset(tmp_path / "data", [image(number) for number in range(1, 6)], people)


def records_in(conversion):
    shards = open_shards(conversion.manifest.parent, [path.name for path in conversion.shards])
    return {record.image_id: record for shard in shards for record in map(shard.__getitem__, range(len(shard)))}


def folder_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def read_mask(record):
    return cv2.imdecode(np.frombuffer(record.mask, np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_record_holds_the_photos_bytes_its_labelled_people_and_its_mask(spec, tmp_path):
    done = convert_dataset(spec, tmp_path / "out/train")
    records = records_in(done)
    assert (done.images, done.people, done.samples) == (3, 4, 4)
    assert sorted(records) == [1, 2, 5]  # nobody of interest in 3, nobody in 4
    first = records[1]
    assert first.image == (tmp_path / "data/images/001.png").read_bytes()
    assert first.boxes.tolist() == [list(BOX), list(FAR)]
    assert first.main == (0, 1)  # of the people with keypoints: the stranger is not counted
    assert (first.joints[1, :, 2] > 0).sum() == 6
    assert (first.height, first.width, first.dataset) == (120, 160, "coco")
    assert (first.image_path, first.mask_path) == ("images/001.png", "masks/001.png")
    assert first.mask is None  # the stranger stands behind a labelled person
    mask = read_mask(records[2])
    assert mask.shape == (120, 160)
    assert (mask == 0).sum() == 40 * 60


def test_without_duplication_the_first_main_person_is_the_only_sample(tmp_path, spec):
    alone = spec.model_copy(update={"duplicate_data_with_each_person_as_center": False})
    done = convert_dataset(alone, tmp_path / "out/train")
    assert (done.images, done.people, done.samples) == (3, 4, 3)
    assert records_in(done)[1].main == (0,)


def test_mode_test_converts_the_test_data(tmp_path, spec):
    write_annotations(
        tmp_path / "data/annotations/held_out.json",
        {"images": [image(5)], "annotations": [annotation(7, 5, FAR)], "categories": []},
    )
    halves = dataset_spec(tmp_path / "data", test="annotations/held_out.json")
    done = convert_dataset(halves, tmp_path / "out/val", mode="test")
    assert records_in(done)[5].boxes.tolist() == [list(FAR)]
    assert done.shards == [tmp_path / "out/val-fold-000-of-001"]


@pytest.mark.parametrize(
    ("partitions", "shards", "names"),
    [
        (1, 0, ["x-fold-000-of-001"]),
        (0, 0, ["x"]),
        (0, 2, ["x-shard-00000-of-00002", "x-shard-00001-of-00002"]),
        (2, 1, ["x-fold-000-of-002-shard-00000-of-00001", "x-fold-001-of-002-shard-00000-of-00001"]),
    ],
)
def test_shards_are_named_as_tao_names_them(partitions, shards, names):
    assert [name for name, _ in plan(7, "x", partitions, shards)] == names


@given(st.integers(0, 60), st.integers(0, 5), st.integers(0, 7))
def test_every_record_is_dealt_once_and_evenly(count, partitions, shards):
    planned = [numbers for _, numbers in plan(count, "x", partitions, shards)]
    assert sorted(number for numbers in planned for number in numbers) == list(range(count))
    pieces = max(shards, 1)
    for fold in range(max(partitions, 1)):
        parts = planned[fold * pieces : (fold + 1) * pieces]
        size = sum(map(len, parts)) // pieces
        assert [len(part) for part in parts[:-1]] == [size] * (pieces - 1)  # the last takes the remainder
        assert {number % max(partitions, 1) for part in parts for number in part} <= {fold}


def test_the_order_is_that_of_pythons_generator_seeded_with_42():
    shuffler, even, odd = random.Random(42), [0, 2, 4, 6, 8], [1, 3, 5, 7]
    shuffler.shuffle(even)
    shuffler.shuffle(odd)
    assert [numbers for _, numbers in plan(9, "x", 2, 0)] == [even, odd]


def test_the_same_input_gives_the_same_bytes(spec, tmp_path):
    for place in ("one", "two"):
        convert_dataset(spec, tmp_path / place / "train", shards=(2, 2))
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")
    assert len(folder_bytes(tmp_path / "one")) == 5


def test_the_manifest_describes_every_set_of_its_folder(spec, tmp_path):
    train = convert_dataset(spec, tmp_path / "train", shards=(2, 0))
    convert_dataset(spec, tmp_path / "val", mode="test")
    manifest = json.loads(train.manifest.read_text())
    described = manifest["sets"]["train"]
    assert manifest["schema"] == 1
    assert sorted(manifest["sets"]) == ["train", "val"]
    assert (described["images"], described["people"], described["samples"]) == (3, 4, 4)
    assert described["joints"] == list(spec.joints)
    assert described["dataset_spec"]["root_directory_path"] == str(tmp_path / "data")
    assert [shard["file"] for shard in described["shards"]] == [path.name for path in train.shards]
    by_set, by_file = open_shards(tmp_path, ["train"]), open_shards(tmp_path, [path.name for path in train.shards])
    assert [shard.samples for shard in by_set] == [shard.samples for shard in by_file]
    assert sum(len(shard.samples) for shard in by_set) == 4


def test_converting_again_in_another_cut_leaves_no_old_shard(spec, tmp_path):
    convert_dataset(spec, tmp_path / "out/train", shards=(3, 0))
    convert_dataset(spec, tmp_path / "out/train")
    assert sorted(folder_bytes(tmp_path / "out")) == ["manifest.json", "train-fold-000-of-001"]


def test_a_shard_that_is_not_the_manifests_is_refused(spec, tmp_path):
    (path,) = convert_dataset(spec, tmp_path / "train").shards
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"train-fold-000-of-001: the shard has \d+ bytes, its manifest says"):
        open_shards(tmp_path, ["train"])


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2, "sets": {}}'])
def test_a_broken_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json: "):
        open_shards(tmp_path, ["train"])


def test_photos_may_be_packed(spec, tmp_path):
    plain = records_in(convert_dataset(spec, tmp_path / "plain/train"))
    shutil.make_archive(str(tmp_path / "data/packed"), "zip", tmp_path / "data", "images")
    shutil.rmtree(tmp_path / "data/images")
    half = spec.train_data.model_copy(update={"images_root_dir_path": "packed.zip/images"})
    packed = spec.model_copy(update={"train_data": half})
    done = convert_dataset(packed, tmp_path / "packed/train", processes=2, strict=True)
    assert {number: record.image for number, record in records_in(done).items()} == {
        number: record.image for number, record in plain.items()
    }
    assert records_in(done)[1].image_path == "packed.zip/images/001.png"


def test_photos_that_an_annotation_tool_renamed_are_found(spec, tmp_path):
    content = json.loads((tmp_path / "data/annotations/people.json").read_text())
    for entry in content["images"]:
        entry["file_name"] = f"upload/1a2b3c4d-{entry['file_name']}"
    write_annotations(tmp_path / "data/annotations/people.json", content)
    done = convert_dataset(spec, tmp_path / "out/train", strict=True)
    assert {record.image_path for record in records_in(done).values()} == {f"images/00{n}.png" for n in (1, 2, 5)}


def test_a_bare_output_name_works(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert convert_dataset(spec, "train").shards[0].read_bytes()


def test_masks_are_written_where_something_is_masked(spec, tmp_path):
    done = convert_dataset(spec, tmp_path / "out/train", generate_masks=True)
    assert list(folder_bytes(tmp_path / "data/masks")) == ["002.png"]
    assert folder_bytes(tmp_path / "data/masks")["002.png"] == records_in(done)[2].mask


def spoil(path, how):
    if how == "missing":
        path.unlink()
    elif how == "text":
        path.write_text("no image")
    elif how == "small":
        cv2.imwrite(str(path), np.zeros((60, 160, 3), np.uint8))
    else:
        path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("missing", "there is no such"),
        ("text", "this is no readable image"),
        ("small", "the image has 160 x 60 pixels, the annotations say 160 x 120"),
    ],
)
def test_a_bad_photo_is_left_out_and_reported_or_stops_a_strict_conversion(spec, tmp_path, how, problem):
    path = tmp_path / "data/images/002.png"
    spoil(path, how)
    with pytest.raises(UserError, match=f"{path}: image 2: {problem}"):
        convert_dataset(spec, tmp_path / "out/train", strict=True)
    assert not (tmp_path / "out").exists() or folder_bytes(tmp_path / "out") == {}
    done = convert_dataset(spec, tmp_path / "out/train")
    (skipped,) = done.skipped
    assert skipped.startswith(f"{path}: image 2: {problem}")
    assert (sorted(records_in(done)), done.images, done.samples) == ([1, 5], 2, 3)
    assert json.loads(done.manifest.read_text())["sets"]["train"]["skipped"] == done.skipped


def test_strict_lists_every_problem_before_anything_is_written(tmp_path):
    crowd = {"iscrowd": 1, "labelled": 0, "segmentation": {"size": [1, 1], "counts": [1]}}
    people = [annotation(number, number, BOX) for number in range(1, 5)] + [annotation(9, 3, FAR, **crowd)]
    people[0]["keypoints"] = people[0]["keypoints"][:-1]
    spec = write_dataset(tmp_path / "data", [image(number) for number in range(1, 5)], people)
    (tmp_path / "data/images/002.png").unlink()
    spoil(tmp_path / "data/images/004.png", "cut")
    with pytest.raises(UserError) as raised:
        convert_dataset(spec, tmp_path / "out/train", strict=True, check_files=True)
    lines = str(raised.value).splitlines()
    assert [line.split("; ")[0].rpartition("data/")[2] for line in lines] == [
        "annotations/people.json: image 1: annotation 1: 'keypoints' has 50 numbers",
        "images/002.png: image 2: there is no such image",
        "annotations/people.json: image 3: annotation 9: its segmentation is of size [1, 1], the image [120, 160]",
        "images/004.png: image 4: this is no readable image",
    ]
    assert not (tmp_path / "out").exists()
    done = convert_dataset(spec, tmp_path / "out/train", check_files=True)
    assert sorted(str(problem) for problem in done.problems if problem.image_id != 2) == sorted(lines[:1] + lines[2:])
    assert list(records_in(done)) == [3]
    assert (read_mask(records_in(done)[3]) == 0).sum() == 50 * 70  # the crowd's outline is unknown: its box counts


@pytest.mark.parametrize("check_files", [False, True])
def test_a_photo_with_a_good_header_and_no_end_is_found(spec, tmp_path, check_files):
    spoil(tmp_path / "data/images/001.png", "cut")
    assert convert_dataset(spec, tmp_path / "out/train", check_files=check_files).images == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "val"}, "there is no mode 'val'; use train or test"),
        ({"shards": (-1, 0)}, "-1 partitions of 0 shards"),
    ],
)
def test_a_wrong_setting_is_refused(spec, tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        convert_dataset(spec, tmp_path / "train", **arguments)


def test_nobody_of_interest_is_an_error_not_an_empty_set(tmp_path):
    spec = write_dataset(tmp_path, [image(1)], [annotation(1, 1, (0, 0, 20, 20))])
    with pytest.raises(
        UserError, match=r"of interest in 1 photos\n1 people are lower than min_acceptable_height; relax data_"
    ):
        convert_dataset(spec, tmp_path / "out/train")


def test_every_photo_left_out_is_an_error(spec, tmp_path):
    for path in (tmp_path / "data/images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="every photo was left out"):
        convert_dataset(spec, tmp_path / "out/train", check_files=True)
    assert folder_bytes(tmp_path / "out") == {}


def test_the_summary_goes_to_the_results_folder(spec, tmp_path):
    convert_dataset(spec, tmp_path / "train", results_dir=tmp_path / "results")
    assert json.loads((tmp_path / "results/train.conversion.json").read_text())["samples"] == 4


def test_memory_holds_a_photo_at_a_time(tmp_path):
    size = (500, 500)  # noise: about 750 kB a photo as PNG, 15 MB together
    images = [image(number, size=size) for number in range(20)]
    spec = write_dataset(tmp_path, images, [annotation(number, number, BOX) for number in range(20)])
    tracemalloc.start()
    convert_dataset(spec, tmp_path / "out/train")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "out/train-fold-000-of-001").stat().st_size > 12e6
    assert peak < 6e6


@pytest.mark.data
@pytest.mark.parametrize(("mode", "half"), [("train", "train"), ("test", "val")])
def test_real_photos_are_converted_as_pycocotools_reads_them(data_folder, tmp_path, mode, half):
    root = data_folder / "coco_sample"
    files = {"train": "annotations/person_keypoints_train.json", "test": "annotations/person_keypoints_val.json"}
    done = convert_dataset(dataset_spec(root, **files), tmp_path / half, mode=mode, shards=(1, 3), check_files=True)
    records = records_in(done)
    oracle = COCO(str(root / files[mode]))
    samples = 0
    for image_id, photo in oracle.imgs.items():
        people = [entry for entry in oracle.imgToAnns[image_id] if entry["num_keypoints"] and not entry["iscrowd"]]
        mains = of_interest(people)
        samples += len(mains)
        assert (image_id in records) == bool(mains)
        if mains:
            record = records[image_id]
            assert record.main == tuple(mains)
            assert record.image == (root / "images" / photo["file_name"]).read_bytes()
            assert np.array_equal(record.joints.reshape(len(people), 51), [entry["keypoints"] for entry in people])
            assert np.array_equal(record.boxes, [entry["bbox"] for entry in people])
    assert (done.samples, done.skipped) == (samples, [])
    assert (done.images, done.people, done.samples) == {"train": (23, 77, 52), "val": (32, 109, 80)}[half]


def of_interest(people):
    """The filter once more, straight from its definition, with the sample's limits."""
    taken = []
    for index, person in enumerate(people):
        x, y, width, height = person["bbox"]
        centre = complex(x + width / 2, y + height / 2)
        near = any(abs(centre - other) < 0.3 * side for _, other, side in taken)
        if person["num_keypoints"] >= 5 and min(width, height) >= 32 and not near:
            taken.append((index, centre, max(width, height)))
    return [index for index, _, _ in taken]
