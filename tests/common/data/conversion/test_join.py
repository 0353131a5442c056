"""Parts: what several machines convert is, joined, what one converts."""

import json

import pytest
from click.testing import CliRunner
from support.coco_files import annotation, image, write_dataset

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.conversion.join import join_parts
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.errors import UserError

BOX, FAR = (5, 5, 40, 60), (90, 40, 50, 70)
COUNT, SHARDS = 20, 7


@pytest.fixture
def spec(tmp_path):
    """Twenty photos, of which one is missing and one is no photo."""
    people = [annotation(number, number, BOX) for number in range(COUNT)]
    people += [annotation(COUNT + number, number, FAR, labelled=0) for number in range(0, COUNT, 2)]
    spec = write_dataset(tmp_path / "data", [image(number) for number in range(COUNT)], people)
    (tmp_path / "data/images/004.png").unlink()
    (tmp_path / "data/images/011.png").write_text("no photo")
    return spec


def converted(spec, output, **options):
    return convert_dataset(spec, output, shards=(1, SHARDS), **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_joined_parts_are_the_bytes_of_an_undivided_conversion(spec, tmp_path, of):
    whole = converted(spec, tmp_path / "whole/train")
    for index in reversed(range(of)):
        converted(spec, tmp_path / f"parts/{index}/train", part=(index, of))
    done = join_parts([tmp_path / f"parts/{index}" for index in range(of)], tmp_path / "joined/train")
    assert contents(tmp_path / "joined") == contents(tmp_path / "whole")
    assert (done.images, done.samples, done.skipped) == (whole.images, whole.samples, whole.skipped)
    assert len(done.skipped) == 2


def test_parts_in_one_folder_become_the_set_where_they_are(spec, tmp_path):
    converted(spec, tmp_path / "whole/train")
    convert_dataset(spec, tmp_path / "out/train", shards=(2, 0))  # an older set: it goes
    converted(spec, tmp_path / "out/train", part=(0, 2))  # an older division: it goes, too
    for index in range(3):
        converted(spec, tmp_path / "out/train", part=(index, 3))
    join_parts([tmp_path / "out"], tmp_path / "out/train")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_part_can_be_read_by_itself(spec, tmp_path):
    done = converted(spec, tmp_path / "train", part=(1, 2))
    shards = open_shards(tmp_path, ["train.part-001-of-002"])
    assert [path.name[-14:-9] for path in done.shards] == ["00001", "00003", "00005"]
    assert sum(map(len, shards)) == done.images


def test_masks_of_photos_without_records_are_divided_too(spec, tmp_path):
    crowds = [annotation(number, number, BOX, labelled=0) for number in range(5)]
    people = [annotation(100 + number, number + 5, BOX) for number in range(5)]
    spec = write_dataset(tmp_path / "data", [image(number) for number in range(10)], crowds + people)
    for index in range(2):
        convert_dataset(spec, tmp_path / f"{index}/train", shards=(1, 2), part=(index, 2), generate_masks=True)
    assert sorted(contents(tmp_path / "data/masks")) == [f"{number:03d}.png" for number in range(5)]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(0, 3), (2, 3)], r"part 1 of 3 of 'train' is missing; convert every part"),
        ([(0, 2), (1, 2), (0, 2)], r"part 0 of 2 of 'train' is there twice"),
        ([(0, 2), (1, 3)], r"train.part-001-of-003: is of another conversion than .*train.part-000-of-002"),
        ([None], r"no part of a set 'train' is described here, but train"),
    ],
)
def test_parts_that_do_not_make_a_set_are_refused(spec, tmp_path, parts, message):
    folders = [tmp_path / f"parts/{number}" for number in range(len(parts))]
    for folder, part in zip(folders, parts, strict=True):
        converted(spec, folder / "train", part=part)
    with pytest.raises(UserError, match=message):
        join_parts(folders, tmp_path / "joined/train")
    assert not (tmp_path / "joined").exists()


def test_parts_of_different_datasets_are_refused(spec, tmp_path):
    converted(spec, tmp_path / "0/train", part=(0, 2))
    other = spec.model_copy(update={"dataset": "other"})
    converted(other, tmp_path / "1/train", part=(1, 2))
    with pytest.raises(UserError, match="is of another conversion"):
        join_parts([tmp_path / "0", tmp_path / "1"], tmp_path / "joined/train")


