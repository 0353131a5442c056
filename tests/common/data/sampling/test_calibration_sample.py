"""Calibration sample: as many photos as asked, like the set they are of, whole or not at all."""

import json
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.coco_files import annotation, dataset_spec, document, image, write_annotations, write_dataset

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.annotations.coco import read_annotations, read_half
from bodyposenet.common.data.sampling.calibration_sample import copy_sample, flat_names, sample_calibration
from bodyposenet.common.data.sampling.stratified import Traits, read_traits, representative
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.photo_store import open_photos

BOX = (10, 10, 60, 80)


def drawn_set(root, count=12, **changes):
    """A set of photos with one person each; their JSON file and folder."""
    images = [image(number, size=(100, 120), **changes) for number in range(1, count + 1)]
    write_dataset(root, images, [annotation(number, number, (5, 5, 40, 40 + number)) for number in range(1, count + 1)])
    return root / "annotations/people.json", root / "images"


def test_a_file_that_names_no_joints_gives_the_sample_of_one_that_does(tmp_path):
    """Joints' names mean nothing here; things of other categories are nobody."""
    file, photos = drawn_set(tmp_path)
    sample_calibration(file, photos, tmp_path / "whole", num_images=4)
    content = json.loads(file.read_text())
    del content["categories"][0]["keypoints"]
    content["categories"].append({"id": 0, "name": "bag"})
    content["annotations"] += [annotation(90 + n, n, (5, 5, 40, 90), category_id=0) for n in range(1, 13)]
    file.write_text(json.dumps(content))
    sample_calibration(file, photos, tmp_path / "nameless", num_images=4)
    assert names_in(tmp_path / "nameless") == names_in(tmp_path / "whole")


def test_of_several_categories_with_joints_people_are_those_that_a_conversion_takes(tmp_path, caplog):
    """Photos of dogs alone are of nobody; those in which no category is a person are of all, which is told."""
    file, photos = drawn_set(tmp_path)
    content = json.loads(file.read_text())
    content["categories"].append(content["categories"][0] | {"id": 2, "name": "dog"})
    for entry in content["annotations"][:7]:
        entry["category_id"] = 2
    file.write_text(json.dumps(content))
    converted = {photo.file_name for photo in read_half(dataset_spec(tmp_path), "train").photos if photo.people}
    done = sample_calibration(file, photos, tmp_path / "people", num_images=5)
    assert (done.qualified, {*names_in(tmp_path / "people")}) == (5, converted)
    content["categories"][0]["name"] = "cat"
    file.write_text(json.dumps(content))
    assert sample_calibration(file, photos, tmp_path / "all", num_images=12).qualified == 12
    assert "taken for people: 'cat', 'dog'" in caplog.text


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def crowd(photos=3000, seed=5):
    """A set as mixed as photos from life: many lone people, some crowds; large people have more joints."""
    chance = np.random.default_rng(seed)
    images, people = [image(number, size=(480, 640)) for number in range(photos)], []
    for number in range(photos):
        for _ in range(min(13, int(chance.geometric(0.4)))):
            height = float(np.clip(chance.lognormal(-1.2, 0.8), 0.03, 1)) * 480
            joints = int(np.clip(round(chance.normal(5 + 10 * height / 480, 4)), 0, 17))
            people.append(annotation(len(people) + 1, number, (0, 0, height / 2, height), labelled=joints))
    return document(images, people)


def marginals(coco, photos, min_kpts=5):
    """Of some photos of a set: people per photo, joints per person and heights of people, those that count."""
    table = coco.annotations
    counted = ~table.crowds & (table.num_keypoints >= min_kpts)
    mine = counted & np.isin(table.photo_of, photos)
    people = np.bincount(table.photo_of[counted], minlength=len(coco.images.ids))[photos]
    return people, table.num_keypoints[mine], table.boxes[mine, 3] / coco.images.heights[table.photo_of[mine]]


def apart(one, other):
    """The greatest difference between two distribution functions."""
    ticks = np.union1d(one, other)
    return np.abs(
        np.searchsorted(np.sort(one), ticks, side="right") / len(one)
        - np.searchsorted(np.sort(other), ticks, side="right") / len(other)
    ).max()


def distances(coco, traits, photos):
    return [apart(*pair) for pair in zip(marginals(coco, photos), marginals(coco, traits.photos), strict=True)]


