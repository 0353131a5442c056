"""Tasks with data: a photo set of one annotation file, split by the dataset spec on its way through the tasks."""

import pytest
from support.split_sets import names_for, write_set

from bodyposenet.common import tasks
from bodyposenet.common.data.annotations.coco import read_half
from bodyposenet.common.data.photo_set import make_dataset_spec, spec_in
from bodyposenet.common.data.records.manifest import open_shards, read_manifest
from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.storage.location import locate
from bodyposenet.common.tasks.run_inputs import read_inputs

SPEC = {"split": {"share": 0.3, "group": "folder"}}


def test_one_annotation_file_is_all_that_the_tasks_need(tmp_path):
    root = write_set(tmp_path / "set", names_for(40))
    wanted = {half: [*read_half(make_dataset_spec(root, SPEC), half).images.file_names] for half in ("train", "test")}
    photos, files = str(tmp_path / "photos"), [str(tmp_path / name) for name in ("metrics", "page")]
    parts = [str(tmp_path / f"part {part}") for part in range(2)]
    tasks.gather_photos(str(root), photos)
    for number, part in enumerate(parts):
        tasks.convert(photos, SPEC, f"{number}/2", part, *files)
    tasks.join(photos, SPEC, parts, str(tmp_path / "joined"), files[0])
    folder = locate(tmp_path / "joined")
    found = {
        name: {shard[number].image_path for shard in open_shards(folder, [name]) for number in range(len(shard))}
        for name in read_manifest(folder)["sets"]
    }
    assert found["train"] == {f"images/{name}" for name in wanted["train"]}
    assert found["val"] == {f"images/{name}" for name in wanted["test"]}
    assert [*read_test_set(spec_in(tmp_path / "joined")).images.file_names] == wanted["test"]
    tasks.sample_calibration(photos, SPEC, 100, 0, str(tmp_path / "calibration"), files[0])
    sampled = {path.name for path in (tmp_path / "calibration").rglob("*.jpg")}
    assert sampled == {name.split("/")[-1] for name in wanted["train"]}


def test_a_conversion_whose_folder_stays_goes_on_from_what_is_there(tmp_path):
    root = write_set(tmp_path / "set", names_for(40))
    photos, dataset = str(tmp_path / "photos"), tmp_path / "dataset"
    tasks.gather_photos(str(root), photos)
    before = []
    for _ in range(2):
        tasks.convert(photos, SPEC, "0/1", str(dataset), str(tmp_path / "metrics"), str(tmp_path / "page"))
        shards = {path.name: path.stat().st_ino for path in dataset.glob("*-fold-*")}
        before.append((shards, (tmp_path / "page").read_text()))
    assert before[0] == before[1]


def test_a_set_of_one_file_without_a_split_is_refused_before_anything_runs(tmp_path):
    root = write_set(tmp_path / "set", names_for(4))
    defaults = {"dataset_spec": {"dataset": "coco"}}
    assert read_inputs({"dataset_spec": SPEC}, defaults, data=str(root)).photos
    with pytest.raises(UserError, match="set split of the dataset spec"):
        read_inputs({"dataset_spec": {}}, defaults, data=str(root))
