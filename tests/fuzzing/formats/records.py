"""Records: what a conversion writes, and reads again."""

import shutil

from fuzzing.parser import Parser
from support.coco_files import annotation, image, write_dataset


def _convert(folder, **options):
    from bodyposenet.common.data.conversion.convert import convert_dataset

    people = [annotation(number, number, (5, 5, 40, 60)) for number in range(3)]
    spec = write_dataset(folder, [image(number) for number in range(4)], people)
    (folder / "dataset_spec.json").write_text(spec.model_dump_json(by_alias=True))
    return lambda out, **more: convert_dataset(spec, folder / out, processes=1, **(options | more))


def manifests(folder):
    _convert(folder)("records/train", shards=(1, 2))
    return [(folder / "records/manifest.json").read_bytes()]


def _manifest(path):
    from bodyposenet.common.data.records.manifest import open_shards, read_manifest
    from bodyposenet.common.tracking.record_sets import describe_records

    names = [*read_manifest(path.parent)["sets"]] or ["train"]
    for shard in open_shards(path.parent, names):
        shard.samples  # noqa: B018
        for number in range(len(shard)):
            shard[number]
    describe_records(path.parent, names, "training")


def _renewal(path):
    """A conversion to a folder whose manifest is a stranger's."""
    from bodyposenet.common.data.conversion.convert import convert_dataset
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.dataset import DatasetSpec

    root = path.parents[1]
    spec = load_spec(root / "dataset_spec.json", DatasetSpec)
    out = root / "again"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(path.parent, out)
    convert_dataset(spec, out / "train", processes=1)


def part_manifests(folder):
    convert = _convert(folder, shards=(1, 4))
    for index in range(2):
        convert(f"parts/{index}/train", part=(index, 2))
    return [(folder / "parts/0/manifest.json").read_bytes()]


def _join(path):
    from bodyposenet.common.data.conversion.join import join_parts

    out = path.parents[2] / "joined"
    try:
        join_parts([path.parent, path.parents[1] / "1"], out / "train")
    finally:
        shutil.rmtree(out, ignore_errors=True)


def shards(folder):
    _convert(folder)("records/train", shards=(1, 0))
    (shard,) = (folder / "records").glob("train-fold-*")
    return [shard.read_bytes()]


def _shard(path):
    from bodyposenet.common.data.records.manifest import open_shards

    for shard in open_shards(path.parent, [path.name]):
        for number in range(len(shard)):
            shard[number]


def records(folder):
    from bodyposenet.common.data.records.tfrecord import read_records

    _convert(folder)("records/train", shards=(1, 0))
    (shard,) = (folder / "records").glob("train-fold-*")
    return list(read_records(shard))


def _record(path):
    from bodyposenet.common.data.loading.decoding import decode_photo
    from bodyposenet.common.data.records.record import Record

    record = Record.from_bytes(path.read_bytes())
    record.centers, record.scales  # noqa: B018
    decode_photo(record)


PARSERS = (
    Parser("manifest", manifests, _manifest, "records/manifest.json", "json"),
    Parser("manifest-join", part_manifests, _join, "parts/0/manifest.json", "json"),
    Parser("manifest-renewal", manifests, _renewal, "records/manifest.json", "json", heavy=True),
    Parser("shard", shards, _shard, "train-fold-000-of-001"),
    Parser("record", records, _record),
)