def test_a_damaged_part_is_refused(spec, tmp_path):
    for index in range(2):
        done = converted(spec, tmp_path / f"{index}/train", part=(index, 2))
    done.shards[0].write_bytes(b"")
    with pytest.raises(UserError, match=r"the shard has 0 bytes, its manifest says \d+; convert this part again"):
        join_parts([tmp_path / "0", tmp_path / "1"], tmp_path / "joined/train")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ((2, 2), "there is no part 2 of 2"),
        ((-1, 2), "there is no part -1"),
        ((0, 8), "7 shards cannot be divided in 8"),
    ],
)
def test_a_part_that_cannot_be_is_refused(spec, tmp_path, part, message):
    with pytest.raises(UserError, match=message):
        converted(spec, tmp_path / "train", part=part)


def run(*args):
    return CliRunner().invoke(main, list(map(str, args)))


def test_the_verbs_divide_and_join(spec, tmp_path):
    (tmp_path / "coco.json").write_text(spec.model_dump_json(by_alias=True))
    flags = ("-d", tmp_path / "coco.json", "-s", 2)
    for index in range(2):
        result = run("dataset_convert", *flags, "-o", tmp_path / f"parts/{index}/train", "--part", f"{index}/2")
        assert result.exit_code == 0, result.stderr
    result = run("dataset_join", tmp_path / "parts/0", tmp_path / "parts/1", "-o", tmp_path / "all/train")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(
        f"wrote 2 shards and {tmp_path}/all/manifest.json: 18 images, 18 people, 18 samples"
    )
    assert list(json.loads((tmp_path / "all/manifest.json").read_text())["sets"]) == ["train"]


@pytest.mark.parametrize("text", ["1", "2/2", "a/b", "1/2/3", "-1/2"])
def test_a_part_is_written_as_index_and_number(tmp_path, text):
    result = run("dataset_convert", "-d", tmp_path / "coco.json", "-o", tmp_path / "train", "--part", text)
    assert result.exit_code == 2
    assert "is no part; write INDEX/OF with an index from 0" in result.stderr


def test_a_strict_verb_lists_the_problems_and_writes_a_report_and_no_shard(spec, tmp_path):
    (tmp_path / "coco.json").write_text(spec.model_dump_json(by_alias=True))
    flags = ("-d", tmp_path / "coco.json", "-o", tmp_path / "out/train", "-r", tmp_path / "results", "--check_files")
    result = run("dataset_convert", *flags, "--strict")
    assert result.exit_code == 2
    assert "004.png: image 4: there is no such image" in result.stderr
    assert "011.png: image 11: this is no readable image" in result.stderr
    assert not (tmp_path / "out").exists() or not contents(tmp_path / "out")
    assert "004.png" in (tmp_path / "results/train.dataset_report.json").read_text()
    result = run("dataset_convert", *flags)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip().endswith("18 images, 18 people, 18 samples, 2 images left out")
    assert result.stderr.count("problem: ") == 2
    assert f"what is in the dataset: {tmp_path}/results/train.dataset_report.html" in result.stderr


def test_sets_in_one_folder_keep_a_report_each(spec, tmp_path):
    for name in ("train", "val"):
        done = convert_dataset(spec, tmp_path / "out" / name, results_dir=tmp_path / "out")
        assert done.report == tmp_path / f"out/{name}.dataset_report.html"
        files = {f"{name}.{file}" for file in ("conversion.json", "dataset_report.html", "dataset_report.json")}
        assert files < contents(tmp_path / "out").keys()
    assert json.loads((tmp_path / "out/train.conversion.json").read_text())["shards"] == [
        f"{tmp_path}/out/train-fold-000-of-001"
    ]


def test_a_verb_counts_photos_that_are_described_wrongly_among_those_left_out(spec, tmp_path):
    (tmp_path / "coco.json").write_text(spec.model_dump_json(by_alias=True))
    path = tmp_path / "data/annotations/people.json"
    document = json.loads(path.read_text())
    document["images"][0]["file_name"] = "../out.png"
    path.write_text(json.dumps(document))
    result = run("dataset_convert", "-d", tmp_path / "coco.json", "-o", tmp_path / "out/train")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip().endswith("17 samples, 3 images left out")
