"""Converting again: what did not change is neither read nor written; the set is that of a conversion from nothing."""

import json
import logging
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.coco_files import annotation, dataset_spec, document, image, write_annotations
from support.killing import Killer
from support.stopped import spoil_unseen
from support.turned_photos import store_turned

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.conversion.convert import convert_dataset, forget_records
from bodyposenet.common.data.conversion.join import join_parts
from bodyposenet.common.data.conversion.shard_plan import deal
from bodyposenet.common.data.records.manifest import open_shards, read_manifest
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.location import locate

BOX, FAR = (5, 5, 40, 40), (50, 10, 35, 40)
SIZE = (64, 96)
WRONG = {"size": [1, 1], "counts": [1]}  # an outline that fits no photo


class Album:
    """A dataset in a folder that somebody goes on labelling."""

    def __init__(self, root, numbers):
        self.root, self.photos, self.written, self.numbered = root, {}, set(), 1
        for number in numbers:
            self.add(number)

    def add(self, number):
        """Add a photo with a person, and of every third with a stranger, whose outline is wrong in some."""
        self.photos[number] = [{"box": BOX, "labelled": 17}]
        if number % 3 == 0:
            stranger = {"box": FAR, "labelled": 0, "iscrowd": 1, "segmentation": WRONG} if number % 2 else {"box": FAR}
            self.photos[number].append({"labelled": 0} | stranger)
        self.replace(number, number)

    def remove(self, number):
        del self.photos[number]
        self.path(number).unlink()

    def replace(self, number, seed):
        """Write other bytes under the same name."""
        pixels = np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), np.uint8)
        self.path(number).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(self.path(number)), pixels)

    def cut(self, number):
        """Damage a photo."""
        self.path(number).write_bytes(self.path(number).read_bytes()[:200])

    def move(self, number, by):
        """Annotate one person of a photo anew."""
        for person in self.photos[number][:1]:
            x, y, width, height = person["box"]
            person["box"] = ((x + by) % 40, y, width, height)

    def clear(self, number):
        """Take the annotations of a photo away."""
        self.photos[number] = []

    def path(self, number):
        return self.root / f"images/{number:03d}.png"

    def write(self, **changes):
        """Write the annotations, numbered anew as tools do, and return the spec."""
        people, self.numbered = [], self.numbered + 100
        for number, some in self.photos.items():
            for person in some:
                fields = dict(person)
                box = fields.pop("box")
                people.append(annotation(self.numbered + len(people), number, box, **fields))
        images = [image(number, size=SIZE) for number in self.photos]
        write_annotations(self.root / "annotations/people.json", document(images, people))
        return dataset_spec(self.root, **changes)


@pytest.fixture
def album(tmp_path):
    return Album(tmp_path / "data", range(1, 13))


def payloads(conversion, names=("train",)):
    """The records, however they are ordered."""
    shards = open_shards(conversion.manifest.parent, list(names))
    return Counter(payload for shard in shards for payload in shard.records)


def report(folder):
    """What a report says, but for ids of annotations in texts and what was kept."""
    told = json.loads((Path(folder) / "train.dataset_report.json").read_text())
    told.pop("changes", None)
    return told


def facts(conversion):
    told = sorted((problem.where, problem.text, problem.kept) for problem in conversion.problems)
    return (conversion.images, conversion.people, conversion.samples, conversion.negatives, conversion.refused), told


def require_same(spec, out, **options):
    """Convert again, hold it to a conversion from nothing, and return what came out."""
    fresh = out.parent / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    wanted = convert_dataset(spec, fresh / "train", results_dir=fresh, **options)
    done = convert_dataset(spec, out / "train", results_dir=out, **options)
    assert payloads(done) == payloads(wanted)
    assert facts(done) == facts(wanted)
    assert sorted(done.skipped) == sorted(wanted.skipped)
    assert report(out) == report(fresh)
    named = {shard["file"] for shard in read_manifest(locate(out))["sets"]["train"]["shards"]}
    results = {"train.conversion.json", "train.dataset_report.json", "train.dataset_report.html"}
    results |= {"train.suspects.csv", "train.suspects.json", "train.suspects_proposed.json"}
    assert {path.name for path in out.iterdir()} == named | results | {"manifest.json"}
    return done


