"""From each tool's export to records: the same photos with the same labels give the same people."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.coco_files import JOINTS, dataset_spec
from support.exports import HASHES, coco, cvat, shots, studio_annotation, studio_box, studio_coco, studio_tasks, zipped
from support.tool_files import FLIPS, cvat_xml, labelme, labelme_shape, pixels, write_files, yolo_labels

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.photo_set import keep_test_half, make_dataset_spec, spec_in
from bodyposenet.common.data.records.manifest import open_shards
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import locate
from bodyposenet.common.tracking.annotated_photos import describe_half

HIDDEN = 1
EXPORTS = Path(__file__).parents[3] / "exports"


def dataset(root, annotations, content, images, files):
    """Write an export and the photos that are not in it; return the dataset's spec."""
    root.mkdir()
    (root / annotations).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    for name, data in files.items():
        path = root / images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    half = {"images_root_dir_path": images, "mask_root_dir_path": "masks", "annotation_root_dir_path": annotations}
    return dataset_spec(root, train_data=half)


def plain_coco(root, photos):
    return dataset(root, "people.json", coco(photos), "images", {shot.name: pixels(shot) for shot in photos})


def cvat_zip(root, photos):
    """As CVAT packs it with "save images": two subsets, of which one is asked for."""
    images = {f"images/Train/{shot.name}": pixels(shot) for shot in photos}
    empty = cvat(photos) | {"images": [], "annotations": []}
    members = {"annotations/person_keypoints_Train.json": cvat(photos), "annotations/person_keypoints_Test.json": empty}
    spec = dataset(root, "export.zip", zipped(members | images), "export.zip/images/Train", {})
    half = spec.train_data.model_copy(update={"annotation_root_dir_path": "export.zip#Train"})
    return spec.model_copy(update={"train_data": half})


def uploaded(photos):
    """The photos under the names that Label Studio gives uploads."""
    return {f"{mark}-{shot.name}": pixels(shot) for mark, shot in zip(HASHES, photos, strict=False)}


def studio_json(root, photos):
    return dataset(root, "project.json", studio_tasks(photos), "photos", uploaded(photos))


def studio_json_without_parents(root, photos):
    return dataset(root, "project.json", studio_tasks(photos, parents=False), "photos", uploaded(photos))


def studio_zip(root, photos):
    images = {f"images/{name}": data for name, data in uploaded(photos).items()}
    return dataset(root, "coco.zip", zipped({"result.json": studio_coco(photos)} | images), "coco.zip/images", {})


def yolo(root, photos):
    """A YOLO-pose dataset in one folder; the test half is one photo of it."""
    yaml = f"train: images/train\nval: images/val\nnames: [person]\nkpt_shape: [17, 3]\nflip_idx: {FLIPS}\n"
    files = {"data.yaml": yaml}
    for half, some in (("train", photos), ("val", photos[:1])):
        files |= {f"images/{half}/{shot.name}": pixels(shot) for shot in some}
        files |= {f"labels/{half}/{stem}.txt": text for stem, text in yolo_labels(some).items()}
    write_files(root, files)
    return make_dataset_spec(root)


def cvat_images(root, photos):
    """CVAT's own XML in an archive with the photos, as "save images" packs it."""
    files = {"annotations.xml": cvat_xml(photos).encode()} | {f"images/{shot.name}": pixels(shot) for shot in photos}
    return dataset(root, "job.zip", zipped(files), "job.zip/images", {})


def labelme_files(root, photos):
    """LabelMe's files beside the photos."""
    files = {shot.name: pixels(shot) for shot in photos}
    files |= {f"{shot.name}.json": json.dumps(labelme(shot)) for shot in photos}
    write_files(root / "photos", files)
    half = {"images_root_dir_path": "photos", "mask_root_dir_path": "masks", "annotation_root_dir_path": "photos"}
    return dataset_spec(root, train_data=half)


def coco_others(root, photos):
    other = {"id": 99, "image_id": 3, "category_id": 7, "bbox": [5, 5, 9, 9], "area": 81, "iscrowd": 0}
    document = coco(photos)
    document["annotations"] = [each for each in document["annotations"] if each["image_id"] == 1] + [other]
    document["categories"].append({"id": 7, "name": "ball"})
    return dataset(root, "people.json", document, "images", {shot.name: pixels(shot) for shot in photos})


def yolo_others(root, photos):
    spec = yolo(root, photos)
    first, *_ = yolo_labels(photos)
    yaml = (root / "data.yaml").read_text().replace("[person]", "[person, ball]")
    labels = {f"labels/train/{shot.name.partition('.')[0]}.txt": "" for shot in photos[1:]}
    labels[[*labels][-1]] = "1 0.5 0.5 0.1 0.1" + " 0 0 0" * 17
    write_files(root, {"data.yaml": yaml, **labels})
    assert (root / f"labels/train/{first}.txt").stat().st_size
    return spec


def cvat_others(root, photos):
    bare = [photos[0], *(replace(shot, figures=()) for shot in photos[1:])]
    box = '<box label="ball" xtl="5" ytl="5" xbr="14" ybr="14" occluded="0"></box>\n'
    first, _, rest = cvat_xml(bare).rpartition("</image>")
    document = f"{first}{box}</image>{rest}".encode()
    return dataset(root, "annotations.xml", document, "images", {shot.name: pixels(shot) for shot in photos})


def labelme_others(root, photos):
    spec = labelme_files(root, photos)
    for shot, shapes in zip(
        photos[1:], ([], [labelme_shape("ball", "rectangle", [[5, 5], [14, 14]], None)]), strict=True
    ):
        (root / f"photos/{shot.name}.json").write_text(json.dumps(labelme(shot) | {"shapes": shapes}))
    return spec