def hold_to_chance(coco, count, at_most):
    """The distances of samples from their set, on average, are at most this share of those of random samples."""
    traits = read_traits(coco, 1, 5)
    ours, random = [], []
    for seed in range(30):
        order, places = representative(traits, count, seed)
        ours.append(distances(coco, traits, traits.photos[order[places]]))
        others = np.random.default_rng(seed).choice(traits.photos, count, replace=False)
        random.append(distances(coco, traits, others))
    people, joints, heights = np.mean(ours, axis=0) / np.mean(random, axis=0)
    assert people < at_most
    assert joints < at_most
    assert heights < at_most


@pytest.mark.parametrize("count", [50, 300])
def test_a_sample_is_more_like_its_set_than_a_random_one(tmp_path, count):
    hold_to_chance(read_annotations(write_annotations(tmp_path / "crowd.json", crowd())), count, 2 / 3)


@pytest.mark.data
@pytest.mark.parametrize("count", [100, 500])
def test_a_sample_of_coco_is_more_like_it_than_a_random_one(data_folder, count):
    (file,) = (data_folder / "coco_annotations").glob("person_keypoints_val2017.json*")
    hold_to_chance(read_annotations(file), count, 2 / 3)


def some_traits(people, seed):
    """Photos with so many people each, of random joints and heights."""
    chance = np.random.default_rng(seed)
    joints, heights = (
        np.array([chance.multinomial(number, np.full(size, 1 / size)) for number in people]) for size in (18, 16)
    )
    return Traits(np.arange(len(people)), joints, heights)


@given(people=st.lists(st.integers(0, 30), min_size=1, max_size=60), seed=st.integers(0, 5), data=st.data())
def test_as_many_different_photos_as_asked_and_the_same_for_the_same_seed(people, seed, data):
    count = data.draw(st.integers(1, len(people)))
    order, places = representative(some_traits(people, seed), count, seed)
    assert sorted(order.tolist()) == list(range(len(people)))
    assert len(set(places.tolist())) == count
    assert 0 <= places.min() <= places.max() < len(order)
    again = representative(some_traits(people, seed), count, seed)
    assert np.array_equal(again[0], order)
    assert np.array_equal(again[1], places)


def test_the_seed_decides_and_no_photo_is_left_out_for_good():
    traits = some_traits(np.random.default_rng(0).integers(1, 9, 40), 0)
    taken = np.zeros(40)
    for seed in range(150):
        order, places = representative(traits, 10, seed)
        taken[order[places]] += 1
    assert taken.min() > 0
    assert taken.max() < 150


def test_photos_qualify_by_people_with_joints_enough(tmp_path):
    people = [
        annotation(1, 1, BOX, labelled=5),
        annotation(2, 2, BOX, labelled=4),
        annotation(3, 3, BOX, labelled=9),
        annotation(4, 3, BOX, labelled=5),
        annotation(5, 3, BOX, labelled=0, iscrowd=1, keypoints=[0] * 51),
    ]
    images = [image(number) for number in range(1, 5)]
    coco = read_annotations(write_annotations(tmp_path / "a.json", document(images, people)))
    assert read_traits(coco, 1, 5).photos.tolist() == [0, 2]
    assert read_traits(coco, 2, 5).photos.tolist() == [2]
    assert read_traits(coco, 2, 6).photos.tolist() == []
    assert read_traits(coco, 1, 0).photos.tolist() == [0, 1, 2]  # the crowd is nobody
    assert read_traits(coco, 0, 5).photos.tolist() == [0, 1, 2, 3]
    found = read_traits(coco, 1, 5)
    assert found.people.tolist() == found.heights.sum(axis=1).tolist() == [1, 2]
    assert [np.flatnonzero(counts).tolist() for counts in found.joints] == [[5], [5, 9]]


def test_exactly_as_many_are_copied_as_they_are_and_the_same_every_time(tmp_path):
    file, folder = drawn_set(tmp_path / "set")
    done = sample_calibration(file, folder, tmp_path / "a" / "b", num_images=5)
    assert (done.qualified, done.left_out, list(done.photos)) == (12, (), names_in(tmp_path / "a" / "b"))
    assert len(done.photos) == 5
    assert all((tmp_path / "a" / "b" / name).read_bytes() == (folder / name).read_bytes() for name in done.photos)
    (tmp_path / "empty").mkdir()
    assert sample_calibration(file, folder, tmp_path / "empty", num_images=5).photos == done.photos
    others = {
        sample_calibration(file, folder, tmp_path / f"s{seed}", num_images=5, seed=seed).photos for seed in range(6)
    }
    assert len(others) > 1
    assert names_in(tmp_path / "a") == ["b"]