def steps():
    number = st.integers(1, 16)
    return st.lists(
        st.one_of(
            st.tuples(st.just("add"), number),
            st.tuples(st.just("remove"), number),
            st.tuples(st.just("replace"), number, st.integers(0, 3)),
            st.tuples(st.just("move"), number, st.integers(1, 5)),
            st.tuples(st.sampled_from(["cut", "clear"]), number),
        ),
        max_size=4,
    )


def follow(album, changes):
    for what, number, *more in changes:
        if (number in album.photos) != (what == "add") and (what != "remove" or len(album.photos) > 2):
            getattr(album, what)(number, *more)


def is_convertible(spec, folder, shards):
    """Whether anything is left to convert, and on both sides of a split."""
    try:
        convert_dataset(spec, folder / "train", shards=shards)
    except UserError:
        return False
    return True


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps(), min_size=1, max_size=3), st.sampled_from([(1, 0), (2, 3)]), st.booleans(), st.booleans())
def test_any_changes_give_the_records_and_the_report_of_a_conversion_from_nothing(
    tmp_path_factory, changes, shards, split, negatives
):
    folder = tmp_path_factory.mktemp("any")
    album = Album(folder / "data", range(1, 9))
    more = {"negative_photos": negatives} | ({"split": {"share": 0.3}} if split else {})
    require_same(album.write(**more), folder / "out", shards=shards)
    for some in changes:
        follow(album, some)
        spec = album.write(**more)
        if is_convertible(spec, folder / "tried", shards):
            require_same(spec, folder / "out", shards=shards)
        else:
            with pytest.raises(UserError):
                convert_dataset(spec, folder / "out/train", shards=shards)


def test_unchanged_photos_are_neither_read_nor_written(album, tmp_path):
    out = tmp_path / "out"
    convert_dataset(album.write(), out / "train", shards=(1, 3))
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.iterdir()}
    for number in album.photos:
        spoil_unseen(album.path(number))  # whoever reads one, finds nothing
    album.add(13)
    done = convert_dataset(album.write(), out / "train", shards=(1, 3))
    assert done.changes == (12, 1, 0, 0)
    after = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.iterdir()}
    (new,) = after.keys() - before.keys()
    assert all(after[name] == before[name] for name in before if name != "manifest.json")
    assert sum(len(shard) for shard in open_shards(out, [new])) == 1


def test_a_shard_that_changes_is_written_anew_of_its_records_and_the_photo(album, tmp_path):
    out = tmp_path / "out"
    first = convert_dataset(album.write(), out / "train", shards=(1, 3))
    gone = {path.name: {shard[n].image_id for n in range(len(shard))} for path in first.shards for shard in
            open_shards(out, [path.name])}  # fmt: skip
    for number in album.photos.keys() - {5}:
        spoil_unseen(album.path(number))
    album.move(5, 3)
    done = convert_dataset(album.write(), out / "train", shards=(1, 3))
    assert done.changes == (11, 0, 1, 0)
    (old,) = [name for name, ids in gone.items() if 5 in ids]
    assert {path.name for path in done.shards} & gone.keys() == gone.keys() - {old}
    (shard,) = open_shards(out, [old])  # its name still finds what took its place
    assert {shard[number].image_id for number in range(len(shard))} == gone[old]
    assert not (out / old).exists()


def test_what_is_asked_for_by_the_name_of_a_shard_has_what_came_beside_it(album, tmp_path):
    convert_dataset(album.write(), tmp_path / "out/train")
    album.add(13)
    done = convert_dataset(album.write(), tmp_path / "out/train")
    assert len(done.shards) == 2
    assert payloads(done, ["train-fold-000-of-001"]) == payloads(done, [path.name for path in done.shards])
    assert sum(payloads(done, ["train-fold-000-of-001"]).values()) == 13


def test_touched_photos_are_read_and_their_records_kept(album, tmp_path):
    convert_dataset(album.write(), tmp_path / "out/train")
    before = (tmp_path / "out/train-fold-000-of-001").stat().st_ino
    for number in album.photos:
        os.utime(album.path(number), ns=(1, 1))
    done = require_same(album.write(), tmp_path / "out")
    assert done.changes == (12, 0, 0, 0)
    assert (tmp_path / "out/train-fold-000-of-001").stat().st_ino == before