def studio_others(root, photos):
    tasks = studio_tasks(photos)
    for task in tasks[1:]:
        task["annotations"] = [studio_annotation([])]
    size = photos[2].size
    tasks[2]["annotations"] = [studio_annotation([studio_box("b", (5, 5, 9, 9), size, label="Ball")])]
    return dataset(root, "project.json", tasks, "photos", uploaded(photos))


def datumaro_others(root, photos):
    document = json.loads((EXPORTS / "datumaro/train.json").read_text())
    for item in document["items"][1:]:
        item["annotations"] = []
    ball = {"id": 1, "type": "bbox", "attributes": {}, "group": 0, "label_id": None, "z_order": 0, "bbox": [5, 5, 9, 9]}
    document["items"][2]["annotations"] = [ball]
    return dataset(root, "train.json", document, "images", {f"train/{shot.name}": pixels(shot) for shot in photos})


def people_in(spec, output):
    """For each photo its bytes and its people's joints and boxes, in the order of the photos."""
    done = convert_dataset(spec, output)
    shards = open_shards(done.manifest.parent, [path.name for path in done.shards])
    records = [shard[number] for shard in shards for number in range(len(shard))]
    assert done.skipped == []
    return [
        (record.image, record.joints * (record.joints[..., 2:] > 0), record.boxes)
        for record in sorted(records, key=lambda record: record.image_id)
    ]


def assert_same(found, expected, *, flags=True):
    assert len(found) == len(expected)
    for (image, joints, boxes), (other_image, other_joints, other_boxes) in zip(found, expected, strict=True):
        assert image == other_image
        kept = slice(None) if flags else slice(2)
        np.testing.assert_allclose(joints[..., kept], other_joints[..., kept], atol=1e-3)
        np.testing.assert_allclose(boxes, other_boxes, atol=1e-3)


@pytest.mark.parametrize("tool", [cvat_zip, studio_json, studio_json_without_parents, yolo, cvat_images, labelme_files])
def test_every_tool_gives_the_people_of_the_coco_file(tmp_path, tool):
    expected = people_in(plain_coco(tmp_path / "coco", shots()), tmp_path / "out/coco")
    assert [len(joints) for _, joints, _ in expected] == [2, 1, 1]
    assert expected[0][1][0, JOINTS.index("left_wrist"), 2] == HIDDEN
    assert_same(people_in(tool(tmp_path / "tool", shots()), tmp_path / "out/tool"), expected)


@pytest.mark.parametrize(
    "tool", [coco_others, yolo_others, cvat_others, labelme_others, studio_others, datumaro_others]
)
def test_a_photo_of_other_things_alone_is_no_negative_of_any_tool(tmp_path, tool):
    """Of three photos the first has people, the second nothing and the last a ball: the second is the only negative."""
    spec = tool(tmp_path / "tool", shots()).model_copy(update={"negative_photos": True})
    done = convert_dataset(spec, tmp_path / "out/tool")
    assert (done.images, done.negatives, done.skipped) == (2, 1, [])


def test_label_studios_coco_gives_them_where_every_photo_has_one_person(tmp_path):
    """All joints are visible there: it tells no hidden ones."""
    photos = shots(crowded=False)
    expected = people_in(plain_coco(tmp_path / "coco", photos), tmp_path / "out/coco")
    assert_same(people_in(studio_zip(tmp_path / "tool", photos), tmp_path / "out/tool"), expected, flags=False)


def test_the_held_out_half_of_a_yolo_dataset_is_kept_as_coco(tmp_path):
    """What a champion is compared on is one folder that needs nothing of the dataset any more."""
    spec = yolo(tmp_path / "mine", shots())
    kept = keep_test_half(spec, tmp_path / "kept")
    with whole_file(tmp_path / "kept/dataset_spec.json") as file:
        file.write(kept.model_dump_json(by_alias=True).encode())
    there, here = (read_test_set(each) for each in (spec, spec_in(tmp_path / "kept")))
    assert [photo.file_name.rpartition("/")[2] for photo in here.photos] == ["a.png"]
    for one, other in zip(there.photos[0].people, here.photos[0].people, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)


def test_a_changed_label_makes_another_dataset(tmp_path):
    """Neither a conversion that goes on nor a tracked run may take it for the same."""
    spec = yolo(tmp_path / "mine", shots())
    before = describe_half(spec, "train", "conversion").digest
    assert describe_half(spec, "train", "conversion").digest == before
    expected = people_in(spec, tmp_path / "out/before")
    label = tmp_path / "mine/labels/train/b.txt"
    label.write_text(label.read_text().replace(" 2 ", " 1 ", 1))
    assert describe_half(spec, "train", "conversion").digest != before
    changed = people_in(spec, tmp_path / "out/after")
    assert (changed[1][1] != expected[1][1]).sum() == 1


@pytest.mark.parametrize("tool", [yolo, cvat_images, labelme_files])
def test_what_lies_in_a_bucket_gives_the_records_of_what_lies_on_a_disk(tmp_path, bucket, tool):
    spec = tool(tmp_path / "mine", shots())
    for path in (tmp_path / "mine").rglob("*.*"):
        (locate(bucket) / path.relative_to(tmp_path).as_posix()).write_bytes(path.read_bytes())
    remote = spec.model_copy(update={"root_directory_path": f"{bucket}/mine"})
    assert_same(people_in(remote, tmp_path / "out/bucket"), people_in(spec, tmp_path / "out/disk"))
    assert describe_half(remote, "train", "conversion").digest == describe_half(remote, "train", "conversion").digest