def test_photos_in_a_zip_and_in_folders_are_copied_to_one_folder(tmp_path):
    images = [image(1, name="a/1.png"), image(2, name="b/1.png"), image(3, name="b/2.png")]
    write_dataset(tmp_path / "set", images, [annotation(number, number, BOX) for number in (1, 2, 3)])
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        for entry in images:
            packed.write(tmp_path / "set/images" / entry["file_name"], entry["file_name"])
    sample_calibration(
        tmp_path / "set/annotations/people.json", tmp_path / "photos.zip", tmp_path / "out", num_images=3
    )
    assert names_in(tmp_path / "out") == ["2.png", "a_1.png", "b_1.png"]


@given(st.lists(st.from_regex(r"([ab_]/){0,2}[AaB_]{1,3}", fullmatch=True), unique=True, max_size=12))
def test_flat_names_never_meet(names):
    flat = flat_names(names)
    assert list(flat) == names
    assert len({new.lower() for new in flat.values()}) == len(names)
    assert not any("/" in new for new in flat.values())


def test_missing_and_damaged_photos_give_way_to_others(tmp_path, caplog):
    file, folder = drawn_set(tmp_path / "set")
    first = sample_calibration(file, folder, tmp_path / "first", num_images=4).photos
    (folder / first[0]).unlink()
    (folder / first[1]).write_bytes(b"no photo")
    done = sample_calibration(file, folder, tmp_path / "out", num_images=4)
    assert names_in(tmp_path / "out") == list(done.photos)
    assert len(done.photos) == 4
    assert {first[2], first[3]} < {*done.photos}
    assert not {first[0], first[1]} & {*done.photos}
    assert sorted(any(name in why for why in done.left_out) for name in first) == [False, False, True, True]
    assert all(why in caplog.text for why in done.left_out)
    heights = {f"{number:03d}.png": number for number in range(1, 13)}
    stand_ins = sorted(heights[name] for name in set(done.photos) - {*first})
    gone = sorted(heights[name] for name in first[:2])
    assert all(
        abs(one - other) <= 2 for one, other in zip(stand_ins, gone, strict=True)
    )  # like those they stand in for


def test_too_few_that_can_be_read_leave_nothing_behind(tmp_path):
    file, folder = drawn_set(tmp_path / "set", 5)
    (folder / "003.png").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"003\.png.*: 1 of the 5 photos that qualify cannot be read; mend them, or use -n 4"
    ):
        sample_calibration(file, folder, tmp_path / "out", num_images=5)
    assert names_in(tmp_path) == ["set"]
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="1 of the 5"):
        sample_calibration(file, folder, tmp_path / "out", num_images=5)
    assert names_in(tmp_path / "out") == []
    assert len(sample_calibration(file, folder, tmp_path / "out", num_images=4).photos) == 4


def test_a_set_that_is_too_small_may_be_taken_whole(tmp_path):
    file, folder = drawn_set(tmp_path / "set", 5)
    (folder / "003.png").write_bytes(b"")
    store, options = open_photos(folder), {"num_images": 9, "fewer": True}
    done = copy_sample(read_annotations(file), store, tmp_path / "out", **options)
    assert list(done.photos) == names_in(tmp_path / "out") == ["001.png", "002.png", "004.png", "005.png"]
    with pytest.raises(UserError, match=r"no photo qualifies in 5 photos\n5 people have too few joints"):
        copy_sample(read_annotations(file), store, tmp_path / "none", min_kpts=18, **options)


def test_a_lone_photo_that_is_damaged_gives_way_too(tmp_path):
    file, folder = drawn_set(tmp_path / "set", 3)
    (chosen,) = sample_calibration(file, folder, tmp_path / "first", num_images=1).photos
    (folder / chosen).unlink()
    assert sample_calibration(file, folder, tmp_path / "out", num_images=1).photos != (chosen,)