def test_a_dataset_that_moved_is_the_same(album, tmp_path):
    convert_dataset(album.write(), tmp_path / "out/train")
    album.root = Path(shutil.move(tmp_path / "data", tmp_path / "elsewhere"))
    assert require_same(album.write(), tmp_path / "out").changes == (12, 0, 0, 0)


def test_an_archive_that_is_packed_again_with_one_photo_more_is_not_read_through(album, tmp_path, caplog):
    def pack():
        spec = album.write()
        shutil.make_archive(str(tmp_path / "data/photos"), "zip", tmp_path / "data/images")
        half = spec.train_data.model_copy(update={"images_root_dir_path": "photos.zip"})
        return spec.model_copy(update={"train_data": half})

    convert_dataset(pack(), tmp_path / "out/train")
    for number in album.photos:
        os.utime(album.path(number), (1e9, 1e9))
    album.add(13)
    with caplog.at_level(logging.INFO):
        assert require_same(pack(), tmp_path / "out").changes == (12, 1, 0, 0)
    assert "read to see whether they changed" not in caplog.text


def test_a_photo_that_is_mended_gets_its_record(album, tmp_path):
    album.cut(4)
    assert len(require_same(album.write(), tmp_path / "out").skipped) == 1
    again = require_same(album.write(), tmp_path / "out")
    assert (again.changes, len(again.skipped)) == ((11, 0, 0, 0), 1)
    album.replace(4, 4)
    assert require_same(album.write(), tmp_path / "out").changes == (11, 1, 0, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"duplicate_data_with_each_person_as_center": False}, "duplicate_data_with_each_person_as_center"),
        ({"data_filtering_params": {"min_acceptable_kpts": 6}}, "data_filtering_params of the dataset spec"),
        ({"dataset": "other"}, "dataset of the dataset spec"),
    ],
)
def test_another_setting_converts_everything_and_says_so(album, tmp_path, caplog, change, told):
    convert_dataset(album.write(), tmp_path / "out/train")
    with caplog.at_level(logging.INFO):
        done = require_same(album.write(**change), tmp_path / "out")
    assert done.changes is None
    assert f"from scratch: {told}" in caplog.text
    assert [path.name for path in done.shards] == ["train-fold-000-of-001"]


def test_a_set_of_an_earlier_version_is_converted_anew(album, tmp_path, caplog):
    done = convert_dataset(album.write(), tmp_path / "out/train")
    manifest = json.loads(done.manifest.read_text())
    for key in ("settings", "seen", "held_out"):
        del manifest["sets"]["train"][key]
    del manifest["sets"]["train"]["shards"][0]["photos"]
    done.manifest.write_text(json.dumps(manifest))
    with caplog.at_level(logging.INFO):
        assert require_same(album.write(), tmp_path / "out").changes is None
    assert "from scratch: the manifest does not say what the records there were made of" in caplog.text


def test_converting_from_scratch_gives_the_bytes_of_a_conversion_from_nothing(album, tmp_path):
    convert_dataset(album.write(), tmp_path / "out/train")
    album.add(13)
    spec = album.write()
    done = convert_dataset(spec, tmp_path / "out/train")
    forget_records(tmp_path / "out/train")
    assert sum(payloads(done).values()) == 13  # still there for whoever reads it
    convert_dataset(spec, tmp_path / "out/train")
    convert_dataset(spec, tmp_path / "wanted/train")
    contents = [{path.name: path.read_bytes() for path in (tmp_path / at).iterdir()} for at in ("out", "wanted")]
    assert contents[0] == contents[1]


