"""A dataset of one annotation file, split by a rule: both halves, in every verb, and what looks alike across them."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from support.coco_files import dataset_spec, image, write_annotations
from support.split_sets import names_for, write_set
from support.turned_photos import draw_photo

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.annotations.coco import read_half
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.hold_out import open_hold_out, write_hold_out
from bodyposenet.common.data.photo_set import DATASET_SPEC, gather, keep_test_half, make_dataset_spec, spec_in
from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.storage.digests import digest_file

FOLDER = {"share": 0.3, "group": "folder"}


def spec_for(root, rule):
    return dataset_spec(root, split=rule)


def half_names(spec, half):
    return list(read_half(spec, half).images.file_names)


def test_the_halves_are_all_photos_once_and_a_group_is_in_one(tmp_path):
    names = names_for(40)
    spec = spec_for(write_set(tmp_path, names), FOLDER)
    train, test = half_names(spec, "train"), half_names(spec, "test")
    assert sorted(train + test) == sorted(names)
    assert test
    assert not {Path(name).parent for name in train} & {Path(name).parent for name in test}
    assert [spec.split.holds_out(name) for name in names] == [name in test for name in names]


def test_a_half_has_its_photos_people_and_problems_and_no_others(tmp_path):
    root = write_set(tmp_path, names_for(40))
    content = json.loads((root / "annotations/people.json").read_text())
    for person in content["annotations"]:
        person["area"] = None
        person["bbox"][0] += person["id"] / 100
    content["annotations"] += [dict(content["annotations"][4], id=99)]
    content["images"].append(image(1, name="of another export.jpg"))  # both photos of the id are left out
    write_annotations(root / "annotations/people.json", content)
    whole = read_half(dataset_spec(root), "train")
    halves = [read_half(spec_for(root, FOLDER), half) for half in ("train", "test")]
    told = {photo.image_id: [person.box.tolist() for person in photo.people] for photo in whole.photos}
    found = [
        {photo.image_id: [person.box.tolist() for person in photo.people] for photo in half.photos} for half in halves
    ]
    assert found[0] | found[1] == told
    assert 1 not in told
    for half in halves:
        assert {problem.image_id for problem in half.problems} <= {*half.images.ids.tolist(), 1}


def test_photos_that_are_added_move_none(tmp_path):
    before = spec_for(write_set(tmp_path / "before", names_for(40)), {"share": 0.3})
    more = [*names_for(40), *(f"new/{number}.jpg" for number in range(20))]
    after = spec_for(write_set(tmp_path / "after", more[::-1]), {"share": 0.3})
    assert {*half_names(after, "test")} & {*names_for(40)} == {*half_names(before, "test")}
    assert {*half_names(after, "test")} - {*names_for(40)}  # what is held out grows by the same rule


@pytest.mark.parametrize(("group", "told"), [("file", True), (r"(.+)_[a-zA-Z]+\.rf\.", False)])
def test_roboflows_copies_of_a_photo_on_both_sides_are_told(tmp_path, caplog, group, told):
    """What it makes of one photo is turned, cut and brightened, so that no likeness tells it."""
    names = [f"{photo}_jpg.rf.{copy}{'0a' * 15}.jpg" for photo in range(20) for copy in "abc"]
    spec = spec_for(write_set(tmp_path, names), {"share": 0.3, "group": group})
    train, test = ({name.split("_")[0] for name in half_names(spec, half)} for half in ("train", "test"))
    assert bool(train & test) == told
    DatasetSplit.read(spec, "test")
    assert "both sides" not in caplog.text
    DatasetSplit.read(spec, "train")
    text = f"of {len(train & test)} photos Roboflow's copies are on both sides of the split, as of "
    assert (text + min(train & test, default="") in caplog.text) == told


def test_a_split_that_leaves_a_half_without_photos_is_refused(tmp_path):
    root = write_set(tmp_path, [f"one/{number}.jpg" for number in range(3)])
    with pytest.raises(UserError, match=r"split holds out (none|all) of 3 photos, 1 group"):
        read_half(spec_for(root, FOLDER), "test")


def test_a_spec_with_a_split_needs_no_test_data_and_takes_no_other(tmp_path):
    content = json.loads(dataset_spec(tmp_path, split=FOLDER).model_dump_json())
    again = parse_spec(content, DatasetSpec)
    del content["test_data"]
    assert parse_spec(content, DatasetSpec) == again
    other = content["train_data"] | {"annotation_root_dir_path": "other.json"}
    with pytest.raises(SpecError, match="splits train_data; leave test_data out"):
        parse_spec(content | {"test_data": other}, DatasetSpec)
    del content["split"]
    with pytest.raises(SpecError, match=r"test_data: missing; give it, or .split.: .* holds that share"):
        parse_spec(content, DatasetSpec)


def run(*words):
    return CliRunner().invoke(main, ["dataset_convert", *map(str, words)])


def test_the_verb_splits_by_its_flags(tmp_path):
    root = write_set(tmp_path / "set", names_for(40))
    plain, split = tmp_path / "plain.json", tmp_path / "split.json"
    content = dataset_spec(root).model_dump(mode="json")
    del content["test_data"]  # with the flag no other half is needed
    plain.write_text(json.dumps(content))
    split.write_text(spec_for(root, FOLDER).model_dump_json())
    for half in ("train", "val"):
        done = run("-d", plain, "-o", tmp_path / "a" / half, "-m", half, "--split", 0.3, "--split_group", "folder")
        assert done.exit_code == 0, done.output
        assert run("-d", split, "-o", tmp_path / "b" / half, "-m", half).exit_code == 0
    shards = [sorted(path for path in (tmp_path / name).glob("*-fold-*")) for name in "ab"]
    assert [path.read_bytes() for path in shards[0]] == [path.read_bytes() for path in shards[1]]
    assert len(shards[0]) == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--split", 1.5), "--split: share: "),
        (("--split", 0.2, "--split_group", "cam"), "regular expression with groups"),
        (("--split_group", "folder"), "give --split, too"),
    ],
)
def test_flags_that_are_no_rule_are_told(tmp_path, flags, said):
    (tmp_path / "spec.json").write_text(dataset_spec(write_set(tmp_path / "set", names_for(4))).model_dump_json())
    done = run("-d", tmp_path / "spec.json", "-o", tmp_path / "out/train", *flags)
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize("text_ids", [False, True])
def test_a_photo_set_of_one_file_runs_with_a_split(tmp_path, text_ids):
    root = write_set(tmp_path / "set", names_for(40), text_ids=text_ids)
    gather(str(root), tmp_path / "pointer")
    spec = make_dataset_spec(root, {"split": FOLDER})
    kept = keep_test_half(spec, tmp_path / "kept")
    (tmp_path / "kept" / DATASET_SPEC).write_text(kept.model_dump_json(by_alias=True))
    shutil.move(tmp_path / "kept", tmp_path / "moved")
    there = read_test_set(spec_in(tmp_path / "moved"))
    assert list(there.images.file_names) == half_names(spec, "test")
    assert all((tmp_path / "moved/test/images" / name).is_file() for name in there.images.file_names)
    held = write_hold_out(tmp_path / "moved", tmp_path / "hold out")
    opened = open_hold_out(held.photos, held.archive, tmp_path / "opened")
    assert list(read_test_set(opened).images.file_names) == half_names(spec, "test")


def test_a_folder_of_one_file_needs_a_split_and_one_of_two_takes_none(tmp_path):
    root = write_set(tmp_path / "set", names_for(4))
    with pytest.raises(UserError, match="set split of the dataset spec"):
        make_dataset_spec(root)
    write_annotations(root / "annotations/more.json", {})
    with pytest.raises(UserError, match=r"needs one keypoint file for split .* has: more\.json, people\.json"):
        make_dataset_spec(root, {"split": FOLDER})
    with pytest.raises(UserError, match="needs one keypoint file with 'train'"):
        gather(str(root), tmp_path / "pointer")


def test_what_a_champion_holds_out_takes_its_group_out_of_the_training(tmp_path):
    root = write_set(tmp_path, names_for(40))
    spec = spec_for(root, FOLDER)
    train = half_names(spec, "train")
    kept = root / "images" / train[0]
    withheld = spec.model_copy(update={"withheld_photos": {digest_file(kept): kept.stat().st_size}})
    done = convert_dataset(withheld, tmp_path / "out/train")
    group = [name for name in train if Path(name).parent == Path(train[0]).parent]
    assert len(group) > 1
    assert done.images == len(train) - len(group)
    assert half_names(withheld, "test") == half_names(spec, "test")


def repeat_scenes(number, size):
    """Pictures of which every second one is nearly the one before it: frames of a film."""
    return cv2.convertScaleAbs(draw_photo(number // 2, size), alpha=0.9 + 0.1 * (number % 2))


def convert(spec, output, **options):
    done = convert_dataset(spec, output / "train", results_dir=output, **options)
    return done, json.loads(Path(str(done.report)).with_suffix(".json").read_text())


def test_photos_that_look_alike_across_the_split_are_told_as_pairs(tmp_path):
    spec = spec_for(write_set(tmp_path, names_for(40), pixels=repeat_scenes), {"share": 0.3})
    train, test = (read_half(spec, half).images for half in ("train", "test"))
    wanted = {(one, other) for one in test.ids.tolist() for other in train.ids.tolist() if one // 2 == other // 2}
    done, report = convert(spec, tmp_path / "out")
    pairs = report["near_duplicates"]["pairs"]
    assert {(pair["held_out_id"], pair["train_id"]) for pair in pairs} == wanted
    assert report["near_duplicates"]["count"] == len(wanted) > 3
    names = {number: name for number, name in enumerate(names_for(40), 1)}
    assert all(pair["held_out_name"] == names[pair["held_out_id"]] for pair in pairs)
    told = [problem for problem in done.problems if problem.kind == "near duplicate across the split"]
    assert len(told) == len(wanted)
    assert all(problem.kept for problem in told)
    assert f"{len(wanted)} photos held out looking like one" in (tmp_path / "out/train.dataset_report.html").read_text()


def test_the_pairs_are_the_same_whoever_looks(tmp_path):
    spec = spec_for(write_set(tmp_path, names_for(40), pixels=repeat_scenes), {"share": 0.3})
    _, whole = convert(spec, tmp_path / "whole")
    _, many = convert(spec, tmp_path / "many", processes=2)
    _, thorough = convert(spec, tmp_path / "thorough", check_files=True)  # decoded in another way
    parts = [convert(spec, tmp_path / f"part {part}", part=(part, 2), shards=(1, 2))[1] for part in range(2)]
    assert whole["near_duplicates"] == many["near_duplicates"]
    pairs = [[(pair["held_out_id"], pair["train_id"]) for pair in report["near_duplicates"]["pairs"]]
             for report in (whole, thorough)]  # fmt: skip
    assert pairs[0] == pairs[1]
    found = [pair for part in parts for pair in part["near_duplicates"]["pairs"]]
    assert sorted(found, key=lambda pair: pair["held_out_id"]) == whole["near_duplicates"]["pairs"]


def test_without_a_split_nothing_is_compared(tmp_path):
    _, report = convert(dataset_spec(write_set(tmp_path, names_for(4), pixels=repeat_scenes)), tmp_path / "out")
    assert "near_duplicates" not in report


def test_the_held_out_half_compares_nothing(tmp_path):
    spec = spec_for(write_set(tmp_path, names_for(40)), FOLDER)
    done = convert_dataset(spec, tmp_path / "out/val", mode="test", results_dir=tmp_path / "out")
    assert done.images == len(half_names(spec, "test"))
    assert "near_duplicates" not in json.loads((tmp_path / "out/val.dataset_report.json").read_text())


def test_group_names_hold_for_photos_that_tools_renamed(tmp_path):
    root = write_set(tmp_path, names_for(40))
    wanted = half_names(spec_for(root, FOLDER), "test")
    content = json.loads((root / "annotations/people.json").read_text())
    for entry in content["images"]:
        entry["file_name"] = entry["file_name"].replace("/", "\\")
    write_annotations(root / "annotations/people.json", content)
    assert half_names(spec_for(root, FOLDER), "test") == wanted
    assert np.all([name in names_for(40) for name in wanted])