def test_a_wrong_folder_of_photos_is_told_before_all_are_tried(tmp_path):
    file, folder = drawn_set(tmp_path / "set")
    with pytest.raises(UserError, match=r"no such file.*: none of 12 photos can be read; check the folder"):
        sample_calibration(file, folder.parent / "annotations", tmp_path / "out", num_images=3)
    with pytest.raises(UserError, match="there is no such folder"):
        sample_calibration(file, tmp_path / "none", tmp_path / "out", num_images=3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a", ".hidden"])
def test_a_folder_with_something_in_it_is_refused(tmp_path, name):
    file, folder = drawn_set(tmp_path / "set", 3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(UserError, match="out: the folder is not empty"):
        sample_calibration(file, folder, tmp_path / "out", num_images=2)
    with pytest.raises(UserError, match="this is a file"):
        sample_calibration(file, folder, tmp_path / "out" / name, num_images=2)
    assert names_in(tmp_path / "out") == [name]


def test_what_a_killed_run_left_does_not_stay(tmp_path):
    file, folder = drawn_set(tmp_path / "set", 3)
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "half.png").write_text("")
    sample_calibration(file, folder, tmp_path / "out", num_images=3)
    assert names_in(tmp_path) == ["out", "set"]
    assert names_in(tmp_path / "out") == ["001.png", "002.png", "003.png"]


def test_no_photo_is_written_through_a_link_that_is_called_as_a_killed_run(tmp_path):
    file, folder = drawn_set(tmp_path / "set", 3)
    (tmp_path / "theirs").mkdir()
    (tmp_path / ".out.part").symlink_to(tmp_path / "theirs")
    with pytest.raises(UserError, match=r"\.out\.part: this is a file, not a folder"):
        sample_calibration(file, folder, tmp_path / "out", num_images=3)
    assert names_in(tmp_path / "theirs") == []


def test_a_sample_goes_from_a_bucket_to_a_bucket(tmp_path, bucket):
    from bodyposenet.common.storage.files import listing
    from bodyposenet.common.storage.location import locate

    file, folder = drawn_set(tmp_path / "set", 6)
    for path in (file, *folder.iterdir()):
        (locate(bucket) / path.parent.name / path.name).write_bytes(path.read_bytes())
    (locate(bucket) / "images" / "002.png").write_bytes(b"no photo")
    source = f"{bucket}/annotations/people.json", f"{bucket}/images"
    done = sample_calibration(*source, f"{bucket}/out", num_images=5)
    assert sorted(listing(f"{bucket}/out")) == list(done.photos) == [f"{n:03d}.png" for n in (1, 3, 4, 5, 6)]
    with pytest.raises(UserError, match="the folder is not empty"):
        sample_calibration(*source, f"{bucket}/out", num_images=5)
    with pytest.raises(UserError, match="1 of the 6"):
        sample_calibration(*source, f"{bucket}/other", num_images=6)
    with pytest.raises(UserError, match="no such file or folder"):
        listing(f"{bucket}/other")


def command(*args):
    return CliRunner().invoke(main, ["sample_calibration", *map(str, args)], catch_exceptions=False)


def test_the_verb_takes_tao_s_flags(tmp_path):
    file, folder = drawn_set(tmp_path / "set")
    out = [tmp_path / "out" / name for name in "abcd"]
    done = command("-a", file, "-i", folder, "-o", out[0], "-n", 4, "-pth", 1, "-kth", 5)
    assert done.exit_code == 0
    assert f"wrote {out[0]}: 4 of 12 photos that qualify, --seed 0\n" in done.stdout
    assert [json.loads(line)["status"] for line in (tmp_path / "out/status.json").read_text().splitlines()][
        -1
    ] == "SUCCESS"
    told = command("-a", file, "-i", folder, "-o", out[1], "-n", 4, "-r").stdout.split("--seed ")[1].split()[0]
    command("-a", file, "-i", folder, "-o", out[2], "-n", 4, "--seed", told, "--results_dir", tmp_path / "results")
    assert names_in(out[1]) == names_in(out[2])
    assert (tmp_path / "results/status.json").is_file()
    few = command("-a", file, "-i", folder, "-o", out[3])
    assert few.exit_code == 2
    assert "only 12 photos qualify, 500 are wanted; use -n 12, or lower -pth or -kth" in few.stderr
    assert "bpnet sample_calibration -a" in command("--help").stdout