def test_the_verb_tells_what_it_kept_and_converts_from_scratch_when_asked(album, tmp_path):
    (tmp_path / "spec.json").write_text(album.write().model_dump_json(by_alias=True))
    verb = ["dataset_convert", "-d", str(tmp_path / "spec.json"), "-o", str(tmp_path / "out/train")]

    def run(*flags):
        return CliRunner().invoke(main, [*verb, *flags], catch_exceptions=False).stdout.strip().rpartition("; ")[2]

    def read():
        return {path.name: path.read_bytes() for path in (tmp_path / "out").glob("train.*")}

    assert "since the last conversion" not in run()
    first = read()
    assert run() == "since the last conversion 12 kept, 0 added, 0 changed, 0 removed"
    assert read() == first  # so that one that was killed at its end leaves what one leaves that was not
    album.add(40)
    album.write()
    assert run() == "since the last conversion 12 kept, 1 added, 0 changed, 0 removed"
    assert json.loads((tmp_path / "out/train.dataset_report.json").read_text())["changes"]["kept"] == 12
    assert "Since the last conversion" in (tmp_path / "out/train.dataset_report.html").read_text()
    assert "since the last conversion" not in run("--from_scratch")


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_records_of_a_shard_that_is_not_there_as_described_are_made_again(album, tmp_path, damage):
    out = tmp_path / "out"
    first = convert_dataset(album.write(), out / "train", shards=(1, 2))
    if damage == "missing":
        first.shards[0].unlink()
    else:
        first.shards[0].write_bytes(first.shards[0].read_bytes()[:-1])
    assert require_same(album.write(), out, shards=(1, 2)).changes == (6, 0, 6, 0)


def test_masks_of_records_that_stand_are_written_too(album, tmp_path):
    require_same(album.write(), tmp_path / "out", generate_masks=True)
    masks = {path.name: path.read_bytes() for path in (tmp_path / "data/masks").iterdir()}
    shutil.rmtree(tmp_path / "data/masks")
    album.add(13)
    require_same(album.write(), tmp_path / "out", generate_masks=True)
    shutil.rmtree(tmp_path / "data/masks")
    done = convert_dataset(album.write(), tmp_path / "out/train", generate_masks=True)
    assert done.changes == (13, 0, 0, 0)
    assert {path.name: path.read_bytes() for path in (tmp_path / "data/masks").iterdir()} == masks


def test_nights_of_new_photos_leave_few_shards(tmp_path):
    album = Album(tmp_path / "data", range(1, 20))
    for night in range(12):
        album.add(20 + night)
        done = convert_dataset(album.write(), tmp_path / "out/train")
        assert len(done.shards) <= 2 + (night + 1).bit_length()
    assert done.images == 31


def test_a_strict_conversion_looks_at_new_photos_only(album, tmp_path):
    del album.photos[3], album.photos[9]
    how = {"strict": True, "check_files": True}
    convert_dataset(album.write(), tmp_path / "out/train", **how)
    for number in album.photos:
        spoil_unseen(album.path(number))
    album.add(14)
    assert convert_dataset(album.write(), tmp_path / "out/train", **how).changes == (10, 1, 0, 0)
    album.add(16)
    album.cut(16)
    with pytest.raises(UserError, match="image 16: this is no readable image"):
        convert_dataset(album.write(), tmp_path / "out/train", **how)


def test_photos_that_are_held_out_are_hashed_once(album, tmp_path):
    more = {"split": {"share": 0.3}}
    shutil.copy(album.path(1), album.path(2))
    convert_dataset(album.write(**more), tmp_path / "out/train")
    for number in album.photos:
        spoil_unseen(album.path(number))
    told = convert_dataset(album.write(**more), tmp_path / "out/train").problems
    first = convert_dataset(album.write(**more), tmp_path / "out/train").problems
    assert [problem.text for problem in told] == [problem.text for problem in first]


def test_the_one_part_of_a_set_goes_on_and_joins(album, tmp_path):
    convert_dataset(album.write(), tmp_path / "part/train", part=(0, 1))
    album.add(13)
    spec = album.write()
    assert convert_dataset(spec, tmp_path / "part/train", part=(0, 1)).changes == (12, 1, 0, 0)
    joined = join_parts([tmp_path / "part"], tmp_path / "out/train")
    assert payloads(joined) == payloads(convert_dataset(spec, tmp_path / "wanted/train"))
    assert convert_dataset(spec, tmp_path / "out/train").changes == (13, 0, 0, 0)


def test_parts_of_several_are_converted_from_scratch(album, tmp_path, caplog):
    for _ in range(2):
        with caplog.at_level(logging.INFO):
            done = convert_dataset(album.write(), tmp_path / "part/train", shards=(1, 2), part=(1, 2))
        assert done.changes is None
    assert "what a part holds depends on all photos" in caplog.text


