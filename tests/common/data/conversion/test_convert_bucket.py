"""Conversion from and to a store, of every kind."""

import json

import pytest
from click.testing import CliRunner
from support.coco_files import annotation, image, write_dataset
from support.stopped import spoil_unseen, standing

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.conversion import shard_plan
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.data.records.record import Record
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import listing, read_bytes, whole_file
from bodyposenet.common.storage.location import locate

BOX, FAR = (5, 5, 40, 60), (90, 40, 50, 70)
COUNT = 10


@pytest.fixture
def local(tmp_path, monkeypatch):
    """Ten photos on a disk, in pieces of three; a stranger in every second of them."""
    monkeypatch.setattr(shard_plan, "PIECE", 3)
    people = [annotation(number, number, BOX) for number in range(COUNT)]
    people += [annotation(COUNT + number, number, FAR, labelled=0) for number in range(0, COUNT, 2)]
    return write_dataset(tmp_path / "data", [image(number) for number in range(COUNT)], people)


@pytest.fixture
def remote(local, store):
    """The same in a bucket."""
    root = locate(local.root_directory_path)
    for path in root.rglob("*"):
        if path.is_file():
            with whole_file(locate(store) / "data" / path.relative_to(root).as_posix()) as file:
                file.write(path.read_bytes())
    return local.model_copy(update={"root_directory_path": f"{store}/data"})


def shard_bytes(conversion):
    return {path.name: path.read_bytes() for path in conversion.shards}


def test_a_bucket_gets_the_bytes_that_a_disk_gets(local, remote, store, tmp_path):
    on_disk = convert_dataset(local, tmp_path / "out/train", shards=(1, 2))
    in_bucket = convert_dataset(remote, f"{store}/out/train", shards=(1, 2), generate_masks=True, processes=2)
    assert shard_bytes(in_bucket) == shard_bytes(on_disk)
    files = set(listing(f"{store}/out"))
    assert files == {"manifest.json", *(path.name for path in on_disk.shards)}
    assert set(listing(f"{store}/data/masks")) == {f"{number:03d}.png" for number in range(0, COUNT, 2)}
    manifests = [json.loads(done.manifest.read_bytes())["sets"]["train"] for done in (on_disk, in_bucket)]
    assert manifests[0]["shards"] == manifests[1]["shards"]
    assert sum(len(shard) for shard in open_shards(f"{store}/out", ["train"])) == COUNT


def test_a_killed_conversion_to_a_bucket_goes_on_where_it_stopped(local, store, tmp_path):
    done = convert_dataset(local, tmp_path / "out/train")
    wanted = shard_bytes(done)
    with standing(local, f"{store}/out/train"):
        pass
    (piece,) = [name for name in listing(f"{store}/out") if name.endswith(".piece")]
    assert piece.endswith("00000-000000.piece")
    for record in list(open_shards(done.manifest.parent, ["train"])[0].records)[:3]:
        spoil_unseen(tmp_path / "data" / Record.from_bytes(record).image_path)  # what is made is not made again
    assert shard_bytes(convert_dataset(local, f"{store}/out/train")) == wanted
    assert set(listing(f"{store}/out")) == {"manifest.json", *wanted}


def put(place, path):
    with place.write_whole() as file:
        file.write(path.read_bytes())


def test_a_set_in_a_bucket_is_converted_again_from_what_changed(local, remote, store, tmp_path):
    first = convert_dataset(remote, f"{store}/out/train", shards=(1, 2))
    (gone, stays) = sorted(first.shards, key=lambda path: path.name)
    removed = open_shards(f"{store}/out", [gone.name])[0][0].image_id
    people = [annotation(number, number, (5, 5, 40, 60 + (number == COUNT))) for number in range(COUNT + 1)]
    people += [annotation(90 + number, number, FAR, labelled=0) for number in range(0, COUNT, 2)]
    people = [person for person in people if person["image_id"] != removed]
    images = [image(number) for number in range(COUNT + 1) if number != removed]
    again = write_dataset(tmp_path / "data", images, people)
    for path in (locate(again.root_directory_path) / "annotations").rglob("*"):
        put(locate(store) / "data/annotations" / path.name, path)
    new = locate(tmp_path / f"data/images/{COUNT:03d}.png")
    put(locate(store) / "data/images" / new.name, new)
    done = convert_dataset(remote, f"{store}/out/train", shards=(1, 2))
    assert done.changes == (COUNT - 1, 1, 0, 1)
    wanted = convert_dataset(again, tmp_path / "wanted/train", shards=(1, 2))
    found = [
        sorted(payload for shard in open_shards(where.manifest.parent, ["train"]) for payload in shard.records)
        for where in (done, wanted)
    ]
    assert found[0] == found[1]
    assert set(listing(f"{store}/out")) == {"manifest.json", *(path.name for path in done.shards)}
    assert stays.name in {path.name for path in done.shards}
    assert gone.name not in {path.name for path in done.shards}


def test_a_bucket_that_is_not_there_is_told(local, store):
    with pytest.raises(UserError, match=r"there is no such bucket; create it"):
        convert_dataset(local, f"{store}-no/out/train")
    gone = local.model_copy(update={"root_directory_path": f"{store}-no/data"})
    with pytest.raises(UserError, match=r"bucket"):
        convert_dataset(gone, f"{store}/out/train")


def bpnet(*arguments):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_the_verbs_read_and_write_nothing_but_a_bucket(local, remote, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with whole_file(f"{store}/spec.json") as file:
        file.write(remote.model_dump_json(by_alias=True).encode())
    wanted = shard_bytes(convert_dataset(local, tmp_path / "out/train", shards=(1, 2)))
    for part in range(2):
        flags = ("-s", 2, "--part", f"{part}/2", "-r", f"{store}/results/{part}")
        said = bpnet("dataset_convert", "-d", f"{store}/spec.json", "-o", f"{store}/parts/{part}/train", *flags)
        assert f"wrote 1 shard and {store}/parts/{part}/manifest.json" in said
        assert "SUCCESS" in read_bytes(f"{store}/results/{part}/status.json").decode()
        assert f"train.part-00{part}-of-002.dataset_report.html" in listing(f"{store}/results/{part}")
    bpnet("dataset_join", "-o", f"{store}/out/train", f"{store}/parts/0", f"{store}/parts/1")
    assert {name: read_bytes(f"{store}/out/{name}") for name in wanted} == wanted
    annotations, photos = (f"{store}/data/{name}" for name in ("annotations/people.json", "images"))
    bpnet("sample_calibration", "-a", annotations, "-i", photos, "-o", f"{store}/chosen", "-n", 3)
    assert len(listing(f"{store}/chosen")) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out"}