def converted_in_a_process(spec, out, kill_at):
    """Convert in a process that dies before one of its operations on files; returns its exit code."""
    child = os.fork()
    if not child:
        sys.addaudithook(Killer(out, kill_at))
        try:
            convert_dataset(spec, out / "train", shards=(1, 3))
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("first", [0, pytest.param(1, marks=pytest.mark.heavy)])
def test_a_conversion_that_is_killed_leaves_the_old_set_or_the_new_one_and_ends_when_run_again(tmp_path, first):
    album = Album(tmp_path / "data", range(1, 13))
    old = payloads(convert_dataset(album.write(), tmp_path / "old/train", shards=(1, 3)))
    album.add(13)
    album.remove(5)
    album.move(7, 2)
    spec = album.write()
    new = payloads(convert_dataset(spec, tmp_path / "fresh/train", shards=(1, 3)))
    out, seen = tmp_path / "out", Counter()
    for kill_at in range(first, 10_000, 2 if first else 5):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(tmp_path / "old", out)
        if converted_in_a_process(spec, out, kill_at) != -signal.SIGKILL:
            break
        left = Counter(payload for shard in open_shards(out, ["train"]) for payload in shard.records)
        assert left in (old, new)
        seen[left == new] += 1
        assert payloads(convert_dataset(spec, out / "train", shards=(1, 3))) == new
        named = {shard["file"] for shard in read_manifest(locate(out))["sets"]["train"]["shards"]}
        assert {path.name for path in out.iterdir()} == named | {"manifest.json"}
    assert seen[False] > 8
    assert seen[True] > 1


def test_a_conversion_killed_before_every_operation_does_not_leave_what_another_input_wrote(album, tmp_path):
    """A kill amid publishing, then another change: shards that were published for nothing go."""
    convert_dataset(album.write(), tmp_path / "old/train", shards=(1, 3))
    album.add(13)
    album.add(14)
    out = tmp_path / "out"
    for kill_at in range(0, 10_000, 7):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(tmp_path / "old", out)
        album.photos.pop(14)
        spec = album.write()
        killed = converted_in_a_process(spec, out, kill_at) == -signal.SIGKILL
        album.photos[14] = [{"box": BOX, "labelled": 17}]
        later = album.write()
        convert_dataset(later, out / "train", shards=(1, 3))
        named = {shard["file"] for shard in read_manifest(locate(out))["sets"]["train"]["shards"]}
        assert {path.name for path in out.iterdir()} == named | {"manifest.json"}
        if not killed:
            break


def test_another_set_in_the_folder_is_left_alone(album, tmp_path):
    spec, out = album.write(), tmp_path / "out"
    convert_dataset(spec, out / "val", mode="test")
    before = (out / "val-fold-000-of-001").stat()
    convert_dataset(spec, out / "train")
    album.move(5, 3)
    spec = album.write()
    convert_dataset(spec, out / "train")
    assert (out / "val-fold-000-of-001").stat() == before
    assert open_shards(out, ["val"])


def test_turns_of_photos_that_stand_are_counted(tmp_path):
    album = Album(tmp_path / "data", range(1, 7))
    pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    for number in (2, 4):
        store_turned(album.path(number), pixels, 3)
    done = require_same(album.write(), tmp_path / "out")
    assert sum("EXIF data turn 2 photos" in problem.text for problem in done.problems) == 1
    album.add(7)
    done = require_same(album.write(), tmp_path / "out")
    assert sum("EXIF data turn 2 photos" in problem.text for problem in done.problems) == 1


@given(st.integers(0, 50), st.lists(st.integers(0, 40), min_size=6, max_size=6), st.sampled_from([1, 2, 3, 6]))
def test_new_photos_are_dealt_once_and_evenly_to_folds(count, sizes, num_shards):
    slots = {f"slot {place}": size for place, size in enumerate(sizes)}
    dealt = deal(range(count), slots, num_shards)
    assert sorted(number for some in dealt.values() for number in some) == list(range(count))
    names = list(slots)
    folds = [names[start : start + num_shards] for start in range(0, 6, num_shards)]
    each = [sum(len(dealt.get(slot, ())) for slot in fold) for fold in folds]
    assert max(each) - min(each) <= 1
